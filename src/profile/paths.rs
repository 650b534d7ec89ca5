//! Which local files a profile may name: regular ones inside its own folder, symbolic links resolved.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;
use walkdir::WalkDir;

use crate::oci::{Digest, Digester};
use crate::text::{self, is_unseen};

/// The profile's folder, as it was given and as it really is.
#[derive(Debug)]
pub(super) struct Folder {
    given: PathBuf,
    real: PathBuf,
}

/// The folder that `file` is in.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Folder {
    pub(super) fn of(file: &Path) -> io::Result<Self> {
        let given = folder_of(file).to_owned();
        Ok(Self { real: given.canonicalize()?, given })
    }

    /// The regular file that `source` names.
    pub(super) fn file(&self, source: &str) -> Result<PathBuf, String> {
        check_relative(source)?;
        let path = self.join(source);
        self.check_file(&path, source)?;
        Ok(path)
    }

    /// The regular file or the folder that `source` names.
    pub(super) fn file_or_folder(&self, source: &str) -> Result<PathBuf, String> {
        check_relative(source)?;
        let path = self.join(source.trim_end_matches('/'));
        if path.is_dir() {
            self.check_inside(&path, source)?;
        } else {
            self.check_file(&path, source)?;
        }
        Ok(path)
    }

    /// The regular files that `pattern` matches, sorted. `*` does not match `/`, and matches a leading dot only where the
    /// pattern has one, as in a shell; `**` matches any number of folders.
    pub(super) fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        check_relative(pattern)?;
        let clean = pattern.trim_start_matches("./");
        let glob = GlobBuilder::new(clean)
            .literal_separator(true)
            .build()
            .map_err(|error| format!("`{pattern}` is not a pattern: {}", error.kind()))?
            .compile_matcher();
        let hidden = clean.split('/').any(|part| part.starts_with('.'));
        let mut found = Vec::new();
        for entry in WalkDir::new(self.join(literal_prefix(clean))).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                // A folder that is not there is a pattern without match, told below.
                Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => continue,
                Err(error) => return Err(format!("`{pattern}` cannot be searched: {error}")),
            };
            let relative = entry.path().strip_prefix(&self.given).unwrap_or(entry.path());
            let dotted = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
            if !glob.is_match(relative) || entry.path().is_dir() || (!hidden && relative.components().any(dotted)) {
                continue;
            }
            let Some(name) = relative.to_str() else {
                return Err(format!("`{pattern}` matches {}, whose name is not UTF-8", relative.display()));
            };
            self.check_file(entry.path(), name)?;
            found.push(self.join(name));
        }
        if found.is_empty() {
            return Err(format!("`{pattern}` matches no file"));
        }
        found.sort();
        Ok(found)
    }

    fn join(&self, relative: &str) -> PathBuf {
        super::load::shown(&self.given, relative)
    }

    fn check_file(&self, path: &Path, named: &str) -> Result<(), String> {
        let real = self.check_inside(path, named)?;
        if !real.is_file() {
            return Err(format!("`{named}` is not a regular file"));
        }
        File::open(&real).map(drop).map_err(|error| format!("`{named}` cannot be read: {error}"))
    }

    /// Where `path` really is.
    fn check_inside(&self, path: &Path, named: &str) -> Result<PathBuf, String> {
        let real = path.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("`{named}` does not exist"),
            _ => format!("`{named}` cannot be read: {error}"),
        })?;
        if !real.starts_with(&self.real) {
            return Err(format!("`{named}` leads to {}, outside the profile's folder", real.display()));
        }
        Ok(real)
    }
}

fn check_relative(path: &str) -> Result<(), String> {
    if let Some((scheme, _)) = path.split_once("://") {
        return Err(format!("`{scheme}://` cannot stand here: `{path}`"));
    }
    text::check(path).map_err(|reason| format!("a path {reason}"))?;
    if Path::new(path).is_absolute() {
        return Err(format!("`{path}` is absolute; paths are relative to the profile's folder and stay inside it"));
    }
    if Path::new(path).components().any(|part| part == Component::ParentDir) {
        return Err(format!("`{path}` is outside the profile's folder"));
    }
    Ok(())
}

