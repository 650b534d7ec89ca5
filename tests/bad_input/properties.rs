//! Whatever the bytes are: an answer, never a panic.

use std::fs;

use carrack::bundle::Bundle;
use carrack::oci::{Manifest, Reference};
use carrack::progress::Progress;
use carrack::trust;
use proptest::prelude::*;

use super::forge::{Draft, Frames, MANIFEST, frames};

/// Opens, and reads whatever that promises.
fn look(bytes: &[u8]) -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let _ = Bundle::open(file.path());
    trust::establish(file.path()).is_ok_and(|bundle| bundle.verify(1, &Progress::default()).is_empty())
}

/// A change to a file: at a place (of all of it), some bytes go and others come.
fn edits() -> impl Strategy<Value = Vec<(f64, usize, Vec<u8>)>> {
    proptest::collection::vec((0.0..1.0, 0_usize..4, proptest::collection::vec(any::<u8>(), 0..4)), 1..4)
}

fn edit(bytes: &[u8], edits: &[(f64, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, gone, new) in edits {
        let at = (place * bytes.len() as f64) as usize;
        let end = (at + gone).min(bytes.len());
        bytes.splice(at..end, new.iter().copied());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_bytes_are_no_bundle(bytes: Vec<u8>, count in 0_u32..40) {
        prop_assert!(!look(&bytes));
        // With a footer, so that the bytes are read as a seek table.
        let footer = &Frames::default().finish_claiming(count)[8..];
        prop_assert!(!look(&[&bytes, footer].concat()));
        // As the data of frames that are right.
        let mut archive = Frames::default();
        bytes.chunks(37).for_each(|chunk| archive.raw(chunk));
        prop_assert!(!look(&archive.finish()));
    }

    #[test]
    fn a_bundle_that_was_edited_is_never_taken_for_another(changes in edits()) {
        let whole = Draft::new().write();
        let edited = edit(&whole, &changes);
        let archive = |bytes: &[u8]| zstd::decode_all(bytes).unwrap_or_default();
        prop_assert!(!look(&edited) || archive(&edited) == archive(&whole));
    }

    /// Edits below the framing, which is made anew and right: manifests, index and profile with anything in them.
    #[test]
    fn documents_that_were_edited_never_panic(entry in 0_usize..5, changes in edits()) {
        let mut entries = Draft::new().entries();
        entries[entry].content = edit(&entries[entry].content, &changes);
        entries[entry].size = entries[entry].content.len() as u64;
        look(&frames(&entries).finish());
    }

    #[test]
    fn manifests_never_panic(bytes: Vec<u8>, changes in edits(), hint in ".{0,10}") {
        let _ = Manifest::parse(&bytes, &hint);
        let right = &Draft::new().entries()[2].content;
        prop_assert!(Manifest::parse(right, &hint).is_ok());
        let _ = Manifest::parse(&edit(right, &changes), MANIFEST);
    }

    #[test]
    fn references_never_panic(text in "\\PC{0,40}", close in "[a-zA-Z0-9.:/@_\\[\\]-]{0,40}") {
        for text in [text, close] {
            // What is accepted has one full form, which means the same.
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
            }
        }
    }

    #[test]
    fn references_are_what_they_print(
        registry in prop_oneof![
            Just(String::new()), Just("localhost/".to_owned()), "[a-z]{1,8}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?/",
            Just("[::1]:5000/".to_owned()),
        ],
        // No dot before the first slash, where it would make a registry of the word.
        repository in "[a-z0-9]{1,6}((_|__|-{1,2})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}(\\.[a-z0-9]{1,4})?){0,2}",
        tag in proptest::option::of("[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20}"),
        digest in proptest::option::of("sha256:[0-9a-f]{64}"),
    ) {
        let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        let text = format!("{registry}{repository}{tag}{digest}");
        let reference: Reference = text.parse().unwrap();
        let full = reference.to_string();
        prop_assert!(full.contains(&format!("{repository}{tag}")) && full.ends_with(&digest), "{} is {}", text, full);
        prop_assert_eq!(full.parse::<Reference>(), Ok(reference));
    }
}
