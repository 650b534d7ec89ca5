//! Images that a mapping's fields give in parts: `repository` + `tag` + `digest` (+ `registry` or `hub`), also with the name in
//! `image` or, under a field called `image`, in `name`; and with the registry, or all of it but the name, further up.
//!
//! Where the parts can be put together in one way only, that is the image. Where there are several, each is a reading, and none
//! is taken for sure. Half a name is never completed with `docker.io/library`.

use super::pairs::has_tag;
use super::placeholders::{Names, completes, is_placeholder};
use super::walk::Walk;
use crate::problem::Position;
use crate::yaml::{Entry, Kind, Node};

/// Fields that say where all images below them are.
const HUBS: &[&str] = &["hub", "registry", "imageRegistry", "imageHub", "base", "repo", "repository"];
/// Fields of an image's own mapping that say so.
const OWN_HUBS: &[&str] = &["registry", "hub"];
const BASES: &[&str] = &["repository", "repo", "base"];
const TAGS: &[&str] = &["tag", "imageTag"];

/// What a mapping says of all images below it.
#[derive(Debug, Clone, Default)]
pub(super) struct Above {
    hub: Option<String>,
    tag: Option<String>,
}

impl Above {
    /// What `node` says, by itself or in its field `global`.
    pub(super) fn of(node: &Node) -> Self {
        let within = [node.get("global"), Some(node)];
        let part =
            |names: &[&str]| within.iter().rev().flatten().find_map(|node| part_of(node, names)).map(str::to_owned);
        // What has a tag of its own beside it is an image, and no place of others.
        let is_image = part_of(node, TAGS).is_some() && part_of(node, BASES).is_some();
        let hub = part(HUBS).filter(|hub| !is_image && is_hub(hub));
        Self { tag: part(TAGS).filter(|_| hub.is_some()), hub }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hub.is_none()
    }
}

/// How the parts are put together.
#[derive(Debug, PartialEq)]
enum Image {
    /// In one way.
    Whole(String),
    /// In one of several ways.
    Readings(Vec<String>),
    /// With a registry that is elsewhere.
    Half(String),
}

/// The parts of one image.
struct Parts<'n> {
    hub: Option<&'n str>,
    base: Option<&'n str>,
    /// The name, and its field.
    name: Option<(&'n str, &'static str)>,
    tag: Option<&'n str>,
    digest: Option<&'n str>,
}

/// Takes the image that `node`, the value of the field `key`, gives in parts, where it does. Returns the fields that
/// have been understood with it.
pub(super) fn read(walk: &mut Walk<'_>, key: &str, node: &Node) -> &'static [&'static str] {
    let is_image = key == "image" || key.ends_with("Image");
    let Some((parts, field)) = Parts::of(node, is_image, &walk.above()) else { return &[] };
    let at = node.get(field).map_or(node.at, |value| value.at);
    for tag in ["tag", "imageTag", "version"].iter().filter_map(|field| node.get(field)) {
        // Kubernetes would read the tag 1.10 as the number 1.1. A `version` beside a tag is something else's.
        let is_tag = tag.scalar().map(|scalar| scalar.text.trim()) == parts.tag;
        if is_tag && tag.scalar().is_some_and(|scalar| scalar.kind == Kind::Float) {
            walk.warn(tag.at, format!("a tag is text, found {}; write it in quotes", tag.describe()));
        }
    }
    match parts.image(&walk.above()) {
        Image::Whole(text) if !text.contains('@') && completes(walk.group, walk.object, walk.field()) => {
            say_completed(walk, node, field, &text, at);
        }
        Image::Whole(text) if parts.is_complete(&text) => walk.image(node, field, &text, at),
        Image::Whole(text) if !walk.ignores(&text) => {
            let message = format!("{text:?} has neither `tag` nor `digest`, so which image it is cannot be told");
            walk.below(field, |walk| walk.problem(at, message));
        }
        Image::Readings(texts) => {
            walk.below(field, |walk| texts.iter().for_each(|text| walk.reading(text, at)));
        }
        Image::Half(text) => walk.below(field, |walk| walk.half(&text, at)),
        _ => {}
    }
    &["repository", "repo", "base", "image", "name", "tag", "imageTag", "version", "digest", "registry", "hub"]
}

/// The image that a field `image` names alone, as `text`, where something above says where it is.
pub(super) fn below_hub(walk: &mut Walk<'_>, text: &str, at: Position) -> bool {
    let Above { hub: Some(hub), tag } = walk.above() else { return false };
    if text.contains('/') || has_tag(text) && tag.is_some() {
        return false;
    }
    let tag = tag.as_deref().filter(|_| !has_tag(text));
    let text = compose(Some(&hub), text, tag, None);
    walk.below("image", |walk| walk.reading(&text, at));
    true
}

/// The first of the fields `names` that has a text.
fn part_of<'n>(node: &'n Node, names: &[&str]) -> Option<&'n str> {
    names.iter().find_map(|name| text(node, name))
}

