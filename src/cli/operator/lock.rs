//! `carrack lock`: write down which digest each image means, or check that.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::RegistryArgs;
use super::discover::DiscoverArgs;
use crate::cli::ui::counted;
use crate::cli::{CliError, Kind, Ui};
use crate::lock::{self, Change, Check, Entry, Lock, Moved, Needed, Update};
use crate::oci::{Digest, Platform, Reference};
use crate::registry::Registry;

/// Write down which digest each image of a profile means
///
/// Writes carrack.lock beside the profile. What is locked already stays as it is, what is missing is asked for, what
/// nothing needs any more is dropped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  carrack lock carrack.yaml\n  carrack lock carrack.yaml --check\n  \
    carrack lock carrack.yaml --update docker.io/library/nginx:1.27")]
pub(super) struct Args {
    /// The profile
    profile: PathBuf,
    /// Change nothing; fail where a tag has moved since, or where the lock does not fit the profile
    #[arg(long, conflicts_with = "update")]
    check: bool,
    /// Ask again for these images, or for all where none is named
    #[arg(long, value_name = "REF|URL|CHART", num_args = 0..)]
    update: Option<Vec<String>>,
    #[command(flatten)]
    discover: DiscoverArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What a lock is made for and checked against.
struct Needs {
    needed: Needed,
    platforms: Vec<Platform>,
    file: PathBuf,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    file: PathBuf,
    images: usize,
    added: Vec<Entry>,
    moved: Vec<MovedReport>,
    platforms_changed: Vec<Entry>,
    dropped: Vec<Entry>,
}

#[derive(Serialize)]
struct MovedReport {
    reference: Entry,
    from: Digest,
    to: Digest,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let profile = super::open::open(&args.profile)?;
    let charts = super::open::charts(&profile)?;
    let discovery = args.discover.discover(&profile, &charts)?;
    let needs = Needs {
        needed: Needed {
            images: discovery.images.into_iter().map(|image| image.reference).collect(),
            ..Needed::default()
        },
        file: lock::path_for(&profile.file),
        platforms: profile.platforms,
    };
    let registry = args.registry.client();
    let runtime = super::runtime()?;
    let existing = Lock::load(&needs.file)?;
    if args.check {
        runtime.block_on(check(&registry, &needs, &existing, args.registry.jobs, ui))
    } else {
        let update = update_of(args.update.as_deref(), &needs.needed)?;
        runtime.block_on(write(&registry, &needs, &existing, &update, args.registry.jobs, ui))
    }
}

/// What is to be updated must be needed: a mistyped reference would otherwise update nothing and say so to nobody.
fn update_of(named: Option<&[String]>, needed: &Needed) -> Result<Update, CliError> {
    match named {
        None => Ok(Update::Nothing),
        Some([]) => Ok(Update::All),
        Some(named) => match named.iter().find(|name| !needed.entries().any(|entry| entry.is_named(name))) {
            None => Ok(Update::These(named.iter().cloned().collect::<BTreeSet<_>>())),
            Some(stranger) => {
                // In its full form, where it is a reference: that is what was looked for.
                let full = stranger.parse::<Reference>().map_or_else(|_| stranger.clone(), |full| full.to_string());
                Err(CliError::new(Kind::Usage, format!("the profile does not need {full}"))
                    .hint("list what it needs: carrack images PROFILE"))
            }
        },
    }
}

async fn write(
    registry: &Registry,
    needs: &Needs,
    existing: &Lock,
    update: &Update,
    jobs: NonZeroUsize,
    ui: &Ui,
) -> Result<(), CliError> {
    let resolved = lock::resolve(registry, &needs.needed.images, &needs.platforms, existing, update, jobs).await?;
    resolved.lock.save(&needs.file)?;
    if ui.wants_json() {
        return ui.json(&report(&needs.file, resolved.lock.images.len(), &resolved.changes));
    }
    for change in &resolved.changes {
        ui.status(&match change {
            Change::Added(entry, digest) => format!("added    {entry} {digest}"),
            Change::Moved(moved) => format!("moved    {}", describe(moved)),
            Change::Facts(entry @ Entry::Image(_)) => format!("platform {entry}"),
            Change::Facts(entry) => format!("facts    {entry}"),
            Change::Dropped(entry) => format!("dropped  {entry}"),
        });
    }
    let (images, changes) = (resolved.lock.images.len(), resolved.changes.len());
    ui.status(&format!("{}: {} locked, {} changed", needs.file.display(), counted(images, "image"), entries(changes)));
    Ok(())
}

async fn check(
    registry: &Registry,
    needs: &Needs,
    existing: &Lock,
    jobs: NonZeroUsize,
    ui: &Ui,
) -> Result<(), CliError> {
    let found = lock::check(registry, &needs.needed, &needs.platforms, existing, jobs).await?;
    if found != Check::default() {
        return Err(failed_check(&needs.file, &found));
    }
    if ui.wants_json() {
        return ui.json(&report(&needs.file, existing.images.len(), &[]));
    }
    let images = counted(existing.images.len(), "image");
    ui.status(&format!("{}: {images} locked, all as they are upstream", needs.file.display()));
    Ok(())
}

fn failed_check(file: &Path, found: &Check) -> CliError {
    let Check { moved, differences } = found;
    let mut error = CliError::new(Kind::Input, format!("{} is not up to date", file.display()));
    error.causes.extend(moved.iter().map(|moved| format!("moved: {}", describe(moved))));
    error.causes.extend(differences.missing.iter().map(|entry| format!("missing: {entry}")));
    error.causes.extend(differences.stale.iter().map(|entry| format!("stale: {entry}")));
    if !moved.is_empty() {
        let references: Vec<_> = moved.iter().map(|moved| moved.entry.to_string()).collect();
        error.hints.push(format!("to take what has moved: carrack lock PROFILE --update {}", references.join(" ")));
    }
    if !differences.is_empty() {
        error.hints.push("to add what is missing and drop what is stale: carrack lock PROFILE".to_owned());
    }
    error
}

/// `1 entry`, `2 entries`.
pub(super) fn entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

fn describe(moved: &Moved) -> String {
    let Moved { entry, from, to, versions } = moved;
    match versions {
        Some((old, new)) => format!("{entry} {old} {from} → {new} {to}"),
        None => format!("{entry} {from} → {to}"),
    }
}

fn report(file: &Path, images: usize, changes: &[Change]) -> Report {
    let (mut added, mut moved, mut platforms_changed, mut dropped) = (vec![], vec![], vec![], vec![]);
    for change in changes {
        match change.clone() {
            Change::Added(entry, _) => added.push(entry),
            Change::Moved(Moved { entry, from, to, .. }) => moved.push(MovedReport { reference: entry, from, to }),
            Change::Facts(entry) => platforms_changed.push(entry),
            Change::Dropped(entry) => dropped.push(entry),
        }
    }
    Report { version: 1, file: file.to_owned(), images, added, moved, platforms_changed, dropped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Differences;

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn a_failed_check_names_everything_and_ends_with_10() {
        let (from, to) = (Digest::of(b"old"), Digest::of(b"new"));
        let moved = Moved { entry: reference("app:1").into(), from, to, versions: None };
        let (missing, stale) = (vec![reference("new:1").into()], vec![reference("old:1").into()]);
        let differences = Differences { missing, stale };
        let error = failed_check(Path::new("carrack.lock"), &Check { moved: vec![moved], differences });
        assert_eq!(error.kind.code(), 10);
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        assert_eq!(error.causes[0], format!("moved: docker.io/library/app:1 {old} → {new}"));
        assert_eq!(error.causes[1..], ["missing: docker.io/library/new:1", "stale: docker.io/library/old:1"]);
    }

    #[test]
    fn only_what_is_needed_can_be_updated() {
        let needs = Needed { images: vec![reference("app:1")], ..Needed::default() };
        assert_eq!(update_of(None, &needs).unwrap(), Update::Nothing);
        assert_eq!(update_of(Some(&[]), &needs).unwrap(), Update::All);
        let these = update_of(Some(&["app:1".to_owned()]), &needs).unwrap();
        assert_eq!(these, Update::These(["app:1".to_owned()].into()));
        assert_eq!(update_of(Some(&["apps:1".to_owned()]), &needs).unwrap_err().kind, Kind::Usage);
    }
}
