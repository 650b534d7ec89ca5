//! How long what was applied is waited for, as profiles write it.

use crate::problem::Report;
use crate::requirements::LONGEST_READY;
use crate::yaml::Fields;

pub(super) const READY: &[&str] = &["timeout"];

/// `ready.timeout` in `parent` in seconds, where it is given.
pub(super) fn decode(parent: Fields<'_>, report: &mut Report) -> Option<u32> {
    let fields = Fields::open(parent.optional("ready", report)?, "`ready`", READY, &[], report)?;
    let text = fields.required_text("timeout", report)?;
    let seconds = seconds(text);
    if seconds.is_none() {
        let message =
            format!("`timeout` is {text:?}, expected a time such as 90s, 10m or 1h, 24h at most; 0s waits for nothing");
        report.add(fields.value_at("timeout"), message);
    }
    seconds
}

fn seconds(text: &str) -> Option<u32> {
    let (digits, factor) = [("s", 1), ("m", 60), ("h", 3600)]
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = digits.parse().ok().filter(|_| plain)?;
    number.checked_mul(factor).filter(|seconds| *seconds <= LONGEST_READY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, read) in [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("1h", Some(3600)),
            ("24h", Some(LONGEST_READY)),
            ("0s", Some(0)),
            ("25h", None),
            ("99999999999h", None),
            ("10", None),
            ("m", None),
            ("-1m", None),
            ("+1m", None),
            ("1.5m", None),
            ("1m30s", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), read, "{text}");
        }
    }
}
