//! What was at a file's path before, as journals and receipts have it, and in what something else differs from it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::files::hash_at;
use crate::io::{PathError, Place, attributes, file_type};
use crate::oci::Digest;

/// What was at a file's path before. What an earlier installer did not record is absent, and is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Before {
    /// Of its content; absent where it was a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Where the symbolic link led, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkTarget>,
    /// Length in bytes.
    pub size: u64,
    /// Permission bits, octal: `0755`.
    pub mode: String,
    /// User and group by number, `0:0`.
    pub owner: String,
    /// When its content was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Moment>,
    /// The digests of its extended attributes by name: ACLs, capabilities, the SELinux label and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, Digest>>,
    /// The folder of originals that the file itself was moved into; absent where it was not replaced, or is kept by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// Where a symbolic link leads: bytes, which need not be text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LinkShape", into = "LinkShape")]
pub struct LinkTarget(Vec<u8>);

/// A link's target in JSON: text as text, and other bytes in hexadecimal.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum LinkShape {
    Text(String),
    #[serde(rename_all = "camelCase")]
    Bytes {
        #[serde(with = "hex::serde")]
        hex: Vec<u8>,
    },
}

impl From<LinkShape> for LinkTarget {
    fn from(shape: LinkShape) -> Self {
        match shape {
            LinkShape::Text(text) => Self(text.into_bytes()),
            LinkShape::Bytes { hex } => Self(hex),
        }
    }
}

impl From<LinkTarget> for LinkShape {
    fn from(target: LinkTarget) -> Self {
        String::from_utf8(target.0).map_or_else(|error| Self::Bytes { hex: error.into_bytes() }, Self::Text)
    }
}

impl LinkTarget {
    /// The target as the system has it.
    pub(super) fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// Whether an earlier installer, which took every target for text, wrote another one down than there was.
    pub(super) fn is_lossy(&self) -> bool {
        self.0.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes())
    }
}

/// A time of a file. Seconds since 1970 have a sign and no end, which dates in text have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Moment {
    /// Whole seconds since 1970, negative before.
    pub seconds: i64,
    /// What is added to them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nanoseconds: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Before {
    /// A file of which no more than content, mode and owner is known; an empty owner is any.
    pub(super) fn file(digest: Digest, size: u64, mode: String, owner: String) -> Self {
        Self { digest: Some(digest), link: None, size, mode, owner, modified: None, attributes: None, kept: None }
    }

    /// Whether this is what `wanted` says; what that leaves open does not count.
    pub(super) fn is(&self, wanted: &Self) -> bool {
        let owner = wanted.owner.is_empty() || self.owner == wanted.owner;
        owner && self.digest == wanted.digest && self.link == wanted.link && self.mode == wanted.mode
    }

    /// In what this differs from `wanted`, in words; what `wanted` has no record of is not compared.
    pub(super) fn differences(&self, wanted: &Self) -> Vec<String> {
        if self.link.is_some() != wanted.link.is_some() || self.digest.is_some() != wanted.digest.is_some() {
            return vec!["kind".to_owned()];
        }
        let mut differ = Vec::new();
        let mut compare = |same: bool, what: &str| (!same).then(|| differ.push(what.to_owned()));
        compare(self.digest == wanted.digest, "content");
        compare(self.link == wanted.link, "link target");
        compare(self.mode == wanted.mode, "mode");
        compare(wanted.owner.is_empty() || self.owner == wanted.owner, "owner");
        compare(wanted.modified.is_none() || self.modified == wanted.modified, "modification time");
        if let (Some(found), Some(wanted)) = (&self.attributes, &wanted.attributes) {
            let names = found.keys().chain(wanted.keys().filter(|name| !found.contains_key(*name)));
            names.filter(|name| found.get(*name) != wanted.get(*name)).for_each(|name| differ.push(called(name)));
        }
        differ
    }

    /// Whether times and attributes are recorded, which the first installers did not.
    pub(super) fn is_complete(&self) -> bool {
        self.modified.is_some() && self.attributes.is_some()
    }

    /// What is at `place` now; nothing where nothing is.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn at(place: &Place) -> Result<Option<Self>, PathError> {
        let Some(found) = place.stat()? else { return Ok(None) };
        let kind = file_type(&found);
        let link = match kind {
            FileType::Symlink => Some(LinkTarget(place.read_link()?.into_vec())),
            _ => None,
        };
        let attributes = attributes(place)?.map(|attributes| {
            let digests = attributes.into_iter();
            digests.map(|(name, value)| (name.to_string_lossy().into_owned(), Digest::of(&value))).collect()
        });
        Ok(Some(Self {
            // What is neither stays what it is: nothing takes its place.
            digest: if kind == FileType::RegularFile { hash_at(place)? } else { None },
            link,
            size: found.st_size as u64,
            mode: format!("{:04o}", found.st_mode & 0o7777),
            owner: format!("{}:{}", found.st_uid, found.st_gid),
            modified: Some(Moment { seconds: found.st_mtime, nanoseconds: found.st_mtime_nsec as i64 }),
            attributes,
            kept: None,
        }))
    }
}

