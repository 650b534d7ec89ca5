//! Files that are no bundles, and bundles that lie.

use std::fs;

use carrack::oci::Digest;
use serde_json::{Value, json};

use super::common::Sandbox;
use super::forge::{Draft, Entry, Frames, HOST_FILE, MANIFEST, descriptor, frames, gap, write};
use super::{assert_refused, install, json_error};

/// Both binaries refuse `bytes` with exit code 30 and these words, and nothing is installed.
#[track_caller]
fn refused(what: &str, bytes: &[u8], words: &[&str]) {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("root")).unwrap();
    sandbox.write("bundle", bytes);
    let words: Vec<&str> = words.iter().copied().chain(["bundle"]).collect();
    assert_refused(&sandbox.carrack(&["verify", "bundle"]), 30, &words);
    let apply = ["apply", "bundle", "--root", "root", "--yes"];
    assert_refused(&install(&sandbox, &apply), 30, &words);
    assert_eq!(fs::read_dir(sandbox.work().join("root")).unwrap().count(), 0, "{what}");
}

/// What `change` makes of a right bundle's entries is refused.
#[track_caller]
fn refused_entries(what: &str, words: &[&str], change: impl FnOnce(&mut Vec<Entry>)) {
    let mut entries = Draft::new().entries();
    change(&mut entries);
    refused(what, &write(&entries), words);
}

#[track_caller]
fn refused_draft(what: &str, words: &[&str], change: impl FnOnce(&mut Draft)) {
    let mut draft = Draft::new();
    change(&mut draft);
    refused(what, &draft.write(), words);
}

