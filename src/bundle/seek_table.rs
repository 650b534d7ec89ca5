//! The seek table at the end of a bundle (zstd's contrib/seekable_format, version 0.1.0), without checksums: content has
//! digests.

use super::frame::{FRAME_DATA, Frame, longest_packed};

const SKIPPABLE_MAGIC: u32 = 0x184d_2a5e;
const SEEKABLE_MAGIC: u32 = 0x8f92_eab1;
const HEADER: usize = 8;
const ENTRY: usize = 8;
/// Length of the footer, the last bytes of a bundle.
pub(super) const FOOTER: usize = 9;

/// Frames in a bundle, at most: 64 TiB of data. What claims more is refused before memory is set aside for it.
const MAX_FRAMES: u32 = 16 << 20;

/// Encodes the table as a skippable frame.
pub(super) fn encode(frames: impl ExactSizeIterator<Item = (u32, u32)>) -> Vec<u8> {
    let count = frames.len();
    let mut out = Vec::with_capacity(HEADER + count * ENTRY + FOOTER);
    out.extend(SKIPPABLE_MAGIC.to_le_bytes());
    out.extend(((count * ENTRY + FOOTER) as u32).to_le_bytes());
    for (length, data) in frames {
        out.extend(length.to_le_bytes());
        out.extend(data.to_le_bytes());
    }
    out.extend((count as u32).to_le_bytes());
    out.push(0);
    out.extend(SEEKABLE_MAGIC.to_le_bytes());
    out
}

/// Length of the whole table that ends with `footer`, or why it is no footer.
pub(super) fn length(footer: &[u8; FOOTER]) -> Result<u64, &'static str> {
    let [c0, c1, c2, c3, descriptor, magic @ ..] = footer;
    if *magic != SEEKABLE_MAGIC.to_le_bytes() {
        return Err("there is no seek table at its end");
    }
    if *descriptor != 0 {
        return Err("the seek table is of a kind that no bundle has");
    }
    let count = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
    if count > MAX_FRAMES {
        return Err("its seek table lists more frames than any bundle has");
    }
    Ok((HEADER + FOOTER) as u64 + u64::from(count) * ENTRY as u64)
}

/// Decodes a whole table, which begins at byte `begin` of the file. The frames fill the file up to there exactly.
pub(super) fn decode(table: &[u8], begin: u64) -> Result<Vec<Frame>, &'static str> {
    if table.len() < HEADER + FOOTER {
        return Err("the seek table is too short");
    }
    let word = |at: usize| {
        let bytes: [u8; 4] =
            table.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or("the seek table is too short")?;
        Ok::<u32, &'static str>(u32::from_le_bytes(bytes))
    };
    if word(0)? != SKIPPABLE_MAGIC || word(4)? as usize != table.len() - HEADER {
        return Err("the seek table has no header");
    }
    let count = (table.len() - HEADER - FOOTER) / ENTRY;
    let mut frames = Vec::with_capacity(count);
    let mut offset = 0_u64;
    for index in 0..count {
        let (length, data) = (word(HEADER + index * ENTRY)?, word(HEADER + index * ENTRY + 4)?);
        if data == 0 || u64::from(data) > FRAME_DATA || length > longest_packed(data) {
            return Err("the seek table lists a frame of a size that no bundle has");
        }
        frames.push(Frame { offset, length, data });
        offset += u64::from(length);
    }
    if offset != begin {
        return Err("the seek table disagrees with the file's length");
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_it_encoded() {
        let table = encode([(100, 200), (50, 60)].into_iter());
        let footer: [u8; FOOTER] = table[table.len() - FOOTER..].try_into().unwrap();
        assert_eq!(length(&footer), Ok(table.len() as u64));
        let frames = decode(&table, 150).unwrap();
        assert_eq!(frames[1], Frame { offset: 100, length: 50, data: 60 });
        assert!(decode(&table, 151).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(table: Vec<u8>, begin: u64) {
            let _ = decode(&table, begin);
        }
    }
}
