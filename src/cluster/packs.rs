//! Packs: what belongs together, under names that are there once.

use std::collections::{BTreeMap, BTreeSet};

use super::Object;

/// Bytes of a manifest file; larger ones are hard to review.
const MAX_FILE: usize = 2 << 20;
/// The longest name of a pack.
const MAX_NAME: usize = 63;

/// Names that are given once each.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A DNS-1123 label like the first of `words` that makes one that is free.
    pub(super) fn give(&mut self, words: &[&str]) -> String {
        for word in words {
            let name = label(word);
            if !name.is_empty() && self.0.insert(name.clone()) {
                return name;
            }
        }
        let base: String = label(words.first().copied().unwrap_or_default()).chars().take(MAX_NAME - 8).collect();
        let base = if base.is_empty() { "pack".to_owned() } else { base.trim_end_matches('-').to_owned() };
        let mut number = 2;
        loop {
            let name = format!("{base}-{number}");
            if self.0.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }
}

/// `text` as a DNS-1123 label; empty where nothing of it is left.
pub(super) fn label(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = text.chars().map(plain).collect();
    let label: String = label.trim_matches('-').chars().take(MAX_NAME).collect();
    label.trim_end_matches('-').to_owned()
}

/// Manifests of one pack: a file for each kind, in the order in which they are best applied.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    files: BTreeMap<(u8, String), Vec<String>>,
}

impl Manifests {
    pub(super) fn add(&mut self, object: &Object, text: String) {
        let kind = &object.kind;
        let dot = if kind.group.is_empty() || !kind.is_custom() { String::new() } else { format!(".{}", kind.group) };
        let texts = self.files.entry((rank(object), format!("{}{dot}", kind.plural))).or_default();
        match texts.last_mut().filter(|last| last.len() + text.len() < MAX_FILE) {
            Some(last) => {
                last.push_str("---\n");
                last.push_str(&text);
            }
            None => texts.push(text),
        }
    }

    /// Names and texts of the files.
    pub(super) fn files(self) -> impl Iterator<Item = (String, String)> {
        self.files.into_iter().flat_map(|((_, name), texts)| {
            texts.into_iter().enumerate().map(move |(index, text)| match index {
                0 => (format!("{name}.yaml"), text),
                _ => (format!("{name}-{}.yaml", index + 1), text),
            })
        })
    }
}

/// What others need comes first.
fn rank(object: &Object) -> u8 {
    match (&*object.kind.group, &*object.kind.kind) {
        ("", "Namespace") => 0,
        ("apiextensions.k8s.io", _) => 1,
        ("scheduling.k8s.io" | "storage.k8s.io" | "node.k8s.io", _) => 2,
        ("", "ServiceAccount") | ("rbac.authorization.k8s.io", _) => 3,
        ("", "ResourceQuota" | "LimitRange") => 4,
        ("", "Secret" | "ConfigMap") => 5,
        ("", "PersistentVolume" | "PersistentVolumeClaim") => 6,
        ("", "Service") => 7,
        _ if object.pod_spec_path().is_some() => 9,
        ("admissionregistration.k8s.io" | "apiregistration.k8s.io", _) => 10,
        _ if object.kind.is_custom() => 11,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_and_there_once() {
        let mut names = Names::default();
        assert_eq!(names.give(&["shop"]), "shop");
        assert_eq!(names.give(&["shop", "shop-objects"]), "shop-objects");
        assert_eq!(names.give(&["Shop", "shop_objects"]), "shop-2");
        assert_eq!(names.give(&["::"]), "pack-2");
        assert_eq!(names.give(&[&"x".repeat(80)]).len(), 63);
        assert_eq!(names.give(&[&"x".repeat(80)]), format!("{}-2", "x".repeat(55)));
    }
}
