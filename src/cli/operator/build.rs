//! `carrack build`: pull and pack. `carrack export`: the definition alone.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::RegistryArgs;
use super::discover::{DiscoverArgs, StrictArgs};
use super::lock::entries;
use super::open::{Opened, Opening, not_locked, warn_unsure};
use crate::bundle::ZSTD_MAGIC;
use crate::cli::ui::{bytes, counted};
use crate::cli::{CliError, Kind, Ui, interrupted};
use crate::download::Downloader;
use crate::fetch::{self, Images, Transfer, Written};
use crate::images::{self, Discovery};
use crate::io::AtPath;
use crate::lock::{self, Lock, Needed, Update};
use crate::oci::{Digest, Platform};
use crate::problem::Position;
use crate::profile::{IgnoredImage, Profile};
use crate::progress::Progress;
use crate::registry::Registry;

/// Pull every image of a profile and pack one bundle
///
/// Uses the digests of carrack.lock, resolves what it lacks and adds that to it. Every blob goes straight from the
/// registry to its place in BUNDLE.partial, which becomes BUNDLE when it is whole; interrupted, the same command goes on
/// where it stopped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  carrack build . -o edge.tar.zst\n  carrack build . -o edge.tar.zst --locked --jobs 8"
)]
pub(super) struct BuildArgs {
    /// The profile, or the folder with its carrack.yaml
    pub(super) profile: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Build for this platform only; one of the profile's (may be given several times)
    #[arg(long, value_name = "OS/ARCH")]
    platform: Vec<Platform>,
    /// zstd level for host files and layers that are not compressed yet
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
}

#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// The bundle to write
    #[arg(long, short, value_name = "BUNDLE")]
    pub(super) output: PathBuf,
    /// Fail unless carrack.lock has every image, and nothing else; never change it
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    discover: DiscoverArgs,
    #[command(flatten)]
    strict: StrictArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    version: u32,
    bundle: &'a Path,
    identity: Digest,
    images: usize,
    blobs: usize,
    bytes: u64,
    fetched_bytes: u64,
    resumed_bytes: u64,
}

pub(super) fn run(args: &BuildArgs, ui: &Ui) -> Result<(), CliError> {
    build(&args.profile, &args.common, &args.platform, args.level, Images::Carried, ui)
}

/// The definition of the cluster in `profile` alone.
pub(super) fn definition(profile: &Path, args: &Common, ui: &Ui) -> Result<(), CliError> {
    build(profile, args, &[], 3, Images::Absent, ui)
}

fn build(
    profile: &Path,
    args: &Common,
    only: &[Platform],
    level: i32,
    images: Images,
    ui: &Ui,
) -> Result<(), CliError> {
    let start = Instant::now();
    let (runtime, registry, downloader) = (super::runtime()?, args.registry.client(), Downloader::new());
    runtime.spawn(interrupted(ui.clone(), Some("what was fetched is kept: run the same command again to go on")));
    let jobs = args.registry.jobs.get();
    let opening = Opening {
        runtime: &runtime,
        registry: &registry,
        downloader: &downloader,
        jobs,
        update: &Update::Nothing,
        locked: args.locked,
        files: true,
    };
    let opened = opening.open(profile)?;
    check_output(&args.output, &opened.profile)?;
    let mut discovery = args.discover.discover(&opened.profile, &opened.charts, ui)?;
    args.strict.check(&discovery, &opened.warnings)?;
    warn_unsure(&opened.profile, ui);
    discovery.warnings.iter().chain(&opened.warnings).for_each(|warning| ui.warn(&warning.to_string()));
    let mut lock = runtime.block_on(locked(args, &opened, &discovery, &registry, ui))?;
    let Opened { mut profile, charts, .. } = opened;
    narrow(&mut profile, &mut discovery, &mut lock, only)?;
    let inputs = fetch::Inputs { profile: &profile, charts: &charts, discovery: &discovery, lock: &lock };
    let remotes = fetch::Remotes { registry: &registry, downloader: &downloader };
    let planning = fetch::plan(inputs, remotes, images, created()?, jobs);
    let build = runtime.block_on(planning)?;
    complete(&discovery, &build)?;
    let progress = Arc::new(Progress::default());
    let shown = ui.show(if images == Images::Carried { "building" } else { "exporting" }, &progress);
    let transfer =
        Transfer { build: &build, remotes, runtime: runtime.handle().clone(), jobs, level, progress: &progress };
    let written = transfer.run(&args.output)?;
    drop(shown);
    report(args, &build, written, start, ui)
}

/// Fails where the planned bundle lacks an image that something in it asks for.
fn complete(discovery: &Discovery, build: &fetch::PlannedBuild) -> Result<(), CliError> {
    let lacking = images::not_carried(discovery, &build.names);
    if lacking.is_empty() {
        return Ok(());
    }
    let text = format!("the bundle would lack {}", counted(lacking.len(), "image"));
    let error = CliError::new(Kind::Input, text).hint("bring the lock up to date: carrack lock PROFILE");
    Err(CliError { causes: images::told(&lacking), ..error })
}