/// Checks that `url` is one that is fetched from: `https://HOST…`, or plain HTTP of this machine.
pub(super) fn check_url(url: &str) -> Result<(), String> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("`{url}` is not a URL; write https://HOST/…"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Whoever reads the profile or the lock would read the password.
    if authority.contains('@') {
        return Err("a URL with a user name or password cannot stand here".to_owned());
    }
    if url.chars().any(|c| is_unseen(c) || c.is_whitespace()) || authority.is_empty() {
        return Err(format!("{url:?} is not a URL; write https://HOST/…"));
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let loopback = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    match scheme {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => Err(format!("`{url}` is plain HTTP, which anybody on the way can change; use https://")),
        _ => Err(format!("`{scheme}://` cannot be fetched from: `{url}`; use https://")),
    }
}

/// The folders of a pattern before the first one that has a wildcard.
fn literal_prefix(pattern: &str) -> &str {
    let wild = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    pattern[..wild].rfind('/').map_or("", |slash| &pattern[..slash])
}

/// What the file at `path` hashes to.
pub(super) fn digest_of(path: &Path) -> io::Result<Digest> {
    let (mut file, mut digester, mut buffer) = (File::open(path)?, Digester::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digester.finish()),
            count => digester.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn folder() -> (tempfile::TempDir, Folder) {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("profile");
        fs::create_dir_all(root.join("m/deep")).unwrap();
        for name in ["m/b.yaml", "m/a.yaml", "m/.hidden.yaml", "m/deep/c.yaml", "m/d.txt", "../outside"] {
            fs::write(root.join(name), name).unwrap();
        }
        symlink("../outside", root.join("link")).unwrap();
        symlink("m/a.yaml", root.join("good-link")).unwrap();
        let folder = Folder::of(&root.join("carrack.yaml")).unwrap();
        (temporary, folder)
    }

    #[test]
    fn files_stay_inside_and_are_regular() {
        let (_keep, folder) = folder();
        assert!(folder.file("./m/a.yaml").unwrap().ends_with("profile/m/a.yaml"));
        assert!(folder.file("good-link").is_ok());
        for (source, message) in [
            ("../outside", "`../outside` is outside the profile's folder"),
            ("m/../../outside", "`m/../../outside` is outside the profile's folder"),
            ("/etc/passwd", "`/etc/passwd` is absolute"),
            ("link", "`link` leads to "),
            ("m", "`m` is not a regular file"),
            ("none", "`none` does not exist"),
            ("oci://example.org/x", "`oci://` cannot stand here"),
            ("a\0b", "a path is \"a\\u{0}b\""),
            ("a\u{202e}b", "a path is \"a\\u{202e}b\""),
        ] {
            let error = folder.file(source).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn globs_are_sorted_and_must_match() {
        let (_keep, folder) = folder();
        let names = |pattern: &str| -> Vec<String> {
            let found = folder.glob(pattern).unwrap();
            found.iter().map(|path| path.strip_prefix(&folder.given).unwrap().display().to_string()).collect()
        };
        assert_eq!(names("./m/*.yaml"), ["m/a.yaml", "m/b.yaml"]);
        assert_eq!(names("**/*.yaml"), ["m/a.yaml", "m/b.yaml", "m/deep/c.yaml"]);
        assert_eq!(names("m/.*.yaml"), ["m/.hidden.yaml"]);
        assert_eq!(names("m/a.yaml"), ["m/a.yaml"]);
        for (pattern, message) in [
            ("m/*.json", "`m/*.json` matches no file"),
            ("none/*.yaml", "`none/*.yaml` matches no file"),
            ("m/[a.yaml", "`m/[a.yaml` is not a pattern: "),
            ("lin*", "`link` leads to "),
        ] {
            let error = folder.glob(pattern).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
