//! The way through one object: where it is, how sure it is of what it finds there, and who hears of it.

use super::parts::Above;
use super::placeholders::{self, Names};
use super::{ObjectName, Place, Sink, candidates, lines_after, nested};
use crate::oci::Reference;
use crate::problem::{Position, Source};
use crate::yaml::{Kind, Node, Scalar, Style};

/// Names of the field that says when to pull.
pub(super) const POLICIES: &[&str] = &["imagePullPolicy", "pullPolicy"];
/// How deep documents are looked for in texts of documents.
const DEEPEST: usize = 4;

/// The way through one object.
pub(super) struct Walk<'w> {
    pub(super) source: &'w Source,
    pub(super) object: &'w ObjectName,
    pub(super) sink: &'w mut dyn Sink,
    pub(super) path: String,
    /// The API group of the object; empty for the first one of Kubernetes.
    pub(super) group: &'w str,
    /// How much of the path is before the object itself.
    prefix: usize,
    /// Whether the object is of a kind of Kubernetes itself.
    pub(super) built_in: bool,
    /// Whether nothing that is found here is sure to be an image.
    pub(super) unsure: bool,
    /// What the images of the object are.
    pub(super) names: Names,
    /// What the mappings around say of the images in them.
    above: Vec<Above>,
    /// Where each of the texts stands, in which this one is, and whether its lines do too.
    texts: Vec<(Position, bool)>,
}