/// An attribute as people call it.
pub(super) fn called(attribute: &str) -> String {
    match attribute {
        "system.posix_acl_access" => "ACL".to_owned(),
        "security.capability" => "capabilities".to_owned(),
        "security.selinux" => "SELinux label".to_owned(),
        other => format!("attribute {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_target_is_bytes() {
        for bytes in [&b"/opt/\xff\xfe"[..], b"theirs", b"", b"a\nb\"c"] {
            let target = LinkTarget(bytes.to_vec());
            let json = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<LinkTarget>(&json).unwrap(), target, "{json}");
        }
        assert_eq!(serde_json::to_string(&LinkTarget(b"theirs".to_vec())).unwrap(), "\"theirs\"");
        assert_eq!(serde_json::to_string(&LinkTarget(b"\xff".to_vec())).unwrap(), "{\"hex\":\"ff\"}");
        assert!(LinkTarget("/opt/\u{fffd}".into()).is_lossy() && !LinkTarget(b"/opt/\xff".to_vec()).is_lossy());
    }

    #[test]
    fn what_earlier_installers_recorded_is_read_and_compared_as_far_as_it_goes() {
        let old = r#"{"digest":"sha256:be421d2c6cc0053a98df451941441687965aac225a8e21c8884e0a2ced04d33d","size":15,"mode":"0640","owner":"0:0"}"#;
        let old: Before = serde_json::from_str(old).unwrap();
        let modified = Some(Moment { seconds: 1, nanoseconds: 0 });
        let found = Before { modified, attributes: Some(BTreeMap::new()), ..old.clone() };
        assert!(found.differences(&old).is_empty() && !old.is_complete() && found.is_complete());
        assert_eq!(Before { mode: "0644".to_owned(), ..found }.differences(&old), ["mode"]);
    }

    #[test]
    fn every_difference_is_named() {
        let digest = Digest::of(b"x");
        let all = ["system.posix_acl_access", "security.selinux", "user.note"].map(|name| (name.to_owned(), digest));
        let modified = |seconds| Some(Moment { seconds, nanoseconds: 7 });
        let wanted = Before {
            modified: modified(-5),
            attributes: Some(all.into()),
            ..Before::file(digest, 1, "4755".into(), "1:2".into())
        };
        let other = ("security.capability".to_owned(), digest);
        let found = Before {
            modified: modified(300_000_000_000),
            attributes: Some([other].into()),
            ..Before::file(Digest::of(b"y"), 1, "0755".into(), "1:1".into())
        };
        let want = "capabilities,content,mode,modification time,owner,ACL,SELinux label,attribute \"user.note\"";
        let (mut found, mut want) = (found.differences(&wanted), want.split(',').collect::<Vec<_>>());
        found.sort();
        want.sort_unstable();
        assert_eq!(found, want);
        let link = Before { digest: None, link: Some(LinkTarget(b"x".to_vec())), ..wanted.clone() };
        assert_eq!(link.differences(&wanted), ["kind"]);
        let json = serde_json::to_string(&wanted).unwrap();
        assert_eq!(serde_json::from_str::<Before>(&json).unwrap(), wanted, "{json}");
    }
}
