//! Control groups of a node's own in every hierarchy of version 1, so that each node has its `/kubepods`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const HIERARCHIES: &str = "/sys/fs/cgroup";

/// The groups of a name. They are removed with this.
pub(crate) struct Groups(String);

impl Groups {
    /// Whether this kernel has them.
    pub(crate) fn supported() -> bool {
        Path::new(HIERARCHIES).join("memory/memory.limit_in_bytes").exists()
    }

    pub(crate) fn new(name: &str) -> Self {
        remove_stale();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let this = Self(format!("carrack-{}-{}-{name}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        for group in this.paths() {
            fs::create_dir(&group).unwrap();
            // Nothing runs in a group that has no processors.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(all) = fs::read(group.with_file_name(file)) {
                    fs::write(group.join(file), all).unwrap();
                    fs::write(group.join("cgroup.clone_children"), "1").unwrap();
                }
            }
        }
        this
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        hierarchies().map(|hierarchy| hierarchy.join(&self.0))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // Processes that were killed are gone, but the kernel may not have let go of them yet.
        let deadline = Instant::now() + Duration::from_secs(10);
        for group in self.paths() {
            while remove(&group).is_err() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Removes the groups of processes that were killed.
fn remove_stale() {
    for hierarchy in hierarchies() {
        for entry in fs::read_dir(hierarchy).unwrap().filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix("carrack-").and_then(|rest| rest.split('-').next());
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
                // Another test may be about to do the same.
                let _ = remove(&entry.path());
            }
        }
    }
}

fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let hierarchies = fs::read_dir(HIERARCHIES).unwrap().map(|entry| entry.unwrap().path());
    // `cpu` may be a link to `cpu,cpuacct`.
    hierarchies.filter(|path| path.is_dir() && !path.is_symlink())
}

/// Removes a group with those below it. Its files go with it.
fn remove(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
