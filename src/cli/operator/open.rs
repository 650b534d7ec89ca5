//! From a profile's path to everything that it names, for every command that takes a profile.

use std::path::Path;

use crate::chart::{self, Chart};
use crate::cli::{CliError, Kind};
use crate::profile::{self, ChartLocation, FileOrigin, Loaded, Packs, Profile};

/// Reads the profile at `path`.
pub(super) fn open(path: &Path) -> Result<Profile, CliError> {
    let profile = match profile::load(path, &Packs::new())? {
        Loaded::Profile(profile) => *profile,
        Loaded::Needs(packs) => return Err(later(&format!("pack oci://{} from a registry", packs[0]))),
    };
    Ok(profile)
}

/// The charts of `profile`, at hand as packages. Folders are packed into `.carrack/charts` beside the profile.
pub(super) fn charts(profile: &Profile) -> Result<Vec<Chart>, CliError> {
    let keep = profile.folder().join(".carrack/charts");
    let mut charts = Vec::new();
    for (pack, source) in profile.packs.iter().flat_map(|pack| pack.charts.iter().map(move |chart| (pack, chart))) {
        if !matches!(source.location, ChartLocation::Local(_)) {
            return Err(later(&format!("pack {} with a chart from elsewhere", pack.name)));
        }
        charts.push(chart::local(source, &pack.name, &keep)?);
    }
    Ok(charts)
}

/// Refuses what bundles do not have yet.
pub(super) fn check_built(profile: &Profile) -> Result<(), CliError> {
    for pack in &profile.packs {
        let url = pack.files.iter().any(|file| matches!(file.source, FileOrigin::Url { .. }));
        let unbuilt = [
            (url, "a file from a server"),
            (!pack.depends_on.is_empty(), "`dependsOn`"),
            (pack.upgrade_from.is_some(), "`upgradeFrom`"),
            (!pack.requirements.is_empty() || !profile.requirements.is_empty(), "`requirements`"),
        ];
        if let Some((_, what)) = unbuilt.iter().find(|(there, _)| *there) {
            return Err(later(&format!("pack {} with {what}", pack.name)));
        }
    }
    Ok(())
}

fn later(what: &str) -> CliError {
    CliError::new(Kind::Input, format!("{what} is not supported by this version of Carrack yet"))
}