/// Whether `text` has neither a registry nor a tag, nor a path.
pub(super) fn is_word(text: &str) -> bool {
    !text.contains(['/', ':', '@']) && !is_placeholder(text)
}

/// The fields of a container. What has one is no group of settings, and its image a whole name.
const OF_CONTAINERS: &[&str] = &["command", "args", "script", "workingDir", "volumeMounts"];

/// Says that the field `image` of the mapping `node` has one word alone, which is half a name outside of containers, where it is
/// that. Returns whether it is.
pub(super) fn is_half(walk: &mut Walk<'_>, node: &Node, text: &str, at: Position) -> bool {
    // Argo CD's have values of charts, and no containers.
    let of_containers = walk.names == Names::Templates && !walk.object.kind.starts_with("Application");
    if !is_word(text) || of_containers || OF_CONTAINERS.iter().any(|field| node.get(field).is_some()) {
        return false;
    }
    if !is_off(node) {
        walk.below("image", |walk| walk.half(text, at));
    }
    true
}

/// Says that the name `text`, which the field `field` of `node` gives, is completed by an operator.
pub(super) fn say_completed(walk: &mut Walk<'_>, node: &Node, field: &str, text: &str, at: Position) {
    if !is_off(node) && !walk.ignores(text) {
        walk.below(field, |walk| walk.completed(text, at));
    }
}

/// Whether `node` is the configuration of something that is switched off.
fn is_off(node: &Node) -> bool {
    node.get("enabled").and_then(Node::scalar).is_some_and(|scalar| &*scalar.text == "false")
}

fn text<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    let scalar = node.get(name).and_then(Node::scalar).filter(|scalar| scalar.kind != Kind::Null);
    scalar.map(|scalar| scalar.text.trim()).filter(|text| !text.is_empty())
}

/// Whether it may be the beginning of an image's name.
fn is_hub(text: &str) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    !text.contains("://") && !text.contains(char::is_whitespace) && first.contains(['.', ':'])
}

