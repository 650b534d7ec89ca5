//! Text for people in the width of their terminal: lines are broken between words, and digests are shortened in tables.

use unicode_width::UnicodeWidthStr;

/// How many digits of a digest stay where the whole would not fit.
const DIGITS: usize = 12;
/// Of a digest: its algorithm, and all its digits.
const ALGORITHM: &str = "sha256:";
const ALL_DIGITS: usize = 64;
/// Lines that are set in as far as this are parts of a file that is shown, and stay as they are.
const QUOTED: &str = "        ";

/// A table or list in so many columns. Where a line of it is too wide, digests are shortened in all lines that go on after
/// them; what is too wide even then is broken.
pub(super) fn listing(text: &str, columns: usize) -> String {
    let is_wide = |line: &str| line.width() > columns && !line.starts_with(QUOTED);
    let short = text.lines().any(is_wide);
    let one = |line: &str| {
        if line.starts_with(QUOTED) {
            return line.to_owned();
        }
        let line = if short { shortened(line, |rest| !rest.is_empty()) } else { line.to_owned() };
        let indent = line.len() - line.trim_start().len();
        wrapped(0, &line, indent + 2, columns)
    };
    text.split('\n').map(one).collect::<Vec<_>>().join("\n")
}

/// A message in so many columns, behind `lead` columns that are taken already. A message that is too wide has its digests
/// shortened. A line that shows a command stays in one piece, as somebody may copy it.
pub(super) fn message(lead: usize, text: &str, columns: usize) -> String {
    let one = |line: &str| {
        if line.starts_with("$ ") {
            return line.to_owned();
        }
        let line = if lead + line.width() > columns { shortened(line, |_| true) } else { line.to_owned() };
        wrapped(lead, &line, 2, columns)
    };
    text.split('\n').map(one).collect::<Vec<_>>().join("\n")
}

/// A text in so many columns, behind `lead` columns that are taken already, broken between words. Lines after the first are set in
/// by `hanging`. A word that no line has room for stays in one piece, as somebody may copy it.
pub(super) fn wrapped(lead: usize, text: &str, hanging: usize, columns: usize) -> String {
    let (mut broken, mut used) = (String::new(), lead);
    for (index, word) in text.split(' ').enumerate() {
        let width = word.width();
        let fits = used + 1 + width <= columns || hanging + width > columns;
        if index == 0 {
            used += width;
        } else if fits {
            broken.push(' ');
            used += 1 + width;
            if used > columns {
                // The terminal has broken the word.
                used %= columns.max(1);
            }
        } else if word.is_empty() {
            // Spaces that would stand at the end of a line, or at the begin of the next.
            continue;
        } else {
            broken.truncate(broken.trim_end_matches(' ').len());
            broken.push('\n');
            broken.extend(std::iter::repeat_n(' ', hanging));
            used = hanging + width;
        }
        broken.push_str(word);
    }
    broken
}

/// The command at the end of a hint: `install a bundle: carrack-install apply BUNDLE` is two parts. Broken into lines it could not be
/// copied.
pub(super) fn command(hint: &str) -> Option<(&str, &str)> {
    let at = hint.find(": carrack")?;
    let (text, command) = (&hint[..=at], &hint[at + 2..]);
    (!command.contains("; ")).then_some((text, command))
}

/// The line with the digests shortened of which `is_short` holds for what follows them.
fn shortened(line: &str, is_short: impl Fn(&str) -> bool) -> String {
    let (mut short, mut rest) = (String::new(), line);
    while let Some(at) = rest.find(ALGORITHM) {
        let (before, digits) = rest.split_at(at + ALGORITHM.len());
        short.push_str(before);
        let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
        let count = digits.bytes().take_while(is_digit).count();
        let (all, after) = digits.split_at(count);
        if count == ALL_DIGITS && is_short(after) {
            short.push_str(&all[..DIGITS]);
            short.push('…');
        } else {
            short.push_str(all);
        }
        rest = after;
    }
    short + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "0123456789abcdef".repeat(4))
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped(0, "one two three four", 2, 10), "one two\n  three\n  four");
        assert_eq!(wrapped(7, "one two", 2, 10), "one\n  two");
        assert_eq!(wrapped(0, "create  file     /etc/shop (1 B)", 2, 20), "create  file\n  /etc/shop (1 B)");
        assert_eq!(wrapped(0, "short", 2, 10), "short");
        assert_eq!(wrapped(0, "just width five", 2, 10), "just width\n  five");
        assert_eq!(wrapped(0, "", 2, 10), "");
        assert_eq!(wrapped(0, "a b", 2, 0), "a b");
    }

    #[test]
    fn a_word_without_a_place_stays_whole() {
        assert_eq!(wrapped(0, "read /a/very/long/path now", 2, 10), "read /a/very/long/path now");
        assert_eq!(wrapped(0, "画像 画像画像", 2, 10), "画像\n  画像画像");
    }

    #[test]
    fn digests_are_shortened_where_a_table_is_too_wide() {
        let digest = digest();
        let table = format!("bundle   {digest}\nfile     {digest} /etc/shop");
        let short = format!("bundle   {digest}\nfile     sha256:0123456789ab… /etc/shop");
        assert_eq!(listing(&table, 80), short);
        assert_eq!(listing(&table, 100), table);
        assert_eq!(listing(&digest, 40), digest);
        assert_eq!(message(0, &format!("added {digest}"), 40), "added sha256:0123456789ab…");
        assert_eq!(
            message(0, "sha256:0123 is no digest, and sha256: is none", 80),
            "sha256:0123 is no digest, and sha256: is none"
        );
    }

    #[test]
    fn what_a_file_has_is_not_broken() {
        let line = "        - a line of a file that is longer than the terminal";
        assert_eq!(listing(line, 20), line);
    }

    #[test]
    fn a_command_is_found_in_a_hint() {
        assert_eq!(command("install one: carrack-install apply B"), Some(("install one:", "carrack-install apply B")));
        assert_eq!(command("repair: carrack-install repair; or: carrack-install apply B"), None);
        assert_eq!(command("look at it"), None);
    }
}
