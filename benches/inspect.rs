//! How long opening a bundle takes and how much it reads, whatever the bundle's size: `cargo bench --bench inspect`.
//!
//! The bundle is as large as stated, with holes where layers would be: opening reads the head and the seek table alone.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails on any error")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use carrack::bundle::{Bundle, BundlePlan, ImageParts, ManifestParts, PartialBundle, Parts, ResolvedProfile, compose};
use carrack::io::Place;
use carrack::oci::{Descriptor, Digest, ImageManifest, media_type};

const LAYERS: u64 = 8;

fn main() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    println!("| bundle | images | seek table and head | read in all | beyond them | median of 25 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    // `cargo test` runs this too, to see that it works, and without --bench.
    let all = std::env::args().any(|argument| argument == "--bench");
    let sizes: &[(u64, u64)] = if all { &[(1_000, 10), (20_000, 200), (40_000, 200)] } else { &[(10, 10)] };
    for &(megabytes, images) in sizes {
        let path = folder.path().join(format!("{megabytes}.tar.zst"));
        let head = write(&path, megabytes * 1_000_000, images);
        let size = fs::metadata(&path).unwrap().len();
        let mut times = Vec::new();
        let before = bytes_read();
        for _ in 0..25 {
            let start = Instant::now();
            let bundle = Bundle::open(&path).unwrap();
            assert_eq!(bundle.contents().images.len() as u64, images);
            times.push(start.elapsed());
        }
        times.sort();
        let (read, table) = ((bytes_read() - before) / 25, seek_table(&path));
        println!(
            "| {:.1} GB | {images} | {} KiB | {} KiB | {} KiB | {:.1} ms |",
            size as f64 / 1e9,
            (head + table) / 1024,
            read / 1024,
            read.saturating_sub(head + table) / 1024,
            times[12].as_secs_f64() * 1000.0
        );
        fs::remove_file(path).unwrap();
    }
}

/// Writes a bundle whose stored blobs are holes; returns the length of its head.
fn write(path: &Path, bytes: u64, images: u64) -> u64 {
    let layer_size = bytes / images / LAYERS;
    let image = |number: u64| {
        let config = format!(r#"{{"os":"linux","architecture":"amd64","n":{number},"rootfs":{{"diff_ids":[]}}}}"#);
        let layer = |layer: u64| {
            let digest = Digest::of(format!("{number}.{layer}").as_bytes());
            Descriptor::new("application/vnd.oci.image.layer.v1.tar+gzip", digest, layer_size)
        };
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            artifact_type: None,
            config: Descriptor::of(media_type::IMAGE_CONFIG, config.as_bytes()),
            layers: (0..LAYERS).map(layer).collect(),
            annotations: Default::default(),
        };
        let raw = serde_json::to_vec(&manifest).unwrap();
        ImageParts {
            reference: format!("registry.example.org/app/image-{number}:1").parse().unwrap(),
            target: Descriptor::of(media_type::IMAGE_MANIFEST, &raw),
            platforms: vec![],
            indexes: Vec::new(),
            manifests: vec![ManifestParts { raw, manifest, config: config.into_bytes() }],
        }
    };
    let parts = Parts {
        profile: ResolvedProfile {
            name: "large".to_owned(),
            version: "1.0.0".to_owned(),
            platforms: vec!["linux/amd64".parse().unwrap()],
            ..Default::default()
        },
        created: None,
        requires_installer: "0.1.0".to_owned(),
        files: Vec::new(),
        manifests: Vec::new(),
        charts: Vec::new(),
        config: None,
        images: (0..images).map(image).collect(),
    };
    let plan = BundlePlan::new(&compose(&parts).unwrap()).unwrap();
    let partial = PartialBundle::open(&Place::of(path).unwrap(), &plan).unwrap();
    partial.commit(&plan, &[]).unwrap();
    plan.head_length()
}

/// Length of the seek table, as its footer tells.
fn seek_table(path: &Path) -> u64 {
    use std::os::unix::fs::FileExt;
    let file = fs::File::open(path).unwrap();
    let mut count = [0; 4];
    file.read_exact_at(&mut count, file.metadata().unwrap().len() - 9).unwrap();
    17 + 8 * u64::from(u32::from_le_bytes(count))
}

/// Bytes that this process has read so far, by the kernel's account.
fn bytes_read() -> u64 {
    let account = fs::read_to_string("/proc/self/io").unwrap();
    account.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}
