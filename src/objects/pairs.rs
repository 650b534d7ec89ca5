//! Images that two fields or two arguments give together: `imageRepository` and `imageTag`, `--image-repository X
//! --image-tag=Y`. Their names are conventions and no more, so what they give is a candidate.

use crate::oci::Reference;
use crate::yaml::{Kind, Node};

const NAMES: &[&str] = &["imagerepository", "imagerepo", "imagename"];
const TAGS: &[&str] = &["tag", "version"];

/// A name and a value, and where the value stands in what they were taken from.
pub(super) type Given<'n> = (&'n str, &'n str, usize);

/// The images that `given` names in parts: each with the place of its name.
pub(super) fn find(given: &[Given<'_>]) -> Vec<(String, Reference, usize)> {
    let keys: Vec<String> = given.iter().map(|(key, ..)| plain(key)).collect();
    let value = |key: &str| keys.iter().position(|known| known == key).map(|index| given[index].1);
    let called = keys.iter().filter(|key| key.ends_with("image")).count();
    let mut found = Vec::new();
    for (key, (_, name, place)) in keys.iter().zip(given) {
        // `baseImage` has its parts beside it, as `baseImageTag` or as `tag`.
        let whole = key.strip_suffix("image").filter(|stem| !stem.is_empty() && !has_tag(name));
        let Some(stem) = NAMES.iter().find_map(|name| key.strip_suffix(name)).or(whole) else { continue };
        let part = |last: &str| {
            // A `tag` beside several is nobody's in particular.
            let beside = || value(last).filter(|_| whole.is_some() && (called == 1 || key == "baseimage"));
            value(&format!("{stem}image{last}")).or_else(beside).filter(|text| !text.is_empty())
        };
        let tag = TAGS.iter().find_map(|tag| part(tag));
        // kubeadm's `imageRepository` is where its images are, and none of them.
        let is_registry = !name.contains('/') && name.contains(['.', ':']);
        let digest = part("digest");
        if tag.or(digest).is_none() || (is_registry && part("registry").is_none()) || name.contains('@') {
            continue;
        }
        let registry = part("registry").map(|registry| format!("{registry}/")).unwrap_or_default();
        let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        let text = format!("{registry}{name}{tag}{digest}");
        if let Ok(reference) = text.parse() {
            found.push((text, reference, *place));
        }
    }
    found
}

/// Whether a colon stands after the last slash.
pub(super) fn has_tag(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// What a command line's words give: `--key=value`, and `--key` with the word after it.
pub(super) fn arguments(words: &[Node]) -> Vec<Given<'_>> {
    let text = |node: &'_ Node| node.scalar().filter(|scalar| scalar.kind != Kind::Null).is_some();
    let mut given = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let Some(flag) = word.text().and_then(|word| word.strip_prefix('-')) else { continue };
        let next = words.get(index + 1).filter(|next| text(next)).and_then(Node::scalar);
        match flag.split_once('=') {
            Some((key, value)) => given.push((key, value, index)),
            None => given.extend(next.map(|next| (flag, &*next.text, index + 1))),
        }
    }
    given.retain(|(_, value, _)| !value.starts_with('-'));
    given
}

/// Whether a flag of this name takes an image.
pub(super) fn takes_image(flag: &str) -> bool {
    plain(flag).ends_with("image")
}

/// Whether a field or variable of this name says that its value is an image: `IMAGE`, `workerImage`, `IMAGE_WORKER`,
/// `JOB_IMAGE_NAME`, and not `IMAGE_TAG`.
pub(super) fn says_image(name: &str) -> bool {
    const OTHERS: &[&str] = &[
        "tag",
        "version",
        "digest",
        "registry",
        "repository",
        "repo",
        "policy",
        "secret",
        "secrets",
        "path",
        "format",
        "size",
    ];
    let name = name.to_lowercase();
    let mut words = name.split(['_', '-', '.', '/']).peekable();
    let last = name.rsplit(['_', '-', '.', '/']).next().unwrap_or_default();
    words.any(|word| word == "image" || word.ends_with("image")) && !OTHERS.contains(&last)
}

/// `imageTag`, `image-tag` and `image_tag` are one name.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_' | '.')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(given: &[(&str, &str)]) -> Vec<String> {
        let given: Vec<Given<'_>> = given.iter().map(|(key, value)| (*key, *value, 0)).collect();
        find(&given).into_iter().map(|(text, ..)| text).collect()
    }

    #[test]
    fn two_parts_are_one_image() {
        assert_eq!(texts(&[("imageRepository", "quay.io/a/b"), ("imageTag", "1.2")]), ["quay.io/a/b:1.2"]);
        assert_eq!(texts(&[("imageTag", "1.2"), ("imageName", "redis")]), ["redis:1.2"]);
        let sidecar = [("sidecar-image-registry", "quay.io"), ("sidecar-image-name", "a"), ("sidecar-image-tag", "1")];
        assert_eq!(texts(&sidecar), ["quay.io/a:1"]);
        assert_eq!(texts(&[("baseImage", "quay.io/a/b"), ("tag", "v1")]), ["quay.io/a/b:v1"]);
        assert_eq!(
            texts(&[("runnerImage", "quay.io/a/b"), ("runnerImageTag", "v1"), ("tag", "x")]),
            ["quay.io/a/b:v1"]
        );
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("quay.io/a@{digest}");
        assert_eq!(texts(&[("IMAGE_REPOSITORY", "quay.io/a"), ("IMAGE_DIGEST", &digest)]), [pinned]);
    }

    #[test]
    fn one_part_or_parts_of_two_are_none() {
        assert_eq!(texts(&[("imageRepository", "registry.k8s.io"), ("imageTag", "v1.32.5")]), [""; 0]);
        assert_eq!(texts(&[("imageRepository", "quay.io/a")]), [""; 0]);
        assert_eq!(texts(&[("baseImage", "quay.io/a:1"), ("tag", "v1")]), [""; 0]);
        assert_eq!(texts(&[("image", "quay.io/a"), ("tag", "v1")]), [""; 0], "no convention, but a field");
        assert_eq!(texts(&[("aImageRepository", "quay.io/a"), ("bImageTag", "1")]), [""; 0]);
    }
}