impl<'w> Walk<'w> {
    pub(super) fn new(
        source: &'w Source,
        object: &'w ObjectName,
        sink: &'w mut dyn Sink,
        prefix: &str,
        group: &'w str,
        (built_in, names): (bool, Names),
    ) -> Self {
        let unsure = names == Names::Patterns;
        let path = prefix.to_owned();
        let prefix = path.len();
        Self {
            source,
            object,
            sink,
            path,
            group,
            prefix,
            built_in,
            unsure,
            names,
            above: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// Runs `inside` with the path of a field of the current place.
    pub(super) fn below(&mut self, key: &str, inside: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        // A list's items bring their own brackets.
        if !key.starts_with('[') && !self.path.is_empty() && !self.path.ends_with('.') {
            self.path.push('.');
        }
        self.path.push_str(key);
        inside(self);
        self.path.truncate(length);
    }

    /// Runs `inside` where nothing is sure to be an image.
    pub(super) fn unsure(&mut self, inside: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.unsure, true);
        inside(self);
        self.unsure = before;
    }

    /// Runs `inside` with what the mapping `node` says of all images in it.
    pub(super) fn within(&mut self, node: &Node, inside: impl FnOnce(&mut Self)) {
        let above = Above::of(node);
        let counts = !above.is_empty();
        if counts {
            self.above.push(above);
        }
        inside(self);
        if counts {
            self.above.pop();
        }
    }

    /// What the nearest mapping around says of the images in it.
    pub(super) fn above(&self) -> Above {
        self.above.last().cloned().unwrap_or_default()
    }

    /// Runs `inside` on each document that the text of `node` is. Returns whether it is any.
    pub(super) fn documents(&mut self, node: &Node, scalar: &Scalar, mut inside: impl FnMut(&mut Self, &Node)) -> bool {
        let documents = if self.texts.len() < DEEPEST { nested::documents(&scalar.text) } else { Vec::new() };
        let is_any = !documents.is_empty();
        self.texts.push((node.at, scalar.style == Style::Literal));
        let above = std::mem::take(&mut self.above);
        self.unsure(|walk| documents.iter().for_each(|document| inside(walk, document)));
        self.above = above;
        self.texts.pop();
        is_any
    }

    /// Where a place of the text that is read stands in the file.
    fn at(&self, at: Position) -> Position {
        self.texts.iter().rev().fold(at, |inner, (outer, has_lines)| {
            if *has_lines { lines_after(*outer, inner.line.saturating_sub(1)) } else { *outer }
        })
    }

    /// Tells the sink something of the place.
    fn tell<R>(&mut self, at: Position, tell: impl FnOnce(&mut dyn Sink, Place<'_>) -> R) -> R {
        let at = self.at(at);
        let Self { source, object, sink, path, .. } = self;
        tell(*sink, Place { source, at, object: Some(object), field: path })
    }

    /// An image is named in `field` of the current place.
    pub(super) fn named_field(&mut self, field: &str, text: &str, at: Position) -> Option<Reference> {
        let mut included = None;
        self.below(field, |walk| included = walk.named(text, at));
        included
    }

    /// An image is named here.
    pub(super) fn named(&mut self, text: &str, at: Position) -> Option<Reference> {
        // A chart's own template is something that a person has to hear of.
        if placeholders::is_placeholder(text) && super::template_of_a_chart(text).is_none() {
            let known = self.names != Names::Images || self.unsure;
            if !known && !self.ignores(text) {
                let message = format!(
                    "{text:?} is no image, but what something puts one in the place of; add that image to `images`, and this to `ignoreImages`"
                );
                self.warn(at, message);
            }
            return None;
        }
        if !self.unsure {
            return self.tell(at, |sink, place| sink.named(text, place));
        }
        for found in candidates::find_after(text, true) {
            self.candidate(found.text, found.reference, at);
        }
        None
    }

    /// The mapping `node` gives an image, shown with its `field`.
    pub(super) fn image(&mut self, node: &Node, field: &str, text: &str, at: Position) {
        let included = self.named_field(field, text, at);
        let pulled = included.as_ref().map(|reference| (reference, at));
        self.pull_policy(node, POLICIES, pulled);
    }

    /// One of several ways to put the parts of an image together, or one that is not sure.
    pub(super) fn reading(&mut self, text: &str, at: Position) {
        if let Ok(reference) = text.parse() {
            self.candidate(text, reference, at);
        }
    }

    /// The field of the object that is read.
    pub(super) fn field(&self) -> &str {
        self.path.get(self.prefix..).unwrap_or_default()
    }

    /// The beginning of an image's name, which the object's controller completes.
    pub(super) fn completed(&mut self, text: &str, at: Position) {
        let message = format!(
            "{text:?} is no image yet: the operator adds the system of the node to the tag, as in {text}-ubuntu24.04; add that image to `images`, or this to `ignoreImages`"
        );
        self.tell(at, |sink, place| sink.completed(text, place, message));
    }

    /// An image without the registry that it is in.
    pub(super) fn half(&mut self, text: &str, at: Position) {
        if self.ignores(text) {
            return;
        }
        let message = format!(
            "{text:?} is a part of an image's name, and nothing near it says in which registry; add the image to `images`, and this to `ignoreImages`"
        );
        self.tell(at, |sink, place| sink.warn(place, message));
    }

    /// Whether the profile ignores `text`.
    pub(super) fn ignores(&mut self, text: &str) -> bool {
        self.sink.ignores(text)
    }

    /// Something is wrong here; of what may be no image at all, nothing is.
    pub(super) fn problem(&mut self, at: Position, message: impl Into<String>) {
        if !self.unsure {
            self.tell(at, |sink, place| sink.problem(place, message.into()));
        }
    }

    /// Something may go wrong because of this, where it is an image.
    pub(super) fn warn(&mut self, at: Position, message: impl Into<String>) {
        if !self.unsure {
            self.tell(at, |sink, place| sink.warn(place, message.into()));
        }
    }

    pub(super) fn candidate(&mut self, text: &str, reference: Reference, at: Position) {
        self.tell(at, |sink, place| sink.candidate(text, reference, place));
    }

    /// What looks like images in the text of `node`.
    pub(super) fn candidates(&mut self, node: &Node) {
        let Some(scalar) = node.scalar().filter(|scalar| scalar.kind == Kind::Text) else { return };
        for found in candidates::find(&scalar.text) {
            let at = lines_after(node.at, if scalar.style == Style::Literal { found.line } else { 0 });
            self.candidate(found.text, found.reference, at);
        }
    }

    /// Reports what would pull although the image is there. `fields` are the names that a policy may have in `node`, and
    /// `pulled` is the image, where it was included.
    pub(super) fn pull_policy(&mut self, node: &Node, fields: &[&str], pulled: Option<(&Reference, Position)>) {
        let policy = fields.iter().find_map(|field| Some((*field, node.get(field)?)));
        match (policy, pulled) {
            (Some((field, policy)), _) if policy.text() == Some("Always") => {
                let message = "`Always` asks a registry at every start although the image is there; use IfNotPresent";
                self.below(field, |walk| walk.warn(policy.at, message));
            }
            (None, Some((reference, at))) if reference.digest().is_none() && reference.tag() == Some("latest") => {
                let field = fields.first().copied().unwrap_or_default();
                self.warn(at, format!("{reference} is pulled at every start, as its tag is `latest`; set `{field}`"));
            }
            _ => {}
        }
    }
}
