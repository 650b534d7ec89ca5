//! Authorities in PEM: whether a file has certificates and nothing else that matters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fields::Fields;
use super::files::Reading;
use super::node::Certificate;

/// Largest file; all authorities of a system are smaller together.
const MAX_FILE: u64 = 1 << 20;
/// Longest name.
const MAX_NAME: usize = 100;
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END CERTIFICATE-----";
/// Characters of a line of PEM, as RFC 7468 wants them.
const WIDTH: usize = 64;

/// The files of `caCertificates`.
pub(super) fn certificates(spec: Fields<'_>, reading: &mut Reading<'_>) -> Vec<Certificate> {
    let mut found: Vec<Certificate> = Vec::new();
    let named = |text: &str| if text.is_empty() { Err("the path of a file") } else { Ok(text.to_owned()) };
    for (text, at) in spec.items("caCertificates", named, reading.report) {
        let path = reading.path(&text);
        let name = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_name(stem)).map(str::to_owned);
        if name.is_none() {
            let message = "a certificate is installed under the name of its file, which must have letters, digits, `.`, `_` \
                and `-` only, and begin with a letter or digit";
            reading.report.add(at, message);
        } else if found.iter().any(|other| Some(&other.name) == name.as_ref()) {
            reading.report.add(at, "another file of `caCertificates` has the same name, endings and folders aside");
        }
        let pem = reading.text_of(&path, MAX_FILE).and_then(|text| normal(&text).map_err(str::to_owned));
        match (pem, name) {
            (Ok(pem), Some(name)) => found.push(Certificate { name, pem }),
            (Ok(_), None) => {}
            (Err(message), _) => reading.report.add(at, format!("this file of `caCertificates` {message}")),
        }
    }
    found
}

/// Whether this is what [`certificates`] makes of a file.
pub(super) fn is_certificate(certificate: &Certificate) -> bool {
    is_name(&certificate.name) && normal(&certificate.pem).is_ok_and(|pem| pem == certificate.pem)
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// The certificates of a text, without what stands around them. The error says what the file does instead.
fn normal(text: &str) -> Result<String, &'static str> {
    let mut all = String::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        match line.strip_prefix(BEGIN) {
            None => {}
            Some("CERTIFICATE-----") => {
                let mut body = String::new();
                loop {
                    match lines.next().ok_or("has a BEGIN CERTIFICATE without END CERTIFICATE")? {
                        END => break,
                        line => body.push_str(line),
                    }
                }
                let der = STANDARD.decode(&body).map_err(|_| "has a certificate that is not base64")?;
                if !is_one_sequence(&der) {
                    return Err("has something between BEGIN CERTIFICATE and END CERTIFICATE that is no certificate");
                }
                all.push_str(&pem(&der));
            }
            Some(kind) if kind.contains("PRIVATE KEY") => {
                return Err("has a private key in it, which does not belong there");
            }
            Some(_) => return Err("has something else than certificates in it (BEGIN CERTIFICATE)"),
        }
    }
    if all.is_empty() { Err("has no certificate in PEM (BEGIN CERTIFICATE)") } else { Ok(all) }
}

/// Whether this is one sequence of DER with all of its bytes, as each certificate is: tag, length, content.
fn is_one_sequence(der: &[u8]) -> bool {
    let (length, content) = match der {
        [0x30, short @ 0..=0x7F, content @ ..] => (usize::from(*short), content),
        [0x30, 0x81, a, content @ ..] => (usize::from(*a), content),
        [0x30, 0x82, a, b, content @ ..] => (usize::from(*a) << 8 | usize::from(*b), content),
        _ => return false,
    };
    length > 0 && length == content.len()
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("{BEGIN}CERTIFICATE-----\n");
    let mut rest = &encoded[..];
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(WIDTH));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + END + "\n"
}
