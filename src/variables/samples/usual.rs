//! Values that variables of each format may have.

use crate::variables::Format;

/// Values that most variables of a format may have: documentation's addresses, and words that are no image's.
pub(super) fn usual(format: Format) -> Box<dyn Iterator<Item = String>> {
    let own = |texts: &'static [&'static str]| texts.iter().map(|text| (*text).to_owned());
    match format {
        Format::String => {
            let letters = || ('a'..='z').map(String::from);
            let words = letters().map(|letter| format!("sample-{letter}"));
            Box::new(words.chain((1..100).map(|number| format!("sample-{number}"))).chain(letters()))
        }
        Format::Number => {
            let more = (2..100).chain(1024..1124).chain(30_000..30_100).map(|number: u32| number.to_string());
            Box::new(own(&["42", "7", "100", "8080", "0.5"]).chain(more).chain(own(&["1", "0"])))
        }
        Format::Boolean => Box::new(own(&["true", "false"])),
        Format::Ipv4 => Box::new((1..25).map(|number| format!("192.0.2.{}", number * 10))),
        Format::Ipv4Cidr => {
            let more = (1..100).map(|number| format!("10.{number}.0.0/16"));
            Box::new(own(&["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]).chain(more))
        }
        Format::Ipv6 => Box::new((1..100).map(|number| format!("2001:db8::{number}0"))),
        Format::Version => {
            let more = (0..100).flat_map(|major| [format!("{major}.2.3"), format!("v{major}.2.3")]);
            Box::new(own(&["1.2.3", "4.5.6", "7.8.9", "v1.2.3", "v4.5.6"]).chain(more))
        }
    }
}
