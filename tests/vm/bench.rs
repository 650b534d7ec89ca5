//! The workbench of all tests of this ring: bundles and installer on a stick, and a machine that has booted with it once
//! and was saved then, from where each test goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::available::{available, skip};
use super::edge;
use super::machine::{Machine, Parts};
use super::power::{self, Loss, Random};
use super::shop;

const TOOLS: [&str; 7] = ["qemu-system-x86_64", "setpriv", "mkfs.vfat", "mcopy", "busybox", "cp", "bash"];

/// Where the installer lies in the machine.
pub(crate) const INSTALLER: &str = "/media/usb/carrack-install";

const DISK: &str = "disk.img";

/// The memory and the disk of a machine at some moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Saved(pub(crate) &'static str);

/// A machine that has booted, and on which nothing is installed.
pub(crate) const BOOTED: Saved = Saved("booted");

impl Saved {
    fn disk(self) -> String {
        format!("{}.img", self.0)
    }

    fn state(self) -> String {
        format!("{}.state", self.0)
    }
}

/// Images, disks and what was saved. One test has it at a time.
pub(crate) struct Bench {
    image: PathBuf,
    folder: PathBuf,
    _lock: fs::File,
}

static BENCH: LazyLock<Mutex<Bench>> = LazyLock::new(|| {
    let image = image();
    let lock = fs::File::create(image.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let bench = Bench { folder: image.join("run"), image, _lock: lock };
    bench.prepare();
    Mutex::new(bench)
});

fn image() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("vm")
}

impl Bench {
    /// The workbench, when no other test has it; or says why the test cannot be run here.
    pub(crate) fn set_up(test: &str) -> Option<MutexGuard<'static, Self>> {
        if !available(test, &TOOLS) {
            return None;
        }
        if !image().join("state").is_file() {
            skip(&format!("{test}: needs scripts/vm-image to have been run"));
            return None;
        }
        Some(BENCH.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Boots a machine that has only the stick, and saves it. What lies there of an earlier run is removed.
    fn prepare(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir(&self.folder).unwrap();
        self.make_stick();
        power::copy(&self.image.join("root.img"), &self.path(DISK));
        let mut machine = self.boot();
        machine.wait_for_boot();
        machine.wait_for("the stick", "mountpoint -q /media/usb");
        machine.wait_for("containerd", "ctr version");
        self.save(machine, BOOTED);
    }

    fn make_stick(&self) {
        let mut content = shop::build(&self.folder);
        content.extend(edge::build(&self.folder));
        content.push(installer());
        let stick = self.path("stick.img");
        let size: u64 = content.iter().map(|path| path.metadata().unwrap().len()).sum();
        run(Command::new("mkfs.vfat").args(["-C", "-n", "CARRACK"]).arg(&stick).arg((size / 1024 + 4096).to_string()));
        run(Command::new("mcopy").arg("-i").arg(&stick).args(&content).arg("::"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn parts(&self, disk: &str) -> Parts {
        Parts { image: self.image.clone(), disk: self.path(disk), stick: self.path("stick.img"), log: None }
    }

    /// A machine that goes on from `saved`, with disks of its own.
    pub(crate) fn resume(&self, saved: Saved) -> Machine {
        power::copy(&self.path(&saved.disk()), &self.path(DISK));
        Machine::resume(&self.parts(DISK), &self.path(&saved.state()))
    }

    /// The same; what it writes is written down, for [`Self::fail`].
    pub(crate) fn resume_with_log(&self, saved: Saved) -> Machine {
        power::copy(&self.path(&saved.disk()), &self.path(DISK));
        let parts = Parts { log: Some(self.log()), ..self.parts(DISK) };
        Machine::resume(&parts, &self.path(&saved.state()))
    }

    /// Saves a machine that goes on from something else, and ends it.
    pub(crate) fn save(&self, mut machine: Machine, saved: Saved) {
        machine.succeed("sync");
        machine.save(&self.path(&saved.state()));
        power::copy(&self.path(DISK), &self.path(&saved.disk()));
    }

    /// Where the writes are written down.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("writes")
    }

    /// Leaves on the disk what a failing power does, after a machine that went on from `saved` with a log; see [`power::fail`].
    pub(crate) fn fail(&self, saved: Saved, random: &mut Random) -> Loss {
        power::fail(&self.path(&saved.disk()), &self.log(), &self.path(DISK), random)
    }

    /// Boots from the disk as it is.
    pub(crate) fn boot(&self) -> Machine {
        Machine::boot(&self.parts(DISK))
    }
}

/// The static installer: the one that `CARRACK_STATIC_INSTALLER` names, or one that is built now.
fn installer() -> PathBuf {
    if let Some(built) = std::env::var_os("CARRACK_STATIC_INSTALLER") {
        return built.into();
    }
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(package.join("scripts/static-installer")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    package.join(String::from_utf8(built.stdout).unwrap().trim_end())
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
