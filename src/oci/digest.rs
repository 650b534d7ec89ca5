//! Content digests (OCI image-spec 1.1, descriptor.md, "Digests").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// The SHA-256 of some bytes. It prints and parses as `sha256:` and 64 lowercase hexadecimal digits.
///
/// SHA-256 is the only algorithm that registries and container runtimes use for content today; a digest of another
/// algorithm is refused by name and never guessed at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Why a text is not a digest that Carrack can check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The text has no `ALGORITHM:` before the digits, or the digits are not 64 lowercase hexadecimal ones.
    #[error("{0:?} is not a digest (expected sha256: and 64 lowercase hexadecimal digits)")]
    Malformed(String),
    /// An algorithm other than `sha256`.
    #[error("digest algorithm {0:?} is not supported (only sha256 is)")]
    Algorithm(String),
}

impl Digest {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digester = Digester::new();
        digester.update(bytes);
        digester.finish()
    }

    /// The 64 hexadecimal digits without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 hexadecimal digits, for people; never to identify content.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }

    /// Parses the 64 digits that follow `sha256:`, as blob file names have them.
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        let lowercase = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !lowercase || hex::decode_to_slice(text, &mut bytes).is_err() {
            return Err(DigestError::Malformed(text.to_owned()));
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed(text.to_owned());
        let (algorithm, digits) = text.split_once(':').ok_or_else(malformed)?;
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm(algorithm.to_owned()));
        }
        Self::from_hex(digits).map_err(|_| malformed())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes bytes as they pass.
#[derive(Clone, Default)]
pub struct Digester(sha2::Sha256);

impl Digester {
    /// A digester that has seen no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `bytes` to what has been seen.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes seen.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn prints_and_parses_the_same_text() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
    }

    #[test]
    fn refuses_what_is_not_sha256() {
        assert_eq!("sha512:00".parse::<Digest>(), Err(DigestError::Algorithm("sha512".into())));
        for bad in ["", "sha256", "sha256:", "sha256:abc", &EMPTY.to_uppercase().replace("SHA", "sha"), &EMPTY[7..]] {
            assert!(matches!(bad.parse::<Digest>(), Err(DigestError::Malformed(_))), "{bad}");
        }
    }
}
