//! What values look like, and how they are spelled.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What a variable's values look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Any text.
    #[default]
    String,
    /// A number as JSON spells it.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An IPv4 address.
    Ipv4,
    /// An IPv4 network: its address, without bits of a host, and the length of its prefix.
    Ipv4Cidr,
    /// An IPv6 address; written as RFC 5952 has it.
    Ipv6,
    /// A semantic version, with or without a `v` before it.
    Version,
}

impl Format {
    /// The formats by the words that profiles have for them.
    pub const WORDS: &'static [(&'static str, Self)] = &[
        ("string", Self::String),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("ipv4", Self::Ipv4),
        ("ipv4cidr", Self::Ipv4Cidr),
        ("ipv6", Self::Ipv6),
        ("version", Self::Version),
    ];

    /// Whether it is the one that variables have where they do not say another.
    pub(super) fn is_string(&self) -> bool {
        *self == Self::String
    }

    /// Whether YAML has values of this kind without quotes.
    pub fn is_typed(self) -> bool {
        matches!(self, Self::Number | Self::Boolean)
    }

    /// The canonical spelling of `text`.
    ///
    /// # Errors
    /// What was expected instead.
    pub(super) fn canonical(self, text: &str) -> Result<String, String> {
        let kept = |fits: bool| if fits { Ok(text.to_owned()) } else { Err(self.example().to_owned()) };
        match self {
            // No file and no command line has those.
            Self::String if text.contains('\0') => Err("text without NUL characters".to_owned()),
            Self::String => Ok(text.to_owned()),
            Self::Number => kept(is_number(text)),
            Self::Boolean => kept(matches!(text, "true" | "false")),
            Self::Ipv4 => kept(text.parse::<Ipv4Addr>().is_ok()),
            Self::Ipv4Cidr => self.network(text),
            Self::Ipv6 => match text.parse::<Ipv6Addr>() {
                Ok(address) => Ok(address.to_string()),
                Err(_) => Err(self.example().to_owned()),
            },
            Self::Version => kept(semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).is_ok()),
        }
    }

    /// What values of the format look like, for people.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::String => "any text",
            Self::Number => "a number such as 42, -7 or 1.5",
            Self::Boolean => "true or false",
            Self::Ipv4 => "an IPv4 address such as 10.0.0.10",
            Self::Ipv4Cidr => "an IPv4 network such as 10.42.0.0/16",
            Self::Ipv6 => "an IPv6 address such as fd00::10",
            Self::Version => "a version such as 1.32.5 or v1.32.5",
        }
    }

    fn network(self, text: &str) -> Result<String, String> {
        let parsed = text.split_once('/').and_then(|(address, length)| {
            // `u8` takes `+8` and `08`, which nothing else does.
            let plain = length.bytes().all(|b| b.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
            let length = length.parse::<u8>().ok().filter(|length| plain && *length <= 32)?;
            Some((address.parse::<Ipv4Addr>().ok()?, length))
        });
        let Some((address, length)) = parsed else { return Err(self.example().to_owned()) };
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        let network = Ipv4Addr::from(address.to_bits() & mask);
        if network == address {
            return Ok(text.to_owned());
        }
        Err(format!("the address of a network without bits of a host, which here is {network}/{length}"))
    }
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?` (RFC 8259, chapter 6), as large as a double can be.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (number, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(n, e)| (n, Some(e)));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_one_spelling() {
        for (format, good) in [
            (Format::String, &["", " ", "a\nb", "••", "{{ .x }}"][..]),
            (Format::Number, &["0", "-0", "42", "-7", "1.5", "1e3", "1E-3", "123456789012345678901234567890"]),
            (Format::Boolean, &["true", "false"]),
            (Format::Ipv4, &["0.0.0.0", "10.0.0.10", "255.255.255.255"]),
            (Format::Ipv4Cidr, &["0.0.0.0/0", "10.42.0.0/16", "10.0.0.1/32"]),
            (Format::Ipv6, &["::", "fd00::10", "2001:db8::1"]),
            (Format::Version, &["1.32.5", "v1.32.5", "1.32.5+k3s1", "1.0.0-rc.1"]),
        ] {
            for text in good {
                assert_eq!(format.canonical(text).as_deref(), Ok(*text), "{format:?}");
            }
        }
        assert_eq!(Format::Ipv6.canonical("FD00:0:0::0010").as_deref(), Ok("fd00::10"));
    }

    #[test]
    fn everything_else_is_refused() {
        for (format, bad) in [
            (Format::String, &["a\0b"][..]),
            (Format::Number, &["", "+1", "01", "1.", ".5", "0x10", "1_000", "1e", "1e999", "NaN", "٣", " 1", "--1"]),
            (Format::Boolean, &["", "True", "yes", "1"]),
            (Format::Ipv4, &["", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1/24", "fd00::1"]),
            (
                Format::Ipv4Cidr,
                &["10.42.0.0", "10.42.0.0/33", "10.42.0.0/+8", "10.42.0.0/08", "10.42.0.0/", "10.0.0.1/24"],
            ),
            (Format::Ipv6, &["", "10.0.0.1", "fe80::1%eth0", "fd00::/64", ":::"]),
            (Format::Version, &["", "1", "1.32", "V1.2.3", "vv1.2.3", "1.02.3"]),
        ] {
            for text in bad {
                assert!(format.canonical(text).is_err(), "{format:?} {text:?}");
            }
        }
        let host = Format::Ipv4Cidr.canonical("10.42.7.1/16").unwrap_err();
        assert_eq!(host, "the address of a network without bits of a host, which here is 10.42.0.0/16");
    }
}
