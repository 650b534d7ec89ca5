//! Where everything is in a bundle, found with nothing of the crate's reader: frames, blocks, tar headers, seek table.

use std::ops::Range;

/// What a stretch of a bundle is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Padding and tar header, or the end of the archive, with the frame around it.
    Header,
    /// The data of the file of this name, with the frames around it.
    Data(String),
    /// The seek table.
    SeekTable,
}

/// A part, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) part: Part,
    pub(crate) range: Range<usize>,
    /// Frame headers, block headers and checksums within.
    pub(crate) framing: Vec<Range<usize>>,
}

/// Every stretch of a whole bundle, in order.
pub(crate) fn anatomy(bundle: &[u8]) -> Vec<Stretch> {
    let word = |at: usize| u32::from_le_bytes(bundle[at..at + 4].try_into().unwrap()) as usize;
    let count = word(bundle.len() - 9);
    let table = bundle.len() - 9 - count * 8 - 8;
    let (mut at, mut data_left, mut name) = (0, 0, String::new());
    let mut stretches = Vec::new();
    for frame in 0..count {
        let entry = table + 8 + frame * 8;
        let (range, size) = (at..at + word(entry), word(entry + 4));
        at = range.end;
        let part = if data_left > 0 {
            data_left -= size;
            Part::Data(name.clone())
        } else {
            let gap = zstd::stream::decode_all(&bundle[range.clone()]).unwrap();
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes().copy_from_slice(&gap[gap.len() - 512..]);
            name = header.path().unwrap().to_str().unwrap().to_owned();
            data_left = header.size().unwrap_or(0) as usize;
            Part::Header
        };
        stretches.push(Stretch { part, framing: framing(bundle, &range), range });
    }
    assert_eq!(at, table);
    let range = table..bundle.len();
    stretches.push(Stretch { part: Part::SeekTable, framing: vec![range.clone()], range });
    stretches
}

/// Headers and checksum of a zstd frame (RFC 8878, 3.1.1).
fn framing(bundle: &[u8], frame: &Range<usize>) -> Vec<Range<usize>> {
    let descriptor = bundle[frame.start + 4];
    let single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!single_segment);
    let size = [usize::from(single_segment), 2, 4, 8][usize::from(descriptor >> 6)];
    let mut at = frame.start + 5 + window + size;
    let mut found = Vec::new();
    found.push(frame.start..at);
    loop {
        let header = u32::from_le_bytes([bundle[at], bundle[at + 1], bundle[at + 2], 0]);
        found.push(at..at + 3);
        let is_run = header >> 1 & 3 == 1;
        at += 3 + if is_run { 1 } else { header as usize >> 3 };
        if header & 1 == 1 {
            break;
        }
    }
    if at < frame.end {
        found.push(at..frame.end);
    }
    found
}
