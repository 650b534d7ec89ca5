//! A chart's package: a `.tgz` that anybody may have made, read into memory within bounds.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use tar::EntryType;

/// Largest package and largest content of one, in bytes; Helm's own bound.
pub(super) const MAX_BYTES: u64 = 100 << 20;
/// Largest file in a package, in bytes; Helm's own bound.
pub(super) const MAX_FILE: u64 = 5 << 20;
/// Files in a package.
pub(super) const MAX_FILES: usize = 10_000;
/// The longest path in a package, in bytes.
const MAX_PATH: usize = 1024;

/// The files of a chart by their path below the chart's folder.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// How much may still be read; subcharts that are packages themselves share it.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: u64,
    files: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MAX_BYTES, files: MAX_FILES }
    }
}

/// Reads a package. Returns the files below its one top folder.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn read(package: &[u8], budget: &mut Budget) -> Result<Files, String> {
    // One byte more than allowed, so that too much is told from just enough.
    let mut unpacked = MultiGzDecoder::new(package).take(budget.bytes + 1);
    let files = files(&mut unpacked, &mut budget.files);
    // Too much first: what is cut off there looks like a damaged package.
    let used = budget.bytes + 1 - unpacked.limit();
    budget.bytes =
        budget.bytes.checked_sub(used).ok_or_else(|| format!("it unpacks to more than {} MiB", MAX_BYTES >> 20))?;
    files
}

fn files(unpacked: &mut impl Read, left: &mut usize) -> Result<Files, String> {
    let mut archive = tar::Archive::new(unpacked);
    let (mut files, mut top) = (Files::new(), None::<String>);
    let wrong = |error: std::io::Error| format!("it is no .tgz package: {error}");
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let path = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| "a path in it is not UTF-8")?;
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Symlink | EntryType::Link => return Err(format!("it has a link, {path:?}")),
            _ => return Err(format!("{path:?} in it is no file")),
        }
        let (folder, within) = split(&path)?;
        if *top.get_or_insert_with(|| folder.clone()) != folder {
            return Err(format!(
                "it has more than one folder at its top: {:?} and {folder:?}",
                top.unwrap_or_default()
            ));
        }
        *left = left.checked_sub(1).ok_or_else(|| format!("it has more than {MAX_FILES} files"))?;
        let mut content = Vec::new();
        entry.by_ref().take(MAX_FILE + 1).read_to_end(&mut content).map_err(wrong)?;
        if content.len() as u64 > MAX_FILE {
            return Err(format!("{path:?} in it is larger than {} MiB", MAX_FILE >> 20));
        }
        if files.insert(within, content).is_some() {
            return Err(format!("it has {path:?} twice"));
        }
    }
    Ok(files)
}

/// The top folder of a path and the rest below it. As in Helm, that is `.` where a package was made from within the folder.
fn split(path: &str) -> Result<(String, String), String> {
    let outside = || Err(format!("the path {path:?} in it leads out of its folder, or is no plain path"));
    if path.len() > MAX_PATH || path.starts_with('/') || path.contains(['\\', '\0']) {
        return outside();
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return outside();
    }
    match &parts[..] {
        within if path.starts_with("./") && !within.is_empty() => Ok((".".to_owned(), within.join("/"))),
        [top, within @ ..] if !within.is_empty() => Ok(((*top).to_owned(), within.join("/"))),
        _ => Err(format!("{path:?} lies beside the chart's folder")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    /// A package of entries with any path and type, as tools that mean harm write them.
    pub(in crate::chart) fn package(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn refused(entries: &[(&str, EntryType, &[u8])]) -> String {
        read(&package(entries), &mut Budget::default()).unwrap_err()
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn files_are_read_below_the_one_folder() {
        let made = package(&[
            ("shop", EntryType::Directory, b""),
            ("shop/Chart.yaml", FILE, b"a"),
            ("shop/./templates//x.yaml", FILE, b"b"),
        ]);
        let within = package(&[("./Chart.yaml", FILE, b"a"), ("./templates/x.yaml", FILE, b"b")]);
        for package in [made, within] {
            let files = read(&package, &mut Budget::default()).unwrap();
            assert_eq!(files.keys().collect::<Vec<_>>(), ["Chart.yaml", "templates/x.yaml"]);
        }
        let two = refused(&[("./Chart.yaml", FILE, b""), ("shop/values.yaml", FILE, b"")]);
        assert_eq!(two, "it has more than one folder at its top: \".\" and \"shop\"");
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        for path in ["shop/../../etc/passwd", "/shop/x", "shop\\..\\x", "../x/y", "shop/.."] {
            let reason = format!("the path {path:?} in it leads out of its folder, or is no plain path");
            assert_eq!(refused(&[(path, FILE, b"x")]), reason);
        }
        assert_eq!(refused(&[("alone", FILE, b"")]), "\"alone\" lies beside the chart's folder");
        assert_eq!(refused(&[("a/x", EntryType::Symlink, b"")]), "it has a link, \"a/x\"");
        assert_eq!(refused(&[("a/x", EntryType::Link, b"")]), "it has a link, \"a/x\"");
        assert_eq!(refused(&[("a/x", EntryType::Fifo, b"")]), "\"a/x\" in it is no file");
        let two = refused(&[("a/x", FILE, b""), ("b/x", FILE, b"")]);
        assert_eq!(two, "it has more than one folder at its top: \"a\" and \"b\"");
        assert_eq!(refused(&[("a/x", FILE, b""), ("a/./x", FILE, b"")]), "it has \"a/./x\" twice");
    }

    #[test]
    fn bombs_are_refused_without_being_unpacked() {
        let large = vec![0; MAX_FILE as usize + 1];
        assert_eq!(refused(&[("a/x", FILE, &large)]), "\"a/x\" in it is larger than 5 MiB");
        let mut many: Vec<u8> = Vec::new();
        let mut encoder = GzEncoder::new(&mut many, Compression::fast());
        let mut header = tar::Header::new_gnu();
        header.set_size(MAX_FILE);
        for index in 0..=MAX_BYTES / MAX_FILE {
            header.set_path(format!("a/{index}")).unwrap();
            header.set_cksum();
            encoder.write_all(header.as_bytes()).unwrap();
            encoder.write_all(&large[1..]).unwrap();
        }
        encoder.finish().unwrap();
        assert!(many.len() < 1 << 20, "{}", many.len());
        let reason = read(&many, &mut Budget::default()).unwrap_err();
        assert_eq!(reason, "it unpacks to more than 100 MiB");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_package_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000), path in "\\PC{1,90}") {
            let _ = read(&bytes, &mut Budget::default());
            if path.len() < 100
                && let Ok(files) = read(&package(&[(&path, FILE, b"x")]), &mut Budget::default())
            {
                for path in files.keys() {
                    prop_assert!(!path.split('/').any(|part| matches!(part, "" | "." | "..")), "{path}");
                }
            }
        }
    }
}
