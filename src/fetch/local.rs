//! Files: local ones are hashed while planning, so that their place and digest are known before anything is packed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::web::Web;
use super::{FetchError, Source, charts};
use crate::bundle::{FileContent, HostFile, ManifestFile};
use crate::io::AtPath;
use crate::oci::{Descriptor, Digest, Digester, media_type};
use crate::profile::{FileOrigin, FileSource, Profile};
use crate::variables::template::Around;

/// A file up to this size goes to the head, where it costs no seek and no frame of its own.
pub(super) const INLINE_BYTES: usize = 256 << 10;

type Files = Vec<(HostFile, FileContent)>;
type Manifests = Vec<(ManifestFile, FileContent)>;

/// Reads every local file of the profile once, and small ones of web servers. Large ones are added to `sources`.
pub(super) async fn read(
    profile: &Profile,
    web: &Web<'_>,
    sources: &mut HashMap<Digest, Source>,
) -> Result<(Files, Manifests), FetchError> {
    let (mut files, mut manifests) = (Vec::new(), Vec::new());
    for pack in &profile.packs {
        for source in &pack.files {
            let (blob, content) = match &source.source {
                FileOrigin::Local(path) => {
                    let described = describe(path, media_type::HOST_FILE, sources)?;
                    check_digest(path, source, described.0.digest)?;
                    described
                }
                FileOrigin::Url { url, sha256 } => web.describe(url, *sha256, sources).await?,
            };
            let file = HostFile {
                blob,
                pack: pack.name.clone(),
                path: source.path.clone(),
                mode: source.mode,
                owner: source.owner.clone(),
                platform: source.platform.clone(),
                template: is_template(source, profile)?,
            };
            files.push((file, content));
        }
        for path in &pack.manifests {
            let (blob, content) = describe(path, media_type::KUBERNETES_MANIFEST, sources)?;
            // Unique within the pack: the profile is refused otherwise.
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let template = charts::is_template(path, Around::Yaml, &profile.variables)?;
            manifests.push((ManifestFile { blob, pack: pack.name.clone(), name, template }, content));
        }
    }
    Ok((files, manifests))
}

/// A file of a web server is none: the profile is refused otherwise.
fn is_template(source: &FileSource, profile: &Profile) -> Result<bool, FetchError> {
    match source.source.local() {
        Some(path) if source.template => charts::is_template(path, Around::Plain, &profile.variables),
        _ => Ok(false),
    }
}

fn check_digest(path: &Path, source: &FileSource, got: Digest) -> Result<(), FetchError> {
    match source.sha256 {
        Some(want) if want != got => Err(FetchError::FileDigest { path: path.to_owned(), got, want }),
        _ => Ok(()),
    }
}

pub(super) fn describe(
    path: &Path,
    media_type: &str,
    sources: &mut HashMap<Digest, Source>,
) -> Result<(Descriptor, FileContent), FetchError> {
    let mut file = File::open(path).at("open", path)?;
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(INLINE_BYTES as u64 + 1).read_to_end(&mut start).at("read", path)?;
    if start.len() <= INLINE_BYTES {
        return Ok((Descriptor::of(media_type, &start), FileContent::Inline(start)));
    }
    let (mut digester, mut size, mut buffer) = (Digester::new(), start.len() as u64, vec![0; 1 << 20]);
    digester.update(&start);
    loop {
        let count = file.read(&mut buffer).at("read", path)?;
        if count == 0 {
            break;
        }
        digester.update(&buffer[..count]);
        size += count as u64;
    }
    let digest = digester.finish();
    sources.insert(digest, Source::File(path.to_owned()));
    let compressed = media_type::begins_compressed(&start);
    let content = if compressed { FileContent::Stored } else { FileContent::Tail };
    Ok((Descriptor::new(media_type, digest, size), content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_and_the_size_decide_where_a_file_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut large = vec![b'a'; INLINE_BYTES + 1];
        for (name, content, expected) in [
            ("small", b"x".to_vec(), "Inline"),
            ("plain", large.clone(), "Tail"),
            (
                "gzip",
                {
                    large[..2].copy_from_slice(&[0x1f, 0x8b]);
                    large.clone()
                },
                "Stored",
            ),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, &content).unwrap();
            let (blob, place) = describe(&path, media_type::HOST_FILE, &mut HashMap::new()).unwrap();
            assert!(format!("{place:?}").starts_with(expected), "{name}");
            assert_eq!(blob, Descriptor::of(media_type::HOST_FILE, &content));
        }
    }
}
