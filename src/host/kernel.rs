//! The kernel: its version, modules, control groups, swap and clock.

use std::path::Path;

use jiff::Timestamp;

use super::Facts;

/// Where a kernel module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// At work, loaded or a part of the kernel.
    Present,
    /// There to be loaded.
    Available,
    /// Nowhere.
    Absent,
    /// The kernel's list of modules is not there, so nobody can tell.
    Unknown,
}

/// Control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    /// 1 or 2.
    pub version: u8,
    /// What can be controlled: `cpu`, `memory`, …
    pub controllers: Vec<String>,
}

/// Memory on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The device or file.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

impl Facts {
    /// The kernel's release, such as `6.1.0-37-amd64`.
    pub fn release(&self) -> Option<String> {
        self.line("/proc/sys/kernel/osrelease").filter(|release| !release.is_empty())
    }

    /// Where a kernel module is. `-` and `_` are the same in its name (modprobe(8)).
    pub fn module(&self, name: &str) -> Module {
        let name = name.replace('-', "_");
        let has = |text: Option<String>, is: fn(&str) -> Option<&str>| {
            text.is_some_and(|text| text.lines().filter_map(is).any(|found| found.replace('-', "_") == name))
        };
        let present = has(self.text("/proc/modules"), |line| line.split(' ').next())
            || self.at(Path::new("/sys/module").join(&name)).is_dir()
            || has(self.text("/proc/filesystems"), |line| line.split('\t').next_back());
        if present {
            return Module::Present;
        }
        let Some(release) = self.release().filter(|release| !release.contains('/')) else { return Module::Unknown };
        let folder = Path::new("/lib/modules").join(release);
        let (built_in, available) = (self.text(folder.join("modules.builtin")), self.text(folder.join("modules.dep")));
        if built_in.is_none() && available.is_none() {
            return Module::Unknown;
        }
        if has(built_in, stem) {
            return Module::Present;
        }
        if has(available, |line| stem(line.split(':').next()?)) { Module::Available } else { Module::Absent }
    }

    /// The control groups that are mounted (Documentation/admin-guide/cgroup-v2.rst, and cgroup-v1/cgroups.rst).
    pub fn cgroups(&self) -> Option<Cgroups> {
        if let Some(text) = self.line("/sys/fs/cgroup/cgroup.controllers") {
            return Some(Cgroups { version: 2, controllers: text.split_whitespace().map(str::to_owned).collect() });
        }
        let controllers = enabled(&self.text("/proc/cgroups")?);
        Some(Cgroups { version: 1, controllers })
    }

    /// Swap that is in use.
    pub fn swaps(&self) -> Vec<Swap> {
        self.text("/proc/swaps").map(|text| swaps(&text)).unwrap_or_default()
    }

    /// The time that the system has, to the second: when it was started, and for how long it has run (proc_stat(5),
    /// proc_uptime(5)).
    pub fn now(&self) -> Option<Timestamp> {
        now(&self.text("/proc/stat")?, &self.text("/proc/uptime")?)
    }

    /// Whether systemd-timesyncd has set the clock since the system was started. Others do not tell by a file.
    pub fn clock_was_set(&self) -> bool {
        self.exists("/run/systemd/timesync/synchronized")
    }
}

/// The module's name in a path such as `kernel/fs/overlayfs/overlay.ko.xz`.
fn stem(path: &str) -> Option<&str> {
    Some(path.rsplit('/').next()?.split_once(".ko")?.0)
}

/// The controllers of `/proc/cgroups` that are switched on.
fn enabled(text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let fields = rows.map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields.get(3) == Some(&"1")).map(|fields| fields[0].to_owned()).collect()
}

fn swaps(text: &str) -> Vec<Swap> {
    let one = |line: &str| {
        let mut fields = line.split_whitespace();
        let (name, kilobytes) = (fields.next()?, fields.nth(1)?);
        Some(Swap { name: name.to_owned(), size: kilobytes.parse::<u64>().ok()?.checked_mul(1024)? })
    };
    text.lines().skip(1).filter_map(one).collect()
}

fn now(stat: &str, uptime: &str) -> Option<Timestamp> {
    let started: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let seconds: i64 = uptime.split(['.', ' ']).next()?.parse().ok()?;
    Timestamp::from_second(started.checked_add(seconds)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_by_their_files() {
        for (path, name) in [
            ("kernel/fs/overlayfs/overlay.ko", Some("overlay")),
            ("extra/br_netfilter.ko.xz", Some("br_netfilter")),
            ("nf-log.ko.zst", Some("nf-log")),
            ("README", None),
        ] {
            assert_eq!(stem(path), name);
        }
    }

    #[test]
    fn controllers_that_are_switched_off_do_not_count() {
        let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t0\t1\t0\nshort\n";
        assert_eq!(enabled(text), ["cpu"]);
    }

    #[test]
    fn swap_is_every_line_but_the_first() {
        let text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda2 partition\t2097148\t\t0\t\t-2\nx\n";
        assert_eq!(swaps(text), [Swap { name: "/dev/sda2".to_owned(), size: 2_097_148 << 10 }]);
        assert_eq!(swaps(""), []);
    }

    #[test]
    fn the_time_is_the_start_and_what_has_passed() {
        let time = now("cpu  1 2\nbtime 1763730000\n", "600.25 1200.00\n").unwrap();
        assert_eq!(time.to_string(), "2025-11-21T13:10:00Z");
        assert_eq!(
            (now("", "1.0 1.0"), now("btime x", "1.0"), now("btime 9223372036854775807", "1.0")),
            (None, None, None)
        );
    }
}
