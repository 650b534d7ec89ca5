//! What a host must have, as profiles and packs write it.

use crate::problem::Report;
use crate::requirements::{Port, Requirements, is_plain_name};
use crate::yaml::{Fields, Kind};

pub(super) const REQUIREMENTS: &[&str] = &["cpu", "memory", "disk", "ssd", "kernelModules", "commands", "ports"];
const NOT_YET: &[(&str, &str)] =
    &[("upgradeFrom", "requirements.upgradeFrom"), ("installer", "requirements.installer")];

/// The fields of `requirements` in `parent`, where it is given.
pub(super) fn decode(parent: Fields<'_>, report: &mut Report) -> Requirements {
    let Some(node) = parent.optional("requirements", report) else { return Requirements::default() };
    let Some(fields) = Fields::open(node, "`requirements`", REQUIREMENTS, NOT_YET, report) else {
        return Requirements::default();
    };
    Requirements {
        cpu_milli: amount(fields, "cpu", cores, "cores such as 4, 0.5 or 500m", report),
        memory: amount(fields, "memory", bytes, "an amount such as 512MiB or 4GiB", report),
        disk: amount(fields, "disk", bytes, "an amount such as 32GiB", report),
        ssd: fields.optional("ssd", report).map(|_| fields.flag("ssd", report)),
        kernel_modules: names(fields, "kernelModules", "the name of a kernel module", report),
        commands: names(fields, "commands", "the name of a program, without a path", report),
        ports: ports(fields, report),
    }
}

fn names(fields: Fields<'_>, name: &'static str, like: &str, report: &mut Report) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (text, node) in fields.texts(name, report) {
        if !is_plain_name(text) {
            report.add(node.at, format!("an item of `{name}` is {text:?}, expected {like}"));
        } else if found.iter().any(|other| other == text) {
            report.add(node.at, format!("{text:?} is listed twice in `{name}`"));
        } else {
            found.push(text.to_owned());
        }
    }
    found
}

/// Ports are numbers or texts: `[6443, 8472/udp]`.
fn ports(fields: Fields<'_>, report: &mut Report) -> Vec<Port> {
    let mut found: Vec<Port> = Vec::new();
    for node in fields.list("ports", report) {
        let scalar = node.scalar().filter(|scalar| matches!(scalar.kind, Kind::Int | Kind::Text));
        match scalar.and_then(|scalar| scalar.text.parse().ok()) {
            None => report.add(
                node.at,
                format!("an item of `ports` is {}, expected a port such as 6443 or 8472/udp", node.describe()),
            ),
            Some(port) if found.contains(&port) => report.add(node.at, format!("port {port} is listed twice")),
            Some(port) => found.push(port),
        }
    }
    found
}

fn amount(
    fields: Fields<'_>,
    name: &'static str,
    parse: fn(&str) -> Option<u64>,
    like: &str,
    report: &mut Report,
) -> u64 {
    let Some(node) = fields.optional(name, report) else { return 0 };
    let scalar = node.scalar().filter(|scalar| matches!(scalar.kind, Kind::Int | Kind::Float | Kind::Text));
    scalar.and_then(|scalar| parse(&scalar.text)).unwrap_or_else(|| {
        report.add(node.at, format!("`{name}` is {}, expected {like}", node.describe()));
        0
    })
}

/// `4`, `0.5` or `500m` in thousandths of a core.
fn cores(text: &str) -> Option<u64> {
    if let Some(thousandths) = text.strip_suffix('m') {
        return plain(thousandths);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = fraction.len();
    if digits > 3 {
        return None;
    }
    let fraction = plain(fraction)? * 10_u64.pow(3 - digits as u32);
    plain(whole)?.checked_mul(1000)?.checked_add(fraction)
}

/// `512MiB`, `4Gi`, `32GB` or a number of bytes.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor: u64 = match text[end..].trim_start() {
        "" | "B" => 1,
        "k" | "K" | "kB" | "KB" => 1000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "T" | "TB" => 1_000_000_000_000,
        "Ki" | "KiB" => 1 << 10,
        "Mi" | "MiB" => 1 << 20,
        "Gi" | "GiB" => 1 << 30,
        "Ti" | "TiB" => 1 << 40,
        _ => return None,
    };
    plain(&text[..end])?.checked_mul(factor)
}

fn plain(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::problem::Source;
    use crate::yaml;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (text, milli) in [("4", 4000), ("0.5", 500), ("1.25", 1250), ("500m", 500), ("0", 0)] {
            assert_eq!(cores(text), Some(milli), "{text}");
        }
        for bad in ["", "m", "-1", "1.2345", "four", "1e3", "99999999999999999999"] {
            assert_eq!(cores(bad), None, "{bad}");
        }
        for (text, count) in
            [("512MiB", 512 << 20), ("4Gi", 4 << 30), ("4 GiB", 4 << 30), ("32GB", 32_000_000_000), ("7", 7)]
        {
            assert_eq!(bytes(text), Some(count), "{text}");
        }
        for bad in ["", "GiB", "4gib", "4.5GiB", "-1", "4 GiB x", "99999999999TiB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    /// What is read of `requirements`, and the problems with it.
    fn read(text: &str) -> (Requirements, Vec<String>) {
        let parsed = yaml::parse(text);
        let mut report = Report::new(Source::new(Path::new("f"), text.to_owned()));
        let fields = Fields::open(&parsed.documents[0], "it", &["requirements"], &[], &mut report).unwrap();
        let found = decode(fields, &mut report);
        let problems = report.into_problems();
        (found, problems.iter().map(|one| format!("{} {}", one.position.unwrap(), one.message)).collect())
    }

    #[test]
    fn everything_that_a_host_can_lack_is_read() {
        let (found, problems) = read(
            "requirements: {ssd: false, kernelModules: [nbd], commands: [iscsiadm], ports: [443, 53/udp, \"80\"]}",
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            (found.ssd, found.kernel_modules, found.commands),
            (Some(false), vec!["nbd".into()], vec!["iscsiadm".into()])
        );
        assert_eq!(found.ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["443", "53/udp", "80"]);
        assert_eq!(read("requirements: {cpu: 1}").0.ssd, None);
    }

    #[test]
    fn what_means_nothing_is_told_with_its_place() {
        let (_, problems) = read(
            "requirements: {ssd: fast, kernelModules: [a/b], commands: [/bin/sh, x, x], ports: [0, 65536, 1/x, 80, 80/tcp, [1]]}",
        );
        assert_eq!(
            problems,
            [
                "1:21 `ssd` must be true or false, found the text \"fast\"",
                "1:43 an item of `kernelModules` is \"a/b\", expected the name of a kernel module",
                "1:60 an item of `commands` is \"/bin/sh\", expected the name of a program, without a path",
                "1:72 \"x\" is listed twice in `commands`",
                "1:84 an item of `ports` is the number 0, expected a port such as 6443 or 8472/udp",
                "1:87 an item of `ports` is the number 65536, expected a port such as 6443 or 8472/udp",
                "1:94 an item of `ports` is the text \"1/x\", expected a port such as 6443 or 8472/udp",
                "1:103 port 80 is listed twice",
                "1:111 an item of `ports` is a list, expected a port such as 6443 or 8472/udp",
            ]
        );
    }
}
