//! `carrack lock`: write down what each image, chart, pack and file from elsewhere is exactly, or check that.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::RegistryArgs;
use super::discover::{DiscoverArgs, StrictArgs};
use super::open::{Opened, Opening};
use crate::cli::shell::quoted;
use crate::cli::ui::counted;
use crate::cli::{CliError, Kind, Ui};
use crate::download::Downloader;
use crate::lock::{self, Change, Check, Entry, Lock, Moved, Needed, Update};
use crate::oci::{Digest, Reference};
use crate::registry::Registry;

/// Write down which digest each image of a profile means, and each chart, pack and file from elsewhere
///
/// Writes carrack.lock beside the profile. What is locked already stays as it is, what is missing is asked for, what
/// nothing needs any more is dropped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  carrack lock carrack.yaml\n  carrack lock carrack.yaml --check\n  \
    carrack lock carrack.yaml --update docker.io/library/nginx:1.27")]
pub(super) struct Args {
    /// The profile
    pub(super) profile: PathBuf,
    /// Change nothing; fail where something has moved upstream since, or where the lock does not fit the profile
    #[arg(long, conflicts_with = "update")]
    check: bool,
    /// Ask again for these images, charts, packs or files, or for all where none is named
    #[arg(long, value_name = "REF|URL|CHART", num_args = 0..)]
    update: Option<Vec<String>>,
    #[command(flatten)]
    discover: DiscoverArgs,
    #[command(flatten)]
    strict: StrictArgs,
    #[command(flatten)]
    registry: RegistryArgs,
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
    let (runtime, registry, downloader) = (super::runtime()?, args.registry.client(), Downloader::new());
    let update = update_of(args.update.as_deref());
    let opening = Opening {
        runtime: &runtime,
        registry: &registry,
        downloader: &downloader,
        jobs: args.registry.jobs.get(),
        update: &update,
        locked: false,
        files: !args.check,
    };
    let mut opened = opening.open(&args.profile)?;
    let discovery = args.discover.discover(&opened.profile, &opened.charts, ui)?;
    args.strict.check(&discovery, &opened.warnings)?;
    opened.needed.images = discovery.images.into_iter().map(|image| (image.reference, image.platforms)).collect();
    if args.check {
        check(&opening, &opened, args.registry.jobs, ui)
    } else {
        check_update(args.update.as_deref(), &opened.needed)?;
        runtime.block_on(write(&registry, &opened, &update, args.registry.jobs, ui))
    }
}

fn update_of(named: Option<&[String]>) -> Update {
    match named {
        None => Update::Nothing,
        Some([]) => Update::All,
        Some(named) => Update::These(named.iter().cloned().collect()),
    }
}

/// What is to be updated must be needed: a mistyped reference would otherwise update nothing and say so to nobody.
fn check_update(named: Option<&[String]>, needed: &Needed) -> Result<(), CliError> {
    let strange = |name: &&String| !needed.entries().any(|entry| entry.is_named(name));
    let Some(stranger) = named.unwrap_or_default().iter().find(strange) else { return Ok(()) };
    // In its full form, where it is a reference: that is what was looked for.
    let full = stranger.parse::<Reference>().map_or_else(|_| stranger.clone(), |full| full.to_string());
    Err(CliError::new(Kind::Usage, format!("the profile does not need {full}"))
        .hint("list what it needs: carrack images PROFILE"))
}

async fn write(
    registry: &Registry,
    opened: &Opened,
    update: &Update,
    jobs: NonZeroUsize,
    ui: &Ui,
) -> Result<(), CliError> {
    let Opened { needed, lock_file, existing, elsewhere, .. } = opened;
    let resolved = lock::resolve(registry, &needed.images, existing, update, jobs).await?;
    let resolved = resolved.with(elsewhere.clone(), existing);
    resolved.lock.save(lock_file)?;
    if ui.wants_json() {
        return ui.json(&report(lock_file, resolved.lock.images.len(), &resolved.changes));
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
    let changes = entries(resolved.changes.len());
    ui.status(&format!("{}: {} locked, {changes} changed", lock_file.display(), all_of(&resolved.lock)));
    Ok(())
}

/// `3 images, 1 chart`: how many of everything.
fn all_of(lock: &Lock) -> String {
    let others = [(lock.charts.len(), "chart"), (lock.packs.len(), "pack"), (lock.files.len(), "file")];
    let others = others.into_iter().filter(|(count, _)| *count > 0);
    let all = std::iter::once((lock.images.len(), "image")).chain(others);
    all.map(|(count, noun)| counted(count, noun)).collect::<Vec<_>>().join(", ")
}

fn check(opening: &Opening<'_>, opened: &Opened, jobs: NonZeroUsize, ui: &Ui) -> Result<(), CliError> {
    let Opened { needed, lock_file, existing, .. } = opened;
    let checking = lock::check(opening.registry, needed, existing, jobs);
    let mut found = opening.runtime.block_on(checking)?;
    found.moved.extend(opened.moved(opening)?);
    if found != Check::default() {
        return Err(failed_check(lock_file, &found));
    }
    if ui.wants_json() {
        return ui.json(&report(lock_file, existing.images.len(), &[]));
    }
    ui.status(&format!("{}: {} locked, all as they are upstream", lock_file.display(), all_of(existing)));
    Ok(())
}

fn failed_check(file: &Path, found: &Check) -> CliError {
    let Check { moved, differences } = found;
    let message = match file.exists() {
        true => format!("{} is not up to date", file.display()),
        false => format!("{} does not exist yet", file.display()),
    };
    let mut error = CliError::new(Kind::Input, message);
    error.causes.extend(moved.iter().map(|moved| format!("moved: {}", describe(moved))));
    error.causes.extend(differences.missing.iter().map(|entry| format!("missing: {entry}")));
    error.causes.extend(differences.stale.iter().map(|entry| format!("stale: {entry}")));
    let (files, others): (Vec<_>, Vec<_>) = moved.iter().partition(|moved| matches!(moved.entry, Entry::File(_)));
    if !files.is_empty() {
        error
            .hints
            .push("a file is what its `sha256` in the profile says; change that if you trust the new one".into());
    }
    if !others.is_empty() {
        let references: Vec<_> = others.iter().map(|moved| quoted(&moved.entry.to_string())).collect();
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
        let needs = Needed { images: [(reference("app:1"), vec![])].into(), ..Needed::default() };
        assert_eq!(update_of(None), Update::Nothing);
        assert_eq!(update_of(Some(&[])), Update::All);
        assert_eq!(update_of(Some(&["app:1".to_owned()])), Update::These(["app:1".to_owned()].into()));
        assert!(check_update(Some(&["app:1".to_owned()]), &needs).is_ok());
        assert_eq!(check_update(Some(&["apps:1".to_owned()]), &needs).unwrap_err().kind, Kind::Usage);
    }
}
