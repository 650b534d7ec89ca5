//! Processors and memory.

use std::fs;
use std::io;
use std::path::Path;

use crate::io::{AtPath, PathError};

const MEMORY: &str = "/proc/meminfo";

/// Processors that programs can run on at the same time, at least 1.
pub fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u64)
}

/// Bytes of memory, without what firmware and kernel keep for themselves.
///
/// # Errors
/// Where the system does not tell.
pub fn memory() -> Result<u64, PathError> {
    let path = Path::new(MEMORY);
    let text = fs::read_to_string(path).at("read", path)?;
    total(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData)).at("understand", path)
}

/// `MemTotal` of a `meminfo` (proc_meminfo(5)), in bytes.
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
        assert!(memory().unwrap() > 1 << 20 && processors() > 0);
    }
}
