//! The blocks of a packed frame (RFC 8878 §3.1.1.2): they fill the frame exactly, and each holds data.
//!
//! A zstd decoder accepts more than that: frames behind the first one, blocks without data, sizes in fields that are
//! longer than needed. What is hidden there changes no byte of data, so no digest would find it.

/// Length of a frame's content checksum.
const CHECKSUM: usize = 4;
/// Length of a block's header.
const BLOCK_HEADER: usize = 3;
/// Data bytes in a block, at most.
const BLOCK_DATA: usize = 128 << 10;

/// Checks what follows the header of a packed frame: blocks, the last of them marked, and the checksum.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn check(mut rest: &[u8]) -> Result<(), &'static str> {
    loop {
        let (header, after) = rest.split_first_chunk::<BLOCK_HEADER>().ok_or("ends within a block")?;
        let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let (last, size) = (header & 1 == 1, (header >> 3) as usize);
        if size == 0 || size > BLOCK_DATA {
            return Err("has a block of a size that no encoder writes");
        }
        let length = match header >> 1 & 3 {
            0 | 2 => size,
            // One byte, repeated.
            1 => 1,
            _ => return Err("has a block of the reserved type"),
        };
        let (block, after) = after.split_at_checked(length).ok_or("ends within a block")?;
        if header >> 1 & 3 == 2 {
            compressed(block)?;
        }
        rest = after;
        if last {
            return if rest.len() == CHECKSUM { Ok(()) } else { Err("has bytes behind its last block") };
        }
    }
}

/// Checks a compressed block: its sizes stand in the shortest fields, its reserved bits are zero, and it holds data.
fn compressed(block: &[u8]) -> Result<(), &'static str> {
    let short = "has a block that ends too early";
    let (literals, length) = literals(block)?;
    let sequences = block.get(length..).ok_or(short)?;
    let byte = |at: usize| sequences.get(at).copied().map(usize::from).ok_or(short);
    let header = match byte(0)? {
        0 if literals == 0 => return Err("has a block without data"),
        0 if sequences.len() == 1 => return Ok(()),
        0 => return Err("has bytes behind a block's literals"),
        1..128 => 1,
        128 if byte(1)? < 128 => return Err("counts sequences in a longer field than needed"),
        128..255 => 2,
        _ => 3,
    };
    if byte(header)? & 3 == 0 { Ok(()) } else { Err("has reserved bits that are set") }
}

