//! Memory has a bound that does not depend on what a bundle says: what is valid stays below it, and the rest is refused.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use carrack::bundle::{BundlePlan, ImageParts, ManifestParts, PartialBundle, Parts, ResolvedProfile, compose};
use carrack::oci::{Descriptor, Digest, ImageManifest, Platform, media_type};
use serde_json::{Value, json};

use super::common::{Ran, Sandbox};
use super::forge::{Draft, Entry, MANIFEST, descriptor, write};
use super::{assert_refused, install};

/// What a command may take for any valid bundle of ten thousand images, in MiB. The code of a debug build alone takes more
/// than ten of these, and is not what is shipped.
const MOST: f64 = if cfg!(debug_assertions) { 112.0 } else { 96.0 };
const IMAGES: usize = 10_000;
/// Layers of an image that it shares with others, and of its own.
const SHARED: usize = 6;
const OWN: usize = 2;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The most memory that a run has held, in MiB, as `--verbose` says.
#[track_caller]
fn peak(ran: &Ran) -> f64 {
    let words: Vec<&str> = ran.stderr.split_whitespace().collect();
    let at = words.windows(3).position(|three| three == ["of", "memory", "at"]);
    let at = at.unwrap_or_else(|| panic!("no peak in {}", ran.stderr));
    let factor = match words[at - 1] {
        "KiB" => 1.0 / 1024.0,
        "MiB" => 1.0,
        "GiB" => 1024.0,
        other => panic!("{other}"),
    };
    words[at - 2].replace(',', "").parse::<f64>().unwrap() * factor
}

#[track_caller]
fn within_bounds(what: &str, ran: &Ran) {
    let peak = peak(ran);
    assert!(peak <= MOST, "{what} took {peak} MiB");
}

/// Writes a bundle of many images, with documents as large as those of real ones, some layers shared.
fn write_large(path: &Path) {
    let here = Platform::of_this_machine();
    let layer = |text: String| {
        let content = text.into_bytes();
        (Descriptor::of("application/vnd.oci.image.layer.v1.tar+gzip", &content), content)
    };
    let shared: Vec<_> = (0..200).map(|number| layer(format!("shared layer {number}"))).collect();
    let mut contents = std::collections::HashMap::new();
    contents.extend(shared.iter().map(|(layer, content)| (layer.digest, content.clone())));
    let mut image = |number: usize| {
        let own = (0..OWN).map(|at| layer(format!("layer {at} of image {number}")));
        let own: Vec<_> =
            own.inspect(|(layer, content)| drop(contents.insert(layer.digest, content.clone()))).collect();
        let below = (0..SHARED).map(|at| shared[(number * 7 + at * 31) % shared.len()].0.clone());
        let layers: Vec<Descriptor> = below.chain(own.into_iter().map(|(layer, _)| layer)).collect();
        let history: Vec<Value> = (0..20)
            .map(|at| json!({"created": "2026-01-01T00:00:00Z", "created_by": format!("RUN step {at} of {number}, {}", "x".repeat(90))}))
            .collect();
        let config = json!({
            "os": here.os, "architecture": here.architecture, "history": history,
            "config": {"Labels": {"org.opencontainers.image.title": format!("image {number}")}},
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| layer.digest).collect::<Vec<_>>()},
        });
        let config = config.to_string().into_bytes();
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            artifact_type: None,
            config: Descriptor::of(media_type::IMAGE_CONFIG, &config),
            layers,
            annotations: [("org.opencontainers.image.description".to_owned(), "y".repeat(200))].into(),
        };
        let raw = serde_json::to_vec(&manifest).unwrap();
        let listed = |platform: &str, digest: Digest| {
            json!({"mediaType": MANIFEST, "digest": digest, "size": raw.len(), "platform": platform_json(platform),
                   "annotations": {"com.docker.official-images.bashbrew.arch": platform}})
        };
        let others = ["linux/s390x", "linux/ppc64le", "linux/riscv64", "linux/arm/v7"];
        let others = others.iter().map(|name| listed(name, Digest::of(format!("{name} of {number}").as_bytes())));
        let listed: Vec<Value> = others.chain([listed(&here.to_string(), Digest::of(&raw))]).collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).to_string().into_bytes();
        ImageParts {
            reference: format!("registry.example.org/department-{}/application-{number}:1.{number}.0", number % 50)
                .parse()
                .unwrap(),
            target: Descriptor::of(INDEX, &index),
            platforms: vec![],
            indexes: vec![index],
            manifests: vec![ManifestParts { raw, manifest, config }],
        }
    };
    let parts = Parts {
        profile: ResolvedProfile {
            name: "large".to_owned(),
            version: "1.0.0".to_owned(),
            platforms: vec![here.clone()],
            ..Default::default()
        },
        created: None,
        requires_installer: "0.1.0".to_owned(),
        files: Vec::new(),
        manifests: Vec::new(),
        charts: Vec::new(),
        config: None,
        images: (0..IMAGES).map(&mut image).collect(),
    };
    let plan = BundlePlan::new(&compose(&parts).unwrap()).unwrap();
    let partial = PartialBundle::open(&carrack::io::Place::of(path).unwrap(), &plan).unwrap();
    for place in &plan.stored {
        let mut blob = partial.stored(place).unwrap();
        blob.push(&contents[&place.digest]).unwrap();
        blob.finish().unwrap();
    }
    partial.commit(&plan, &[]).unwrap();
}

