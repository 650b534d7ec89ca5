//! The bundle format, written and read back without network or host: what comes out is what went in, whatever the order
//! in which blobs were written. What becomes of a bundle that was damaged since is told in tests/damage.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use carrack::bundle::{
    Bundle, BundleError, BundlePlan, FileContent, HostFile, ImageParts, ManifestParts, PartialBundle, Parts,
    ResolvedProfile, compose,
};
use carrack::io::Place;
use carrack::oci::{Descriptor, Digest, ImageManifest, media_type};
use carrack::progress::Progress;
use carrack::trust;

/// Bytes that do not compress, different for each seed.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(count)
    .collect()
}

struct Sample {
    parts: Parts,
    blobs: Vec<Vec<u8>>,
}

/// An image with a stored layer and an uncompressed one, and a small, a large and a compressed host file.
fn sample(layer_bytes: usize, tail_bytes: usize) -> Sample {
    let gzip = noise(1, layer_bytes);
    let plain: Vec<u8> = (0..tail_bytes).map(|i| (i / 97 % 251) as u8).collect();
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::of(media_type::IMAGE_CONFIG, &config),
        layers: vec![
            Descriptor::of("application/vnd.oci.image.layer.v1.tar+gzip", &gzip),
            Descriptor::of("application/vnd.oci.image.layer.v1.tar", &plain),
        ],
        annotations: Default::default(),
    };
    let raw = serde_json::to_vec(&manifest).unwrap();
    let target = Descriptor::of(media_type::IMAGE_MANIFEST, &raw);
    let host_file = |path: &str, content: &[u8]| HostFile {
        blob: Descriptor::of(media_type::HOST_FILE, content),
        pack: "base".to_owned(),
        path: path.to_owned(),
        mode: 0o755,
        owner: None,
        platform: None,
        template: false,
    };
    let (small, packed) = (b"#!/bin/sh\n".to_vec(), noise(2, 3000));
    let profile = ResolvedProfile {
        name: "sample".to_owned(),
        version: "1.0.0".to_owned(),
        platforms: vec!["linux/amd64".parse().unwrap()],
        ..Default::default()
    };
    let image = ImageParts {
        reference: "example.org/app:1".parse().unwrap(),
        target,
        platforms: vec![],
        indexes: Vec::new(),
        manifests: vec![ManifestParts { raw, manifest, config }],
    };
    let files = vec![
        (host_file("/usr/local/bin/tool", &small), FileContent::Inline(small)),
        (host_file("/opt/archive", &packed), FileContent::Stored),
    ];
    let parts = Parts {
        profile,
        created: None,
        requires_installer: "0.1.0".to_owned(),
        files,
        manifests: Vec::new(),
        charts: Vec::new(),
        config: None,
        images: vec![image],
    };
    Sample { parts, blobs: vec![gzip, plain, packed] }
}

fn plan(sample: &Sample) -> BundlePlan {
    BundlePlan::new(&compose(&sample.parts).unwrap()).unwrap()
}

fn content<'a>(sample: &'a Sample, digest: &Digest) -> &'a [u8] {
    sample.blobs.iter().find(|blob| Digest::of(blob) == *digest).unwrap()
}

fn write(target: &Path, sample: &Sample) -> u64 {
    let plan = plan(sample);
    let partial = PartialBundle::open(&Place::of(target).unwrap(), &plan).unwrap();
    // Backwards, because the order of writing must not matter.
    for place in plan.stored.iter().rev() {
        let mut blob = partial.stored(place).unwrap();
        let rest = &content(sample, &place.digest)[blob.position() as usize..];
        rest.chunks(70_001).for_each(|chunk| blob.push(chunk).unwrap());
        blob.finish().unwrap();
    }
    let mut tail = partial.tail(&plan, 3);
    while let Some(mut blob) = tail.next_blob().unwrap() {
        let mut rest = &content(sample, &blob.place().digest)[blob.position() as usize..];
        blob.put(&mut rest, |_| {}).unwrap();
    }
    let frames = tail.finish();
    partial.commit(&plan, &frames).unwrap()
}

fn written(layer_bytes: usize, tail_bytes: usize) -> (tempfile::TempDir, PathBuf, Sample) {
    let folder = tempfile::tempdir().unwrap();
    let (target, sample) = (folder.path().join("sample.tar.zst"), sample(layer_bytes, tail_bytes));
    write(&target, &sample);
    (folder, target, sample)
}

fn check(path: &Path) -> Result<(), BundleError> {
    let trusted = trust::establish(path)?;
    trusted.verify(1, &Progress::default()).into_iter().next().map_or(Ok(()), Err)
}