/// The number of data bytes in a block's literals section, and its length (RFC 8878 §3.1.1.3.1).
fn literals(block: &[u8]) -> Result<(usize, usize), &'static str> {
    let mut start = [0; 5];
    let known = block.len().min(start.len());
    start[..known].copy_from_slice(&block[..known]);
    let bits = start.iter().rev().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let field = |from: u32, count: u32| (bits >> from & ((1 << count) - 1)) as usize;
    let (kind, format) = (field(0, 2), field(2, 2));
    let (data, header, content, least) = match (kind, format) {
        (0 | 1, 1) => (field(4, 12), 2, None, 32),
        (0 | 1, 3) => (field(4, 20), 3, None, 4096),
        (0 | 1, _) => (field(3, 5), 1, None, kind),
        (_, 2) => (field(4, 14), 4, Some(field(18, 14)), 1 << 10),
        (_, 3) => (field(4, 18), 5, Some(field(22, 18)), 16 << 10),
        _ => (field(4, 10), 3, Some(field(14, 10)), 1),
    };
    if data < least {
        return Err("gives a length in a longer field than needed");
    }
    Ok((data, header + content.unwrap_or(if kind == 1 { 1 } else { data })))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame's blocks as libzstd encodes them, and a checksum.
    fn blocks(data: &[u8], level: i32) -> Vec<u8> {
        let frame = super::super::frame::pack(data, level).unwrap();
        let size_field = match data.len() {
            ..256 => 1,
            256..65_792 => 2,
            _ => 4,
        };
        frame[5 + size_field..].to_vec()
    }

    fn block(kind: u32, last: bool, size: usize, content: &[u8]) -> Vec<u8> {
        let header = (size as u32) << 3 | kind << 1 | u32::from(last);
        [&header.to_le_bytes()[..3], content].concat()
    }

    #[test]
    fn what_libzstd_writes_is_accepted() {
        let noise = |count: usize, alphabet: u64| -> Vec<u8> {
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let next = |_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % alphabet) as u8
            };
            (0..count).map(next).collect()
        };
        for size in [1, 3, 31, 32, 100, 255, 256, 1000, 1024, 4095, 4096, 16_384, 70_000, 131_072, 131_073] {
            for alphabet in [1, 2, 5, 60, 256] {
                for level in [-5, 3, 9] {
                    let data = noise(size, alphabet);
                    assert_eq!(check(&blocks(&data, level)), Ok(()), "{size} of {alphabet} at {level}");
                    let text: Vec<u8> = data.iter().enumerate().map(|(at, byte)| byte / 3 + (at % 7) as u8).collect();
                    assert_eq!(check(&blocks(&text, level)), Ok(()), "{size} of {alphabet} at {level}, mixed");
                }
            }
        }
    }

    #[test]
    fn what_carries_nothing_is_refused() {
        let end = [0; CHECKSUM];
        let good = block(0, true, 3, b"abc");
        assert_eq!(check(&[&good[..], &end].concat()), Ok(()));
        // No literals, no sequences; with the count of sequences in two bytes; with literals in longer fields.
        let nothing = block(2, false, 2, &[0, 0]);
        let long_count = block(2, true, 8, &[3 << 3, b'a', b'b', b'c', 128, 1, 0, 1]);
        let long_raw = block(2, true, 6, &[1 << 2 | 3 << 4, 0, b'a', b'b', b'c', 0]);
        let long_run = block(2, true, 4, &[3 << 2 | 1 | 3 << 4, 0, 0, b'a']);
        let reserved = block(2, true, 7, &[3 << 3, b'a', b'b', b'c', 1, 1, 1]);
        let trailing = block(2, true, 6, &[3 << 3, b'a', b'b', b'c', 0, 0]);
        for (what, blocks, reason) in [
            ("an empty block", [&block(0, false, 0, b"")[..], &good, &end].concat(), "size"),
            ("an empty last block", [&block(0, false, 3, b"abc")[..], &block(0, true, 0, b""), &end].concat(), "size"),
            ("an empty run", [&block(1, false, 0, b"x")[..], &good, &end].concat(), "size"),
            ("a run of 1 MiB", [&block(1, true, 1 << 20, b"x")[..], &end].concat(), "size"),
            ("a run that is too long", [&block(1, true, 128 << 10 | 1, b"x")[..], &end].concat(), "size"),
            ("the reserved type", [&block(3, false, 1, b"x")[..], &good, &end].concat(), "reserved type"),
            ("a compressed block of nothing", [&nothing[..], &good, &end].concat(), "without data"),
            ("a long count", [&long_count[..], &end].concat(), "counts sequences"),
            ("a long field", [&long_raw[..], &end].concat(), "longer field"),
            ("a long field of a run", [&long_run[..], &end].concat(), "longer field"),
            ("reserved bits", [&reserved[..], &end].concat(), "reserved bits"),
            ("bytes behind literals", [&trailing[..], &end].concat(), "behind a block's literals"),
            ("another frame", [&good[..], &end, &good, &end].concat(), "behind its last block"),
            ("zero bytes", [&good[..], &end, &[0; 4]].concat(), "behind its last block"),
            ("a byte too few", [&good[..], &end[1..]].concat(), "behind its last block"),
            ("no last block", block(0, false, 3, b"abc"), "ends within"),
        ] {
            let found = check(&blocks).unwrap_err();
            assert!(found.contains(reason), "{what}: {found}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = check(&bytes);
        }
    }
}