fn platform_json(name: &str) -> Value {
    let platform: Platform = name.parse().unwrap();
    json!(platform)
}

#[test]
fn ten_thousand_images_take_little() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("root")).unwrap();
    write_large(&sandbox.work().join("bundle"));
    let mut peaks = Vec::new();
    for (what, ran) in [
        ("inspect", sandbox.carrack(&["-v", "inspect", "bundle"])),
        ("verify", sandbox.carrack(&["-v", "verify", "bundle"])),
        ("plan", install(&sandbox, &["-v", "plan", "bundle", "--root", "root", "--runtime", "none"])),
        ("apply", install(&sandbox, &["-v", "apply", "bundle", "--root", "root", "--runtime", "k3s", "--yes"])),
        ("apply again", install(&sandbox, &["-v", "apply", "bundle", "--root", "root", "--runtime", "k3s", "--yes"])),
    ] {
        assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
        peaks.push((what, peak(&ran)));
    }
    assert!(peaks.iter().all(|(_, peak)| *peak <= MOST), "{peaks:?}");
    let archive = sandbox.work().join("root/var/lib/rancher/k3s/agent/images/large-1.0.0.tar.zst");
    let mut archive = tar::Archive::new(zstd::Decoder::new(fs::File::open(archive).unwrap()).unwrap());
    let blobs = archive.entries().unwrap().count();
    assert_eq!(blobs, 2 + IMAGES * (2 + OWN) + 200, "manifests, configurations, layers, index and version");
}

/// A draft with images that are these documents.
fn with_documents(documents: Vec<Vec<u8>>) -> Vec<u8> {
    let mut draft = Draft::new();
    draft.more = documents.iter().map(|document| descriptor(INDEX, document)).collect();
    for (number, image) in draft.more.iter_mut().enumerate() {
        image["annotations"] = json!({"io.containerd.image.name": format!("quay.io/a/b{number}:1")});
    }
    let mut entries = draft.entries();
    entries.splice(4..4, documents.into_iter().map(Entry::blob));
    write(&entries)
}

/// Both sides refuse it, below the bound.
#[track_caller]
fn refused(what: &str, bundle: &[u8], words: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("bundle", bundle);
    fs::create_dir(sandbox.work().join("root")).unwrap();
    for ran in
        [sandbox.carrack(&["-v", "inspect", "bundle"]), install(&sandbox, &["-v", "plan", "bundle", "--root", "root"])]
    {
        assert_refused(&ran, 30, words);
        within_bounds(what, &ran);
    }
}

