//! What a host must have, as a value that both sides speak of.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// The most seconds for which a profile may have what was applied waited for: a day.
pub const LONGEST_READY: u32 = 24 * 60 * 60;

/// What a host must have. What is zero, empty or absent asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Requirements {
    /// Processors, in thousandths of a core.
    #[serde(skip_serializing_if = "is_zero")]
    pub cpu_milli: u64,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub memory: u64,
    /// Disk in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk: u64,
    /// Whether data must lie on a disk that does not rotate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssd: Option<bool>,
    /// Kernel modules that must be loaded, built in or there to be loaded.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "plain_names")]
    pub kernel_modules: Vec<String>,
    /// Programs that must be where services look for them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "plain_names")]
    pub commands: Vec<String>,
    /// Ports that nothing else may listen at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// A port, written `6443` or `8472/udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Port {
    /// Its number, not 0.
    pub number: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// What a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Why a text is not a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a port such as 6443 or 8472/udp")]
pub struct PortError(String);

impl Requirements {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl FromStr for Port {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            _ => None,
        };
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = if plain { number.parse().ok().filter(|number| *number != 0) } else { None };
        let port = number.zip(protocol).map(|(number, protocol)| Self { number, protocol });
        port.ok_or_else(|| PortError(text.to_owned()))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Tcp => write!(f, "{}", self.number),
            Protocol::Udp => write!(f, "{}/udp", self.number),
        }
    }
}

impl TryFrom<String> for Port {
    type Error = PortError;

    fn try_from(text: String) -> Result<Self, PortError> {
        text.parse()
    }
}

impl From<Port> for String {
    fn from(port: Port) -> Self {
        port.to_string()
    }
}

/// Whether `text` can be the name of a program or of a kernel module: no path, nothing that a shell would take apart.
pub fn is_plain_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    begins && text.len() <= 100 && text.bytes().all(plain)
}

/// Names from a bundle, which become parts of paths.
fn plain_names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(from)?;
    match names.iter().find(|name| !is_plain_name(name)) {
        Some(name) => Err(D::Error::custom(format!("{name:?} is not a plain name"))),
        None => Ok(names),
    }
}

fn is_zero(amount: &u64) -> bool {
    *amount == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_they_are_read() {
        for (text, number, protocol) in [("6443", 6443, Protocol::Tcp), ("8472/udp", 8472, Protocol::Udp)] {
            let port: Port = text.parse().unwrap();
            assert_eq!((port.number, port.protocol, port.to_string().as_str()), (number, protocol, text));
        }
        assert_eq!("80/tcp".parse::<Port>().unwrap().to_string(), "80");
        for bad in ["", "0", "65536", "+1", "80/", "80/sctp", "http", "1-2"] {
            assert_eq!(bad.parse::<Port>(), Err(PortError(bad.to_owned())));
        }
    }

    #[test]
    fn what_nobody_asks_for_is_not_written() {
        assert_eq!(serde_json::to_string(&Requirements::default()).unwrap(), "{}");
        let text = r#"{"ssd":true,"kernelModules":["overlay"],"commands":["mount"],"ports":["80","53/udp"]}"#;
        let read: Requirements = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        for bad in
            [r#"{"ports":[80]}"#, r#"{"ports":["0"]}"#, r#"{"commands":["../x"]}"#, r#"{"kernelModules":["a/b"]}"#]
        {
            assert!(serde_json::from_str::<Requirements>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        assert!(["br_netfilter", "mkfs.ext4", "g++", "_x"].into_iter().all(is_plain_name));
        assert!(!["", "..", ".x", "../x", "a/b", "a b", "-x", "a\n"].into_iter().any(is_plain_name));
    }
}
