//! Whether a distribution takes what the `config` of its pack says.

use crate::options::{Known, Options};
use crate::problem::{Position, Report};
use crate::yaml::{Node, Value, nearest};

use super::Distribution;

/// A key of kubeadm's configuration that Carrack takes in both of the forms that kubeadm has had.
const EITHER_FORM: &str = "kubeletExtraArgs";

/// Looks at the keys of `config`. What the release of the distribution surely does not take is reported; what is not sure is
/// returned, each a sentence.
pub(super) fn check(
    distribution: Distribution,
    version: Option<&str>,
    config: &Node,
    report: &mut Report,
) -> Vec<String> {
    let mut checker = Checker { name: distribution.to_string(), version, report, unsure: Vec::new() };
    if let Some(options) = Options::of(&checker.name, version) {
        checker.mapping(&options, "", config);
    }
    checker.unsure
}

struct Checker<'a> {
    name: String,
    version: Option<&'a str>,
    report: &'a mut Report,
    unsure: Vec<String>,
}

impl Checker<'_> {
    fn mapping(&mut self, options: &Options, above: &str, node: &Node) {
        let known = options.below(above);
        if known.is_empty() {
            return;
        }
        for item in node.items() {
            self.mapping(options, above, item);
        }
        for entry in node.entries() {
            // k3s and RKE2 join `KEY+` with files before.
            let key = if above.is_empty() { entry.key.strip_suffix('+').unwrap_or(&entry.key) } else { &*entry.key };
            let path = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
            if known.contains(&key) {
                if matches!(entry.value.value, Value::Mapping(_) | Value::Sequence(_)) && key != EITHER_FORM {
                    self.mapping(options, &path, &entry.value);
                }
                continue;
            }
            self.unknown(options.knows(&path), &path, key, &known, entry.key_at);
        }
    }

    fn unknown(&mut self, known: Known, path: &str, key: &str, names: &[&str], at: Position) {
        let release = self.version.map(|version| format!(" {version}")).unwrap_or_default();
        let nearest = nearest(key, names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let message = format!("{}{release} has no option `{path}`{nearest}", self.name);
        match known {
            Known::Taken => {}
            Known::Unknown => self.report.add(at, message),
            Known::Unsure => {
                self.unsure
                    .push(format!("`config` in line {at}: {message} (as far as the releases that this carrack knows)"));
            }
        }
    }
}
