//! From a profile's path to everything that it names, for every command that takes a profile.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Runtime;

use super::RegistryArgs;
use crate::chart::Chart;
use crate::cli::{CliError, Kind, Ui};
use crate::download::Downloader;
use crate::fetch;
use crate::gather::{self, GatherError, Gatherer};
use crate::lock::{self, Change, Differences, Lock, Moved, Needed, Update};
use crate::problem::Problem;
use crate::profile::{self, Loaded, Packs, Profile};
use crate::programs::{self, Starts};
use crate::registry::Registry;

/// Times that a profile may turn out to need still more packs.
const MAX_TURNS: usize = 16;

/// How a profile is opened.
pub(super) struct Opening<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) registry: &'a Registry,
    pub(super) downloader: &'a Downloader,
    /// Charts and files that are asked for at a time.
    pub(super) jobs: usize,
    /// What is asked for anew although it is locked.
    pub(super) update: &'a Update,
    /// Whether what the lock lacks is refused.
    pub(super) locked: bool,
    /// Whether the facts of files on servers are wanted.
    pub(super) files: bool,
}

/// A profile with everything at hand that it names.
pub(super) struct Opened {
    pub(super) profile: Profile,
    /// In the profile's order.
    pub(super) charts: Vec<Chart>,
    /// What the profile needs of a lock; images are for who discovers them.
    pub(super) needed: Needed,
    /// Where the lock is.
    pub(super) lock_file: PathBuf,
    /// What it says.
    pub(super) existing: Lock,
    /// What it should say, images aside.
    pub(super) elsewhere: Lock,
    /// What is worth knowing of the distribution's programs.
    pub(super) warnings: Vec<Problem>,
}

/// Opens the profile at `path` for a command that only looks at it.
pub(super) fn look_at(path: &Path, registry: &RegistryArgs, ui: &Ui) -> Result<Opened, CliError> {
    let (runtime, client, downloader) = (super::runtime()?, registry.client(), Downloader::new());
    let opened = Opening {
        runtime: &runtime,
        registry: &client,
        downloader: &downloader,
        jobs: registry.jobs.get(),
        update: &Update::Nothing,
        locked: false,
        files: false,
    };
    let opened = opened.open(path)?;
    for change in lock::changes(&Lock::default(), &opened.elsewhere) {
        if let Change::Added(entry, digest) = change
            && !opened.existing.entries().any(|locked| locked == entry)
        {
            ui.status(&format!("{entry} is {digest} now; `carrack lock` writes that down"));
        }
    }
    warn_unsure(&opened.profile, ui);
    Ok(opened)
}

/// Says which options no list has, where the release of the distribution is not listed.
pub(super) fn warn_unsure(profile: &Profile, ui: &Ui) {
    for pack in &profile.packs {
        pack.unsure.iter().for_each(|unsure| ui.warn(&format!("pack {}: {unsure}", pack.name)));
    }
}

