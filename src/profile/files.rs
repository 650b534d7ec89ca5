//! Host files of a pack.

use std::path::Path;

use super::packs::Decoder;
use super::{FileOrigin, FileSource, paths};
use crate::oci::{Digest, Platform};
use crate::places::is_program_path;
use crate::text;
use crate::yaml::{Fields, Kind, Node};

pub(super) const FILE: &[&str] = &["source", "sha256", "platform", "path", "mode", "owner", "template"];
const NOT_YET: &[(&str, &str)] = &[("extract", "files[].extract"), ("symlink", "files[].symlink")];

const DEFAULT_MODE: u32 = 0o644;
/// The same for what lies below a folder of programs.
const PROGRAM_MODE: u32 = 0o755;

impl Decoder<'_, '_> {
    pub(super) fn host_file(&mut self, node: &Node) -> Option<FileSource> {
        let fields = Fields::open(node, "an item of `files`", FILE, NOT_YET, self.report)?;
        let source = self.origin(fields);
        let platform = self.platform(fields);
        let path = self.host_path(fields, platform.as_ref());
        let mode = self.mode(fields, path.as_deref());
        let owner = fields.optional_text("owner", self.report);
        if let Some(owner) = owner.filter(|owner| !text::is_owner(owner)) {
            let message = format!("`owner` is {owner:?}, expected USER or USER:GROUP, names or numbers");
            self.report.add(fields.value_at("owner"), message);
        }
        let owner = owner.map(str::to_owned);
        let template = self.template(fields, source.as_ref());
        let (source, sha256) = source?;
        Some(FileSource { source, sha256, platform, path: path?, mode: mode?, owner, template, position: node.at })
    }

    /// A file beside the profile, or one on a server, which needs a digest to be believed.
    fn origin(&mut self, fields: Fields<'_>) -> Option<(FileOrigin, Option<Digest>)> {
        let text = fields.required_text("source", self.report);
        let at = fields.value_at("source");
        if let Some(url) = text.filter(|text| text.starts_with("https://") || text.starts_with("http://")) {
            let checked = self.told(paths::check_url(url), at);
            if fields.optional_text("sha256", self.report).is_none() {
                self.report.add(at, "a file from a server needs `sha256`, the digest that its makers publish");
            }
            let sha256 = self.sha256(fields, None)?;
            return checked.map(|()| (FileOrigin::Url { url: url.to_owned(), sha256 }, Some(sha256)));
        }
        let source = text.and_then(|text| self.told(self.folder.file(text), at));
        let sha256 = self.sha256(fields, source.as_deref());
        source.map(|source| (FileOrigin::Local(source), sha256))
    }

    fn template(&mut self, fields: Fields<'_>, source: Option<&(FileOrigin, Option<Digest>)>) -> bool {
        let Some(node) = fields.optional("template", self.report) else { return false };
        let at = node.at;
        let Some(scalar) = node.scalar().filter(|scalar| scalar.kind == Kind::Bool) else {
            self.report.add(at, format!("`template` is true or false, found {}", node.describe()));
            return false;
        };
        let template = scalar.text.eq_ignore_ascii_case("true");
        if let (true, Some((origin, _))) = (template, source) {
            match origin {
                FileOrigin::Url { .. } => {
                    self.report.add(at, "a file from a server cannot be a template; keep it beside the profile");
                }
                FileOrigin::Local(path) => {
                    let read = crate::problem::read_document(path).map_err(|error| crate::io::with_causes(&error));
                    if let Some(Err(problem)) = self.told(read, at) {
                        self.known.problems.push(problem);
                    }
                }
            }
        }
        template
    }

    fn sha256(&mut self, fields: Fields<'_>, source: Option<&Path>) -> Option<Digest> {
        let text = fields.optional_text("sha256", self.report)?;
        let at = fields.value_at("sha256");
        let Ok(wanted) = Digest::from_hex(text) else {
            self.report.add(at, format!("`sha256` is {text:?}, expected 64 lowercase hexadecimal digits"));
            return None;
        };
        // A server's is checked when it is fetched.
        let Some(source) = source else { return Some(wanted) };
        match paths::digest_of(source) {
            Ok(found) if found == wanted => {}
            Ok(found) => {
                let message = format!("{} hashes to {}, not to what `sha256` says", source.display(), found.hex());
                self.report.add(at, message);
            }
            Err(error) => self.report.add(at, format!("{} cannot be read: {error}", source.display())),
        }
        Some(wanted)
    }

    fn platform(&mut self, fields: Fields<'_>) -> Option<Platform> {
        let text = fields.optional_text("platform", self.report)?;
        self.one_platform(text, fields.value_at("platform"))
    }

    /// The path on the host, which no other file of the same platform may have or lie under.
    fn host_path(&mut self, fields: Fields<'_>, platform: Option<&Platform>) -> Option<String> {
        let path = fields.required_text("path", self.report)?;
        let at = fields.value_at("path");
        self.told(text::check_host_path(path).map_err(|reason| format!("`path` {reason}")), at)?;
        for (other, other_platform, place) in &self.known.host_paths {
            let meet = match (platform, other_platform) {
                (Some(one), Some(other)) => one.satisfies(other),
                _ => true,
            };
            if let Some(message) = clash(path, other, &self.shown(place)).filter(|_| meet) {
                self.report.add(at, message);
            }
        }
        let place = (self.file.to_owned(), at.line);
        self.known.host_paths.push((path.to_owned(), platform.cloned(), place));
        Some(path.to_owned())
    }

    fn mode(&mut self, fields: Fields<'_>, path: Option<&str>) -> Option<u32> {
        let Some(node) = fields.optional("mode", self.report) else {
            return Some(if path.is_some_and(is_program_path) { PROGRAM_MODE } else { DEFAULT_MODE });
        };
        let text = fields.optional_text("mode", self.report)?;
        let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        match u32::from_str_radix(text, 8) {
            Ok(mode) if octal => Some(mode),
            _ => {
                self.report.add(node.at, format!("`mode` is {text:?}, expected octal digits such as \"0755\""));
                None
            }
        }
    }
}

/// Why a file at `path` and one at `other` cannot both be on a host.
fn clash(path: &str, other: &str, place: &str) -> Option<String> {
    let under = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    if path == other {
        Some(format!("host path {path} is already given in {place}"))
    } else if under(path, other) || under(other, path) {
        Some(format!("host path {path} cannot be there with {other} of {place}: one would be file and folder"))
    } else {
        None
    }
}