impl<'n> Parts<'n> {
    /// Those of `node`, and the field with which they are shown; nothing where they are none of an image.
    fn of(node: &'n Node, is_image: bool, above: &Above) -> Option<(Self, &'static str)> {
        let part = |names: &[&'static str]| names.iter().find_map(|name| Some((text(node, name)?, *name)));
        let (base, digest) = (part(BASES), text(node, "digest"));
        let image = part(&["image"]).filter(|(image, _)| !image.contains('@') && !has_tag(image));
        // An image that is whole stands beside something that is called so too.
        let has_image =
            node.get("image").is_some_and(|image| text(node, "image").is_some() || image.scalar().is_none());
        let name = image.or_else(|| part(&["name"]).filter(|_| is_image && !has_image));
        let own = part(TAGS).map(|(tag, _)| tag);
        let version = text(node, "version").filter(|_| base.is_some() && image.is_some());
        let tag = own.or(version);
        let is_given = own.or(digest).is_some();
        let hub = part(OWN_HUBS).map(|(hub, _)| hub);
        let parts = Self { hub, base: base.map(|(base, _)| base), name, tag, digest };
        let field = match (base, name) {
            (Some(_), None) if has_image => return None,
            (Some(_), Some((_, field))) if is_image || tag.is_some() || digest.is_some() || field == "image" => field,
            (Some((_, field)), None) if is_image || is_given => field,
            (None, Some((_, field))) if is_given || is_image && above.tag.is_some() => field,
            _ => return None,
        };
        // A chart's or a source's repository is a URL, an image's never is.
        let is_url = base.is_some_and(|(base, _)| base.contains("://")) && !is_image;
        (!is_url).then_some((parts, field))
    }

    fn compose(&self, name: &str) -> String {
        compose(self.hub, name, self.tag, self.digest)
    }

    fn is_complete(&self, text: &str) -> bool {
        self.tag.is_some() || self.digest.is_some() || has_tag(text) || text.contains('@')
    }

    fn image(&self, above: &Above) -> Image {
        let name = self.name.map(|(name, _)| name);
        let Some(base) = self.base else {
            return self.named(name.unwrap_or_default(), above);
        };
        let base = base.trim_end_matches('/');
        let Some(name) = name else { return self.named(base, above) };
        if is_hub(name) || name == base {
            return Image::Whole(self.compose(name));
        }
        let joined = format!("{base}/{name}");
        let last = base.rsplit('/').next();
        let is_sure = if self.name.is_some_and(|(_, field)| field == "image") {
            last != Some(name)
        } else {
            // `name` is often no more than a title.
            last != Some(name) && (self.hub.is_some() || is_hub(base) && base.matches('/').count() == 1)
        };
        if is_sure {
            return Image::Whole(self.compose(&joined));
        }
        Image::Readings(vec![self.compose(&joined), self.compose(base)])
    }

    /// That which is called `name`, with its repository or without.
    fn named(&self, name: &str, above: &Above) -> Image {
        let tag = self.tag.or(above.tag.as_deref().filter(|_| self.digest.is_none()));
        match &above.hub {
            _ if self.hub.is_some() || is_hub(name) => Image::Whole(self.compose(name)),
            Some(hub) if name.contains('/') => {
                Image::Readings(vec![self.compose(name), compose(Some(hub), name, tag, self.digest)])
            }
            Some(hub) => Image::Readings(vec![compose(Some(hub), name, tag, self.digest)]),
            // A repository is a whole name by convention; a name may be a part of one.
            None if self.base.is_some() || name.contains('/') => Image::Whole(self.compose(name)),
            None => Image::Half(self.compose(name)),
        }
    }
}

fn compose(registry: Option<&str>, name: &str, tag: Option<&str>, digest: Option<&str>) -> String {
    let mut text = match registry.map(|registry| registry.trim_end_matches('/')) {
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

/// The images that a list of names and values gives in parts, as Argo CD and `helm --set` write them: `sidecar.repository` with
/// `sidecar.tag`. Each is there with the place of its value.
pub(super) fn dotted<'e>(given: &[(&'e str, &'e str, usize)]) -> Vec<(String, usize)> {
    let value = |stem: &str, names: &[&str]| {
        let keys = names.iter().map(|name| format!("{stem}{name}"));
        keys.into_iter().find_map(|key| given.iter().find(|(known, ..)| *known == key)).map(|(_, value, _)| *value)
    };
    let mut found = Vec::new();
    for (key, name, place) in given {
        let stem =
            BASES.iter().find_map(|base| key.strip_suffix(base)).filter(|stem| stem.is_empty() || stem.ends_with('.'));
        let Some(stem) = stem.filter(|_| !name.contains("://")) else { continue };
        let (tag, digest) = (value(stem, TAGS), value(stem, &["digest"]));
        if tag.or(digest).is_some() {
            let hub = value(stem, OWN_HUBS).or_else(|| value("global.", &["imageRegistry"]).filter(|_| !is_hub(name)));
            found.push((compose(hub.filter(|hub| !hub.is_empty()), name, tag, digest), *place));
        }
    }
    found
}

/// The names and values of a list of `{name: …, value: …}`.
pub(super) fn list(items: &[Node]) -> Vec<(&str, &str, usize)> {
    let pairs = items.iter().enumerate();
    pairs.filter_map(|(index, item)| Some((text(item, "name")?, text(item, "value")?, index))).collect()
}

/// The names and values of a mapping.
pub(super) fn fields(entries: &[Entry]) -> Vec<(&str, &str, usize)> {
    let scalars = entries.iter().enumerate().filter_map(|(index, entry)| {
        let scalar = entry.value.scalar().filter(|scalar| scalar.kind != Kind::Null)?;
        Some((&*entry.key, &*scalar.text, index))
    });
    scalars.collect()
}
