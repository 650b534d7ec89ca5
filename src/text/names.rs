//! Names that become parts of paths, arguments of programs and objects of Kubernetes.

use super::{check, shown};

/// Longest version of a profile: it becomes a part of the name of a receipt and of an archive.
pub const LONGEST_VERSION: usize = 100;
/// Longest component of a path in bytes (limits.h, `NAME_MAX`).
pub const LONGEST_COMPONENT: usize = 255;
/// Longest path in bytes (limits.h, `PATH_MAX`, without its NUL).
pub const LONGEST_PATH: usize = 4095;

/// Endings of units that are started.
pub const UNITS: [&str; 6] = [".service", ".socket", ".timer", ".path", ".mount", ".target"];

/// Whether `text` is the name of a systemd unit (systemd.unit(5)) that can be started; a template needs its instance.
pub fn is_unit(text: &str) -> bool {
    let stem = UNITS.iter().find_map(|ending| text.strip_suffix(ending));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    stem.is_some_and(|stem| {
        !stem.is_empty()
            && !stem.starts_with(['-', '.', '@'])
            && !stem.ends_with('@')
            && text.len() <= LONGEST_COMPONENT
            && stem.bytes().all(plain)
    })
}

/// RFC 1123 label as Kubernetes has it: up to 63 lowercase letters, digits and `-`, not at the ends.
pub fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Lowercase letters, digits, and inner `-` and `.`: what Kubernetes and Helm take as names of objects and releases.
pub fn is_subdomain(text: &str, most: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= most && text.bytes().all(inner) && text.starts_with(ends) && text.ends_with(ends)
}

/// Letters, digits, `-`, `_` and `.`, the first a letter or digit: what Helm takes as the name of a chart.
pub fn is_chart_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= 250 && text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// A chart's version as Helm reads it: a semantic version, with or without `v` before it, with leading zeros, and with one or two
/// numbers where the others are 0 (`NewVersion` of `Masterminds/semver`). Nothing for any other text, or one that is longer than
/// [`LONGEST_VERSION`].
pub fn chart_version(text: &str) -> Option<semver::Version> {
    let plain = text.strip_prefix('v').unwrap_or(text);
    if plain.ends_with(['-', '+']) || plain.contains("-+") {
        return None;
    }
    let (plain, build) = plain.split_once('+').unwrap_or((plain, ""));
    let (numbers, pre) = plain.split_once('-').unwrap_or((plain, ""));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = numbers.split('.').collect();
    if text.len() > LONGEST_VERSION || parts.len() > 3 || !parts.iter().all(|part| is_number(part)) {
        return None;
    }
    let number = |index: usize| parts.get(index).map_or(Some(0), |part| part.parse().ok());
    Some(semver::Version {
        major: number(0)?,
        minor: number(1)?,
        patch: number(2)?,
        pre: semver::Prerelease::new(pre).ok()?,
        build: semver::BuildMetadata::new(build).ok()?,
    })
}

/// Whether `text` is `USER[:GROUP]`, names or numbers.
pub fn is_owner(text: &str) -> bool {
    let name = |part: &str| {
        let first = part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        first && part.len() <= 32 && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    text.split_once(':').map_or_else(|| name(text), |(user, group)| name(user) && name(group))
}

/// Checks a name that becomes one component of a path.
///
/// # Errors
/// What is wrong, to follow the name of the place.
pub fn check_name(text: &str) -> Result<(), String> {
    seen(text)?;
    if matches!(text, "" | "." | "..") || text.contains('/') || text.len() > LONGEST_COMPONENT {
        return Err(format!("is {}, expected a file name of at most {LONGEST_COMPONENT} bytes", shown(text)));
    }
    Ok(())
}

/// Checks that `path` is an absolute path of a file on a host, in its one clean spelling.
///
/// # Errors
/// What is wrong, to follow the name of the place.
pub fn check_host_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("must be absolute, found {}", shown(path)));
    }
    seen(path)?;
    if path == "/" || path[1..].split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!("must name a file without `.`, `..`, `//` or a final `/`, found {}", shown(path)));
    }
    if path.split('/').any(|part| part.len() > LONGEST_COMPONENT) {
        return Err(format!("has a component of more than {LONGEST_COMPONENT} bytes: {}", shown(path)));
    }
    if path.len() > LONGEST_PATH {
        return Err(format!("has {} bytes, at most {LONGEST_PATH} are possible: {}", path.len(), shown(path)));
    }
    Ok(())
}

