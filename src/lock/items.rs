//! The items of the lock file's sections, read and written.

use std::fmt::Write as _;
use std::str::FromStr;

use super::{ChartKey, LockedChart, LockedFile, LockedImage, LockedManifest, LockedPack};
use crate::io::with_causes;
use crate::oci::{Digest, DigestError, Reference};
use crate::problem::Report;
use crate::yaml::{Fields, Node};

pub(super) fn read_image(node: &Node, report: &mut Report) -> Option<(Reference, LockedImage)> {
    let known = &["reference", "digest", "mediaType", "size", "platforms"];
    let fields = Fields::open(node, "a locked image", known, &[], report)?;
    // Everything is read before anything is given up, so that all mistakes are told.
    let reference = parsed_text(&fields, "reference", report);
    let digest = parsed_text(&fields, "digest", report);
    let media_type = fields.required_text("mediaType", report);
    let size = number(&fields, "size", report);
    fields.required("platforms", report);
    let platforms = fields.list("platforms", report).iter().filter_map(|item| read_manifest(item, report)).collect();
    let image = LockedImage { digest: digest?, media_type: media_type?.to_owned(), size: size?, platforms };
    Some((reference?, image))
}

fn read_manifest(node: &Node, report: &mut Report) -> Option<LockedManifest> {
    let fields = Fields::open(node, "a locked manifest", &["platform", "digest", "size", "indexes"], &[], report)?;
    let platform = fields.optional_text("platform", report);
    let platform = platform.and_then(|text| parsed(&fields, "platform", text, report));
    let digest = parsed_text(&fields, "digest", report);
    let size = number(&fields, "size", report);
    let indexes = fields.list("indexes", report).iter().filter_map(|item| read_digest(item, report)).collect();
    Some(LockedManifest { platform, digest: digest?, size: size?, indexes })
}

fn read_digest(node: &Node, report: &mut Report) -> Option<Digest> {
    let Some(scalar) = node.scalar() else {
        report.add(node.at, format!("expected a digest, found {}", node.describe()));
        return None;
    };
    scalar.text.parse().map_err(|error: DigestError| report.add(node.at, error.to_string())).ok()
}

fn parsed_text<T: FromStr<Err: std::error::Error>>(fields: &Fields<'_>, name: &str, report: &mut Report) -> Option<T> {
    let text = fields.required_text(name, report)?;
    parsed(fields, name, text, report)
}

fn parsed<T: FromStr<Err: std::error::Error>>(
    fields: &Fields<'_>,
    name: &str,
    text: &str,
    report: &mut Report,
) -> Option<T> {
    text.parse().map_err(|error: T::Err| report.add(fields.value_at(name), with_causes(&error))).ok()
}

fn number(fields: &Fields<'_>, name: &str, report: &mut Report) -> Option<u64> {
    let node = fields.required(name, report)?;
    let number = node.scalar().and_then(|scalar| scalar.text.parse().ok());
    if number.is_none() {
        report.add(node.at, format!("`{name}` must be a number of bytes, found {}", node.describe()));
    }
    number
}

pub(super) fn write_image(text: &mut String, reference: &Reference, image: &LockedImage) -> std::fmt::Result {
    writeln!(text, "- reference: {}", scalar(&reference.to_string()))?;
    writeln!(text, "  digest: {}", image.digest)?;
    writeln!(text, "  mediaType: {}", scalar(&image.media_type))?;
    writeln!(text, "  size: {}", image.size)?;
    writeln!(text, "  platforms:{}", if image.platforms.is_empty() { " []" } else { "" })?;
    for manifest in &image.platforms {
        match &manifest.platform {
            Some(platform) => {
                writeln!(text, "  - platform: {}", scalar(&platform.to_string()))?;
                writeln!(text, "    digest: {}", manifest.digest)?;
            }
            None => writeln!(text, "  - digest: {}", manifest.digest)?,
        }
        writeln!(text, "    size: {}", manifest.size)?;
        if !manifest.indexes.is_empty() {
            writeln!(text, "    indexes:")?;
        }
        for index in &manifest.indexes {
            writeln!(text, "    - {index}")?;
        }
    }
    Ok(())
}

