//! What characters a text may have that people read, and how foreign text is shown.
//!
//! Owns the rules for texts and names that both sides share: what `carrack check` refuses in a profile is what the
//! reader of a bundle refuses. It must not know what a text is for.

mod names;

use std::borrow::Cow;
use std::fmt::Write as _;

pub use names::{
    LONGEST_COMPONENT, LONGEST_PATH, LONGEST_VERSION, UNITS, chart_version, check_host_path, check_name, is_chart_name,
    is_label, is_owner, is_subdomain, is_unit,
};

/// Characters of a culprit that a message repeats.
const SHOWN: usize = 120;
/// Longest text that people write as one value, in bytes.
const LONGEST_PROSE: usize = 16 << 10;

/// Whether a reader cannot see the character, or it changes how others are shown: controls, bidirectional controls, format
/// characters, fillers, places kept for objects, what each font shows as it likes, and what separates lines and paragraphs.
/// Unicode has most of them in the categories Cc, Cf, Co, Zl and Zp, and as Default_Ignorable_Code_Point. Variation selectors
/// are not among them: see [`check`]; nor are blanks of other widths, which are seen as blanks.
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            u32::from(character),
            0xad | 0x34f
                | 0x61c
                | 0x115f
                | 0x1160
                | 0x17b4
                | 0x17b5
                | 0x180b..=0x180f
                | 0x200b..=0x200f
                | 0x2028..=0x202e
                | 0x2060..=0x206f
                | 0x2800
                | 0x3164
                | 0xe000..=0xf8ff
                | 0xfeff
                | 0xffa0
                | 0xfff0..=0xfffc
                | 0xfffe
                | 0xffff
                | 0x13430..=0x1345f
                | 0x1bca0..=0x1bca3
                | 0x1d173..=0x1d17a
                | 0xe0000..=0xe0fff
                | 0xf0000..=0x10ffff
        )
}

/// Whether the character chooses a form of the one before it, as U+FE0F does for emoji.
fn is_variation(character: char) -> bool {
    ('\u{fe00}'..='\u{fe0f}').contains(&character)
}

/// Checks a text in one line that people read: every character is one that they see. A variation selector may stand after a
/// symbol, which is how emoji are written; a sequence that joiners make is refused, as joiners join words too.
///
/// # Errors
/// What is wrong, to follow the name of the place; the text is in it with what cannot be seen escaped.
pub fn check(text: &str) -> Result<(), String> {
    lines(text, false)
}

/// As [`check`], for a value that may have several lines and tabs.
///
/// # Errors
/// As [`check`].
pub fn check_lines(text: &str) -> Result<(), String> {
    lines(text, true)
}

fn lines(text: &str, several: bool) -> Result<(), String> {
    if text.len() > LONGEST_PROSE && !several {
        return Err(format!("has {} bytes, at most {LONGEST_PROSE} are allowed", text.len()));
    }
    let mut before = ' ';
    for character in text.chars() {
        let unseen = is_unseen(character) && !(several && matches!(character, '\n' | '\t'));
        if unseen || (is_variation(character) && before < '\u{203c}') {
            return Err(format!("is {}, with the character {}, which cannot be seen", shown(text), name(character)));
        }
        before = character;
    }
    Ok(())
}

/// The text in one line: what separates its lines, with the blanks around, becomes one blank.
pub fn folded(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn name(character: char) -> String {
    format!("U+{:04X}", u32::from(character))
}

/// A foreign text in quotes, with what cannot be seen escaped, and only the beginning of a long one.
pub fn shown(text: &str) -> String {
    let mut quoted = String::from('"');
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN {
            quoted.push('…');
            break;
        }
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            _ if is_unseen(character) || is_variation(character) => escape(character, &mut quoted),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// What may go to a terminal: what a terminal would obey, or a reader not see, becomes `\u001b`, which is also how JSON has
/// it, so that a document stays one. Line ends and tabs stay.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let bad = |character: char| is_unseen(character) && !matches!(character, '\n' | '\t');
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if bad(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(plain, "\\u{unit:04x}");
            }
        } else {
            plain.push(character);
        }
    }
    Cow::Owned(plain)
}

fn escape(character: char, text: &mut String) {
    let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_accepted() {
        for good in [
            "",
            "é",
            "Grüße aus Köln",
            "日本語、全角\u{3000}も",
            "العربية",
            "हिन्दी",
            "한국어",
            "ไทย",
            "🚀 ⚠\u{fe0f} ‼\u{fe0f}",
            "a b",
            "100 %",
            "100\u{a0}%",
            "品\u{3000}物",
            "e\u{301}",
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        assert_eq!(check_lines("-----BEGIN\n\tx\n"), Ok(()));
    }

    #[test]
    fn what_nobody_sees_is_refused_and_escaped() {
        for (bad, name) in [
            ("a\nb", "U+000A"),
            ("a\tb", "U+0009"),
            ("a\rb", "U+000D"),
            ("\0", "U+0000"),
            ("\u{1b}[2J", "U+001B"),
            ("\u{7f}", "U+007F"),
            ("\u{9b}2J", "U+009B"),
            ("\u{85}", "U+0085"),
            ("\u{202e}gnp.hs", "U+202E"),
            ("a\u{2066}b\u{2069}", "U+2066"),
            ("\u{200e}", "U+200E"),
            ("\u{61c}", "U+061C"),
            ("a\u{200b}b", "U+200B"),
            ("👩\u{200d}🚀", "U+200D"),
            ("a\u{2060}b", "U+2060"),
            ("a\u{feff}b", "U+FEFF"),
            ("a\u{ad}b", "U+00AD"),
            ("a\u{2028}b", "U+2028"),
            ("a\u{3164}b", "U+3164"),
            ("a\u{2800}b", "U+2800"),
            ("a\u{fffc}b", "U+FFFC"),
            ("a\u{e000}b", "U+E000"),
            ("a\u{f8ff}b", "U+F8FF"),
            ("a\u{10fffd}b", "U+10FFFD"),
            ("a\u{e0041}b", "U+E0041"),
            ("a\u{fe0f}b", "U+FE0F"),
            ("a\u{e0100}b", "U+E0100"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.contains(name) && !error.contains(is_unseen), "{error:?}");
            assert!(!escaped(bad).contains(|c| is_unseen(c) && !matches!(c, '\n' | '\t')), "{bad:?}");
        }
        assert_eq!(shown("\u{202e}a\n\"\\"), "\"\\u{202e}a\\n\\\"\\\\\"");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), SHOWN + 3);
        assert!(check(&"x".repeat(LONGEST_PROSE + 1)).is_err());
    }

    #[test]
    fn lines_are_folded_as_people_wrap_them() {
        assert_eq!(folded("an edge site\n  with a shop\r\n\nand a till\n"), "an edge site with a shop and a till");
        assert_eq!(folded("as it is"), "as it is");
        assert_eq!(folded("\n"), "");
    }

    #[test]
    fn json_stays_json() {
        let text = "a\u{7f}b\u{9b}\u{202e}\u{e0041}\u{1b}é";
        let document = serde_json::to_string_pretty(&serde_json::json!({"text": text})).unwrap();
        let plain = escaped(&document);
        assert!(!plain.contains(|c| is_unseen(c) && c != '\n'), "{plain}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&plain).unwrap()["text"], text);
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_is_shown_as_it_is(text: String) {
            if check(&text).is_ok() {
                proptest::prop_assert_eq!(escaped(&text), text.as_str());
            }
            proptest::prop_assert!(!shown(&text).contains(is_unseen));
        }
    }
}
