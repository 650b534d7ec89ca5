//! Operators that start pods from images which nothing in a profile has to name: they are in the operator's code.
//!
//! Owns the table of them, `operators.txt`, with the source of each. What is missing is a hint: an operator that is never given an
//! object starts nothing.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::Reason;
use super::collect::{Collector, Found};
use crate::chart::Chart;
use crate::objects::ObjectName;
use crate::oci::Reference;
use crate::problem::Problem;
use crate::profile::Profile;

/// An operator.
#[derive(Debug, Default)]
struct Operator {
    name: &'static str,
    /// Repositories of its own image, without the registry.
    images: Vec<&'static str>,
    /// Names of its own chart.
    charts: Vec<&'static str>,
    starts: Vec<Operand>,
    /// What decides which images it starts.
    decides: &'static str,
    /// The address of what says which images there are.
    lists: &'static str,
    /// The address of what the table was made from.
    source: &'static str,
}

/// What an operator starts.
#[derive(Debug)]
struct Operand {
    /// The image, without its tag; a `*` at the end stands for the rest of its last word.
    repository: &'static str,
    /// The kind and API group of the objects that it is started for; all that the operator does where there is none.
    of: Option<(&'static str, &'static str)>,
    /// The field of such an object that names another image; `-` where each object says which it is.
    field: Option<&'static str>,
}

static OPERATORS: LazyLock<Vec<Operator>> = LazyLock::new(|| parse(include_str!("operators.txt")));

fn parse(text: &'static str) -> Vec<Operator> {
    let mut operators: Vec<Operator> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((what, rest)) = line.split_once(' ') else { continue };
        if what == "operator" {
            operators.push(Operator { name: rest, ..Operator::default() });
        }
        let Some(operator) = operators.last_mut() else { continue };
        match what {
            "image" => operator.images.push(rest),
            "chart" => operator.charts.push(rest),
            "starts" => operator.starts.extend(Operand::of(rest)),
            "decides" => operator.decides = rest,
            "lists" => operator.lists = rest,
            "source" => operator.source = rest,
            _ => {}
        }
    }
    operators
}

/// Whether some operator of the table starts something for objects of this API group and kind.
pub(super) fn starts_for(group: &str, kind: &str) -> bool {
    OPERATORS.iter().flat_map(|operator| &operator.starts).any(|operand| operand.of == Some((kind, group)))
}

/// An object for which an operator of the table starts something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Started {
    /// The pack that it is in.
    pub(super) pack: String,
    /// Its API group.
    pub(super) group: String,
    /// The object.
    pub(super) object: ObjectName,
}

/// Warns of each operator in the profile whose images are not.
pub(super) fn warn(profile: &Profile, charts: &[Chart], collector: &mut Collector<'_>) {
    for operator in &*OPERATORS {
        let Some((pack, mut missing)) = operator.lacks(charts, collector) else { continue };
        missing.retain(|operand| !collector.ignores_all(operand.repository, |image| operand.is(image)));
        let names: BTreeSet<&str> = missing.iter().map(|operand| operand.repository).collect();
        if names.is_empty() {
            continue;
        }
        let file = profile.packs.iter().find(|known| known.name == pack).map_or(&profile.file, |pack| &pack.file);
        let message = format!(
            "pack {pack}: {} starts pods from images that are in its code, and the profile lacks {}; {} decides which ones, and {} \
             lists them: add them to `images`, or these names to `ignoreImages` where nothing starts them",
            operator.name,
            names.into_iter().collect::<Vec<_>>().join(", "),
            operator.decides,
            operator.lists
        );
        collector.warned(Problem::with_file(file, message));
    }
}

impl Operator {
    /// The pack that it is in, and what it starts that is neither in the profile nor given by the objects that it starts it for;
    /// nothing where the operator is not in the profile.
    fn lacks(&self, charts: &[Chart], collector: &Collector<'_>) -> Option<(String, Vec<&Operand>)> {
        let started: Vec<&Started> = collector.started().iter().filter(|started| self.starts_for(started)).collect();
        let pack = self.pack(charts, collector.images(), &started)?;
        let has = |operand: &Operand| collector.has(|image| operand.is(image));
        let lacks = |operand: &&Operand| !has(operand) && !operand.is_given(&started, collector);
        Some((pack, self.wanted(&started).into_iter().filter(lacks).collect()))
    }

    fn starts_for(&self, started: &Started) -> bool {
        self.starts.iter().any(|operand| operand.is_for(started))
    }

