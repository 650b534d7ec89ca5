//! Files that are written besides those of the bundle, with the same transaction: what persons have changed and had to give
//! way, and what the next version has to know of this one.

use std::fs::File;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use super::is_base;
use crate::apply::ApplyError;
use crate::apply::files::{Before, FileError};
use crate::apply::settle::Written;
use crate::apply::staging::stage_again;
use crate::apply::transaction::{Change, Kept};
use crate::host::Root;
use crate::io::AtPath;
use crate::oci::Digest;
use crate::places::OWN;

/// A file of the installer's own.
#[derive(Debug, Clone)]
pub(in crate::apply) struct Aside {
    /// Its path within the root.
    pub(in crate::apply) path: String,
    /// Its path on the running host.
    pub(in crate::apply) target: PathBuf,
    from: From,
}

#[derive(Debug, Clone)]
enum From {
    /// A copy of this file.
    File(PathBuf),
    /// For whom owns it alone.
    Kept(Kept, Arc<Written>),
}

impl Aside {
    /// What was written to `path`, for the version after this; nothing where that is of no use or there already.
    pub(super) fn base(
        written: &Arc<Written>,
        path: &str,
        root: &Root,
        kept: &Kept,
    ) -> Result<Option<Self>, ApplyError> {
        let target = kept.path(&written.digest());
        if !is_base(written, path) || target.exists() {
            return Ok(None);
        }
        let from = From::Kept(kept.clone(), Arc::clone(written));
        Ok(Some(Self { path: within(&target, root), target, from }))
    }

    /// The file at `target`, which is `path` within the root and gives way to what receipt `number` will be of. It does not stay
    /// beside: the kubelet runs whatever lies in its folder of manifests.
    pub(in crate::apply) fn copy(
        path: &str,
        target: &std::path::Path,
        number: u32,
        root: &Root,
    ) -> Result<Self, ApplyError> {
        let path = format!("{OWN}/by-hand/{number:04}{path}");
        let place = |source| FileError::Place { pack: "(changed by hand)".to_owned(), source };
        let from = From::File(target.to_owned());
        Ok(Self { target: root.resolve(&path).map_err(place)?, path, from })
    }

    /// Writes it beside its place.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub(in crate::apply) fn stage(&self) -> Result<Change, ApplyError> {
        let (path, target) = (self.path.clone(), &self.target);
        let staged = match &self.from {
            From::File(from) => {
                let was = Before::at(from)?.ok_or(std::io::ErrorKind::NotFound).at("read", from)?;
                stage_again(target, &was, Some(File::open(from).at("read", from)?))?
            }
            From::Kept(kept, written) => {
                kept.make()?;
                let (digest, size) = (Some(Digest::of(&written.bytes)), written.bytes.len() as u64);
                let was = Before { digest, link: None, size, mode: "0600".to_owned(), owner: String::new() };
                stage_again(target, &was, Some(Cursor::new(&written.bytes)))?
            }
        };
        Ok(Change { path, staged: Some(staged), before: Before::at(target)? })
    }
}

fn within(target: &std::path::Path, root: &Root) -> String {
    let inside = target.strip_prefix(root.folder()).unwrap_or(target);
    format!("/{}", inside.display())
}
