//! Processors and memory.

use super::Facts;
use crate::oci::Platform;

impl Facts {
    /// Processors that are switched on (Documentation/ABI/testing/sysfs-devices-system-cpu).
    pub fn processors(&self) -> Option<u64> {
        ranges(&self.line("/sys/devices/system/cpu/online")?)
    }

    /// Bytes of memory, without what firmware and kernel keep for themselves (proc_meminfo(5)).
    pub fn memory(&self) -> Option<u64> {
        total(&self.text("/proc/meminfo")?)
    }

    /// What the kernel runs on; kernels before 6.1 do not tell by a file.
    pub fn platform(&self) -> Option<Platform> {
        let architecture = match self.line("/proc/sys/kernel/arch")?.as_str() {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        };
        Some(Platform::new("linux", &architecture))
    }
}

/// How many numbers are in ranges such as `0-3,6`.
fn ranges(text: &str) -> Option<u64> {
    text.split(',').try_fold(0_u64, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// `MemTotal` in bytes.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(total("MemTotal:        4025944 kB\nMemFree: 1 kB\n"), Some(4_025_944 * 1024));
        for bad in ["", "MemFree: 1 kB", "MemTotal: 1", "MemTotal: x kB", "MemTotal: 99999999999999999999 kB"] {
            assert_eq!(total(bad), None, "{bad}");
        }
    }

    #[test]
    fn processors_are_counted_in_ranges() {
        for (text, count) in [("0", Some(1)), ("0-3", Some(4)), ("0-3,6,8-9", Some(7))] {
            assert_eq!(ranges(text), count, "{text}");
        }
        for bad in ["", "3-0", "a", "0-18446744073709551615", "0-"] {
            assert_eq!(ranges(bad), None, "{bad}");
        }
    }

    #[test]
    fn this_machine_tells() {
        let here = Facts::here();
        assert!(here.memory().unwrap() > 1 << 20 && here.processors().unwrap() > 0);
        assert!(here.release().is_some() && here.space(std::path::Path::new("/")).unwrap().size > 0);
    }
}
