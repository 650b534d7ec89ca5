//! Platforms (OCI image-spec 1.1, image-index.md, "platform").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system and processor architecture that an image is made for, written `OS/ARCHITECTURE[/VARIANT]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, as Go names it: `linux`, `windows`.
    pub os: String,
    /// Architecture, as Go names it: `amd64`, `arm64`.
    pub architecture: String,
    /// Variant of the architecture, such as `v8`; absent where the architecture has one meaning only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform (expected OS/ARCHITECTURE, such as linux/amd64)")]
pub struct PlatformError(String);

impl Platform {
    /// A platform without variant.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// The platform of the machine this runs on.
    pub fn of_this_machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self::new(std::env::consts::OS, architecture)
    }

    /// Whether content made for `self` is what was asked for with `wanted`. Variants are compared only where both
    /// name one, and `arm64` means `arm64/v8`, as in containerd's platform matching.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        let variants_agree = match (&self.normal_variant(), &wanted.normal_variant()) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        self.os == wanted.os && self.architecture == wanted.architecture && variants_agree
    }

    fn normal_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm64", None | Some("" | "8" | "v8")) => Some("v8"),
            (_, Some("") | None) => None,
            (_, variant) => variant,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [os, architecture] if word(os) && word(architecture) => Ok(Self::new(os, architecture)),
            [os, architecture, variant] if word(os) && word(architecture) && word(variant) => {
                Ok(Self { variant: Some((*variant).to_owned()), ..Self::new(os, architecture) })
            }
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn prints_what_it_parsed() {
        for text in ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"] {
            assert_eq!(platform(text).to_string(), text);
        }
        for bad in ["", "linux", "linux/", "Linux/amd64", "linux/amd64/v1/x"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn variants_matter_only_where_both_name_one() {
        assert!(platform("linux/arm64").satisfies(&platform("linux/arm64/v8")));
        assert!(platform("linux/arm64/v8").satisfies(&platform("linux/arm64")));
        assert!(!platform("linux/arm/v6").satisfies(&platform("linux/arm/v7")));
        assert!(!platform("linux/386").satisfies(&platform("linux/amd64")));
    }
}
