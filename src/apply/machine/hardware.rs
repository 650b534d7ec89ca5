//! Processors, memory and disks.

use indicatif::HumanBytes;

use super::{Machine, UNKNOWN};
use crate::apply::check::{Check, Verdict};
use crate::apply::rules;
use crate::host::disk::Medium;
use crate::io::PathError;
use crate::requirements::Requirements;

/// Where what is installed lies; together they are the disk, however it is divided.
const FOLDERS: [&str; 5] = ["/", "/usr", "/var", "/opt", "/etc"];

impl Machine<'_> {
    pub(super) fn hardware(&self, needed: &Requirements, checks: &mut Vec<Check>) -> Result<(), PathError> {
        if needed.cpu_milli > 0 {
            let found = self.facts.processors();
            let ok = found.is_some_and(|found| found.saturating_mul(1000) >= needed.cpu_milli);
            let found = found.map_or_else(|| UNKNOWN.to_owned(), |found| found.to_string());
            checks.push(Check::new("processors", cores(needed.cpu_milli), found, ok));
        }
        if needed.memory > 0 {
            checks.push(amount("memory", needed.memory, self.facts.memory()));
        }
        if needed.disk > 0 {
            checks.push(amount("disk", needed.disk, Some(self.size()?)));
        }
        Ok(())
    }

    /// Bytes of the file systems that software is installed into, each once.
    pub(super) fn size(&self) -> Result<u64, PathError> {
        let (mut devices, mut sum) = (Vec::new(), 0_u64);
        for folder in FOLDERS.into_iter().chain(self.node.install_root.as_deref()) {
            let space = self.facts.space(&self.root.join(folder.trim_start_matches('/')))?;
            if !devices.contains(&space.device) {
                devices.push(space.device);
                sum = sum.saturating_add(space.size);
            }
        }
        Ok(sum)
    }

    pub(super) fn ssd(&self, data: &str) -> Check {
        let disk = self.facts.mount(data).and_then(|mount| self.facts.disk(&mount));
        let slow = "the cluster's state is written and synced all the time; where that is slow, the cluster stops";
        let below = "see that what is below it is an SSD; it says that it rotates, as such disks do";
        let (found, verdict, hint) = match disk {
            Some((name, Medium::Solid)) => (format!("SSD {name}"), Verdict::Ok, ""),
            Some((name, Medium::Rotating)) => (format!("{name}, which rotates"), Verdict::Fail, slow),
            Some((name, Medium::Virtual)) => (format!("{name}, a virtual disk"), Verdict::Warn, below),
            None => (UNKNOWN.to_owned(), Verdict::Warn, "see that it is an SSD"),
        };
        Check::new("ssd", format!("SSD below {data}"), found, verdict).or(hint)
    }

    pub(super) fn overlay(&self, data: &str) -> Check {
        let mount = self.facts.mount(data);
        let typeless = mount.is_some() && !self.facts.tells_types(data);
        let verdict = match mount.as_ref().map(|mount| mount.kind.as_str()) {
            Some(_) if typeless => Verdict::Fail,
            Some(kind) if rules::NO_OVERLAY.contains(&kind) || kind.starts_with("fuse.") => Verdict::Fail,
            Some(kind) if rules::OVERLAY.contains(&kind) => Verdict::Ok,
            _ => Verdict::Warn,
        };
        let without = if typeless { ", without types of files in folders" } else { "" };
        let found =
            mount.map_or(UNKNOWN.to_owned(), |mount| format!("{} at {}{without}", mount.kind, mount.folder.display()));
        Check::new("overlay", format!("ext4, xfs or the like below {data}"), found, verdict)
            .or("mount a file system there that overlays can be made on")
    }
}

/// What firmware, kernel and file systems keep for themselves is a part of what is in the machine: up to a tenth.
fn amount(name: &str, needed: u64, found: Option<u64>) -> Check {
    let ok = found.is_some_and(|found| found >= needed - needed / 10);
    let found = found.map_or_else(|| UNKNOWN.to_owned(), |found| HumanBytes(found).to_string());
    Check::new(name, HumanBytes(needed).to_string(), found, ok)
}

fn cores(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_kept_by_the_machine_itself() {
        assert!(!amount("memory", 4 << 30, Some((4 << 30) - (400 << 20))).failed());
        assert!(amount("memory", 4 << 30, Some(3 << 30)).failed() && amount("memory", 1, None).failed());
        assert!(amount("disk", u64::MAX, Some(1 << 40)).failed());
    }

    #[test]
    fn cores_are_written_without_zeros_at_the_end() {
        assert_eq!([3250, 500, 4000, 10].map(cores), ["3.25", "0.5", "4", "0.01"]);
    }
}