/// So that what is refused below is refused for what it lies about.
#[test]
fn a_forged_bundle_without_a_lie_is_accepted() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("root")).unwrap();
    sandbox.write("bundle", Draft::new().write());
    let verified = sandbox.carrack(&["verify", "bundle"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    let applied = install(&sandbox, &["apply", "bundle", "--root", "root", "--yes"]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_eq!(fs::read(sandbox.work().join("root/etc/forged")).unwrap(), Draft::new().content);
}

#[test]
fn what_is_no_bundle_is_told_so() {
    let not = "is not a complete Carrack bundle";
    refused("an empty file", b"", &[not, "too short"]);
    refused(
        "text",
        b"this is not a bundle, but it is long enough to have a footer",
        &["is not a Carrack bundle", "no zstd file with a seek table"],
    );
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    archive.append_data(&mut header, "file", &b"hello"[..]).unwrap();
    let archive = archive.into_inner().unwrap();
    refused("a plain archive", &zstd::encode_all(archive.as_slice(), 1).unwrap(), &[not, "no seek table"]);
    let mut one = Frames::default();
    one.packed(&archive);
    refused("a seekable archive in one frame", &one.finish(), &["header 1"]);
    let mut none = Frames::default();
    none.packed(b"no archive");
    refused("a seekable file that is no archive", &none.finish(), &["header 1"]);
    refused("no frame at all", &Frames::default().finish(), &["the archive has no end"]);
    refused("an archive of something else", &write(&[Entry::new("file", "hello")]), &[not, "OCI image layout"]);
    refused_draft("a layout that others made", &[not, "not one that Carrack made"], |draft| {
        draft.artifact_type = "application/x".to_owned();
    });
    refused_entries("another version of the layout", &[not, "unknown version"], |entries| {
        entries[0] = Entry::new("oci-layout", *br#"{"imageLayoutVersion":"2.0.0"}"#);
    });
    refused_entries("a layout without an index", &[not, "no index.json"], |entries| drop(entries.remove(1)));
    refused_entries("an index that is no JSON", &[not, "index.json is not an index"], |entries| {
        entries[1] = Entry::new("index.json", "[[[[[");
    });
    refused_entries("an index that is nested deeply", &[not, "index.json is not an index"], |entries| {
        entries[1] = Entry::new("index.json", "[".repeat(1 << 20));
    });
}

#[test]
fn a_folder_or_nothing_is_no_bundle() {
    let sandbox = Sandbox::new();
    for command in ["verify", "inspect"] {
        assert_refused(&sandbox.carrack(&[command, "."]), 30, &[". is not a Carrack bundle", "it is a folder"]);
        assert_refused(&sandbox.carrack(&[command, "none"]), 25, &["cannot open none", "No such file"]);
    }
    assert_refused(&install(&sandbox, &["apply", "none", "--root", "."]), 25, &["cannot open none"]);
    // Opening a pipe waits for a writer, who may never come.
    let pipe = sandbox.work().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_refused(&sandbox.carrack(&["verify", "pipe"]), 30, &["pipe is not a Carrack bundle", "regular file"]);
}

#[test]
fn a_newer_format_says_what_reads_it() {
    for format in ["2", "4294967295"] {
        let words = [&format!("has bundle format {format}; this Carrack reads format 1")[..], "hint: use the carrack"];
        refused_draft("a newer format", &words, |draft| {
            draft.annotations.insert("dev.carrack.format", format.to_owned());
        });
    }
    for format in ["", "0", "-1", "1.0", "99999999999999999999"] {
        refused_draft("a format that is none", &["its format is"], |draft| {
            draft.annotations.insert("dev.carrack.format", format.to_owned());
        });
    }
    // A newer format may have moved everything else; its number is read first.
    refused_draft("a newer format of another shape", &["has bundle format 2"], |draft| {
        draft.annotations.insert("dev.carrack.format", "2".to_owned());
        draft.more.push(json!({"mediaType": "application/vnd.future", "digest": "sha3:00", "size": "1"}));
    });
}

#[test]
fn entries_that_no_bundle_has_are_refused() {
    let no_such = "an OCI image layout has no such file";
    for name in ["../../etc/passwd", "/etc/passwd", "blobs/sha256/../../x", "blobs/sha256/", "extra", "./index.json"] {
        refused_entries("a name", &[name, no_such], |entries| entries.insert(3, Entry::new(name, "root::0:0::/:")));
    }
    for (kind, what) in [(b'1', "a hard link"), (b'2', "a symbolic link"), (b'3', "a device"), (b'5', "a folder")] {
        let link = if matches!(kind, b'1' | b'2') { "/etc/passwd" } else { "" };
        let blob = Draft::new().entries().remove(4);
        refused_entries(what, &[&blob.name, "is damaged"], |entries| entries[4] = Entry { kind, link, ..blob.clone() });
    }
    refused_entries("a blob twice", &["it is there twice"], |entries| entries.push(entries[4].clone()));
    refused_entries("a manifest twice", &["it is there twice"], |entries| entries.insert(3, entries[2].clone()));
    refused_entries("an index twice", &["index.json", no_such], |entries| entries.insert(2, entries[1].clone()));
    refused_entries("a blob that nothing names", &["nothing names it"], |entries| {
        entries.push(Entry::blob("stowaway"));
    });
    refused_entries("a blob that is missing", &["it is missing", "/etc/forged"], |entries| drop(entries.pop()));
    refused_entries("a profile that is missing", &["profile"], |entries| entries.truncate(2));
}

#[test]
fn sizes_and_digests_that_lie_are_found() {
    refused_entries("a header with another size", &["another size by the seek table"], |entries| entries[4].size += 1);
    refused_entries("a header with a size beyond everything", &["is damaged"], |entries| entries[4].size = u64::MAX);
    refused_entries("a blob of another size", &["it has 5 bytes and should have 24"], |entries| {
        let name = entries[4].name.clone();
        entries[4] = Entry::new(name, "short");
    });
    let name = Draft::new().entries()[4].name.replace("blobs/sha256/", "sha256:");
    refused_entries("other content of the same size", &[&name, "/etc/forged", "hashes to"], |entries| {
        entries[4].content[0] ^= 1;
    });
    refused_entries("another manifest of the same size", &["hashes to"], |entries| {
        let text = String::from_utf8(entries[2].content.clone()).unwrap();
        entries[2].content = text.replace("/etc/forged", "/etc/shadow").into_bytes();
    });
    let missing = json!({
        "mediaType": MANIFEST, "digest": Digest::of(b"none"), "size": 4,
        "annotations": {"io.containerd.image.name": "quay.io/a/b:1"},
    });
    refused_draft("an index that names what is missing", &["quay.io/a/b:1", "missing"], |draft| {
        draft.more.push(missing);
    });
    refused_draft("a manifest that is none", &["manifest sha256:", "not an image manifest"], |draft| {
        draft.more.push(descriptor(MANIFEST, &draft.content));
    });
}

#[test]
fn host_paths_and_names_stay_where_they_belong() {
    for path in ["/../x", "/a/../../x", "x", "", "/", "/a/", "//a", "/a/./b", "/a\0b"] {
        refused_draft("a host path", &["the path of a host file"], |draft| {
            draft.file.insert("dev.carrack.path", path.to_owned());
        });
    }
    for mode in ["", "-1", "99", "10000", "0x1ff", "rwx"] {
        refused_draft("a mode", &["/etc/forged", "mode"], |draft| {
            draft.file.insert("dev.carrack.mode", mode.to_owned());
        });
    }
    for name in ["../x", "x/../../y", "", ".hidden", "a b", "a\nb"] {
        refused_draft("a name", &["the profile's name"], |draft| draft.profile["name"] = json!(name));
    }
    refused_draft("a profile with fields of the future", &["its profile cannot be read", "rollout"], |draft| {
        draft.profile["rollout"] = json!("canary");
    });
}

/// Counts of bytes are added up in many places; no claim of a bundle's may take them beyond their range.
#[test]
fn sizes_beyond_everything_are_refused_before_they_are_counted() {
    let claim = |sizes: &[u64]| {
        let mut draft = Draft::new();
        let layers = sizes.iter().enumerate().map(|(number, size)| {
            let mut layer = descriptor(HOST_FILE, &draft.content);
            layer["annotations"] = json!(draft.file);
            layer["annotations"]["dev.carrack.path"] = json!(format!("/etc/{number}"));
            layer["size"] = json!(size);
            layer
        });
        let layers: Vec<Value> = layers.collect();
        draft.layers = Some(layers);
        draft.write()
    };
    let right = Draft::new().content.len() as u64;
    for sizes in [[u64::MAX, u64::MAX], [1 << 63, 1 << 63], [right, u64::MAX]] {
        refused("a size beyond everything", &claim(&sizes), &["more than any blob has"]);
    }
    let words = ["sha256:", &format!("named with {right} bytes and with {}", right + 1)[..]];
    refused("one blob, two sizes", &claim(&[right, right + 1]), &words);
    refused("one blob, two sizes, the right one last", &claim(&[right + 1, right]), &["blobs/sha256/", "should have"]);
    let sandbox = Sandbox::new();
    sandbox.write("bundle", claim(&[1 << 40, 1 << 40]));
    assert_refused(&sandbox.carrack(&["verify", "bundle"]), 30, &["bundle"]);
    assert_refused(&sandbox.carrack(&["inspect", "bundle"]), 30, &["bundle"]);
}

/// A frame that claims `size` bytes and holds `runs` runs of 128 KiB of one byte.
fn bomb(size: u32, runs: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa4];
    frame.extend(size.to_le_bytes());
    for run in 0..runs {
        frame.extend_from_slice(&((128_u32 << 10) << 3 | 1 << 1 | u32::from(run + 1 == runs)).to_le_bytes()[..3]);
        frame.push(b'x');
    }
    frame.extend([0; 4]);
    frame
}

#[test]
fn bombs_do_not_go_off() {
    let size = 1 << 20;
    let mut entries = Draft::new().entries();
    entries.truncate(1);
    entries.push(Entry { size: size.into(), ..Entry::new("index.json", "") });
    for (what, encoded) in [("too much data", bomb(size, 100_000)), ("too little data", bomb(size, 1))] {
        let mut archive = frames(&entries[..1]);
        let end = archive.list.pop().unwrap();
        archive.bytes.truncate(archive.bytes.len() - end.0 as usize);
        archive.raw(&gap(30, &entries[1]));
        archive.push(&encoded, size as usize);
        archive.raw(&[0; 1024]);
        refused(what, &archive.finish(), &["index.json", "is damaged"]);
    }
    let mut large = Frames::default();
    large.push(&bomb(u32::MAX, 1), u32::MAX as usize);
    refused("a frame that claims 4 GiB", &large.finish(), &["seek table", "a size that no bundle has"]);
    for count in [6, 1 << 20, u32::MAX] {
        let words = &["seek table"];
        refused("a seek table that claims more than it has", &frames(&entries[..1]).finish_claiming(count), words);
    }
}

/// A bundle whose `entry` is one frame that `change` has changed, with whatever comes behind it.
fn reframed(entry: usize, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let entries = Draft::new().entries();
    let mut archive = Frames::default();
    let (mut before, mut change) = (0, Some(change));
    for (number, one) in entries.iter().enumerate() {
        archive.raw(&gap(before, one));
        let mut frame = Frames::default();
        frame.packed(&one.content);
        let mut encoded = frame.bytes;
        if number == entry {
            change.take().unwrap()(&mut encoded);
        }
        archive.push(&encoded, one.content.len());
        before = one.content.len() as u64;
    }
    archive.raw(&vec![0; before.next_multiple_of(512) as usize - before as usize + 1024]);
    archive.finish()
}

/// Every zstd decoder accepts these; no digest covers them.
#[test]
fn nothing_hides_beside_the_data_of_a_frame() {
    let packed = |data: &[u8]| {
        let mut frame = Frames::default();
        frame.packed(data);
        frame.bytes
    };
    let raw = |data: &[u8]| {
        let mut frame = Frames::default();
        frame.raw(data);
        frame.bytes
    };
    let skippable =
        |magic: u32, data: &[u8]| [&magic.to_le_bytes()[..], &(data.len() as u32).to_le_bytes(), data].concat();
    let empty_raw = [&raw(b"")[..9], &[0, 1, 0, 0]].concat();
    // So that it is the tail that is refused.
    let sandbox = Sandbox::new();
    sandbox.write("bundle", reframed(0, |_| {}));
    assert_eq!(sandbox.carrack(&["verify", "bundle"]).code, 0);
    let tails = [
        ("a skippable frame", skippable(0x184d_2a50, b"hidden")),
        ("a skippable frame of another number", skippable(0x184d_2a5f, b"hidden")),
        ("an empty skippable frame", skippable(0x184d_2a50, b"")),
        ("an empty packed frame", packed(b"")),
        ("an empty raw frame", empty_raw),
        ("a byte", vec![0]),
        ("many bytes", vec![0; 40]),
        ("four bytes like a checksum", vec![0; 4]),
    ];
    for (what, tail) in tails {
        for entry in 0..4 {
            refused(what, &reframed(entry, |frame| frame.extend(&tail)), &["is damaged", "bytes behind"]);
        }
        let sandbox = Sandbox::new();
        sandbox.write("bundle", reframed(4, |frame| frame.extend(&tail)));
        assert_refused(&sandbox.carrack(&["verify", "bundle"]), 30, &["is damaged", "bytes behind"]);
    }
    let large = reframed(1, |frame| frame.extend(skippable(0x184d_2a50, &vec![b'Z'; 4_000_000])));
    refused("4 MB", &large, &["seek table", "a size that no bundle has"]);
}

/// The bits of a frame's header and of its blocks that have more than one value for the same data.
#[test]
fn a_frame_has_one_header() {
    let descriptor = |bits: u8| move |frame: &mut Vec<u8>| frame[4] ^= bits;
    for (what, bits) in [
        ("the reserved bit", 0x08),
        ("the unused bit", 0x10),
        ("no checksum", 0x04),
        ("a dictionary of one byte", 0x01),
        ("a dictionary of two bytes", 0x02),
        ("a dictionary of four bytes", 0x03),
        ("a window", 0x20),
        ("a longer size", 0x80),
    ] {
        refused(what, &reframed(1, descriptor(bits)), &["index.json", "header"]);
    }
    // The dictionary 0 and a window are the same to a decoder.
    refused(
        "the dictionary 0",
        &reframed(1, |frame| {
            frame[4] |= 1;
            frame.insert(5, 0);
        }),
        &["index.json", "header"],
    );
    refused(
        "a window descriptor",
        &reframed(1, |frame| {
            frame[4] &= !0x20;
            frame.insert(5, 0x58);
        }),
        &["index.json", "header"],
    );
    // `oci-layout` has 30 bytes, so its header has six, and its data one raw block.
    for (what, blocks) in [
        ("an empty block before the data", [0_u8, 0, 0]),
        ("an empty run before the data", [2, 0, 0]),
        ("a block of the reserved type", [6, 0, 0]),
    ] {
        refused(what, &reframed(0, |frame| drop(frame.splice(6..6, blocks))), &["oci-layout", "is damaged"]);
    }
    refused(
        "an empty last block",
        &reframed(0, |frame| {
            frame[6] &= !1;
            let end = frame.len() - 4;
            frame.splice(end..end, [1, 0, 0]);
        }),
        &["oci-layout", "is damaged"],
    );
    refused(
        "a run in a raw frame",
        &reframed(0, |frame| {
            *frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x38, 30, 0, 0, 0, 0xf3, 0, 0, b'x'];
        }),
        &["oci-layout", "is damaged"],
    );
    refused(
        "a raw frame with another window",
        &reframed(0, |frame| {
            let data = br#"{"imageLayoutVersion":"1.0.0"}"#;
            *frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x40, 30, 0, 0, 0, 0xf1, 0, 0][..], data].concat();
        }),
        &["oci-layout", "header"],
    );
}

