//! The release of Kubernetes in a Go program whose record of the build does not say it: builds with `-trimpath`, as all releases
//! are, keep the linker's flags out of that record (Go's issue 52372), and `-s` leaves no symbol.
//!
//! The release is then found where the program has it. `k8s.io/component-base/version` declares `gitVersion`, `gitCommit`,
//! `gitTreeState` and `buildDate` one after another, and `k8s.io/client-go/pkg/version` has the same; the linker writes variables
//! of one size and package one after another too, each a pointer and a length. A version, a commit, a date and nothing else in
//! just this order is what is taken; and where all of them do not say the same, nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a program's variables that are looked through; those of all of Kubernetes together take two million.
const MAX_VARIABLES: u64 = 64 << 20;
/// Parts of a program that are looked at.
const MAX_SEGMENTS: u16 = 64;
/// Longest text of a version.
const MAX_VERSION: u64 = 100;
/// What the sources have for what a build does not say.
const NO_COMMIT: &[u8] = b"$Format:%H$";
const STATES: [&[u8]; 3] = [b"clean", b"dirty", b"archive"];
/// A variable that is a text: its address and its length, of 64 bits each.
const VARIABLE: usize = 16;

/// A part of the file and where the program has it in memory (`Elf64_Phdr`).
#[derive(Debug, Clone, Copy)]
struct Segment {
    offset: u64,
    address: u64,
    size: u64,
    is_writable: bool,
}

/// An ELF file of 64 bits.
struct Program<'f> {
    file: &'f File,
    is_big_endian: bool,
    segments: Vec<Segment>,
}

/// The release that `file` has, `v1.31.2`; none where it does not have just one, or is no ELF file of 64 bits.
///
/// # Errors
/// Where the file cannot be read.
pub(super) fn release(file: &File) -> io::Result<Option<String>> {
    let Some(program) = Program::open(file)? else { return Ok(None) };
    let mut found = BTreeSet::new();
    for segment in program.segments.iter().filter(|segment| segment.is_writable && segment.size <= MAX_VARIABLES) {
        let mut variables = vec![0; usize::try_from(segment.size).unwrap_or_default()];
        if !read(file, &mut variables, segment.offset)? {
            return Ok(None);
        }
        for at in (0..variables.len()).step_by(8) {
            found.extend(program.release_at(&variables[at..])?);
        }
    }
    Ok(if found.len() == 1 { found.pop_first() } else { None })
}

impl<'f> Program<'f> {
    fn open(file: &'f File) -> io::Result<Option<Self>> {
        let mut head = [0; 64];
        if !read(file, &mut head, 0)? || head[..5] != *b"\x7fELF\x02" {
            return Ok(None);
        }
        let mut program = Self { file, is_big_endian: head[5] == 2, segments: Vec::new() };
        let (table, size, count) = (program.long(&head[32..]), program.short(&head[54..]), program.short(&head[56..]));
        for index in 0..u64::from(count.min(MAX_SEGMENTS)) {
            let mut entry = [0; 56];
            let Some(at) = table.checked_add(index * u64::from(size)) else { return Ok(None) };
            if !read(file, &mut entry, at)? {
                return Ok(None);
            }
            let (loaded, writable) = (program.word(&entry) == 1, program.word(&entry[4..]) & 2 != 0);
            let [offset, address, size] = [8, 16, 32].map(|field| program.long(&entry[field..]));
            if loaded {
                program.segments.push(Segment { offset, address, size, is_writable: writable });
            }
        }
        Ok(Some(program))
    }

    /// The release in the variables at the beginning of `bytes`, where they are those of a version.
    fn release_at(&self, bytes: &[u8]) -> io::Result<Option<String>> {
        const DATE: u64 = b"2006-01-02T15:04:05Z".len() as u64;
        let variable = |index: usize| {
            let bytes = bytes.get(index * VARIABLE..(index + 1) * VARIABLE)?;
            Some((self.long(bytes), self.long(&bytes[8..])))
        };
        let (Some(version), Some(commit), Some(third)) = (variable(0), variable(1), variable(2)) else {
            return Ok(None);
        };
        // The lengths are looked at first: few places have such ones.
        if !(6..=MAX_VERSION).contains(&version.1) || ![40, NO_COMMIT.len() as u64].contains(&commit.1) {
            return Ok(None);
        }
        let (state, date) = match (third.1, variable(3)) {
            (DATE, _) => (None, third),
            (_, Some(fourth)) if fourth.1 == DATE => (Some(third), fourth),
            _ => return Ok(None),
        };
        if state.is_some_and(|state| !STATES.iter().any(|known| known.len() as u64 == state.1)) {
            return Ok(None);
        }
        let [Some(version), Some(commit), Some(date)] = [self.text(version)?, self.text(commit)?, self.text(date)?]
        else {
            return Ok(None);
        };
        let state = match state {
            Some(state) => self.text(state)?.is_some_and(|state| STATES.contains(&state.as_slice())),
            None => true,
        };
        let hex = commit == NO_COMMIT || commit.iter().all(u8::is_ascii_hexdigit);
        Ok(if state && hex && is_date(&date) { version_of(version) } else { None })
    }

    /// The text of a variable, where the file has it.
    fn text(&self, (address, length): (u64, u64)) -> io::Result<Option<Vec<u8>>> {
        let holds = |one: &&Segment| address >= one.address && address - one.address <= one.size.saturating_sub(length);
        let Some(segment) = self.segments.iter().filter(|one| one.size >= length).find(holds) else { return Ok(None) };
        let Some(at) = segment.offset.checked_add(address - segment.address) else { return Ok(None) };
        let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
        Ok(read(self.file, &mut text, at)?.then_some(text))
    }

