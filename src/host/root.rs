//! The file system that is installed into: the running host's, or one below a folder.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::FileType;

use crate::io::{AtPath, OpenFolder, PathError, Place, file_type};

const MAX_LINKS: usize = 40;
/// No file of a system that is read here is larger.
const LIMIT: u64 = 16 << 20;

/// A root folder. Paths are looked up below it as a process that has it as `/` would, symbolic links included. The folder is held
/// open, and what is looked at or changed in it is reached from there, so that whoever owns it cannot lead Carrack out of it.
#[derive(Debug, Clone)]
pub struct Root {
    folder: OpenFolder,
}

impl PartialEq for Root {
    fn eq(&self, other: &Self) -> bool {
        self.folder() == other.folder()
    }
}

impl Eq for Root {}

/// Why a path or an owner means nothing below a root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Not absolute, or with `..` in it, or the root itself.
    #[error("{0:?} is not an absolute path without '..'")]
    NotAbsolute(String),
    /// A symbolic link leads out of the root.
    #[error("{path} leads out of {} through the link {}", root.display(), link.display())]
    Escapes {
        /// The path that was looked up.
        path: String,
        /// The root.
        root: PathBuf,
        /// The link.
        link: PathBuf,
    },
    /// Links that lead round and round.
    #[error("{0} leads through too many symbolic links")]
    Loop(String),
    /// A file stands where the path needs a folder.
    #[error("{path} needs a folder where {} is a file", file.display())]
    NotAFolder {
        /// The path that was looked up.
        path: String,
        /// The file.
        file: PathBuf,
    },
    /// A user or group that the root does not know.
    #[error("there is no {kind} {name:?} in {}", file.display())]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Where it was looked for.
        file: PathBuf,
    },
    /// The system did not answer.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Root {
    /// The root at `folder`, which must exist; `/` is the running host.
    ///
    /// # Errors
    /// Where the folder cannot be found.
    pub fn new(folder: &Path) -> Result<Self, PathError> {
        let found = fs::canonicalize(folder).at("find the root folder", folder)?;
        if !found.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory)).at("use as the root folder", folder);
        }
        Ok(Self { folder: OpenFolder::open(&found, found.clone())? })
    }

    /// The folder, absolute and without links.
    pub fn folder(&self) -> &Path {
        self.folder.shown()
    }

    /// Whether this is the running host.
    pub fn is_host(&self) -> bool {
        self.folder() == Path::new("/")
    }

    /// Where `path` of the root is on the running host, for messages and for programs that take a path. Links on the way are
    /// followed within the root; the last component is not, since it is what gets replaced. What does not exist is taken as it is
    /// written.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn resolve(&self, path: &str) -> Result<PathBuf, RootError> {
        Ok(self.place(path)?.shown().to_owned())
    }

    /// The place of `path`, with links followed as [`Root::resolve`] does. What is done there follows no link any more.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn place(&self, path: &str) -> Result<Place, RootError> {
        Ok(self.folder.place(&self.real(path, false)?)?)
    }

    /// The place of what `path` names, with a link in the last component followed too.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn follow(&self, path: &str) -> Result<Place, RootError> {
        Ok(self.folder.place(&self.real(path, true)?)?)
    }

    /// The place of `names` below the folder at `path`. Links are followed up to that folder, and not below it.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn below(&self, path: &str, names: &str) -> Result<Place, RootError> {
        Ok(self.folder.place(&self.real(path, true)?.join(names))?)
    }

    /// Whether there is something at `path`, with links followed.
    pub fn exists(&self, path: &str) -> bool {
        self.follow(path).is_ok_and(|place| place.is_there())
    }

    /// The content of the file at `path`, with links followed; nothing where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is longer than 16 MiB.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RootError> {
        Ok(self.follow(path)?.read(LIMIT)?)
    }

    /// `path` below the root without links.
    fn real(&self, path: &str, follow_last: bool) -> Result<PathBuf, RootError> {
        let mut rest = components(Path::new(path)).ok_or_else(|| RootError::NotAbsolute(path.to_owned()))?;
        if !path.starts_with('/') || rest.is_empty() || rest.iter().any(|name| name == "..") {
            return Err(RootError::NotAbsolute(path.to_owned()));
        }
        rest.reverse();
        let (mut at, mut last_link, mut links) = (PathBuf::new(), PathBuf::new(), 0);
        while let Some(name) = rest.pop() {
            if name == ".." {
                if !at.pop() && !self.is_host() {
                    let (path, root) = (path.to_owned(), self.folder().to_owned());
                    return Err(RootError::Escapes { path, root, link: last_link });
                }
                continue;
            }
            at.push(name);
            if rest.is_empty() && !follow_last {
                break;
            }
            let place = self.folder.place(&at)?;
            match place.stat()?.as_ref().map(file_type) {
                Some(FileType::Symlink) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(RootError::Loop(path.to_owned()));
                    }
                    let target = PathBuf::from(place.read_link()?);
                    last_link = place.shown().to_owned();
                    at.pop();
                    if target.is_absolute() {
                        at.clear();
                    }
                    rest.extend(components(&target).unwrap_or_default().into_iter().rev());
                }
                Some(FileType::Directory) | None => {}
                Some(_) if rest.is_empty() => {}
                Some(_) => {
                    return Err(RootError::NotAFolder { path: path.to_owned(), file: place.shown().to_owned() });
                }
            }
        }
        Ok(at)
    }

    /// The numbers of `USER[:GROUP]`: numbers as they are, names from the root's own `etc/passwd` and `etc/group`. Without
    /// a group it is the user's; a user given by a number that has no entry is its own group.
    ///
    /// # Errors
    /// [`RootError::Unknown`], or a file that cannot be read.
    pub fn owner(&self, owner: &str) -> Result<(u32, u32), RootError> {
        let (user, group) = owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
        let passwd = || self.lookup("/etc/passwd", "user", user);
        let uid = match user.parse() {
            Ok(number) => number,
            Err(_) => passwd()?.0,
        };
        let gid = match group {
            Some(group) => match group.parse() {
                Ok(number) => number,
                Err(_) => self.lookup("/etc/group", "group", group)?.0,
            },
            None => passwd().map_or(uid, |(_, gid)| gid),
        };
        Ok((uid, gid))
    }

    /// The numbers in the third and fourth fields of the line that begins with `name`; a number may stand for the name.
    fn lookup(&self, file: &str, kind: &'static str, name: &str) -> Result<(u32, u32), RootError> {
        let place = self.follow(file)?;
        let unknown = || RootError::Unknown { kind, name: name.to_owned(), file: place.shown().to_owned() };
        let text = place.read(LIMIT)?.ok_or_else(unknown)?;
        let text = String::from_utf8_lossy(&text);
        let found = text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok());
            let matches = fields.first() == Some(&name) || fields.get(2) == Some(&name);
            matches.then(|| (number(2), number(3))).and_then(|(id, group)| Some((id?, group.unwrap_or_default())))
        });
        found.ok_or_else(unknown)
    }
}

