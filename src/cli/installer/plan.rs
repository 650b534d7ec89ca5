//! `carrack-install plan`: what apply would change.

use std::path::PathBuf;

use serde::Serialize;

use super::{preflight, resume, target, variables};
use crate::apply::by_hand::{ByHand, Changed, Key};
use crate::apply::configuration::Reconfigured;
use crate::apply::difference::Difference;
use crate::apply::plan::{FileAction, HostPlan, ImageAction, PlannedFile, PlannedImage, ServiceAction};
use crate::apply::{Asked, Inputs, Memory, SiteChange, survey};
use crate::bundle::Contents;
use crate::cli::identity::IdentityArgs;
use crate::cli::ui::{bytes, counted};
use crate::cli::{CliError, Ui};
use crate::site::node::Node;
use crate::variables::Values;

/// Show what apply would change, file by file and image by image
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    pub(super) target: target::TargetArgs,
    #[command(flatten)]
    skip: preflight::SkipArgs,
    #[command(flatten)]
    variables: variables::VariableArgs,
    #[command(flatten)]
    keep: target::KeepArgs,
    #[command(flatten)]
    images_only: target::ImagesOnlyArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    version: u32,
    bundle: String,
    name: String,
    profile_version: String,
    changes: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variables: Vec<variables::Shown>,
    /// What the site changes of the one that is installed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    site: Vec<SiteReport>,
    files: Vec<FileReport>,
    images: Vec<ImageReport>,
    /// Configuration that was changed by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by_hand: Vec<ByHandReport>,
    archive: Option<ArchiveReport>,
    removed: Vec<String>,
    /// Names of images that no version needs any more that one could go back to.
    released: Vec<String>,
    services: Vec<ServiceReport>,
    /// The fields that change of the configuration of a node that runs, and labels and taints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    configuration: Vec<String>,
    /// What restarts for that, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restarts: Vec<String>,
    warnings: Vec<String>,
}

