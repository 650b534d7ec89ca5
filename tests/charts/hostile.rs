//! Packages that mean harm: refused before helm sees them, and nothing of them is written anywhere.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::EntryType;

use super::shop::{Shop, refused, says};

fn header(path: &str, kind: EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    // As the bytes that they are: the library itself would refuse `..`.
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header
}

/// A package of a chart and one more entry.
fn package(path: &str, kind: EntryType, link: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let chart = b"apiVersion: v2\nname: shop\nversion: 1.2.3\n";
    builder.append(&header("shop/Chart.yaml", EntryType::Regular, chart.len() as u64), &chart[..]).unwrap();
    let content: &[u8] = if kind == EntryType::Regular { b"x" } else { b"" };
    let mut header = header(path, kind, content.len() as u64);
    if !link.is_empty() {
        header.set_link_name(link).unwrap();
        header.set_cksum();
    }
    builder.append(&header, content).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

/// A package that is small and unpacks to `files` of 5 MiB.
fn bomb(files: u64) -> Vec<u8> {
    let zeros = vec![0; 5 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for index in 0..files {
        encoder.write_all(header(&format!("shop/{index}"), EntryType::Regular, zeros.len() as u64).as_bytes()).unwrap();
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn what_would_leave_its_folder_or_unpack_without_end_is_refused() {
    let file = EntryType::Regular;
    let large = vec![0; (5 << 20) + 1];
    let mut one = GzEncoder::new(Vec::new(), Compression::fast());
    one.write_all(header("shop/x", file, large.len() as u64).as_bytes()).unwrap();
    one.write_all(&large).unwrap();
    for (package, reason) in [
        (package("shop/../../canary", file, ""), "\"shop/../../canary\" in it leads out of its folder"),
        (package("/canary", file, ""), "\"/canary\" in it leads out of its folder"),
        (package("shop/templates/x.yaml", EntryType::Symlink, "/etc/passwd"), "has a link, \"shop/templates/x.yaml\""),
        (package("shop/x", EntryType::Link, "shop/Chart.yaml"), "has a link, \"shop/x\""),
        (package("shop/x", EntryType::Fifo, ""), "\"shop/x\" in it is no file"),
        (package("other/x", file, ""), "more than one folder at its top"),
        (one.finish().unwrap(), "\"shop/x\" in it is larger than 5 MiB"),
        (bomb(21), "it unpacks to more than 100 MiB"),
        (b"no package".to_vec(), "it is no .tgz package"),
        (Vec::new(), "it is no .tgz package"),
    ] {
        let shop = Shop::chart("[]", &[]);
        fs::remove_dir_all(shop.sandbox.work().join("shop")).unwrap();
        shop.sandbox.write("shop", package);
        let said = refused(shop.sandbox.carrack(&["images", "."]));
        says(&said, &["shop is not a chart that can be used", reason]);
        let left: Vec<_> = fs::read_dir(shop.sandbox.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name == "canary"), "{left:?}");
    }
}

#[test]
fn a_folder_with_a_link_out_of_it_is_refused() {
    let shop = Shop::chart("[]", &[]);
    symlink("/etc/passwd", shop.sandbox.work().join("shop/values.yaml")).unwrap();
    let said = refused(shop.sandbox.carrack(&["images", "."]));
    says(&said, &["shop is not a chart that can be used: the link values.yaml leads out of it"]);
}

/// Helm loads what a schema refers to, and its messages repeat what it found there.
#[test]
fn schemas_that_refer_out_of_their_chart_are_refused_before_helm() {
    let schema = |reference: &str| format!("{{\"properties\": {{\"a\": {{\"$ref\": \"{reference}\"}}}}}}");
    let packed = |schema: &str| {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, text) in
            [("sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n"), ("sub/values.schema.json", schema)]
        {
            builder.append(&header(path, EntryType::Regular, text.len() as u64), text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    };
    for reference in
        ["http://127.0.0.1:9/x.json", "file:///etc/passwd", "file:///root/.docker/config.json#/auths", "x.json"]
    {
        let text = schema(reference);
        let reason = format!("values.schema.json refers to $ref \"{reference}\", and helm would load that");
        for (path, content, place) in [
            ("values.schema.json", text.clone().into_bytes(), String::new()),
            ("charts/sub/values.schema.json", text.clone().into_bytes(), "charts/sub: ".to_owned()),
            ("charts/sub-1.0.0.tgz", packed(&text), "charts/sub-1.0.0.tgz: ".to_owned()),
        ] {
            let shop = Shop::chart("[]", &[]);
            shop.sandbox.write("shop/charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n");
            shop.sandbox.write(&format!("shop/{path}"), content);
            // Whatever is called helm is not run: it would say so.
            let helm = super::shop::script(&shop.sandbox, "touch was-run; echo v3.1");
            for command in [&["check", "."][..], &["images", "."], &["lock", "."], &["build", ".", "-o", "out"]] {
                let said = shop.carrack(&helm, command);
                assert_eq!(said.code, 10, "{command:?}: {}", said.stderr);
                says(&said.stderr, &[&format!("shop is not a chart that can be used: {place}{reason}")]);
            }
        }
    }
}
