//! The paths of a pack's files, which whoever made the artifact has chosen.

use std::collections::BTreeSet;

use super::FOLDER;
use crate::oci::{Descriptor, ImageManifest, media_type};
use crate::profile::PACK_FILE_NAME;

/// Files of a pack.
pub(super) const MAX_FILES: usize = 10_000;
/// Bytes of all of them.
pub(super) const MAX_BYTES: u64 = 8 << 30;
const MAX_PATH: usize = 1024;
const MAX_NAME: usize = 255;

/// The annotation with a file's path (image-spec, "Pre-Defined Annotation Keys").
pub(super) const TITLE: &str = "org.opencontainers.image.title";
/// Marks what `oras` makes of a folder.
const UNPACK: &str = "io.deis.oras.content.unpack";

/// The files of a pack: the path below its folder, and the content. Paths are plain and clash nowhere.
///
/// # Errors
/// Why the manifest is none of a pack, in one line.
pub(super) fn files(manifest: &ImageManifest) -> Result<Vec<(&str, &Descriptor)>, String> {
    match manifest.artifact_type.as_deref() {
        Some(media_type::PACK) => {}
        Some(other) => return Err(format!("its artifact type is {other:?}, expected {:?}", media_type::PACK)),
        None => return Err(format!("it has no artifact type, expected {:?}", media_type::PACK)),
    }
    if manifest.layers.len() > MAX_FILES {
        return Err(format!("it has more than {MAX_FILES} files"));
    }
    let total = manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    if total > MAX_BYTES {
        return Err(format!("its files have {total} bytes, more than {} GiB", MAX_BYTES >> 30));
    }
    let mut files = Vec::new();
    for layer in &manifest.layers {
        let title = layer.annotation(TITLE).ok_or_else(|| format!("{} in it has no {TITLE}", layer.digest))?;
        check(title)?;
        if layer.annotation(UNPACK) == Some("true") {
            return Err(format!(
                "{title:?} in it is a packed folder; push each file by itself, as `carrack pack push` does"
            ));
        }
        files.push((title, layer));
    }
    check_clashes(files.iter().map(|(title, _)| *title))?;
    if files.iter().all(|(title, _)| *title != PACK_FILE_NAME) {
        return Err(format!("it has no {PACK_FILE_NAME}"));
    }
    Ok(files)
}

/// Checks that a path is relative, in its one plain spelling, and leads nowhere else.
pub(super) fn check(title: &str) -> Result<(), String> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= MAX_NAME && part != FOLDER;
    let odd = |c: char| c == '\\' || c.is_control();
    if title.len() > MAX_PATH || title.contains(odd) || !title.split('/').all(plain) {
        return Err(format!("the path {title:?} is not a plain one below the pack's folder"));
    }
    Ok(())
}

/// No path stands twice, and none is file and folder.
fn check_clashes<'t>(titles: impl Iterator<Item = &'t str>) -> Result<(), String> {
    let mut all = BTreeSet::new();
    for title in titles {
        if !all.insert(title) {
            return Err(format!("it has {title:?} twice"));
        }
    }
    for title in &all {
        let below = format!("{title}/");
        if let Some(inner) = all.range(&*below..).next().filter(|inner| inner.starts_with(&below)) {
            return Err(format!("it has {title:?} as a file and, for {inner:?}, as a folder"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Annotations;
    use proptest::prelude::*;

    fn manifest(titles: &[&str]) -> ImageManifest {
        let layer = |title: &&str| Descriptor {
            annotations: Annotations::from([(TITLE.to_owned(), (*title).to_owned())]),
            ..Descriptor::of(media_type::PACK_FILE, title.as_bytes())
        };
        ImageManifest {
            schema_version: 2,
            media_type: None,
            artifact_type: Some(media_type::PACK.to_owned()),
            config: Descriptor::of(media_type::EMPTY, b"{}"),
            layers: titles.iter().map(layer).collect(),
            annotations: Annotations::new(),
        }
    }

    fn refused(titles: &[&str]) -> String {
        files(&manifest(titles)).unwrap_err()
    }

    #[test]
    fn plain_paths_are_taken() {
        let titles = ["pack.yaml", "a/b.yaml", "a/c", "a.b", "chart/.helmignore", "ä/ö"];
        let found: Vec<_> = titles.to_vec();
        assert_eq!(files(&manifest(&titles)).unwrap().iter().map(|(title, _)| *title).collect::<Vec<_>>(), found);
    }

    #[test]
    fn hostile_paths_are_refused() {
        let long = "x".repeat(256);
        for title in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "a/", "a\\b", "a\nb", "a\0b", &long]
        {
            assert_eq!(
                refused(&["pack.yaml", title]),
                format!("the path {title:?} is not a plain one below the pack's folder")
            );
        }
        assert!(refused(&["pack.yaml", ".carrack/x"]).contains("plain"));
        assert_eq!(refused(&["pack.yaml", "a", "a"]), "it has \"a\" twice");
        let both = refused(&["pack.yaml", "a", "a!", "a/b"]);
        assert_eq!(both, "it has \"a\" as a file and, for \"a/b\", as a folder");
        assert_eq!(refused(&["a"]), "it has no pack.yaml");
    }

    #[test]
    fn what_is_no_pack_is_refused() {
        let mut image = manifest(&["pack.yaml"]);
        image.artifact_type = None;
        assert!(files(&image).unwrap_err().starts_with("it has no artifact type"));
        let mut large = manifest(&["pack.yaml"]);
        large.layers[0].size = MAX_BYTES + 1;
        assert!(files(&large).unwrap_err().ends_with("more than 8 GiB"));
        let mut packed = manifest(&["pack.yaml", "folder"]);
        packed.layers[1].annotations.insert(UNPACK.to_owned(), "true".to_owned());
        assert!(files(&packed).unwrap_err().contains("packed folder"));
        packed.layers[1].annotations.clear();
        assert!(files(&packed).unwrap_err().contains("has no org.opencontainers.image.title"));
        let many: Vec<String> = (0..=MAX_FILES).map(|index| index.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(refused(&many), "it has more than 10000 files");
    }

    proptest! {
        #[test]
        fn any_title_stays_inside_or_is_refused(title in "[a./\\\\ \\x00-\\x1f-]{0,12}|\\PC{0,20}") {
            if check(&title).is_ok() {
                let path = std::path::Path::new("/pack").join(&title);
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::RootDir)));
                prop_assert_eq!(path, std::path::PathBuf::from(format!("/pack/{title}")));
            }
        }
    }
}
