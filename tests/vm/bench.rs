//! The workbench of all tests of this ring: bundles and installer on a stick, and a machine that has booted with it once
//! and was saved then, from where each test goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::available::{available, skip};
use super::machine::{Machine, Parts};
use super::power::{self, Loss, Random};
use super::shop;

const TOOLS: [&str; 10] =
    ["qemu-system-x86_64", "setpriv", "mkfs.vfat", "mcopy", "busybox", "cp", "bash", "e2fsck", "unshare", "chroot"];

/// Where the installer lies in the machine.
pub(crate) const INSTALLER: &str = "/media/usb/carrack-install";

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
    /// The name of the disk that its machine runs on.
    disk: &'static str,
    _lock: Option<fs::File>,
}

/// A disk that is looked at: a copy, so that the disk itself stays as it is.
pub(crate) struct Look {
    copy: PathBuf,
    root: PathBuf,
}

impl Look {
    /// What a script of the shell prints, with this disk as its root.
    pub(crate) fn run(&self, script: &str) -> String {
        // The mount ends with the script, since no other process sees it.
        let inside = "mount -o loop,ro \"$1\" \"$2\" && exec chroot \"$2\" bash -c \"$3\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", inside, "bash"]).arg(&self.copy).arg(&self.root).arg(script);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.copy);
    }
}

static BENCH: LazyLock<Mutex<Bench>> = LazyLock::new(|| {
    let image = image();
    let lock = fs::File::create(image.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let bench = Bench { folder: image.join("run"), image, disk: "disk.img", _lock: Some(lock) };
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

    /// A second workbench with what was saved on this one, for a machine that runs beside this one's.
    pub(crate) fn beside(&self) -> Self {
        Self { image: self.image.clone(), folder: self.folder.clone(), disk: "second.img", _lock: None }
    }

    /// Boots a machine that has only the stick, and saves it. What lies there of an earlier run is removed.
    fn prepare(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir(&self.folder).unwrap();
        self.make_stick();
        power::copy(&self.image.join("root.img"), &self.path(self.disk));
        let mut machine = self.boot();
        machine.wait_for_boot();
        machine.wait_for("the stick", "mountpoint -q /media/usb");
        machine.wait_for("containerd", "ctr version");
        self.save(machine, BOOTED);
    }

    fn make_stick(&self) {
        let mut content = shop::build(&self.folder);
        content.push(installer());
        let stick = self.path("stick.img");
        let size: u64 = content.iter().map(|path| path.metadata().unwrap().len()).sum();
        run(Command::new("mkfs.vfat").args(["-C", "-n", "CARRACK"]).arg(&stick).arg((size / 1024 + 4096).to_string()));
        run(Command::new("mcopy").arg("-i").arg(&stick).args(&content).arg("::"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn parts(&self) -> Parts {
        Parts { image: self.image.clone(), disk: self.path(self.disk), stick: self.path("stick.img"), log: None }
    }

    /// A machine that goes on from `saved`, with disks of its own.
    pub(crate) fn resume(&self, saved: Saved) -> Machine {
        power::copy(&self.path(&saved.disk()), &self.path(self.disk));
        Machine::resume(&self.parts(), &self.path(&saved.state()))
    }

    /// The same; what it writes is written down, for [`Self::fail`].
    pub(crate) fn resume_with_log(&self, saved: Saved) -> Machine {
        power::copy(&self.path(&saved.disk()), &self.path(self.disk));
        let parts = Parts { log: Some(self.log()), ..self.parts() };
        Machine::resume(&parts, &self.path(&saved.state()))
    }

    /// Saves a machine that goes on from something else, and ends it.
    pub(crate) fn save(&self, mut machine: Machine, saved: Saved) {
        machine.succeed("sync");
        machine.save(&self.path(&saved.state()));
        power::copy(&self.path(self.disk), &self.path(&saved.disk()));
    }

    /// Where the writes are written down.
    pub(crate) fn log(&self) -> PathBuf {
        self.path(self.disk).with_extension("writes")
    }

    /// Leaves on the disk what a failing power does, after a machine that went on from `saved` with a log; see [`power::fail`].
    pub(crate) fn fail(&self, saved: Saved, random: &mut Random) -> Loss {
        power::fail(&self.path(&saved.disk()), &self.log(), &self.path(self.disk), random)
    }

    /// The disk as it is, to look at while no machine runs on it.
    pub(crate) fn look(&self) -> Look {
        let disk = self.path(self.disk);
        let look = Look { copy: disk.with_extension("copy"), root: disk.with_extension("root") };
        power::copy(&disk, &look.copy);
        // Its file system's journal is gone through, as at every start.
        let checked = Command::new("e2fsck").args(["-y", "-E", "journal_only"]).arg(&look.copy).output().unwrap();
        assert!(checked.status.code().is_some_and(|code| code < 4), "{}", String::from_utf8_lossy(&checked.stderr));
        fs::create_dir_all(&look.root).unwrap();
        look
    }

    /// Boots from the disk as it is.
    pub(crate) fn boot(&self) -> Machine {
        Machine::boot(&self.parts())
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
