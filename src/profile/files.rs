//! Host files of a pack.

use std::path::Path;

use super::decode::Decoder;
use super::{FileSource, paths};
use crate::oci::{Digest, Platform};
use crate::yaml::{Fields, Node};

pub(super) const FILE: &[&str] = &["source", "sha256", "platform", "path", "mode", "owner"];
const NOT_YET: &[(&str, &str)] = &[("extract", "files[].extract"), ("symlink", "files[].symlink")];

const DEFAULT_MODE: u32 = 0o644;

impl Decoder<'_> {
    pub(super) fn file(&mut self, node: &Node) -> Option<FileSource> {
        let fields = Fields::open(node, "an item of `files`", FILE, NOT_YET, self.report)?;
        let source = fields.required_text("source", self.report);
        let source = source.and_then(|text| self.told(self.folder.file(text), fields.value_at("source")));
        let sha256 = self.sha256(fields, source.as_deref());
        let platform = self.platform(fields);
        let path = self.host_path(fields, platform.as_ref());
        let mode = self.mode(fields);
        let owner = fields.optional_text("owner", self.report);
        if let Some(owner) = owner.filter(|owner| !is_owner(owner)) {
            let message = format!("`owner` is {owner:?}, expected USER or USER:GROUP, names or numbers");
            self.report.add(fields.value_at("owner"), message);
        }
        let owner = owner.map(str::to_owned);
        Some(FileSource { source: source?, sha256, platform, path: path?, mode: mode?, owner })
    }

    fn sha256(&mut self, fields: Fields<'_>, source: Option<&Path>) -> Option<Digest> {
        let text = fields.optional_text("sha256", self.report)?;
        let at = fields.value_at("sha256");
        let Ok(wanted) = Digest::from_hex(text) else {
            self.report.add(at, format!("`sha256` is {text:?}, expected 64 lowercase hexadecimal digits"));
            return None;
        };
        let source = source?;
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
        let at = fields.value_at("platform");
        let platform: Platform = self.told(text.parse().map_err(|error| format!("{error}")), at)?;
        if !self.platforms.iter().any(|wanted| platform.satisfies(wanted)) {
            self.report.add(at, format!("platform {platform} is not one of `spec.platforms`"));
        }
        Some(platform)
    }

    /// The path on the host, which no other file of the same platform may have or lie under.
    fn host_path(&mut self, fields: Fields<'_>, platform: Option<&Platform>) -> Option<String> {
        let path = fields.required_text("path", self.report)?;
        let at = fields.value_at("path");
        self.told(paths::check_host_path(path), at)?;
        for (other, other_platform, line) in &self.host_paths {
            let meet = match (platform, other_platform) {
                (Some(one), Some(other)) => one.satisfies(other),
                _ => true,
            };
            if let Some(message) = clash(path, other, *line).filter(|_| meet) {
                self.report.add(at, message);
            }
        }
        self.host_paths.push((path.to_owned(), platform.cloned(), at.line));
        Some(path.to_owned())
    }

    fn mode(&mut self, fields: Fields<'_>) -> Option<u32> {
        let Some(node) = fields.optional("mode", self.report) else { return Some(DEFAULT_MODE) };
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
fn clash(path: &str, other: &str, line: usize) -> Option<String> {
    let under = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    if path == other {
        Some(format!("host path {path} is already given in line {line}"))
    } else if under(path, other) || under(other, path) {
        Some(format!("host path {path} cannot be there with {other} of line {line}: one would be file and folder"))
    } else {
        None
    }
}

fn is_owner(text: &str) -> bool {
    let name = |part: &str| {
        let first = part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        first && part.len() <= 32 && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    text.split_once(':').map_or_else(|| name(text), |(user, group)| name(user) && name(group))
}