    fn short(&self, bytes: &[u8]) -> u16 {
        let bytes = [bytes[0], bytes[1]];
        if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn long(&self, bytes: &[u8]) -> u64 {
        let (one, two) = (u64::from(self.word(bytes)), u64::from(self.word(&bytes[4..])));
        if self.is_big_endian { one << 32 | two } else { two << 32 | one }
    }
}

/// Whether the file has as many bytes as `into` there, which are read then.
fn read(file: &File, into: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(into, at) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A version of Kubernetes, which a build has set.
fn version_of(text: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(text).ok()?;
    let version = semver::Version::parse(text.strip_prefix('v')?).ok()?;
    (version.major > 0).then_some(text)
}

/// `2026-01-01T00:00:00Z`.
fn is_date(text: &[u8]) -> bool {
    let pattern = b"0000-00-00T00:00:00Z";
    let fits = |(byte, wanted): (&u8, &u8)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    text.len() == pattern.len() && text.iter().zip(pattern).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "2026-01-01T00:00:00Z";
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// An ELF file with the texts in one segment and, eight bytes into another, the variables that have them.
    fn program(texts: &[&str], is_big_endian: bool) -> Vec<u8> {
        let long = |number: u64| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        let half = |number: u32| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        let short = |number: u16| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        let constants = texts.concat().into_bytes();
        let (mut variables, mut at) = (vec![0; 8], 0x40_0000_u64);
        for text in texts {
            variables.extend([long(at), long(text.len() as u64)].concat());
            at += text.len() as u64;
        }
        variables.extend([0; 8]);
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, if is_big_endian { 2 } else { 1 }, 1];
        bytes.resize(32, 0);
        bytes.extend(long(64));
        bytes.resize(54, 0);
        bytes.extend([short(56), short(2)].concat());
        bytes.resize(64, 0);
        let mut offset = 64 + 2 * 56;
        for (flags, address, part) in [(4, 0x40_0000, &constants), (6, 0x70_0000, &variables)] {
            let size = long(part.len() as u64);
            bytes.extend([half(1), half(flags)].concat());
            bytes.extend([long(offset), long(address), long(address), size, size, long(0x1000)].concat());
            offset += part.len() as u64;
        }
        [bytes, constants, variables].concat()
    }

    fn of(bytes: &[u8]) -> Option<String> {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        release(&file).unwrap()
    }

    #[test]
    fn the_release_is_found_among_the_variables_of_a_version() {
        let found = |texts: &[&str]| {
            let of_both = [false, true].map(|is_big_endian| of(&program(texts, is_big_endian)));
            assert_eq!(of_both[0], of_both[1]);
            of_both[0].clone()
        };
        let unset = "v0.0.0-master+$Format:%H$";
        for texts in [
            &["x", "1", "34", "v1.34.4", COMMIT, "clean", DATE, "y"][..],
            // Only the version was set.
            &["v1.34.4", "$Format:%H$", "1970-01-01T00:00:00Z"],
            // Once in each of the two packages; and one of them was left as it is.
            &["v1.34.4", COMMIT, DATE, "x", "v1.34.4", COMMIT, "dirty", DATE],
            &[unset, "$Format:%H$", "1970-01-01T00:00:00Z", "v1.34.4", COMMIT, DATE],
        ] {
            assert_eq!(found(texts).as_deref(), Some("v1.34.4"), "{texts:?}");
        }
        assert_eq!(found(&["v1.35.0-rc.1+k3s1", COMMIT, DATE]).as_deref(), Some("v1.35.0-rc.1+k3s1"));
        for texts in [
            &["v1.34.4", DATE, COMMIT][..],
            &["v1.34.4", COMMIT, "x", DATE],
            &["v1.34.4", COMMIT, "1970-01-01 00:00:00Z"],
            &["v1.34.4", "not a commit, although it has its length", DATE],
            &["1.34.4", COMMIT, DATE],
            &["v1.34", COMMIT, DATE],
            &[unset, "$Format:%H$", "1970-01-01T00:00:00Z"],
            // Which of them it is, nobody knows.
            &["v1.34.4", COMMIT, DATE, "v1.34.5", COMMIT, DATE],
        ] {
            assert_eq!(found(texts), None, "{texts:?}");
        }
    }

    #[test]
    fn a_program_that_is_cut_off_or_wrong_says_nothing() {
        let whole = program(&["v1.34.4", COMMIT, DATE], false);
        for length in 0..whole.len() - 8 {
            assert_eq!(of(&whole[..length]), None, "{length}");
        }
        assert_eq!(of(b"#!/bin/sh\n"), None);
        let mut of_32_bits = whole.clone();
        of_32_bits[4] = 1;
        assert_eq!(of(&of_32_bits), None);
    }

    proptest::proptest! {
        #[test]
        fn any_program_is_read_or_passed_over(at in 0..400_usize, with in proptest::prelude::any::<[u8; 8]>()) {
            let mut bytes = program(&["v1.34.4", COMMIT, DATE], false);
            let end = bytes.len().min(at + 8);
            let start = at.min(end);
            bytes[start..end].copy_from_slice(&with[..end - start]);
            let _ = of(&bytes);
        }
    }
}
