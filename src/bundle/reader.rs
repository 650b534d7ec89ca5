//! Reading a bundle in place: the frames that its seek table lists, the entries of its archive, and the data of each.
//!
//! Owns the framing. Every byte of it has one permitted value, so a change is always found. It must not know what the
//! entries mean.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::BundleError;
use super::frame::{self, BLOCK_DATA, BLOCK_HEADER, FRAME_DATA, Frame, RAW_HEADER, Shape, ZSTD_MAGIC};
use super::seek_table::{Piece, SeekTable, TableError};
use super::tar_header;
use crate::io::AtPath;

/// A bundle's frames, on disk.
#[derive(Debug, Clone)]
pub(super) struct Frames {
    pub(super) path: PathBuf,
    file: Arc<File>,
    table: Arc<SeekTable>,
}

/// A file in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) first_frame: usize,
}

/// What the seek table is called in messages.
const TABLE: &str = "the seek table at its end";

/// How many frames hold `size` bytes.
fn frames_of(size: u64) -> usize {
    usize::try_from(size.div_ceil(FRAME_DATA)).unwrap_or(usize::MAX)
}

impl Frames {
    /// Opens `path` and reads its seek table.
    pub(super) fn open(path: &Path) -> Result<Self, BundleError> {
        let not_a_bundle = |reason: &str| BundleError::NotABundle { path: path.to_owned(), reason: reason.to_owned() };
        // Looked at before it is opened: opening a pipe waits until somebody writes to it.
        let metadata = std::fs::metadata(path).at("open", path)?;
        let other = |reason| BundleError::Other { path: path.to_owned(), reason };
        if metadata.is_dir() {
            return Err(other("it is a folder"));
        }
        if !metadata.is_file() {
            return Err(other("it is not a regular file"));
        }
        let file = File::open(path).at("open", path)?;
        let metadata = file.metadata().at("examine", path)?;
        let length = metadata.len();
        let table = SeekTable::open(&file, length).map_err(|error| match error {
            TableError::Io(error) => BundleError::reading(path, TABLE, error),
            TableError::Missing(reason) => {
                // All that a file of another kind lacks at its end says nothing about it.
                let mut magic = [0; 4];
                match file.read_exact_at(&mut magic, 0) {
                    Ok(()) if magic != ZSTD_MAGIC => other("it is no zstd file with a seek table at its end"),
                    _ => not_a_bundle(reason),
                }
            }
            TableError::Damaged(reason) => BundleError::damaged(path, TABLE, reason),
        })?;
        Ok(Self { path: path.to_owned(), file: Arc::new(file), table: Arc::new(table) })
    }

    /// A reader of the data of some frames.
    fn data(&self, first: usize, end: usize) -> FrameReader {
        FrameReader { frames: self.clone(), next: first, end, current: Current::None, piece: Piece::default() }
    }

    /// A reader of the data of an entry whose first frame is `first`. It fails on damage to the framing; the caller checks
    /// the content's digest.
    pub(super) fn entry_data(&self, first: usize, size: u64) -> FrameReader {
        self.data(first, first + frames_of(size))
    }

    /// The whole of an entry that is small.
    pub(super) fn entry_content(&self, entry: &Entry) -> Result<Vec<u8>, BundleError> {
        let mut content = Vec::with_capacity(entry.size as usize);
        let read = self.entry_data(entry.first_frame, entry.size).read_to_end(&mut content);
        read.map_err(|error| BundleError::reading(&self.path, &entry.name, error))?;
        Ok(content)
    }
}

