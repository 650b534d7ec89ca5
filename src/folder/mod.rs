//! A profile's folder that Carrack itself makes: its files in memory, and then on the disk, all or none.
//!
//! Owns which paths a file may have and how the folder comes to be. It must not know what is in the files; the document
//! of a profile is composed of the types of [`crate::profile::schema`], as text by [`crate::yaml::written()`].

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::io::{AtPath, PathError, create_folders, sync_dir};

/// The longest path of a file in the folder, in bytes.
const MAX_PATH: usize = 1024;
/// The longest name of a file or folder, in bytes.
const MAX_NAME: usize = 200;

/// Files by their path in the folder.
#[derive(Debug, Clone, Default)]
pub struct ProfileFolder {
    files: BTreeMap<String, Content>,
}

#[derive(Debug, Clone)]
struct Content {
    bytes: Vec<u8>,
    secret: bool,
}

/// Why a file has no place in the folder, or the folder none on the disk.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The path leads elsewhere, or is none.
    #[error("{path:?} cannot be a file in a profile's folder: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two files would be in one place.
    #[error("{path:?} would be in the profile's folder twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// There is something already.
    #[error("{} is there and not empty; nothing is written into it", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder would be replaced under the feet of who works in it.
    #[error("{} is the working folder, which cannot be replaced", path.display())]
    WorkingFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The disk.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl ProfileFolder {
    /// A folder without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file in.
    ///
    /// # Errors
    /// Where `path` is not a plain relative path with `/` between its parts, or taken.
    pub fn add(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> Result<(), FolderError> {
        self.put(path.into(), Content { bytes: content.into(), secret: false })
    }

    /// As [`ProfileFolder::add`], for what only the user may read.
    ///
    /// # Errors
    /// As there.
    pub fn add_secret(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> Result<(), FolderError> {
        self.put(path.into(), Content { bytes: content.into(), secret: true })
    }

    fn put(&mut self, path: String, content: Content) -> Result<(), FolderError> {
        if let Err(reason) = check(&path) {
            return Err(FolderError::Path { path, reason });
        }
        let below = format!("{path}/");
        let is_folder = self.files.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below));
        let in_file = path.match_indices('/').any(|(end, _)| self.files.contains_key(&path[..end]));
        if is_folder || in_file || self.files.contains_key(&path) {
            return Err(FolderError::Twice { path });
        }
        self.files.insert(path, content);
        Ok(())
    }

    /// Whether there is a file of this path.
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Paths and contents, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, content)| (&**path, &*content.bytes))
    }

    /// Whether the folder can become `target`: for saying so before a long work for it.
    ///
    /// # Errors
    /// Where `target` is there and is not an empty folder, or is the working folder.
    pub fn check_target(target: &Path) -> Result<(), FolderError> {
        let mut entries = match fs::read_dir(target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(target).is_err() => {
                return Ok(());
            }
            result => result.at("write into", target)?,
        };
        if entries.next().is_some() {
            return Err(FolderError::NotEmpty { path: target.to_owned() });
        }
        let real = target.canonicalize().at("write into", target)?;
        if std::env::current_dir().is_ok_and(|working| working == real) {
            return Err(FolderError::WorkingFolder { path: target.to_owned() });
        }
        Ok(())
    }

    /// Writes all files as the folder `target`, which is new or empty. It is made beside it under another name, and gets
    /// its own when it is whole and on the disk.
    ///
    /// # Errors
    /// As [`ProfileFolder::check_target`], and where the disk does not take it; then there is nothing of it.
    pub fn write(&self, target: &Path) -> Result<(), FolderError> {
        Self::check_target(target)?;
        // What a link leads to is the folder that becomes another.
        let target = if target.exists() { target.canonicalize().at("write into", target)? } else { target.to_owned() };
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        create_folders(parent)?;
        let beside = tempfile::Builder::new().prefix(".carrack-new-").tempdir_in(parent).at("create in", parent)?;
        let place = beside.path();
        for (path, content) in &self.files {
            let file = place.join(path);
            create_folders(file.parent().unwrap_or(place))?;
            write(&file, content).at("write", &target.join(path))?;
        }
        let secret = self.files.values().any(|content| content.secret);
        let mode = if secret { 0o700 } else { 0o755 };
        fs::set_permissions(place, Permissions::from_mode(mode)).at("set the mode of", place)?;
        sync_dir(place)?;
        fs::rename(place, &target).at("rename to", &target)?;
        // Under that name it is no more.
        let _ = beside.keep();
        Ok(sync_dir(parent)?)
    }
}

