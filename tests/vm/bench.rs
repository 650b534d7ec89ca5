//! The workbench of all tests of this ring: bundles and installer on a stick, and a machine that has booted with it once
//! and was saved then, from where each test goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::available::{available, skip};
use super::machine::{Machine, Parts};
use super::power::{self, Loss, Random};
use super::shop;

const TOOLS: [&str; 7] = ["qemu-system-x86_64", "setpriv", "mkfs.vfat", "mcopy", "busybox", "cp", "bash"];

/// Where the installer lies in the machine.
pub(crate) const INSTALLER: &str = "/media/usb/carrack-install";

/// One test's machine and disks. One test has it at a time.
pub(crate) struct Bench {
    image: PathBuf,
    folder: PathBuf,
    _lock: fs::File,
}

impl Bench {
    /// Sets it up, or says why the test cannot be run here. What lies in the folder of the last run is removed.
    pub(crate) fn set_up(test: &str) -> Option<Self> {
        if !available(test, &TOOLS) {
            return None;
        }
        let image = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("vm");
        if !image.join("state").is_file() {
            skip(&format!("{test}: needs scripts/vm-image to have been run"));
            return None;
        }
        let lock = fs::File::create(image.join("lock")).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let folder = image.join("run");
        let this = Self { image, folder, _lock: lock };
        this.prepare();
        Some(this)
    }

    /// Boots a machine that has only the stick, and saves it.
    fn prepare(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir(&self.folder).unwrap();
        self.make_stick();
        power::copy(&self.image.join("root.img"), &self.path("booted.img"));
        let mut machine = Machine::boot(&self.parts("booted.img"));
        machine.wait_for_boot();
        machine.wait_for("the stick", "mountpoint -q /media/usb");
        machine.wait_for("containerd", "ctr version");
        // Files and their pages are the same, whatever the machine did when.
        machine.succeed("sync; echo 3 >/proc/sys/vm/drop_caches");
        machine.save(&self.path("booted.state"));
    }

    fn make_stick(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/static-installer");
        let built = Command::new(script).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let installer = String::from_utf8(built.stdout).unwrap().trim_end().to_owned();
        let mut content = shop::build(&self.folder);
        content.push(Path::new(env!("CARGO_MANIFEST_DIR")).join(installer));
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

    /// A machine that has booted, and on which nothing is installed.
    pub(crate) fn booted(&self) -> Machine {
        power::copy(&self.path("booted.img"), &self.path("disk.img"));
        Machine::resume(&self.parts("disk.img"), &self.path("booted.state"))
    }

    /// The same; what it writes is written down, for [`Self::fail`].
    pub(crate) fn booted_with_log(&self) -> Machine {
        power::copy(&self.path("booted.img"), &self.path("disk.img"));
        let parts = Parts { log: Some(self.log()), ..self.parts("disk.img") };
        Machine::resume(&parts, &self.path("booted.state"))
    }

    /// Where the writes are written down.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("writes")
    }

    /// Leaves on the disk what a failing power does, after a machine with a log; see [`power::fail`].
    pub(crate) fn fail(&self, random: &mut Random) -> Option<Loss> {
        power::fail(&self.path("booted.img"), &self.log(), &self.path("disk.img"), random)
    }

    /// Boots from the disk as it is.
    pub(crate) fn boot(&self) -> Machine {
        Machine::boot(&self.parts("disk.img"))
    }
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
