//! What a disk with a volatile cache holds after its power failed: everything up to the last flush, and of what was
//! written later any part. QEMU writes down writes and flushes (its driver `blklogwrites`, in the format of Linux's
//! dm-log-writes); from that, such a disk is made.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const SECTOR: u64 = 512;
/// A disk writes as much as this wholly or not at all.
const BLOCK: usize = 4096;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// Numbers that look random and are the same for the same seed (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 20) % limit
    }
}

/// How much of what was written after the last flush is lost.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    pub(crate) blocks_unflushed: u32,
    pub(crate) blocks_lost: u32,
}

struct Entry {
    sector: u64,
    length: usize,
    flags: u64,
    data_at: u64,
}

/// Copies a disk, leaving holes as holes.
pub(crate) fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cp {} {}", from.display(), to.display());
}

/// Makes `to` out of the disk as it was `before` and of what `log` says was written since, less what a failing power
/// takes. A flush at the very end is QEMU's own, or one whose end the machine could not make use of any more.
pub(crate) fn fail(before: &Path, log: &Path, to: &Path, random: &mut Random) -> Loss {
    let log = File::open(log).unwrap();
    let mut entries = entries(&log);
    entries.pop_if(|last| last.flags & FLUSH != 0);
    copy(before, to);
    let disk = fs::OpenOptions::new().write(true).open(to).unwrap();
    let flushed = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or(0);
    let mut loss = Loss::default();
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.flags & DISCARD == 0) {
        let mut data = vec![0; entry.length];
        log.read_exact_at(&mut data, entry.data_at).unwrap();
        let safe = index <= flushed || entry.flags & FUA != 0;
        for (block, bytes) in data.chunks(BLOCK).enumerate() {
            loss.blocks_unflushed += u32::from(!safe);
            if safe || random.below(2) == 0 {
                disk.write_all_at(bytes, entry.sector * SECTOR + (block * BLOCK) as u64).unwrap();
            } else {
                loss.blocks_lost += 1;
            }
        }
    }
    loss
}

/// What was written down. An entry is a sector with four numbers, followed by the data.
fn entries(log: &File) -> Vec<Entry> {
    let numbers = |at: u64| {
        let mut bytes = [0; 32];
        log.read_exact_at(&mut bytes, at).ok()?;
        let number = |index: usize| u64::from_le_bytes(bytes[index * 8..][..8].try_into().unwrap());
        Some([number(0), number(1), number(2), number(3)])
    };
    // Before the first flush there is no head yet.
    if let Some([magic, ..]) = numbers(0) {
        assert!(magic == MAGIC || magic == 0, "not a log of writes");
    }
    let (mut entries, mut at) = (Vec::new(), SECTOR);
    while let Some([sector, sectors, flags, data_length]) = numbers(at) {
        assert!(
            data_length == 0 && flags < 16 && (sectors > 0 || flags > 0),
            "an entry that the log cannot have at {at}"
        );
        let data = if flags & DISCARD == 0 { sectors * SECTOR } else { 0 };
        let data_at = at + SECTOR;
        entries.push(Entry { sector, length: usize::try_from(data).unwrap(), flags, data_at });
        at = data_at + data;
    }
    entries
}