    /// The pack that has the operator, or else an object for it.
    fn pack(&self, charts: &[Chart], images: &Found, started: &[&Started]) -> Option<String> {
        let runs = |(image, reasons): (&Reference, &BTreeSet<Reason>)| {
            let own = self.images.iter().any(|path| has_path(image, path));
            // A list of images is not what runs.
            own.then(|| reasons.iter().find(|reason| reason.object.is_some()))
                .flatten()
                .map(|reason| reason.pack.clone())
        };
        let chart = || charts.iter().find(|chart| self.charts.contains(&&*chart.metadata.name));
        let found = images.iter().find_map(runs).or_else(|| chart().map(|chart| chart.pack.clone()));
        found.or_else(|| started.first().map(|started| started.pack.clone()))
    }

    /// What it starts for the objects in the profile. Where there is none, the first thing stands for all.
    fn wanted(&self, started: &[&Started]) -> Vec<&Operand> {
        let first = self.starts.iter().position(|operand| operand.of.is_some()).filter(|_| started.is_empty());
        let for_some = |operand: &Operand| started.iter().any(|started| operand.is_for(started));
        let wanted =
            |(index, operand): &(usize, &Operand)| operand.of.is_none() || first == Some(*index) || for_some(operand);
        self.starts.iter().enumerate().filter(wanted).map(|(_, operand)| operand).collect()
    }
}

impl Operand {
    fn of(text: &'static str) -> Option<Self> {
        let mut words = text.split(' ');
        let repository = words.next()?;
        Some(Self { repository, of: words.next().and_then(|kind| kind.split_once('.')), field: words.next() })
    }

    fn is(&self, image: &Reference) -> bool {
        let path = self.repository.split_once('/').map_or(self.repository, |(_, path)| path);
        has_path(image, path.trim_start_matches("library/"))
    }

    fn is_for(&self, started: &Started) -> bool {
        self.of == Some((&*started.object.kind, &*started.group))
    }

    /// Whether every object for which it would be started names another image.
    fn is_given(&self, started: &[&Started], collector: &Collector<'_>) -> bool {
        let Some(field) = self.field else { return false };
        let mut objects = started.iter().filter(|started| self.is_for(started)).peekable();
        let names = |started: &&&Started| {
            collector.has_reason(|reason| {
                let of = reason.object.as_ref() == Some(&started.object) && reason.pack == started.pack;
                // An item of a list has the list's place before its own.
                of && (reason.field.starts_with(field) || reason.field.contains(&format!(".{field}")))
            })
        };
        objects.peek().is_some() && (field == "-" || objects.all(|started| names(&started)))
    }
}

/// Whether the repository of `image` is `path`, or ends in it after a mirror's own words. A `*` at its end stands for the rest of a word.
fn has_path(image: &Reference, path: &str) -> bool {
    let repository = format!("/{}", image.repository());
    match path.strip_suffix('*') {
        None => repository.ends_with(&format!("/{path}")),
        Some(begin) => {
            let found = repository.rfind(&format!("/{begin}"));
            found.is_some_and(|at| !repository[at + 1 + begin.len()..].contains('/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let names: BTreeSet<&str> = OPERATORS.iter().map(|operator| operator.name).collect();
        assert_eq!((names.len(), OPERATORS.len() > 20), (OPERATORS.len(), true), "a name twice");
        for operator in &*OPERATORS {
            let of = operator.name;
            assert!(!operator.images.is_empty() && !operator.starts.is_empty() && !operator.decides.is_empty(), "{of}");
            for address in [operator.lists, operator.source] {
                assert!(address.starts_with("https://"), "{of}: {address}");
            }
            for operand in &operator.starts {
                let example = operand.repository.replace('*', "x");
                let reference: Reference = example.parse().unwrap();
                assert!(
                    example.starts_with(&format!("{}/", reference.registry())),
                    "{of}: {example} names no registry"
                );
                assert!(operand.is(&reference), "{of}: {example}");
                assert!(operand.of.is_none_or(|(_, group)| group.contains('.')), "{of}: {operand:?}");
            }
        }
        let lines = include_str!("operators.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        for line in lines {
            let known = ["operator ", "image ", "chart ", "starts ", "decides ", "lists ", "source "];
            assert!(known.iter().any(|word| line.starts_with(word)), "{line}");
        }
    }

    #[test]
    fn a_mirror_keeps_the_path() {
        for (image, path, is) in [
            ("quay.io/ceph/ceph:v19", "ceph/ceph", true),
            ("mirror.example.org/quay/ceph/ceph:v19", "ceph/ceph", true),
            ("docker.io/rook/ceph:v1", "ceph/ceph", false),
            ("quay.io/myceph/ceph:v1", "ceph/ceph", false),
            ("ghcr.io/zalando/spilo-17:4.0", "zalando/spilo-*", true),
            ("ghcr.io/zalando/spilo-17/x:4.0", "zalando/spilo-*", false),
            ("redis:7", "redis", true),
        ] {
            assert_eq!(has_path(&image.parse().unwrap(), path), is, "{image}");
        }
    }
}