/// A sparse file costs nothing to make; a seek table as long as it claims would be 32 GiB in memory.
#[test]
fn a_seek_table_as_long_as_its_sparse_file_is_not_read() {
    use std::os::unix::fs::FileExt;
    let sandbox = Sandbox::new();
    let path = sandbox.write("bundle", "");
    let file = fs::File::options().write(true).open(&path).unwrap();
    let footer = &Frames::default().finish_claiming(u32::MAX)[8..];
    let length = 8 * u64::from(u32::MAX) + 17;
    file.set_len(length + 4096).unwrap();
    file.write_all_at(footer, length + 4096 - 9).unwrap();
    for header in [[0; 8], *b"\x5e\x2a\x4d\x18\x01\x00\x00\x00"] {
        file.write_all_at(&header, 4096).unwrap();
        assert_refused(&sandbox.carrack(&["verify", "bundle"]), 30, &["seek table"]);
    }
}

/// Each document may have 4 MiB, and one that is white space has 400 bytes in the file: together they must have a limit.
#[test]
fn documents_do_not_fill_the_memory() {
    let padded: Vec<Vec<u8>> = (0..65)
        .map(|number| {
            let manifest = json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [],
                "annotations": {"number": number.to_string()},
            });
            let mut text = manifest.to_string().into_bytes();
            text.resize(4 << 20, b' ');
            text
        })
        .collect();
    let mut draft = Draft::new();
    let name = json!({"io.containerd.image.name": "quay.io/a/b:1"});
    draft.more = padded.iter().map(|text| descriptor("application/vnd.oci.image.index.v1+json", text)).collect();
    draft.more.iter_mut().for_each(|descriptor| descriptor["annotations"] = name.clone());
    let mut entries = draft.entries();
    entries.splice(4..4, padded.into_iter().map(Entry::blob));
    refused("documents of 260 MiB", &write(&entries), &["manifests and configurations", "256 MiB"]);
}

