//! What a file is by its bytes: an ELF program and for which machine, a script, or neither; and of which Kubernetes it was
//! built, where it is a Go program that says so.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::stamp;
use crate::io::{AtPath, PathError};
use crate::oci::Platform;

/// Bytes at the beginning of a program that tell what it is.
pub const START: usize = 20;
/// Bytes of a file that are searched for what its compiler wrote down.
const SEARCHED: u64 = 1 << 30;
/// Longest record of a build that is read.
const MAX_RECORD: usize = 1 << 20;

/// Architectures as images name them, with ELF's numbers: class (1 is 32 bits, 2 is 64), order of bytes (1 is little
/// endian) and machine (<https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>, `elf.h` of the kernel).
const MACHINES: [(&str, u8, u8, u16); 8] = [
    ("386", 1, 1, 3),
    ("amd64", 2, 1, 62),
    ("arm", 1, 1, 40),
    ("arm64", 2, 1, 183),
    ("loong64", 2, 1, 258),
    ("ppc64le", 2, 1, 21),
    ("riscv64", 2, 1, 243),
    ("s390x", 2, 2, 22),
];

/// A file, as far as it was looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    kind: Kind,
    /// The release of Kubernetes that it was built of, as it says: `v1.31.2`. Not looked for where only the first bytes are
    /// known.
    pub(super) kubernetes: Option<String>,
    /// Whether all of it was looked at.
    pub(super) whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Class, order of bytes, machine.
    Elf(u8, u8, u16),
    Script,
    Other,
}

/// Whether hosts of a platform can run it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fits,
    /// It is text for another program.
    Script,
    /// What it is instead.
    Wrong(String),
}

impl Content {
    /// What `file` is.
    pub(super) fn of(file: &Path) -> Result<Self, PathError> {
        let mut input = File::open(file).at("open", file)?;
        let mut start = Vec::new();
        input.by_ref().take(START as u64).read_to_end(&mut start).at("read", file)?;
        let mut content = Self { whole: true, ..Self::starting_with(&start) };
        if content.is_elf() {
            let record = build_record(&start, input.by_ref().take(SEARCHED)).at("read", file)?;
            content.kubernetes = match record.as_deref().and_then(kubernetes_of) {
                None => stamp::release(&input).at("read", file)?,
                said => said,
            };
        }
        Ok(content)
    }

    /// What a file with these first bytes is.
    pub(super) fn starting_with(start: &[u8]) -> Self {
        let kind = match start.get(..START) {
            Some([0x7f, b'E', b'L', b'F', class, order, .., one, two]) => {
                let machine = if *order == 2 { u16::from_be_bytes } else { u16::from_le_bytes };
                Kind::Elf(*class, *order, machine([*one, *two]))
            }
            _ if start.starts_with(b"#!") => Kind::Script,
            _ => Kind::Other,
        };
        Self { kind, kubernetes: None, whole: false }
    }

    /// Whether it is an ELF file.
    pub(super) fn is_elf(&self) -> bool {
        matches!(self.kind, Kind::Elf(..))
    }

    /// Whether hosts of `platform` can run it. Of architectures that are not in the list nothing is known.
    pub(super) fn verdict(&self, platform: &Platform) -> Verdict {
        let (class, order, machine) = match self.kind {
            Kind::Elf(class, order, machine) => (class, order, machine),
            Kind::Script => return Verdict::Script,
            Kind::Other => return Verdict::Wrong("neither an ELF program nor a script".to_owned()),
        };
        let own = MACHINES.iter().find(|known| (known.1, known.2, known.3) == (class, order, machine));
        let wanted = MACHINES.iter().any(|known| known.0 == platform.architecture);
        match own {
            Some((name, ..)) if *name == platform.architecture => Verdict::Fits,
            Some((name, ..)) => Verdict::Wrong(format!("an ELF program of {name}")),
            None if wanted => Verdict::Wrong(format!("an ELF program of machine {machine}")),
            None => Verdict::Fits,
        }
    }
}

/// What the Go compiler wrote down of a build, as `go version -m` shows it: found by the mark that every program since Go
/// 1.18 has at a multiple of 16 bytes (`debug/buildinfo` of Go's library). `start` is what was read of the file already.
fn build_record(start: &[u8], mut rest: impl Read) -> io::Result<Option<String>> {
    const MARK: &[u8] = b"\xff Go buildinf:";
    const STEP: usize = 16;
    let mut held = start.to_vec();
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = rest.read(&mut piece)?;
        held.extend_from_slice(&piece[..count]);
        let mut at = 0;
        while at + STEP <= held.len() {
            if held[at..].starts_with(MARK) {
                while held.len() < at + 2 * MAX_RECORD {
                    let count = rest.read(&mut piece)?;
                    if count == 0 {
                        break;
                    }
                    held.extend_from_slice(&piece[..count]);
                }
                if let Some(record) = record(&held[at..]) {
                    return Ok(Some(record));
                }
            }
            at += STEP;
        }
        if count == 0 {
            return Ok(None);
        }
        held.drain(..at);
    }
}

