//! A chart's folder as a package: the same bytes for the same files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use walkdir::WalkDir;

use super::ChartError;
use super::archive::{Files, MAX_BYTES, MAX_FILE, MAX_FILES};
use super::metadata::{ChartKind, Metadata};
use super::tree::Tree;
use crate::io::{AtPath, PathError};

/// Packs the chart in `folder`: sorted, without times, owners or modes of this machine, and without what its `.helmignore`
/// leaves out.
///
/// # Errors
/// Where it cannot be read, is no chart, or holds a link that leads out of it.
pub fn package(folder: &Path) -> Result<Vec<u8>, ChartError> {
    let malformed = |reason: String| ChartError::Malformed { path: folder.to_owned(), reason };
    let files = read(folder)?;
    let chart = files.get("Chart.yaml").ok_or_else(|| malformed("it has no Chart.yaml".to_owned()))?;
    let metadata = Metadata::parse(&String::from_utf8_lossy(chart)).map_err(malformed)?;
    // Into memory nothing fails but for want of it.
    write(&metadata.name, &files).map_err(|error| malformed(error.to_string()))
}

/// The files of the chart in `folder` that its package has, by their path below it.
///
/// # Errors
/// As [`package`].
pub fn files(folder: &Path) -> Result<Vec<String>, ChartError> {
    Ok(read(folder)?.into_keys().collect())
}

/// The chart whose files these are, by their paths in its folder, as a package makes it.
///
/// # Errors
/// What keeps it from being used, in one line.
pub fn of_files(files: &BTreeMap<String, Vec<u8>>) -> Result<Metadata, String> {
    let chart = files.get("Chart.yaml").ok_or("it has no Chart.yaml")?;
    let metadata = Metadata::parse(&String::from_utf8_lossy(chart))?;
    let package = write(&metadata.name, files).map_err(|error| error.to_string())?;
    let tree = Tree::of_package(&package)?;
    match &tree.missing()[..] {
        [] if metadata.kind == ChartKind::Library => Err("it is a library".to_owned()),
        [] => Ok(metadata),
        missing => Err(format!("it lacks its subcharts {}", missing.join(", "))),
    }
}

fn write(name: &str, files: &Files) -> io::Result<Vec<u8>> {
    let encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::default());
    let mut builder = tar::Builder::new(encoder);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, format!("{name}/{path}"), &content[..])?;
    }
    let mut encoder = builder.into_inner()?;
    encoder.flush()?;
    encoder.finish()
}

fn read(folder: &Path) -> Result<Files, ChartError> {
    let malformed = |reason: String| ChartError::Malformed { path: folder.to_owned(), reason };
    let root = folder.canonicalize().at("read", folder)?;
    let ignored = ignored(folder)?;
    let mut walk = WalkDir::new(folder).follow_links(true).min_depth(1).sort_by_file_name().into_iter();
    let (mut files, mut total) = (Files::new(), 0);
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            match error.loop_ancestor() {
                Some(_) => malformed(format!("the link {} leads to a folder that it is in", path.display())),
                None => PathError { action: "read", path, source: error.into() }.into(),
            }
        })?;
        let within = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let is_folder = entry.file_type().is_dir();
        if ignored.matched(within, is_folder).is_ignore() {
            if is_folder {
                walk.skip_current_dir();
            }
            continue;
        }
        if entry.path_is_symlink() && !entry.path().canonicalize().at("read", entry.path())?.starts_with(&root) {
            return Err(malformed(format!("the link {} leads out of it", within.display())));
        }
        if is_folder {
            continue;
        }
        if entry.file_type().is_fifo() || !entry.file_type().is_file() {
            return Err(malformed(format!("{} is no file", within.display())));
        }
        let name = within.to_str().ok_or_else(|| malformed(format!("the name {} is not UTF-8", within.display())))?;
        let content = content(entry.path(), folder)?;
        total += content.len() as u64;
        files.insert(name.to_owned(), content);
        if total > MAX_BYTES || files.len() > MAX_FILES {
            let limits = format!("it has more than {} MiB or {MAX_FILES} files", MAX_BYTES >> 20);
            return Err(malformed(format!("{limits}; leave out what is no part of it in .helmignore")));
        }
    }
    Ok(files)
}

fn content(path: &Path, folder: &Path) -> Result<Vec<u8>, ChartError> {
    let mut content = Vec::new();
    fs::File::open(path).at("read", path)?.take(MAX_FILE + 1).read_to_end(&mut content).at("read", path)?;
    if content.len() as u64 > MAX_FILE {
        let reason = format!("{} is larger than {} MiB, and Helm takes no such file", path.display(), MAX_FILE >> 20);
        return Err(ChartError::Malformed { path: folder.to_owned(), reason });
    }
    Ok(content)
}

/// The rules of `.helmignore`, and Helm's own: no dot files among the templates.
fn ignored(folder: &Path) -> Result<Gitignore, ChartError> {
    let file: PathBuf = folder.join(".helmignore");
    let malformed = |reason: String| ChartError::Malformed { path: folder.to_owned(), reason };
    let mut rules = GitignoreBuilder::new("");
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        result => result.at("read", &file)?,
    };
    for line in text.lines().chain(["templates/.?*"]) {
        rules.add_line(None, line).map_err(|error| malformed(format!(".helmignore: {error}")))?;
    }
    rules.build().map_err(|error| malformed(format!(".helmignore: {error}")))
}

#[cfg(test)]
mod tests {
    use super::super::archive::{self, Budget};
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn chart(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [("Chart.yaml", "name: a\nversion: 1.0.0\n")].iter().chain(files) {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn packed(folder: &Path) -> Vec<String> {
        let files = archive::read(&package(folder).unwrap(), &mut Budget::default()).unwrap();
        files.into_keys().collect()
    }

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let [one, two] = [chart(&[("b", "1"), ("a/c", "2")]), chart(&[("a/c", "2"), ("b", "1")])];
        fs::set_permissions(two.path().join("b"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(package(one.path()).unwrap(), package(two.path()).unwrap());
        assert_eq!(packed(one.path()), ["Chart.yaml", "a/c", "b"]);
        let long = format!("{}/x", "d".repeat(150));
        assert!(packed(chart(&[(&long, "")]).path()).contains(&long));
    }

    #[test]
    fn helmignore_is_respected() {
        let files = [
            (".helmignore", "# c\n*.bak\n/ci/\n.git\n"),
            ("x.bak", ""),
            ("ci/y", ""),
            ("z/ci/y", ""),
            (".git/z", ""),
            ("templates/.hidden", ""),
            ("templates/a.yaml", ""),
        ];
        assert_eq!(packed(chart(&files).path()), [".helmignore", "Chart.yaml", "templates/a.yaml", "z/ci/y"]);
    }

    #[test]
    fn links_are_followed_inside_only() {
        let folder = chart(&[("files/a", "1")]);
        symlink("a", folder.path().join("files/b")).unwrap();
        assert_eq!(packed(folder.path()), ["Chart.yaml", "files/a", "files/b"]);
        symlink("/etc/hostname", folder.path().join("out")).unwrap();
        let error = package(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("is not a chart that can be used: the link out leads out of it"), "{error}");
        fs::remove_file(folder.path().join("out")).unwrap();
        symlink("..", folder.path().join("files/up")).unwrap();
        let error = package(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("files/up leads to a folder that it is in"), "{error}");
        fs::remove_file(folder.path().join("files/up")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        let error = package(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("pipe is no file"), "{error}");
    }
}