/// A field of the site that changes; secrets are masked.
#[derive(Serialize)]
struct SiteReport {
    field: String,
    before: Option<String>,
    after: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceReport {
    unit: String,
    action: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArchiveReport {
    path: String,
    action: &'static str,
    image_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileReport {
    path: String,
    kind: &'static str,
    action: &'static str,
    /// None where a sensitive value is in it, which could be guessed with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    size: u64,
    mode: String,
    pack: String,
    /// What changes in it, as a unified diff, where it is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_diff: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ByHandReport {
    path: String,
    /// Whether nothing of the bundle's changes in it.
    stays: bool,
    /// Keys that were set and stay so.
    set: Vec<String>,
    /// Keys that were removed and stay so.
    removed: Vec<String>,
    /// Those of both that are something else in the bundle now.
    disputed: Vec<String>,
    /// Where it is kept, where it is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageReport {
    reference: String,
    action: &'static str,
    target: String,
    names: Vec<String>,
    missing_bytes: u64,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let bundle = args.identity.establish(&args.bundle)?;
    let root = args.target.root()?;
    resume::warn_unfinished(&root, ui)?;
    let memory = Memory::of(&root, &bundle.contents().profile.name).map_err(CliError::before_changes)?;
    let choices = args.keep.choices(&args.skip.choices(&args.target.choices(&memory.choices)));
    let asked = Asked { images_only: args.images_only.images_only, ..args.variables.asked() };
    let target = args.target.target(root, Some(bundle.contents()), choices, asked)?;
    let target = target::runtime()?.block_on(target.ask());
    let (values, node) = match asked.images_only {
        // Whatever the site says, the images are these.
        true => (Values::new(), Node::default()),
        false => {
            let site = args.variables.site()?;
            let values =
                args.variables.values(site.as_ref(), bundle.contents(), &args.bundle, &target.root, true, ui)?;
            (values, variables::node(site.as_ref(), &memory, &target.root)?)
        }
    };
    let inputs = Inputs { contents: bundle.contents(), source: &target::source(&bundle), values: &values, node: &node };
    let plan = target::runtime()?.block_on(async {
        args.skip.require(inputs, &target, ui).await?;
        let survey = survey(inputs, &target, None).await;
        Ok::<_, CliError>(survey.map_err(CliError::before_changes)?.plan)
    })?;
    show(&plan, bundle.contents(), &values, ui)
}

/// Prints a plan as the command's result.
pub(super) fn show(plan: &HostPlan, contents: &Contents, values: &Values, ui: &Ui) -> Result<(), CliError> {
    if ui.wants_json() {
        return ui.json(&Report::new(plan, contents, values));
    }
    let mut lines = lines(plan);
    lines.splice(0..0, variables::lines(values, contents));
    plan.warnings().iter().for_each(|warning| ui.warn(warning));
    if !lines.is_empty() {
        ui.listing(&lines.join("\n"));
    }
    ui.status(&summary(plan));
    Ok(())
}

/// A line for each change.
pub(super) fn lines(plan: &HostPlan) -> Vec<String> {
    let files = plan.files.iter().filter(|file| file.action != FileAction::Keep).map(|file| {
        let (action, kind) = (file_word(file.action), file.file.kind.word());
        let line =
            format!("{action:7} {kind:8} {} ({}, {:04o})", file.file.path, bytes(file.file.size), file.file.mode);
        [line].into_iter().chain(file.difference.iter().flat_map(difference)).collect::<Vec<_>>().join("\n")
    });
    let images = plan.images.iter().filter(|image| image.action != ImageAction::Keep).map(|image| {
        let action = image_word(image.action);
        format!("{action:7} image    {} ({} missing)", image.reference, bytes(image.missing_bytes))
    });
    let archive = plan.archive.iter().filter(|archive| archive.action != FileAction::Keep).map(|archive| {
        let action = file_word(archive.action);
        format!("{action:7} archive  {} (images of {})", archive.path, bytes(archive.size))
    });
    let removed = plan.removals.iter().map(|removal| match removal.original {
        None => format!("{:7} {:8} {}", "remove", "file", removal.path),
        Some(_) => format!("{:7} {:8} {} (what was there before)", "restore", "file", removal.path),
    });
    let stopped = plan.dropped_services.iter().map(|unit| format!("{:7} {:8} {unit}", "stop", "service"));
    let services = plan.units().filter(|service| service.action != ServiceAction::Keep);
    let services =
        services.map(|service| format!("{:7} {:8} {}", service_word(service.action), "service", service.unit));
    let released = plan.released.iter().map(|change| format!("{:7} {:8} {}", "release", "name", change.name));
    site(&plan.site)
        .chain(files)
        .chain(by_hand(&plan.by_hand))
        .chain(removed)
        .chain(images)
        .chain(released)
        .chain(archive)
        .chain(stopped)
        .chain(services)
        .chain(configuration(&plan.configuration))
        .collect()
}

/// What changes of a running node's configuration, a line for each field, and what restarts for it.
fn configuration(changes: &Reconfigured) -> impl Iterator<Item = String> {
    let fields = changes.fields.iter().map(|field| format!("{:7} {:8} {field}", "change", "cluster"));
    let restarts = (!changes.restarts.is_empty()).then(|| format!("restarts: {}", changes.restarts.join(", ")));
    fields.chain(restarts)
}

/// What the site changes, a line for each field.
fn site(changes: &[SiteChange]) -> impl Iterator<Item = String> {
    changes.iter().map(|change| {
        let field = &change.field;
        match (&change.before, &change.after) {
            (Some(before), Some(after)) => format!("{:7} {:8} {field}: {before} -> {after}", "change", "site"),
            (None, Some(after)) => format!("{:7} {:8} {field}: {after}", "add", "site"),
            (before, None) => {
                format!("{:7} {:8} {field}: {}", "remove", "site", before.as_deref().unwrap_or_default())
            }
        }
    })
}

/// What stays of what was changed by hand, a line for each file.
pub(super) fn by_hand(files: &[ByHand]) -> impl Iterator<Item = String> {
    files.iter().map(|file| {
        let (path, what) = match &file.change {
            Changed::Stays => (&file.path, "changed by hand".to_owned()),
            Changed::Keys(keys) => (&file.path, keys_line(keys)),
            Changed::Aside(copy) => (copy, format!("{} as it was changed by hand", file.path)),
        };
        format!("{:7} {:8} {path}: {what}", "keep", "config")
    })
}

fn keys_line(keys: &[Key]) -> String {
    let of = |removed: bool, done: &str| {
        // A key may be any text, line ends among them.
        let shown =
            |name: &str| if name.contains(crate::text::is_unseen) { format!("{name:?}") } else { name.to_owned() };
        let names: Vec<String> = named(keys, removed).into_iter().map(shown).collect();
        (!names.is_empty()).then(|| format!("{}, {done} by hand", names.join(", ")))
    };
    [of(false, "set"), of(true, "removed")].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn named(keys: &[Key], removed: bool) -> Vec<&str> {
    keys.iter().filter(|key| key.removed == removed).map(|key| key.name.as_str()).collect()
}

/// What changes in a file, each line set in, so that none can be taken for one of the plan.
fn difference(difference: &Difference) -> Vec<String> {
    let lines: Vec<&str> = match difference {
        Difference::Text(text) => text.split('\n').collect(),
        other => other.reason().into_iter().collect(),
    };
    lines.into_iter().map(|line| format!("{:7} {line}", "")).collect()
}

/// All of it in a line.
pub(super) fn summary(plan: &HostPlan) -> String {
    if plan.is_empty() {
        return format!(
            "nothing to change: {} and {} are as the bundle wants them",
            counted(plan.files.len(), "file"),
            counted(plan.images.len(), "image")
        );
    }
    let some = |count: usize, text: &str| if count == 0 { String::new() } else { format!(", {count} {text}") };
    let units = plan.units().filter(|service| service.action != ServiceAction::Keep).count();
    let units = match units + plan.dropped_services.len() {
        0 => String::new(),
        count => format!("; {} to start or stop", counted(count, "service")),
    };
    format!(
        "{} to create, {} to replace{}, {} kept; {} to add, {} to update, {} kept{}{units}",
        counted(plan.count(FileAction::Create), "file"),
        plan.count(FileAction::Replace),
        some(plan.removals.len(), "to remove"),
        plan.count(FileAction::Keep),
        counted(plan.count_images(ImageAction::Add), "image"),
        plan.count_images(ImageAction::Update),
        plan.count_images(ImageAction::Keep),
        some(plan.released.len(), "names to release"),
    )
}

impl Report {
    pub(super) fn new(plan: &HostPlan, contents: &Contents, values: &Values) -> Self {
        Self {
            version: 1,
            bundle: contents.identity.to_string(),
            name: contents.profile.name.clone(),
            profile_version: contents.profile.version.clone(),
            changes: !plan.is_empty(),
            variables: variables::shown(values, contents),
            site: plan.site.iter().map(SiteReport::new).collect(),
            files: plan.files.iter().map(FileReport::new).collect(),
            images: plan.images.iter().map(ImageReport::new).collect(),
            by_hand: plan.by_hand.iter().map(ByHandReport::new).collect(),
            archive: plan.archive.as_ref().map(|archive| ArchiveReport {
                path: archive.path.clone(),
                action: file_word(archive.action),
                image_bytes: archive.size,
            }),
            removed: plan.removals.iter().map(|removal| removal.path.clone()).collect(),
            released: plan.released.iter().map(|change| change.name.clone()).collect(),
            services: services(plan),
            configuration: plan.configuration.fields.clone(),
            restarts: plan.configuration.restarts.clone(),
            warnings: plan.warnings(),
        }
    }
}

impl SiteReport {
    fn new(change: &SiteChange) -> Self {
        let SiteChange { field, before, after } = change.clone();
        Self { field, before, after }
    }
}

impl FileReport {
    fn new(planned: &PlannedFile) -> Self {
        Self {
            path: planned.file.path.clone(),
            kind: planned.file.kind.word(),
            action: file_word(planned.action),
            digest: (!planned.file.has_secrets()).then(|| planned.file.digest.to_string()),
            size: planned.file.size,
            mode: format!("{:04o}", planned.file.mode),
            pack: planned.file.pack.clone(),
            diff: match &planned.difference {
                Some(Difference::Text(text)) => Some(text.clone()),
                _ => None,
            },
            no_diff: planned.difference.as_ref().and_then(Difference::reason),
        }
    }
}

impl ByHandReport {
    pub(super) fn new(file: &ByHand) -> Self {
        let (keys, copy) = match &file.change {
            Changed::Stays => (&[][..], None),
            Changed::Keys(keys) => (&keys[..], None),
            Changed::Aside(copy) => (&[][..], Some(copy.clone())),
        };
        let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Self {
            path: file.path.clone(),
            stays: file.change == Changed::Stays,
            set: names(named(keys, false)),
            removed: names(named(keys, true)),
            disputed: keys.iter().filter(|key| key.disputed).map(|key| key.name.clone()).collect(),
            copy,
        }
    }
}

impl ImageReport {
    fn new(planned: &PlannedImage) -> Self {
        Self {
            reference: planned.reference.to_string(),
            action: image_word(planned.action),
            target: planned.target.to_string(),
            names: planned.names.clone(),
            missing_bytes: planned.missing_bytes,
        }
    }
}

fn file_word(action: FileAction) -> &'static str {
    match action {
        FileAction::Create => "create",
        FileAction::Replace => "replace",
        FileAction::Keep => "keep",
    }
}

fn services(plan: &HostPlan) -> Vec<ServiceReport> {
    let stopped = plan.dropped_services.iter().map(|unit| ServiceReport { unit: unit.clone(), action: "stop" });
    let other =
        plan.units().map(|service| ServiceReport { unit: service.unit.clone(), action: service_word(service.action) });
    stopped.chain(other).collect()
}

fn service_word(action: ServiceAction) -> &'static str {
    match action {
        ServiceAction::Start => "start",
        ServiceAction::Restart => "restart",
        ServiceAction::Keep => "keep",
    }
}

fn image_word(action: ImageAction) -> &'static str {
    match action {
        ImageAction::Add => "add",
        ImageAction::Update => "update",
        ImageAction::Keep => "keep",
    }
}