/// The record behind a mark: two strings, each after its length, where the flags say that they stand there.
fn record(bytes: &[u8]) -> Option<String> {
    const HEADER: usize = 32;
    /// Before and behind the record itself.
    const GUARD: usize = 16;
    if bytes.get(15)? & 2 == 0 {
        return None;
    }
    let (_, rest) = string(bytes.get(HEADER..)?)?;
    let (record, _) = string(rest)?;
    let record = record.get(GUARD..record.len().checked_sub(GUARD)?)?;
    std::str::from_utf8(record).ok().map(str::to_owned)
}

/// A string after its length, which is a varint.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut at) = (0_usize, 0);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * at);
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if at == 4 {
            return None;
        }
    }
    (length <= MAX_RECORD && length <= bytes.len() - at).then(|| bytes[at..].split_at(length))
}

/// The release of Kubernetes in a record: `-X '…/version.gitVersion=v1.31.2'` among the flags of the linker.
fn kubernetes_of(record: &str) -> Option<String> {
    const FLAG: &str = "k8s.io/component-base/version.gitVersion=";
    let (_, after) = record.split_once(FLAG)?;
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && !".-+".contains(c)).unwrap_or(after.len());
    (end > 0 && end <= 100).then(|| after[..end].to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The beginning of an ELF file of an architecture.
    pub(in crate::programs) fn start(architecture: &str) -> Vec<u8> {
        let (_, class, order, machine) = MACHINES.into_iter().find(|known| known.0 == architecture).unwrap();
        let mut bytes = vec![0x7f, b'E', b'L', b'F', class, order, 1];
        bytes.resize(18, 0);
        bytes.extend(if order == 2 { machine.to_be_bytes() } else { machine.to_le_bytes() });
        bytes
    }

    /// An ELF file of an architecture that says of which Kubernetes it was built.
    pub(in crate::programs) fn elf(architecture: &str, kubernetes: &str) -> Vec<u8> {
        let mut bytes = start(architecture);
        // Over the border of what is read at once; before it the mark alone, as programs have it that look for it.
        bytes.resize((1 << 20) - 16, 0);
        bytes.extend(b"\xff Go buildinf:\0\0");
        bytes.resize((1 << 20) + 16, 0);
        bytes.extend(b"\xff Go buildinf:\x08\x02");
        bytes.resize(bytes.len() + 16, 0);
        let flags = format!("all=-X 'k8s.io/component-base/version.gitVersion={kubernetes}' -s -w");
        let record = format!("0123456789abcdefpath\tk8s.io/x\nbuild\t-ldflags=\"{flags}\"\n0123456789abcdef");
        for text in ["go1.22.8", &record] {
            let mut length = text.len();
            while length >= 0x80 {
                bytes.push(length as u8 & 0x7f | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    fn of(bytes: &[u8]) -> Content {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Content::of(file.path()).unwrap()
    }

    fn verdict(bytes: &[u8], platform: &str) -> Verdict {
        of(bytes).verdict(&format!("linux/{platform}").parse().unwrap())
    }

    #[test]
    fn a_program_fits_its_own_machine_alone() {
        for (architecture, ..) in MACHINES {
            for (platform, ..) in MACHINES {
                let fits = verdict(&start(architecture), platform) == Verdict::Fits;
                assert_eq!(fits, architecture == platform, "{architecture} {platform}");
            }
        }
        assert_eq!(verdict(&start("arm64"), "amd64"), Verdict::Wrong("an ELF program of arm64".to_owned()));
        assert_eq!(verdict(&start("arm64"), "arm64/v8"), Verdict::Fits);
        let mut odd = start("amd64");
        odd[18] = 99;
        assert_eq!(verdict(&odd, "amd64"), Verdict::Wrong("an ELF program of machine 99".to_owned()));
        assert_eq!(verdict(&odd, "mips64le"), Verdict::Fits, "of which nothing is known");
        assert_eq!(verdict(b"#!/bin/sh\n", "amd64"), Verdict::Script);
        for other in [&b""[..], b"\x7fELF", b"\x1f\x8b", b"<html>this is a page for who has to log in</html>", b"#"] {
            assert_eq!(verdict(other, "amd64"), Verdict::Wrong("neither an ELF program nor a script".to_owned()));
        }
    }

    #[test]
    fn the_release_is_read_from_the_record_of_the_build() {
        for version in ["v1.31.2", "v1.32.0-rc.1", "v1.31.2+rke2r1", "v1.31.2-eks-7f9249a"] {
            assert_eq!(of(&elf("arm64", version)).kubernetes.as_deref(), Some(version));
        }
        for none in [start("amd64"), elf("amd64", ""), [b"#!/bin/sh\n".to_vec(), elf("amd64", "v1.31.2")].concat()] {
            assert_eq!(of(&none).kubernetes, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_record_is_read_or_passed_over(
            mut tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100),
            cut in 0..400_usize,
        ) {
            let mut bytes = elf("amd64", "v1.31.2");
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            bytes.append(&mut tail);
            let _ = of(&bytes);
            let _ = Content::starting_with(&tail);
        }
    }
}
