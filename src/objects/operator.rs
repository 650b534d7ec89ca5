//! Images that operators' fields give in parts: `repository` + `tag` + `digest` (+ `registry`), also with the name in
//! `image` or, under a field called `image`, in `name`.

use super::object::{POLICIES, Walk};
use super::pairs::has_tag;
use crate::yaml::{Kind, Node};

/// Takes the image that `node`, the value of the field `key`, gives in parts, where it does. Returns the fields that
/// have been understood with it.
pub(super) fn read(walk: &mut Walk<'_>, key: &str, node: &Node) -> &'static [&'static str] {
    let part = |name: &str| {
        let scalar = node.get(name).and_then(Node::scalar).filter(|scalar| scalar.kind != Kind::Null);
        scalar.map(|scalar| &*scalar.text).filter(|text| !text.is_empty())
    };
    let repository = part("repository");
    let (tag, digest, registry) = (part("tag").or(part("version")), part("digest"), part("registry"));
    let is_image = key == "image" || key.ends_with("Image");
    let (name, field, consumed): (String, &str, &'static [&'static str]) =
        match (repository, part("image"), part("name")) {
            (Some(repository), Some(image), _) if !image.contains('@') && !has_tag(image) => (
                format!("{repository}/{image}"),
                "image",
                &["repository", "image", "tag", "version", "digest", "registry"],
            ),
            (None, Some(image), _) if part("tag").or(digest).is_some() && !image.contains('@') && !has_tag(image) => {
                (image.to_owned(), "image", &["image", "tag", "digest", "registry"])
            }
            (Some(repository), None, _) if is_image || part("tag").or(digest).is_some() => {
                (repository.to_owned(), "repository", &["repository", "tag", "digest", "registry"])
            }
            (None, None, Some(name)) if is_image && part("tag").or(digest).is_some() => {
                (name.to_owned(), "name", &["name", "tag", "digest", "registry"])
            }
            _ => return &[],
        };
    // A chart's or a source's repository is a URL, an image's never is.
    if name.contains("://") && !is_image {
        return &[];
    }
    let tag = if field == "image" { tag } else { part("tag") };
    let text = compose(registry, &name, tag, digest);
    let at = node.get(field).map_or(node.at, |value| value.at);
    let complete = tag.is_some() || digest.is_some() || has_tag(&name) || name.contains('@');
    // Kubernetes would read the tag 1.10 as the number 1.1.
    let tags = consumed.iter().filter(|field| matches!(**field, "tag" | "version"));
    for tag in tags.filter_map(|field| node.get(field)) {
        if tag.scalar().is_some_and(|scalar| scalar.kind == Kind::Float) {
            walk.warn(tag.at, format!("a tag is text, found {}; write it in quotes", tag.describe()));
        }
    }
    if complete {
        let included = walk.named_field(field, &text, at);
        let pulled = included.as_ref().map(|reference| (reference, at));
        walk.pull_policy(node, POLICIES, pulled);
    } else if !walk.ignores(&text) {
        let message = format!("{text:?} has neither `tag` nor `digest`, so which image it is cannot be told");
        walk.below(field, |walk| walk.problem(at, message));
    }
    consumed
}

fn compose(registry: Option<&str>, name: &str, tag: Option<&str>, digest: Option<&str>) -> String {
    let mut text = match registry {
        // Some repeat the registry in the repository.
        Some(registry) if !name.starts_with(&format!("{registry}/")) => format!("{registry}/{name}"),
        _ => name.to_owned(),
    };
    if let Some(tag) = tag.filter(|tag| !tag.starts_with("sha256:")) {
        text.push(':');
        text.push_str(tag);
    }
    // Some charts take a digest in the tag's place.
    if let Some(digest) = digest.or(tag.filter(|tag| tag.starts_with("sha256:"))) {
        text.push('@');
        text.push_str(digest);
    }
    text
}