/// Indexes that list one another a thousand times are not followed a thousand times a thousand times.
#[test]
fn indexes_within_indexes_are_not_followed_without_end() {
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = |children: &[Value]| {
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": children});
        index.to_string().into_bytes()
    };
    let image = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"), "layers": [],
    });
    let (image, config) = (image.to_string().into_bytes(), b"{}".to_vec());
    let leaf = descriptor("application/vnd.oci.image.manifest.v1+json", &image);
    // Each but the first lists the one before it a thousand times; nothing, or an image, is at the end.
    let chain = |first: Vec<u8>, length: usize| {
        let mut chain = vec![first];
        while chain.len() < length {
            let inner = descriptor(kind, chain.last().unwrap());
            chain.push(index(&vec![inner; 1000]));
        }
        chain
    };
    let many: Vec<Vec<u8>> = (0..40).map(|number| index(&[json!(descriptor(kind, &[number]))])).collect();
    let many_indexes: Vec<Value> = many.iter().map(|one| descriptor(kind, one)).collect();
    let wide = many.into_iter().chain([index(&many_indexes)]).collect::<Vec<_>>();
    for (what, indexes, part) in [
        ("indexes that lead nowhere", chain(index(&[]), 4), "has an index and none of its manifests"),
        ("indexes that are too deep", chain(index(std::slice::from_ref(&leaf)), 7), "more indexes within indexes"),
        ("indexes that are too many", wide, "more indexes within indexes"),
    ] {
        let mut draft = Draft::new();
        let mut target = descriptor(kind, indexes.last().unwrap());
        target["annotations"] = json!({"io.containerd.image.name": "quay.io/a/b:1"});
        draft.more = vec![target];
        let mut entries = draft.entries();
        // What nothing names may not be there.
        let last = if what.ends_with("deep") { vec![image.clone(), config.clone()] } else { vec![] };
        entries.splice(4..4, indexes.into_iter().rev().chain(last).map(Entry::blob));
        refused(what, &write(&entries), &[part]);
    }
}

#[test]
fn json_errors_have_the_documented_shape() {
    let sandbox = Sandbox::new();
    sandbox.write("bundle", "text that is long enough");
    for command in ["verify", "inspect"] {
        let error = json_error(&sandbox.carrack(&[command, "bundle", "--json"]), 30);
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("bundle is not a Carrack bundle: it is no zstd file with a seek table at its end")
        );
        assert_eq!(error["hints"].as_array().unwrap().len(), 1);
    }
    for command in ["verify", "plan", "apply", "preflight"] {
        json_error(&install(&sandbox, &[command, "bundle", "--json"]), 30);
    }
}