/// What a few kilobytes decode to does not fill the memory: each of these took gigabytes, or could.
#[test]
fn documents_of_many_tiny_parts_are_refused() {
    const SIZE: usize = 4 << 20;
    let fill = |begin: &str, end: &str, part: &dyn Fn(usize) -> String| -> Vec<u8> {
        let mut text = begin.to_owned();
        for number in 0.. {
            let part = part(number);
            if text.len() + part.len() + end.len() + 1 > SIZE {
                break;
            }
            text.push_str(if number == 0 { "" } else { "," });
            text.push_str(&part);
        }
        (text + end).into_bytes()
    };
    let index = |number: usize, rest: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","n":{number},{rest}"#);
    let annotation = |number: usize| format!("\"{number:x}\":\"\"");
    let document = |begin: &str, end: &str, part: &dyn Fn(usize) -> String| -> Vec<Vec<u8>> {
        (0..2).map(|number| fill(&index(number, begin), end, part)).collect()
    };
    let child = |number: usize| {
        let digest = format!("sha256:{number:064x}");
        format!(r#"{{"mediaType":"","digest":"{digest}","size":0}}"#)
    };
    refused(
        "children",
        &with_documents(document("\"manifests\":[", "]}", &child)),
        &["manifest sha256:", "more than 1024"],
    );
    let one = format!(r#""manifests":[{{"mediaType":"","digest":"{}","size":0,"annotations":{{"#, Digest::of(b""));
    refused("annotations", &with_documents(document(&one, "}}]}", &annotation)), &["manifest sha256:", "annotations"]);
    // The annotations of an index itself mean nothing, and are skipped.
    let skipped = with_documents(document("\"manifests\":[],\"annotations\":{", "}}", &annotation));
    refused("skipped annotations", &skipped, &["none of its manifests"]);
    let nested = [index(0, "\"x\":").into_bytes(), b"[".repeat(1 << 20), b"]".repeat(1 << 20), b"}".to_vec()].concat();
    refused("nesting", &with_documents(vec![nested]), &["none of its manifests"]);

    let mut draft = Draft::new();
    let annotations: serde_json::Map<String, Value> = (0..400_000).map(|n| (format!("{n:x}"), json!(""))).collect();
    draft.more = vec![json!({"mediaType": "", "digest": Digest::of(b""), "size": 0, "annotations": annotations})];
    refused("annotations of the index", &draft.write(), &["index.json", "annotations"]);
    let mut draft = Draft::new();
    draft.more = (0..40_000).map(|_| json!({"mediaType": "", "digest": Digest::of(b""), "size": 0})).collect();
    refused("names", &draft.write(), &["index.json", "more than 32768"]);
    for (field, value) in [
        ("packs", json!(vec![json!({"name": "a", "layer": "addon", "images": []}); 90_000])),
        ("packs", json!([{"name": "a", "layer": "addon", "images": vec!["docker.io/library/a:1"; 150_000]}])),
        ("packs", json!([{"name": "a", "layer": "addon", "images": [], "services": vec!["a.service"; 300_000]}])),
        ("variables", json!(vec![json!({"name": "a"}); 200_000])),
        ("ignoreImages", json!(vec!["a"; 900_000])),
        ("platforms", json!(vec![json!({"os": "a", "architecture": "b"}); 100_000])),
    ] {
        let mut draft = Draft::new();
        draft.profile[field] = value;
        refused(field, &draft.write(), &["its profile cannot be read", "more than"]);
    }
    let mut draft = Draft::new();
    draft.profile["packs"] = json!([{"name": "a", "layer": "addon", "images": vec!["a"; 1000]}]);
    refused("short references", &draft.write(), &["not in its full form"]);
    let mut draft = Draft::new();
    let mut layer = descriptor(super::forge::HOST_FILE, &draft.content);
    layer["annotations"] = json!({"a": ""});
    draft.layers = Some(vec![layer; 17_000]);
    refused("host files", &draft.write(), &["more than 16384"]);
}

/// Images that share a document count for what it names, each time.
#[test]
fn shared_documents_count_for_each_image() {
    let mut draft = Draft::new();
    let config = br#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[]}}"#.to_vec();
    let layer = json!({"mediaType": "l", "digest": Digest::of(&draft.content), "size": draft.content.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(media_type::IMAGE_CONFIG, &config),
        "layers": vec![layer; 1000],
    });
    let manifest = manifest.to_string().into_bytes();
    draft.more = (0..20_000)
        .map(|number| {
            let mut image = descriptor(MANIFEST, &manifest);
            image["annotations"] = json!({"io.containerd.image.name": format!("quay.io/a/b{number}:1")});
            image
        })
        .collect();
    let mut entries = draft.entries();
    entries.splice(4..4, [Entry::blob(manifest), Entry::blob(config)]);
    refused("shared documents", &write(&entries), &["more than 400000"]);
}

/// Sixteen million frames of a sparse file, which are 128 MiB of table.
#[test]
fn a_seek_table_is_not_read_into_memory() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("bundle", "");
    let (file, count) = (fs::File::options().write(true).open(&path).unwrap(), 16_u32 << 20);
    let entries = u64::from(count) * 8;
    let head = [0x184d_2a5e_u32.to_le_bytes(), ((entries + 9) as u32).to_le_bytes()].concat();
    let foot = [&count.to_le_bytes()[..], &[0], &0x8f92_eab1_u32.to_le_bytes()].concat();
    file.write_all_at(&head, 0).unwrap();
    file.write_all_at(&foot, 8 + entries).unwrap();
    let ran = sandbox.carrack(&["-v", "verify", "bundle"]);
    assert_refused(&ran, 30, &["seek table", "a size that no bundle has"]);
    within_bounds("zeros", &ran);
    // Entries that could be: raw frames of a byte, in a file as long as they say.
    let piece: Vec<u8> = std::iter::repeat_n([14, 0, 0, 0, 1, 0, 0, 0], 1 << 16).flatten().collect();
    let begin = u64::from(count) * 14;
    file.write_all_at(&head, begin).unwrap();
    for number in 0..u64::from(count >> 16) {
        file.write_all_at(&piece, begin + 8 + number * piece.len() as u64).unwrap();
    }
    file.write_all_at(&foot, begin + 8 + entries).unwrap();
    let ran = sandbox.carrack(&["-v", "verify", "bundle"]);
    assert_refused(&ran, 30, &["bundle"]);
    within_bounds("frames", &ran);
}