impl Opening<'_> {
    /// Reads the profile at `path`, and brings the packs and charts that it names from elsewhere.
    pub(super) fn open(&self, path: &Path) -> Result<Opened, CliError> {
        let loaded = profile::load(path, &Packs::new())?;
        let lock_file = lock::path_for(&profile::file_of(path));
        let existing = Lock::load(&lock_file)?;
        self.runtime.block_on(self.gather(path, loaded, lock_file, existing))
    }

    async fn gather(
        &self,
        path: &Path,
        loaded: Loaded,
        lock_file: PathBuf,
        existing: Lock,
    ) -> Result<Opened, CliError> {
        let folder = lock_file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let gatherer = Gatherer::new(self.registry, self.downloader, folder, &existing, self.update);
        let mut elsewhere = Lock::default();
        let profile = self.whole(path, loaded, &gatherer, &lock_file, &existing, &mut elsewhere).await?;
        let needed = gather::needed(&profile);
        self.check_locked(&lock_file, &existing, &needed)?;
        let sources = profile.packs.iter().flat_map(|pack| pack.charts.iter().map(move |chart| (&pack.name, chart)));
        let sources: Vec<_> = sources.collect();
        let charts = stream::iter(sources).map(|(pack, source)| gatherer.chart(pack, source)).buffered(self.jobs);
        let charts: Vec<_> = charts.try_collect().await?;
        let (charts, locked): (Vec<_>, Vec<_>) = charts.into_iter().unzip();
        elsewhere.charts = locked.into_iter().flatten().collect();
        if self.files {
            let facts = |(url, digest): (String, _)| {
                let gatherer = &gatherer;
                async move { Ok::<_, GatherError>((url.clone(), gatherer.file(&url, digest).await?)) }
            };
            let files: Vec<_> = needed.files.clone().into_iter().collect();
            elsewhere.files = stream::iter(files).map(facts).buffered(self.jobs).try_collect().await?;
        }
        drop(gatherer);
        fetch::check_places(&profile, &charts)?;
        fetch::check_templates(&profile)?;
        let warnings = programs::check(&profile, &self.starts(&profile).await?)?;
        Ok(Opened { profile, charts, needed, lock_file, existing, elsewhere, warnings })
    }

    /// The first bytes of programs on servers, where files are asked for at all.
    async fn starts(&self, profile: &Profile) -> Result<Starts, CliError> {
        let mut starts = Starts::new();
        for url in programs::on_servers(profile).into_iter().filter(|_| self.files) {
            let facts = self.downloader.facts(&url.parse()?, programs::START).await?;
            starts.insert(url, facts.start);
        }
        Ok(starts)
    }

    /// The profile with its packs, which are brought as long as it needs more.
    async fn whole(
        &self,
        path: &Path,
        mut loaded: Loaded,
        gatherer: &Gatherer<'_>,
        lock_file: &Path,
        existing: &Lock,
        elsewhere: &mut Lock,
    ) -> Result<Profile, CliError> {
        let mut packs = Packs::new();
        for _ in 0..MAX_TURNS {
            let references = match loaded {
                Loaded::Profile(profile) => return Ok(*profile),
                Loaded::Needs(references) => references,
            };
            let needed = Needed { packs: references.iter().cloned().collect(), ..Needed::default() };
            self.check_locked(lock_file, existing, &needed)?;
            for reference in references {
                let (folder, locked) = gatherer.pack(&reference).await?;
                packs.insert(reference.clone(), folder);
                elsewhere.packs.insert(reference, locked);
            }
            loaded = profile::load(path, &packs)?;
        }
        Err(CliError::new(Kind::Input, format!("{} needs more and more packs", path.display())))
    }

    /// Refuses what the lock lacks, where that is wanted; what it has too much is told with the images.
    fn check_locked(&self, file: &Path, existing: &Lock, needed: &Needed) -> Result<(), CliError> {
        let missing = lock::compare(existing, needed).missing;
        if !self.locked || missing.is_empty() {
            return Ok(());
        }
        Err(not_locked(file, &Differences { missing, stale: Vec::new() }))
    }
}

impl Opened {
    /// The packs, charts and files that are no longer what the lock says.
    pub(super) fn moved(&self, opening: &Opening<'_>) -> Result<Vec<Moved>, CliError> {
        let folder = self.profile.folder();
        let gatherer = Gatherer::new(opening.registry, opening.downloader, folder, &self.existing, opening.update);
        Ok(opening.runtime.block_on(gatherer.moved(&self.profile))?)
    }
}

/// What `--locked` answers to a lock that does not fit.
pub(super) fn not_locked(file: &Path, differences: &Differences) -> CliError {
    let message = match file.exists() {
        true => format!("{} does not fit the profile", file.display()),
        false => format!("{} does not exist yet", file.display()),
    };
    let mut error = CliError::new(Kind::Input, message);
    error.causes.extend(differences.missing.iter().map(|entry| format!("missing: {entry}")));
    error.causes.extend(differences.stale.iter().map(|entry| format!("stale: {entry}")));
    error.hint("bring it up to date: carrack lock PROFILE")
}
