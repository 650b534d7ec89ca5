//! The seek table at the end of a bundle (zstd's contrib/seekable_format, version 0.1.0), without checksums: content has
//! digests.
//!
//! It stays on disk: a bundle may have millions of frames. It is read once in pieces when the bundle is opened, to check it
//! and to note where the first frame of each piece lies, and then where frames are looked up.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::frame::{FRAME_DATA, Frame, longest_packed};

const SKIPPABLE_MAGIC: u32 = 0x184d_2a5e;
const SEEKABLE_MAGIC: u32 = 0x8f92_eab1;
const HEADER: usize = 8;
const ENTRY: usize = 8;
/// Length of the footer, the last bytes of a bundle.
const FOOTER: usize = 9;
/// Entries that are read at once: each look-up decodes so many. The largest table has 1 MiB of marks, then.
const PIECE: usize = 128;

/// Frames in a bundle, at most: 64 TiB of data.
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

/// A table on disk that has been checked.
#[derive(Debug)]
pub(super) struct SeekTable {
    /// The first byte of the table in the file, which is where the frames end.
    begin: u64,
    count: usize,
    /// Where the first frame of each piece lies.
    marks: Vec<u64>,
}

/// A piece of the table that was read last, so that a walk reads each once.
#[derive(Debug, Default, Clone)]
pub(super) struct Piece {
    number: Option<usize>,
    frames: Vec<Frame>,
}

/// Why there is no table.
#[derive(Debug)]
pub(super) enum TableError {
    /// The file cannot be read.
    Io(io::Error),
    /// There is none.
    Missing(&'static str),
    /// What is there is wrong.
    Damaged(&'static str),
}

impl From<io::Error> for TableError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl SeekTable {
    /// Reads and checks the table of a file of `length` bytes.
    pub(super) fn open(file: &File, length: u64) -> Result<Self, TableError> {
        let missing = TableError::Missing;
        let mut footer = [0; FOOTER];
        let footer_at = length.checked_sub(FOOTER as u64).ok_or(missing("it is too short"))?;
        file.read_exact_at(&mut footer, footer_at)?;
        let count = count(&footer).map_err(missing)?;
        let table_length = (HEADER + FOOTER) as u64 + u64::from(count) * ENTRY as u64;
        let begin = length.checked_sub(table_length).ok_or(missing("its seek table is longer than the file"))?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, begin)?;
        let expected = [SKIPPABLE_MAGIC.to_le_bytes(), ((table_length - HEADER as u64) as u32).to_le_bytes()].concat();
        if header != *expected {
            return Err(TableError::Damaged("the seek table has no header"));
        }
        let mut table = Self { begin, count: count as usize, marks: Vec::new() };
        let mut offset = 0;
        for number in 0..table.count.div_ceil(PIECE) {
            table.marks.push(offset);
            let frames = table.piece(file, number)?.map_err(TableError::Damaged)?;
            offset = frames.last().map_or(offset, |frame| frame.offset + u64::from(frame.length));
        }
        if offset == begin {
            Ok(table)
        } else {
            Err(TableError::Damaged("the seek table disagrees with the file's length"))
        }
    }

    /// How many frames there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The frame `index`, where there is one; `last` is the piece that was read last.
    ///
    /// # Errors
    /// Where the file cannot be read, or has changed since it was opened.
    pub(super) fn get(&self, file: &File, index: usize, last: &mut Piece) -> io::Result<Option<Frame>> {
        if index >= self.count {
            return Ok(None);
        }
        let number = index / PIECE;
        if last.number != Some(number) {
            let invalid = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
            last.number = None;
            last.frames = self.piece(file, number)?.map_err(invalid)?;
            last.number = Some(number);
        }
        Ok(last.frames.get(index % PIECE).copied())
    }

    fn piece(&self, file: &File, number: usize) -> io::Result<Result<Vec<Frame>, &'static str>> {
        let first = number * PIECE;
        let mut entries = vec![0; (self.count - first).min(PIECE) * ENTRY];
        file.read_exact_at(&mut entries, self.begin + (HEADER + first * ENTRY) as u64)?;
        Ok(decode(&entries, self.marks[number]))
    }
}

/// The number of frames that a footer says, or why it is no footer.
fn count(footer: &[u8; FOOTER]) -> Result<u32, &'static str> {
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
    Ok(count)
}

/// Decodes entries, of which the first one's frame lies at `offset`.
fn decode(entries: &[u8], mut offset: u64) -> Result<Vec<Frame>, &'static str> {
    let mut frames = Vec::with_capacity(entries.len() / ENTRY);
    for entry in entries.chunks_exact(ENTRY) {
        let word = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let (length, data) = (word(0), word(4));
        if data == 0 || u64::from(data) > FRAME_DATA || length > longest_packed(data) {
            return Err("the seek table lists a frame of a size that no bundle has");
        }
        frames.push(Frame { offset, length, data });
        offset += u64::from(length);
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(frames: u64, table: &[u8]) -> (File, u64) {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(frames).unwrap();
        std::io::Seek::seek(&mut file, io::SeekFrom::End(0)).unwrap();
        file.write_all(table).unwrap();
        (file, frames + table.len() as u64)
    }

    #[test]
    fn finds_what_it_encoded() {
        let frames: Vec<(u32, u32)> = (1..=3000).map(|number| (number % 7 + 20, number)).collect();
        let end = frames.iter().map(|(length, _)| u64::from(*length)).sum();
        let (file, length) = file(end, &encode(frames.iter().copied()));
        let table = SeekTable::open(&file, length).unwrap();
        let (mut last, mut offset) = (Piece::default(), 0);
        for (index, (length, data)) in frames.iter().enumerate() {
            let found = table.get(&file, index, &mut last).unwrap();
            assert_eq!(found, Some(Frame { offset, length: *length, data: *data }));
            offset += u64::from(*length);
        }
        assert_eq!((table.len(), table.get(&file, 3000, &mut last).unwrap()), (3000, None));
        let first = table.get(&file, 0, &mut last).unwrap();
        assert_eq!(first, Some(Frame { offset: 0, length: 21, data: 1 }));
    }

    #[test]
    fn frames_that_do_not_fill_the_file_are_refused() {
        for end in [149, 151] {
            let (file, length) = file(end, &encode([(100, 200), (50, 60)].into_iter()));
            assert!(matches!(SeekTable::open(&file, length), Err(TableError::Damaged(_))), "{end}");
        }
        for entry in [(10, 0), (10, (4 << 20) + 1), (5 << 20, 4 << 20), (100, 1)] {
            let (file, length) = file(u64::from(entry.0), &encode([entry].into_iter()));
            assert!(matches!(SeekTable::open(&file, length), Err(TableError::Damaged(_))), "{entry:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(table: Vec<u8>, begin in 0_u64..1000) {
            let (file, length) = file(begin, &table);
            let _ = SeekTable::open(&file, length);
        }
    }
}