/// Tells before anything is asked of a registry that the bundle cannot be written, or would replace something that no
/// build made: the profile, a file that it names, a device.
fn check_output(output: &Path, profile: &Profile) -> Result<(), CliError> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !std::fs::metadata(folder).at("write into", folder)?.is_dir() {
        return Err(std::io::Error::from(std::io::ErrorKind::NotADirectory)).at("write into", folder)?;
    }
    let Ok(mut existing) = File::open(output) else { return Ok(()) };
    let refuse = |reason: &str| {
        let text = format!("{} is there and {reason}; it is not replaced", output.display());
        Err(CliError::new(Kind::Local, text).hint("name another file with -o, or remove that one first"))
    };
    if !existing.metadata().at("examine", output)?.is_file() {
        // Folders, devices and the like are refused where the file is made.
        return Ok(());
    }
    let here = output.canonicalize().at("examine", output)?;
    let files = profile.packs.iter().flat_map(|pack| &pack.files).filter_map(|file| file.source.local());
    let sources = files.chain(profile.packs.iter().flat_map(|pack| pack.manifests.iter().map(PathBuf::as_path)));
    if sources.filter_map(|source| source.canonicalize().ok()).any(|source| source == here) {
        return refuse("the profile needs it");
    }
    let mut start = Vec::new();
    Read::by_ref(&mut existing).take(4).read_to_end(&mut start).at("read", output)?;
    if start.is_empty() || start == ZSTD_MAGIC { Ok(()) } else { refuse("is no bundle") }
}

/// The lock of exactly what the profile needs. What was missing is written to carrack.lock, unless `--locked` forbids it.
async fn locked(
    args: &Common,
    opened: &Opened,
    discovery: &Discovery,
    registry: &Registry,
    ui: &Ui,
) -> Result<Lock, CliError> {
    let Opened { lock_file, existing, .. } = opened;
    let images = discovery.images.iter().map(|image| (image.reference.clone(), image.platforms.clone())).collect();
    let needed = Needed { images, ..opened.needed.clone() };
    if args.locked {
        let differences = lock::compare(existing, &needed);
        if !differences.is_empty() {
            return Err(not_locked(lock_file, &differences));
        }
    }
    let jobs = args.registry.jobs;
    let resolved = lock::resolve(registry, &needed.images, existing, &Update::Nothing, jobs).await?;
    let resolved = resolved.with(opened.elsewhere.clone(), existing);
    if !args.locked && !resolved.changes.is_empty() {
        resolved.lock.save(lock_file)?;
        ui.status(&format!("{}: {} changed", lock_file.display(), entries(resolved.changes.len())));
    }
    Ok(resolved.lock)
}

/// Leaves out the platforms that were not asked for.
fn narrow(
    profile: &mut Profile,
    discovery: &mut Discovery,
    lock: &mut Lock,
    only: &[Platform],
) -> Result<(), CliError> {
    if only.is_empty() {
        return Ok(());
    }
    for platform in only {
        if !profile.platforms.iter().any(|known| platform.satisfies(known)) {
            let known: Vec<String> = profile.platforms.iter().map(Platform::to_string).collect();
            let text = format!("{platform} is not among the profile's platforms ({})", known.join(", "));
            return Err(CliError::new(Kind::Input, text).hint("add it to spec.platforms and run: carrack lock PROFILE"));
        }
    }
    profile.platforms.retain(|platform| only.iter().any(|wanted| platform.satisfies(wanted)));
    let platforms = &profile.platforms;
    for pack in &mut profile.packs {
        let wanted = |platform: &Platform| platforms.iter().any(|wanted| platform.satisfies(wanted));
        pack.files.retain(|file| file.platform.as_ref().is_none_or(wanted));
    }
    for image in &mut discovery.images {
        image.platforms.retain(|platform| platforms.contains(platform));
        if image.platforms.is_empty() {
            lock.images.remove(&image.reference);
            // A manifest that the host fills in may name it all the same.
            profile.ignore_images.push(IgnoredImage {
                image: image.reference.to_string(),
                reason: "it is for other platforms".to_owned(),
                file: profile.file.clone(),
                position: Position::START,
            });
        }
    }
    discovery.images.retain(|image| !image.platforms.is_empty());
    for (reference, image) in &mut lock.images {
        let wanted = |platform: &Option<Platform>| {
            platform.as_ref().is_none_or(|platform| only.iter().any(|wanted| platform.satisfies(wanted)))
        };
        image.platforms.retain(|manifest| wanted(&manifest.platform));
        if image.platforms.is_empty() {
            let only: Vec<String> = only.iter().map(Platform::to_string).collect();
            let text = format!("{reference} has no image for {}", only.join(" or "));
            return Err(CliError::new(Kind::Input, text));
        }
    }
    Ok(())
}

/// When the bundle says it was made: `SOURCE_DATE_EPOCH`, never the clock, so that equal inputs give equal bytes.
fn created() -> Result<Option<String>, CliError> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let time = time.ok_or_else(|| {
        let text = format!("SOURCE_DATE_EPOCH is {}, which is no count of seconds", value.display());
        CliError::new(Kind::Usage, text)
    })?;
    Ok(Some(time.to_string()))
}

fn report(
    args: &Common,
    build: &fetch::PlannedBuild,
    written: Written,
    start: Instant,
    ui: &Ui,
) -> Result<(), CliError> {
    let blobs = build.plan.blobs();
    if ui.wants_json() {
        return ui.json(&Report {
            version: 1,
            bundle: &args.output,
            identity: build.identity,
            images: build.names.len(),
            blobs,
            bytes: written.length,
            fetched_bytes: written.fetched,
            resumed_bytes: written.resumed,
        });
    }
    ui.data(&build.identity.to_string());
    let resumed = match written.resumed {
        0 => String::new(),
        resumed => format!(", {} kept from the interrupted build", bytes(resumed)),
    };
    ui.status(&format!(
        "{}: {}, {}, {} fetched{resumed}, {} written in {:.1} s",
        args.output.display(),
        counted(build.names.len(), "image"),
        counted(blobs, "blob"),
        bytes(written.fetched),
        bytes(written.length),
        start.elapsed().as_secs_f64(),
    ));
    Ok(())
}