/// In a name, blanks other than the usual one are refused too, and characters that choose a form.
fn seen(text: &str) -> Result<(), String> {
    check(text)?;
    let blank = |c: char| (c.is_whitespace() && c != ' ') || c == '\u{2800}' || super::is_variation(c);
    match text.chars().find(|c| blank(*c)) {
        None => Ok(()),
        Some(c) => Err(format!("is {}, with the blank U+{:04X}", shown(text), u32::from(c))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_charts_are_those_that_helm_takes() {
        for (text, version) in [
            ("1.4.0", "1.4.0"),
            ("v1.4.0", "1.4.0"),
            ("23.07.1", "23.7.1"),
            ("1.2", "1.2.0"),
            ("v1", "1.0.0"),
            ("3-canary", "3.0.0-canary"),
            ("1.2.3-rc.1+k3s1", "1.2.3-rc.1+k3s1"),
        ] {
            assert_eq!(chart_version(text).unwrap().to_string(), version, "{text}");
        }
        for text in [
            "",
            "v",
            "latest",
            "1.2.3.4",
            "1..2",
            "1.x",
            "-1",
            "1.2.3/../x",
            "1.2.3+a/b",
            " 1.2.3",
            "1.2.3-",
            "1.2.3-01",
            "99999999999999999999.0.0",
        ] {
            assert!(chart_version(text).is_none(), "{text}");
        }
        assert!(chart_version(&format!("1.0.0-{}", "x".repeat(LONGEST_VERSION))).is_none());
    }

    #[test]
    fn units_have_names_that_systemctl_takes_for_nothing_else() {
        for good in ["a.service", "shop-status.timer", "getty@tty1.service", "dev-disk-by\\x2did.mount", "a:b_c.socket"]
        {
            assert!(is_unit(good), "{good}");
        }
        let long = format!("{}.service", "a".repeat(248));
        for bad in [
            "",
            ".service",
            "--host=a@b",
            "-Mcontainer",
            "--host=x.service",
            "-.mount",
            "../../x.service",
            "a/b.service",
            "a\nb.service",
            "a b.service",
            "a@.service",
            "@a.service",
            "a.slice",
            "a",
            "é.service",
            "a\u{202e}.service",
            &long,
        ] {
            assert!(!is_unit(bad), "{bad:?}");
        }
    }

    #[test]
    fn host_paths_have_one_spelling() {
        let component = "a".repeat(255);
        let deep = format!("/{}", vec!["a".repeat(240); 17].join("/"));
        for good in ["/usr/local/bin/k3s", "/a b", "/é", &format!("/{component}")] {
            assert_eq!(check_host_path(good), Ok(()), "{good}");
        }
        assert!(deep.len() > LONGEST_PATH);
        for bad in [
            "",
            "a",
            "-a",
            "/",
            "/a/",
            "//a",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/..",
            "/a\nb",
            "/a\0b",
            "/\u{202e}a",
            "/a\u{200b}",
            "/a\u{a0}b",
            "/a\u{2800}b",
            "/⚠\u{fe0f}",
            &format!("/{component}a"),
            &deep,
        ] {
            let error = check_host_path(bad).unwrap_err();
            assert!(!error.contains(super::super::is_unseen), "{error:?}");
        }
    }

    #[test]
    fn names_are_those_of_kubernetes_and_helm() {
        assert!(is_label("a") && is_label("a-1") && is_label(&"a".repeat(63)));
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "é", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad:?}");
        }
        assert!(is_subdomain("a.b-c", 53) && !is_subdomain("a", 0) && !is_subdomain("-a", 53) && !is_subdomain("", 53));
        assert!(
            is_chart_name("Ingress_nginx.1") && !is_chart_name("-a") && !is_chart_name("") && !is_chart_name("a/b")
        );
        assert!(is_owner("root") && is_owner("0:shop") && !is_owner("-x") && !is_owner("a:b:c") && !is_owner(""));
        for bad in ["", ".", "..", "a/b", "a\0", "a\u{2060}b", &"a".repeat(256)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(check_name("10 web.yaml"), Ok(()));
    }
}