fn write(file: &Path, content: &Content) -> io::Result<()> {
    let mode = if content.secret { 0o600 } else { 0o644 };
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    file.write_all(&content.bytes)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn check(path: &str) -> Result<(), &'static str> {
    if path.len() > MAX_PATH {
        return Err("it is too long");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Err("it has a character that no such path has");
    }
    for part in path.split('/') {
        match part {
            "" | "." | ".." => return Err("it is no plain relative path"),
            part if part.len() > MAX_NAME => return Err("a name in it is too long"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_path_stays_in_the_folder_and_is_there_once() {
        let mut folder = ProfileFolder::new();
        for path in ["", "/etc/passwd", "a//b", "../a", "a/..", "./a", "a/", "a\\b", "a\nb", &"a".repeat(201)] {
            assert!(matches!(folder.add(path, ""), Err(FolderError::Path { .. })), "{path:?}");
        }
        folder.add("a/b", "1").unwrap();
        folder.add("a-b", "2").unwrap();
        for path in ["a/b", "a", "a/b/c"] {
            assert!(matches!(folder.add(path, ""), Err(FolderError::Twice { .. })), "{path:?}");
        }
        assert_eq!(folder.files().map(|(path, _)| path).collect::<Vec<_>>(), ["a-b", "a/b"]);
    }

    #[test]
    fn all_files_appear_in_a_new_or_empty_folder() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = ProfileFolder::new();
        folder.add("carrack.yaml", "x").unwrap();
        folder.add("a/b/c.yaml", "y").unwrap();
        fs::create_dir(root.path().join("empty")).unwrap();
        for target in ["new/deep", "empty"] {
            let target = root.path().join(target);
            folder.write(&target).unwrap();
            assert_eq!(fs::read_to_string(target.join("a/b/c.yaml")).unwrap(), "y");
            assert_eq!(names(&target), ["a", "carrack.yaml"]);
            assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        }
        assert_eq!(names(root.path()), ["empty", "new"]);
    }

    #[test]
    fn what_is_there_stays_and_a_failure_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = ProfileFolder::new();
        folder.add("carrack.yaml", "x").unwrap();
        fs::create_dir(root.path().join("full")).unwrap();
        fs::write(root.path().join("full/mine"), "").unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("dangling")).unwrap();
        assert!(matches!(folder.write(&root.path().join("full")), Err(FolderError::NotEmpty { .. })));
        for target in ["file", "dangling"] {
            assert!(matches!(folder.write(&root.path().join(target)), Err(FolderError::Io(_))), "{target}");
        }
        assert!(matches!(ProfileFolder::check_target(Path::new("src")), Err(FolderError::NotEmpty { .. })));
        // The names are right, and no file system takes one this long.
        let deep = vec!["d".repeat(190); 5].join("/");
        let mut folder = ProfileFolder::new();
        folder.add(deep, "x").unwrap();
        let long = root.path().join(vec!["e".repeat(200); 16].join("/")).join("x");
        assert!(folder.write(&long).is_err());
        assert_eq!(names(&root.path().join("full")), ["mine"]);
        assert!(names(root.path()).iter().all(|name| !name.starts_with(".carrack-new")));
    }

    #[test]
    fn secrets_are_the_users_alone() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = ProfileFolder::new();
        folder.add_secret("a/s", "x").unwrap();
        folder.add("b", "x").unwrap();
        let target = root.path().join("out");
        folder.write(&target).unwrap();
        let mode = |path: &str| target.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!([mode("."), mode("a/s"), mode("b")], [0o700, 0o600, 0o644]);
    }
}