/// A text as a YAML scalar: plain where that is safe, else quoted as in JSON, which YAML understands.
fn scalar(text: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"./:@+_-".contains(&b);
    // A slash within keeps it from being a number, a date or a word with a meaning.
    let plain = text.contains('/') && text.bytes().all(safe);
    let plain = plain && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && !text.ends_with(':');
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

pub(super) fn read_chart(node: &Node, report: &mut Report) -> Option<(ChartKey, LockedChart)> {
    let known = &["source", "name", "range", "version", "url", "sha256", "size"];
    let fields = Fields::open(node, "a locked chart", known, &[], report)?;
    let optional = |name: &str, report: &mut Report| fields.optional_text(name, report).map(str::to_owned);
    let source = fields.required_text("source", report).map(str::to_owned);
    let (name, range) = (optional("name", report), optional("range", report));
    let version = fields.required_text("version", report).map(str::to_owned);
    let url = optional("url", report);
    let digest = sha256(&fields, report);
    let size = number(&fields, "size", report);
    let key = ChartKey { source: source?, name, range };
    Some((key, LockedChart { version: version?, url, digest: digest?, size: size? }))
}

pub(super) fn read_pack(node: &Node, report: &mut Report) -> Option<(Reference, LockedPack)> {
    let fields = Fields::open(node, "a locked pack", &["reference", "digest", "size"], &[], report)?;
    let reference = parsed_text(&fields, "reference", report);
    let digest = parsed_text(&fields, "digest", report);
    let size = number(&fields, "size", report);
    Some((reference?, LockedPack { digest: digest?, size: size? }))
}

pub(super) fn read_file(node: &Node, report: &mut Report) -> Option<(String, LockedFile)> {
    let fields = Fields::open(node, "a locked file", &["url", "sha256", "size", "compressed"], &[], report)?;
    let url = fields.required_text("url", report).map(str::to_owned);
    let digest = sha256(&fields, report);
    let size = number(&fields, "size", report);
    let compressed = fields.required("compressed", report).and_then(|node| {
        let value = node.scalar().and_then(|scalar| scalar.text.parse().ok());
        if value.is_none() {
            report.add(node.at, format!("`compressed` must be true or false, found {}", node.describe()));
        }
        value
    });
    Some((url?, LockedFile { digest: digest?, size: size?, compressed: compressed? }))
}

/// The 64 digits alone, as a profile has them.
fn sha256(fields: &Fields<'_>, report: &mut Report) -> Option<Digest> {
    let text = fields.required_text("sha256", report)?;
    Digest::from_hex(text).map_err(|error| report.add(fields.value_at("sha256"), error.to_string())).ok()
}

pub(super) fn write_chart(text: &mut String, key: &ChartKey, chart: &LockedChart) -> std::fmt::Result {
    writeln!(text, "- source: {}", scalar(&key.source))?;
    for (name, value) in [("name", &key.name), ("range", &key.range)] {
        if let Some(value) = value {
            writeln!(text, "  {name}: {}", scalar(value))?;
        }
    }
    writeln!(text, "  version: {}", scalar(&chart.version))?;
    if let Some(url) = &chart.url {
        writeln!(text, "  url: {}", scalar(url))?;
    }
    writeln!(text, "  sha256: {}", scalar(&chart.digest.hex()))?;
    writeln!(text, "  size: {}", chart.size)
}

pub(super) fn write_pack(text: &mut String, reference: &Reference, pack: &LockedPack) -> std::fmt::Result {
    writeln!(text, "- reference: {}", scalar(&reference.to_string()))?;
    writeln!(text, "  digest: {}", pack.digest)?;
    writeln!(text, "  size: {}", pack.size)
}

pub(super) fn write_file(text: &mut String, url: &str, file: &LockedFile) -> std::fmt::Result {
    writeln!(text, "- url: {}", scalar(url))?;
    writeln!(text, "  sha256: {}", scalar(&file.digest.hex()))?;
    writeln!(text, "  size: {}", file.size)?;
    writeln!(text, "  compressed: {}", file.compressed)
}