#[test]
fn reads_back_what_was_written() {
    let (_folder, path, sample) = written(9_000_000, 5_000_000);
    check(&path).unwrap();
    let trusted = trust::establish(&path).unwrap();
    assert_eq!(trusted.blobs().len(), 8);
    for blob in &sample.blobs {
        let mut read = Vec::new();
        trusted.open(&Digest::of(blob)).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == *blob);
    }
    let contents = trusted.contents();
    assert_eq!(contents.profile, sample.parts.profile);
    assert_eq!(contents.files[0].path, "/usr/local/bin/tool");
    let manifest = &sample.parts.images[0].manifests[0].raw;
    assert_eq!(contents.images[0].manifests[0].manifest.digest, Digest::of(manifest));
}

#[test]
fn is_one_zstd_stream_of_one_tar_archive() {
    let (_folder, path, _) = written(200_000, 100_000);
    let archive = zstd::stream::decode_all(fs::File::open(&path).unwrap()).unwrap();
    let mut reader = tar::Archive::new(archive.as_slice());
    let names: Vec<String> =
        reader.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(names[..2], ["oci-layout", "index.json"]);
    assert_eq!(names.len(), 10);
}

#[test]
fn an_interrupted_build_gives_the_same_bytes() {
    let (_folder, path, sample) = written(9_000_000, 9_000_000);
    let whole = fs::read(&path).unwrap();
    let partial = path.with_file_name("sample.tar.zst.partial");
    for cut in (0..whole.len()).step_by(whole.len() / 23) {
        // What a kill leaves: whole up to a point, and holes after it.
        let mut left = whole[..cut].to_vec();
        left.resize(whole.len() - whole.len() / 7, 0);
        fs::write(&partial, &left).unwrap();
        write(&path, &sample);
        assert!(fs::read(&path).unwrap() == whole, "cut at {cut}");
        assert!(!partial.exists());
    }
}

#[test]
fn opening_reads_the_head_alone() {
    let (_folder, path, _) = written(9_000_000, 5_000_000);
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(bundle.contents().profile.name, "sample");
    // Profile, its content, manifest, configuration, and the first file at which the walk stopped.
    assert_eq!(bundle.blobs().len(), 5);
}

#[test]
fn what_a_later_installer_understands_is_not_called_damage() {
    let folder = tempfile::tempdir().unwrap();
    for (version, expected) in [("9.0.0", "needs carrack-install 9.0.0 or later"), ("0.1.0", "is damaged")] {
        let (target, mut sample) = (folder.path().join("sample.tar.zst"), sample(10_000, 10_000));
        sample.parts.requires_installer = version.to_owned();
        sample.parts.files[0].0.blob.media_type = "application/vnd.carrack.later.v1".to_owned();
        write(&target, &sample);
        let error = trust::establish(&target).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// Exit code 40 of every command that would do something with it, and nothing has changed; its bytes can be checked all the
/// same, where they say only what this installer understands.
#[cfg(feature = "installer")]
#[test]
fn a_bundle_of_a_later_installer_is_refused_before_anything_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, root) = (folder.path().join("sample.tar.zst"), folder.path().join("root"));
    fs::create_dir(&root).unwrap();
    for understood in [true, false] {
        let mut sample = sample(10_000, 10_000);
        sample.parts.requires_installer = "9.0.0".to_owned();
        if !understood {
            sample.parts.files[0].0.blob.media_type = "application/vnd.carrack.later.v1".to_owned();
        }
        write(&bundle, &sample);
        for command in ["verify", "preflight", "plan", "apply"] {
            let mut installer = std::process::Command::new(env!("CARGO_BIN_EXE_carrack-install"));
            installer.arg(command).arg(&bundle);
            if command != "verify" {
                installer.arg("--root").arg(&root).args(["--skip", "platform", "--skip", "installer"]);
            }
            let output = installer.output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
            // Preflight does as it is told; the others cannot.
            let may = understood && ["verify", "preflight"].contains(&command);
            assert_eq!(output.status.code(), Some(if may { 0 } else { 40 }), "{command}: {text}");
            assert!(may || text.contains("needs carrack-install 9.0.0 or later"), "{command}: {text}");
        }
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        fs::remove_file(&bundle).unwrap();
    }
}

/// A bundle of every format that was ever released stays readable; and the format, the order of blobs and libzstd's
/// encoding stay what they were, so that equal inputs give equal bytes on every machine and with every build of this version.
#[test]
fn the_first_format_is_read_and_still_written() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bundles/format-1.tar.zst");
    check(&fixture).unwrap();
    let identity = trust::establish(&fixture).unwrap().contents().identity;
    assert_eq!(identity.to_string(), "sha256:b57c14d69097c2124052d1cae8b1dfe6be088e3f9b18baadd5efd1f76c37b859");
    let (_folder, path, _) = written(3_000, 200_000);
    assert!(fs::read(path).unwrap() == fs::read(fixture).unwrap(), "the same inputs give other bytes");
}
