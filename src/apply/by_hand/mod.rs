//! Configuration that a person has changed since it was installed: it stays, is joined with what is new, or is put aside.
//!
//! Owns what becomes of it. Receipts tell by digest what each key was that a bundle wrote; a person's keys are those in which the
//! file on the host differs from that.

mod aside;
mod merge;

use std::io::Read;
use std::sync::Arc;

use rustix::fs::FileType;

pub(super) use self::aside::Aside;
pub use self::merge::{Key, Keys};
use self::merge::{Merged, merge};
use super::ApplyError;
use super::files::{FileKind, TargetFile};
use super::history::History;
use super::receipt::{Receipt, ReceiptFile};
use super::transaction::Kept;
use crate::host::Root;
use crate::io::{AtPath, PathError, Place, file_type};
use crate::oci::Digest;

/// The longest file that is looked into; people write no longer one.
const MAX: u64 = 16 << 20;
/// The permission of everybody to read.
const OTHERS_READ: u32 = 0o004;

/// A file that a person has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    /// Its path within the root.
    pub path: String,
    /// What becomes of it.
    pub change: Changed,
}

/// What becomes of what a person has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The file stays as it is.
    Stays,
    /// These keys stay.
    Keys(Vec<Key>),
    /// The file is replaced, and is kept at this path within the root.
    Aside(String),
}

impl ByHand {
    /// What a person should look at.
    pub(super) fn warnings(&self) -> Vec<String> {
        let path = &self.path;
        match &self.change {
            Changed::Stays => Vec::new(),
            Changed::Keys(keys) => {
                let disputed = keys.iter().filter(|key| key.disputed);
                let warning = |key: &Key| {
                    let done = if key.removed { "removed" } else { "set" };
                    format!(
                        "{path}: {} was {done} by hand and stays so, but the bundle now has something else there",
                        key.name
                    )
                };
                disputed.map(warning).collect()
            }
            Changed::Aside(copy) => vec![format!(
                "{path} was changed by hand and cannot be joined with what the bundle has there now; it is replaced, and \
                 what it was is kept as {copy}"
            )],
        }
    }
}

/// Files as they shall be, with what persons have changed in them, and what is put beside them.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) files: Vec<TargetFile>,
    pub(super) by_hand: Vec<ByHand>,
    pub(super) asides: Vec<Aside>,
}

/// Looks which files of the configuration were changed since the newest version of the profile `name` was installed.
///
/// # Errors
/// Where a file or what is kept of it cannot be read.
pub(super) fn settle(
    files: Vec<TargetFile>,
    history: &History,
    name: &str,
    root: &Root,
) -> Result<Settled, ApplyError> {
    let installed = history.of_profile(name).next().map(|entry| &entry.receipt);
    let mut settled = Settled::default();
    for mut file in files {
        let Some(written) = file.content.clone().filter(|_| file.kind == FileKind::Config) else {
            settled.files.push(file);
            continue;
        };
        let before = installed.and_then(|receipt| entry(receipt, &file.path));
        let verdict = match before {
            Some(before) => verdict(&file.target, before, file.digest, Some(&written.bytes))?,
            None => Verdict::Unchanged,
        };
        file.keys = keys(&file.path, &written.bytes);
        match verdict {
            Verdict::Unchanged => {}
            Verdict::Stays { bytes, change, private } => {
                let joined = Arc::new(written.again(bytes, private));
                file.wanted = Some(file.digest);
                (file.digest, file.size) = (joined.digest(), joined.bytes.len() as u64);
                file.content = Some(joined);
                settled.by_hand.push(ByHand { path: file.path.clone(), change });
            }
            Verdict::Aside => {
                let aside = Aside::new(&file.path, &file.target, history.next_number(), root)?;
                settled.by_hand.push(ByHand { path: file.path.clone(), change: Changed::Aside(aside.path.clone()) });
                settled.asides.push(aside);
            }
        }
        settled.files.push(file);
    }
    Ok(settled)
}

/// The file of the configuration at `path`, as `receipt` has it.
pub(super) fn entry<'r>(receipt: &'r Receipt, path: &str) -> Option<&'r ReceiptFile> {
    let config = |file: &&ReceiptFile| file.path == path && file.kind == FileKind::Config.word();
    receipt.files.iter().find(config)
}

/// What becomes of one file.
pub(super) enum Verdict {
    /// Nobody has changed it, or to what it is to be.
    Unchanged,
    /// It is to be this. Private, where it may hold secrets that nobody knows of.
    Stays { bytes: Vec<u8>, change: Changed, private: bool },
    /// It is replaced and put aside.
    Aside,
}

/// What becomes of the file at `target`, which was installed as `before` says and which the version to be installed wants as
/// `wanted`, with `content`; nothing where that is not known any more.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn verdict(
    target: &Place,
    before: &ReceiptFile,
    wanted: Digest,
    content: Option<&[u8]>,
) -> Result<Verdict, PathError> {
    let Some(Left { content: found, mode }) = read(target)? else { return Ok(Verdict::Unchanged) };
    let Some(found) = found else { return Ok(Verdict::Aside) };
    let (digest, base) = (Digest::of(&found), before.wanted.unwrap_or(before.digest));
    if digest == base || digest == wanted {
        return Ok(Verdict::Unchanged);
    }
    let merged = match (std::str::from_utf8(&found), content.map(std::str::from_utf8)) {
        (Ok(found), Some(Ok(wanted))) if is_yaml(&before.path) => merge(&before.keys, found, wanted),
        _ => None,
    };
    let private = before.private || mode & OTHERS_READ == 0;
    Ok(match merged {
        Some(Merged { keys, .. }) if keys.is_empty() => Verdict::Unchanged,
        Some(Merged { text, keys }) => {
            Verdict::Stays { bytes: text.into_bytes(), change: Changed::Keys(keys), private }
        }
        None if base == wanted => Verdict::Stays { bytes: found, change: Changed::Stays, private },
        None => Verdict::Aside,
    })
}

/// A file as somebody has left it.
struct Left {
    /// None where it is too long.
    content: Option<Vec<u8>>,
    mode: u32,
}

/// What a person has left at a path; nothing where there is no file.
fn read(target: &Place) -> Result<Option<Left>, PathError> {
    let Some(found) = target.stat()?.filter(|found| file_type(found) == FileType::RegularFile) else { return Ok(None) };
    let mut content = Vec::new();
    target.open()?.take(MAX + 1).read_to_end(&mut content).at("read", target.shown())?;
    let content = (content.len() as u64 <= MAX).then_some(content);
    Ok(Some(Left { content, mode: found.st_mode }))
}

/// What is kept of this digest, where it is still that.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn of_kept(kept: &Kept, digest: &Digest) -> Result<Option<Vec<u8>>, PathError> {
    let content = read(&kept.place(digest)?)?.and_then(|left| left.content);
    Ok(content.filter(|content| Digest::of(content) == *digest))
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml")
}

/// What a later version has to know of this file.
fn keys(path: &str, bytes: &[u8]) -> Vec<Keys> {
    let text = std::str::from_utf8(bytes).ok().filter(|_| is_yaml(path));
    text.map(merge::keys).unwrap_or_default()
}
