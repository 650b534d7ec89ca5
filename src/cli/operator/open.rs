//! From a profile's path to everything that it names, for every command that takes a profile.

use std::path::Path;

use crate::cli::{CliError, Kind};
use crate::profile::{self, FileOrigin, Loaded, Packs, Profile};

/// Reads the profile at `path`.
pub(super) fn open(path: &Path) -> Result<Profile, CliError> {
    let profile = match profile::load(path, &Packs::new())? {
        Loaded::Profile(profile) => *profile,
        Loaded::Needs(packs) => return Err(later(&format!("pack oci://{} from a registry", packs[0]))),
    };
    for pack in &profile.packs {
        let url = pack.files.iter().any(|file| matches!(file.source, FileOrigin::Url { .. }));
        let template = pack.files.iter().any(|file| file.template);
        let unbuilt = [
            (!pack.charts.is_empty(), "a chart"),
            (pack.config.is_some(), "`config`"),
            (url, "a file from a server"),
            (template, "a template file"),
            (!pack.depends_on.is_empty(), "`dependsOn`"),
            (pack.upgrade_from.is_some(), "`upgradeFrom`"),
            (!pack.requirements.is_empty() || !profile.requirements.is_empty(), "`requirements`"),
            (!profile.variables.is_empty(), "a variable"),
        ];
        if let Some((_, what)) = unbuilt.iter().find(|(there, _)| *there) {
            return Err(later(&format!("pack {} with {what}", pack.name)));
        }
    }
    Ok(profile)
}

fn later(what: &str) -> CliError {
    CliError::new(Kind::Input, format!("{what} is not supported by this version of Carrack yet"))
}