/// The names in a path, `..` included; nothing for a prefix that Unix does not have.
fn components(path: &Path) -> Option<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir => names.push("..".into()),
            Component::RootDir | Component::CurDir => {}
            Component::Prefix(_) => return None,
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        (folder, root)
    }

    #[test]
    fn links_stay_in_the_root() {
        let (_folder, root) = root();
        let at = |path: &str| root.folder().join(path);
        fs::create_dir_all(at("run/x")).unwrap();
        fs::create_dir_all(at("var")).unwrap();
        symlink("/run", at("var/run")).unwrap();
        symlink("../run/x", at("var/relative")).unwrap();
        assert_eq!(root.resolve("/var/run/file").unwrap(), at("run/file"));
        assert_eq!(root.resolve("/var/relative/file").unwrap(), at("run/x/file"));
        assert_eq!(root.resolve("/new/folder/file").unwrap(), at("new/folder/file"));
        // The last component is what gets replaced.
        assert_eq!(root.resolve("/var/run").unwrap(), at("var/run"));
    }

    #[test]
    fn what_leads_out_is_refused() {
        let (_folder, root) = root();
        symlink("../../../../../../etc", root.folder().join("out")).unwrap();
        symlink("around", root.folder().join("around")).unwrap();
        fs::write(root.folder().join("file"), "").unwrap();
        assert!(matches!(root.resolve("/out/passwd"), Err(RootError::Escapes { .. })));
        assert!(matches!(root.resolve("/around/x"), Err(RootError::Loop(_))));
        assert!(matches!(root.resolve("/file/x"), Err(RootError::NotAFolder { .. })));
        for bad in ["", "/", "relative", "/a/../b", "/.."] {
            assert!(matches!(root.resolve(bad), Err(RootError::NotAbsolute(_))), "{bad}");
        }
    }

    #[test]
    fn owners_are_the_roots_own() {
        let (_folder, root) = root();
        fs::create_dir(root.folder().join("etc")).unwrap();
        fs::write(root.folder().join("etc/passwd"), "root:x:0:0::/:\netcd:x:901:902::/:\n").unwrap();
        fs::write(root.folder().join("etc/group"), "root:x:0:\nkube:x:903:\n").unwrap();
        assert_eq!(root.owner("etcd").unwrap(), (901, 902));
        assert_eq!(root.owner("etcd:kube").unwrap(), (901, 903));
        assert_eq!(root.owner("901").unwrap(), (901, 902));
        assert_eq!(root.owner("7:8").unwrap(), (7, 8));
        assert_eq!(root.owner("7").unwrap(), (7, 7));
        assert!(root.owner("nobody").unwrap_err().to_string().contains("nobody"));
    }
}