/// Walks the archive from one tar header to the next, reading nothing else.
#[derive(Debug)]
pub(super) struct Walk {
    next_frame: usize,
    last_size: u64,
    piece: Piece,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { next_frame: 0, last_size: 0, piece: Piece::default() }
    }

    /// The next entry, or `None` at the end of the archive.
    pub(super) fn next(&mut self, frames: &Frames) -> Result<Option<Entry>, BundleError> {
        let at = self.next_frame;
        let damaged =
            |reason: String| BundleError::damaged(&frames.path, format!("the archive's header {}", at + 1), reason);
        let piece = &mut self.piece;
        let mut frame_at = |index: usize| {
            let frame = frames.table.get(&frames.file, index, piece);
            frame.map_err(|error| BundleError::reading(&frames.path, TABLE, error))
        };
        let frame = frame_at(at)?.ok_or_else(|| damaged("the archive has no end".to_owned()))?;
        if frame.data > tar_header::MAX_GAP {
            return Err(damaged("there is data where a header belongs".to_owned()));
        }
        let mut gap = Vec::new();
        let read = frames.data(at, at + 1).read_to_end(&mut gap);
        read.map_err(|error| BundleError::reading(&frames.path, format!("the archive's header {}", at + 1), error))?;
        let padding = tar_header::padding(self.last_size);
        let (zeros, header) = gap.split_at_checked(padding).ok_or_else(|| damaged("it is too short".to_owned()))?;
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(damaged("the padding before it is not zero".to_owned()));
        }
        if header == [0; tar_header::END] {
            let last = at + 1 == frames.table.len();
            return if last { Ok(None) } else { Err(damaged("there is data after the archive's end".to_owned())) };
        }
        let (name, size) = tar_header::parse(header).map_err(damaged)?;
        let other_size =
            || damaged(format!("{name:?} has {size} bytes by its header and another size by the seek table"));
        let end = (at + 1).saturating_add(frames_of(size));
        if end > frames.table.len() {
            return Err(other_size());
        }
        for (index, data) in (at + 1..end).zip(frame::frame_sizes(size)) {
            if frame_at(index)?.is_none_or(|frame| frame.data != data) {
                return Err(other_size());
            }
        }
        self.next_frame = end;
        self.last_size = size;
        Ok(Some(Entry { name, size, first_frame: at + 1 }))
    }
}

/// Reads the data of consecutive frames.
#[derive(Debug)]
pub struct FrameReader {
    frames: Frames,
    next: usize,
    end: usize,
    current: Current,
    piece: Piece,
}

#[derive(Debug)]
enum Current {
    None,
    Raw { at: u64, block_left: u32, frame_left: u32 },
    Packed(io::Cursor<Vec<u8>>),
}

impl FrameReader {
    fn open_frame(&self, frame: Frame) -> io::Result<Current> {
        let damaged = |reason: &str| {
            let text = format!("the frame at byte {} {reason}", frame.offset);
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let mut start = [0; 16];
        let start = &mut start[..16.min(frame.length as usize)];
        self.frames.file.read_exact_at(start, frame.offset)?;
        match frame::shape(start, frame.data, frame.length).ok_or_else(|| damaged("has a damaged header"))? {
            Shape::Raw => Ok(Current::Raw { at: frame.offset + RAW_HEADER, block_left: 0, frame_left: frame.data }),
            Shape::Packed => {
                let mut encoded = vec![0; frame.length as usize];
                self.frames.file.read_exact_at(&mut encoded, frame.offset)?;
                let data = frame::unpack(&encoded, frame.data);
                Ok(Current::Packed(io::Cursor::new(data.map_err(|error| damaged(&format!("is damaged ({error})")))?)))
            }
        }
    }

    fn read_raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Current::Raw { at, block_left, frame_left } = &mut self.current else { return Ok(0) };
        if *block_left == 0 {
            let block = (*frame_left).min(BLOCK_DATA as u32);
            let mut header = [0; BLOCK_HEADER as usize];
            self.frames.file.read_exact_at(&mut header, *at)?;
            if header != frame::block_header(block, block == *frame_left) {
                let text = format!("the block at byte {at} has a damaged header");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            *at += BLOCK_HEADER;
            *block_left = block;
        }
        let wanted = buffer.len().min(*block_left as usize);
        let count = self.frames.file.read_at(&mut buffer[..wanted], *at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *at += count as u64;
        *block_left -= count as u32;
        *frame_left -= count as u32;
        Ok(count)
    }
}

impl Read for FrameReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.current {
                Current::Raw { frame_left: 1.., .. } => return self.read_raw(buffer),
                Current::Packed(data) => {
                    let count = data.read(buffer)?;
                    if count > 0 {
                        return Ok(count);
                    }
                }
                Current::Raw { .. } | Current::None => {}
            }
            if self.next == self.end {
                return Ok(0);
            }
            let frame = self.frames.table.get(&self.frames.file, self.next, &mut self.piece)?;
            self.current = self.open_frame(frame.ok_or(io::ErrorKind::UnexpectedEof)?)?;
            self.next += 1;
        }
    }
}
