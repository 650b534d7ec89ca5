//! Palette's files on the disk: regular files inside one folder, of a bounded size.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use super::error::PaletteError;
use crate::io::{AtPath, with_causes};
use crate::problem::read_document;

/// Files and folders that are looked at in one place.
pub(super) const MAX_ENTRIES: usize = 20_000;
/// How deep packs lie in a folder of packs.
const MAX_DEPTH: usize = 4;

/// The description of a pack in its folder.
pub(super) const PACK_JSON: &str = "pack.json";

/// A pack's folder.
#[derive(Debug)]
pub(super) struct PackFolder {
    /// As it was named.
    pub(super) path: PathBuf,
    real: PathBuf,
    /// What was read, relative to it.
    used: BTreeSet<String>,
    /// Names and versions of the charts that it names.
    charts: BTreeSet<(String, String)>,
}

impl PackFolder {
    pub(super) fn open(path: &Path) -> Result<Self, PaletteError> {
        Ok(Self {
            path: path.to_owned(),
            real: path.canonicalize().at("read", path)?,
            used: BTreeSet::new(),
            charts: BTreeSet::new(),
        })
    }

    /// How the list names a file of it.
    pub(super) fn place(&self, relative: &str) -> String {
        self.path.join(relative).display().to_string()
    }

    /// Where `relative` is, a file or a folder.
    ///
    /// # Errors
    /// Why it is not there, or none of this folder's.
    pub(super) fn find(&mut self, relative: &str) -> Result<PathBuf, String> {
        let plain =
            Path::new(relative).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain || relative.contains('\0') || relative.is_empty() {
            return Err(format!("{relative:?} is no path in the pack's folder"));
        }
        let path = self.path.join(relative);
        let real = path.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("{relative} is not in the pack's folder"),
            _ => format!("{relative} cannot be read: {error}"),
        })?;
        if !real.starts_with(&self.real) {
            return Err(format!("{relative} leads out of the pack's folder"));
        }
        self.used.insert(relative.trim_start_matches("./").trim_end_matches('/').to_owned());
        Ok(path)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// As [`PackFolder::find`], and where it is no text.
    pub(super) fn text(&mut self, relative: &str) -> Result<String, String> {
        let path = self.find(relative)?;
        match read_document(&path) {
            Ok(Ok(source)) => Ok(source.text().to_owned()),
            Ok(Err(problem)) => Err(problem.message),
            Err(error) => Err(with_causes(&error)),
        }
    }

    /// Remembers a chart that pack.json names.
    pub(super) fn chart(&mut self, name: &str, version: &str) {
        self.charts.insert((name.to_owned(), version.to_owned()));
    }

    /// Whether pack.json names a chart, as a package that can be used or by the name of one that cannot.
    pub(super) fn has_chart(&self, name: &str, version: &str) -> bool {
        let package = format!("{name}-{version}.tgz");
        let named = |used: &String| used.rsplit('/').next() == Some(&package);
        self.charts.contains(&(name.to_owned(), version.to_owned())) || self.used.iter().any(named)
    }

    /// Whether something has asked for `relative`, or for what it is in.
    pub(super) fn uses(&self, relative: &str) -> bool {
        self.used.iter().any(|used| relative == used || relative.starts_with(&format!("{used}/")))
    }

    /// Whether something has asked for what is in the folder `relative`.
    pub(super) fn uses_within(&self, relative: &str) -> bool {
        self.used.iter().any(|used| used.starts_with(&format!("{relative}/")))
    }
}

/// The folder of the pack `name` in one of `versions`, in the folder `packs`.
///
/// # Errors
/// Where `packs` cannot be read.
pub(super) fn find_pack(packs: &Path, name: &str, versions: &[&str]) -> Result<Option<PathBuf>, PaletteError> {
    packs.metadata().at("read", packs)?;
    let walk = WalkDir::new(packs).max_depth(MAX_DEPTH).sort_by_file_name().into_iter();
    // Charts may be deep, and no pack is in one.
    let walk = walk.filter_entry(|entry| entry.depth() == 0 || entry.file_name() != "charts");
    for entry in walk.filter_map(Result::ok).take(MAX_ENTRIES) {
        if entry.file_name() != PACK_JSON || !entry.file_type().is_file() {
            continue;
        }
        let Ok(Ok(source)) = read_document(entry.path()) else { continue };
        let Ok(found) = serde_json::from_str::<serde_json::Value>(source.text()) else { continue };
        let right = found["name"] == name && versions.iter().any(|version| found["version"] == *version);
        if let (true, Some(folder)) = (right, entry.path().parent()) {
            return Ok(Some(folder.to_owned()));
        }
    }
    Ok(None)
}
