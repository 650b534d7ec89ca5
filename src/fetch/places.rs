//! Whether all parts of a profile have places of their own on a host, told where the profile is and not there.

use std::collections::BTreeMap;

use super::FetchError;
use crate::chart::Chart;
use crate::oci::Platform;
use crate::places::{Places, is_reserved};
use crate::profile::Profile;

/// The largest package in bytes that is still an object of the cluster once it is in base64: etcd takes requests of
/// 1.5 MiB (its `--max-request-bytes`).
const MAX_WITHIN_OBJECT: u64 = 1_000_000;

/// The longest name and the longest path of a file, in bytes (NAME_MAX, PATH_MAX).
const LONGEST: (usize, usize) = (255, 4095);

/// Something that has a place.
struct Part {
    path: String,
    platform: Option<Platform>,
    shown: String,
}

/// Checks that no two parts of the profile are one to the host or its distribution, and that the distribution takes them.
///
/// # Errors
/// [`FetchError::Places`], for the first that has no place.
pub fn check_places(profile: &Profile, charts: &[Chart]) -> Result<(), FetchError> {
    let names: Vec<String> =
        profile.packs.iter().filter_map(|pack| pack.distribution).map(|one| one.to_string()).collect();
    let places = Places::of(names.iter().map(String::as_str));
    let refuse = |message: String| Err(FetchError::Places(message));
    if let Some(file) = profile.packs.iter().flat_map(|pack| &pack.files).find(|file| is_reserved(&file.path)) {
        return refuse(format!("the host file {} would be in a place that is carrack-install's own", file.path));
    }
    let mut releases: BTreeMap<&str, &str> = BTreeMap::new();
    for chart in charts {
        if let Some(first) = releases.insert(&chart.release, &chart.pack).filter(|_| places != Places::Own) {
            let (release, second, distribution) = (&chart.release, &chart.pack, shown(places));
            return refuse(format!(
                "packs {first} and {second} both have a release {release:?}, and {distribution} keeps all in one \
                 namespace; give one of them another `release`"
            ));
        }
        if places == Places::Rke2 && chart.size > MAX_WITHIN_OBJECT {
            let (pack, name, size) = (&chart.pack, &chart.metadata.name, chart.size);
            return refuse(format!(
                "pack {pack}: the package of chart {name} has {size} bytes, and RKE2 takes charts within objects of the \
                 cluster, of up to {MAX_WITHIN_OBJECT}"
            ));
        }
    }
    let parts = parts(profile, charts, places);
    each_fits(&parts)?;
    each_once(&parts, places)
}

fn shown(places: Places) -> &'static str {
    match places {
        Places::K3s => "k3s",
        Places::Rke2 => "RKE2",
        Places::Own => "the host",
    }
}

/// Everything that has a place. Packages are named by their digests, so those that are one are the same.
fn parts(profile: &Profile, charts: &[Chart], places: Places) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |path: String, platform: Option<Platform>, shown: String| parts.push(Part { path, platform, shown });
    for pack in &profile.packs {
        let name = &pack.name;
        for file in &pack.files {
            add(file.path.clone(), file.platform.clone(), format!("pack {name}'s file {}", file.path));
        }
        for manifest in &pack.manifests {
            let file = manifest.file_name().unwrap_or_default().to_string_lossy();
            add(places.manifest(name, &file), None, format!("pack {name}'s manifest {file}"));
        }
        if pack.config.is_some() {
            add(places.config().to_owned(), None, format!("pack {name}'s config"));
        }
    }
    for chart in charts {
        // Without values there is nothing to put anywhere but for a distribution.
        if places != Places::Own || !chart.values.is_empty() {
            add(
                places.release(&chart.pack, &chart.release),
                None,
                format!("pack {}'s release {}", chart.pack, chart.release),
            );
        }
    }
    parts
}

impl Part {
    /// Whether there is a host that gets both.
    fn meets(&self, other: &Self) -> bool {
        match (&self.platform, &other.platform) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        }
    }
}

/// Every file system takes these names, and nothing is below a file.
fn each_fits(parts: &[Part]) -> Result<(), FetchError> {
    let mut by_path: BTreeMap<&str, Vec<&Part>> = BTreeMap::new();
    for part in parts {
        by_path.entry(&part.path).or_default().push(part);
    }
    for part in parts {
        let name = part.path.rsplit('/').next().unwrap_or_default();
        if name.len() > LONGEST.0 || part.path.len() > LONGEST.1 {
            let shown = &part.shown;
            let message = format!("{shown} would have a name of more than 255 bytes, or a path of more than 4095");
            return Err(FetchError::Places(message));
        }
        let above = part.path.match_indices('/').filter_map(|(end, _)| by_path.get(&part.path[..end]));
        if let Some(outer) = above.flatten().find(|outer| outer.meets(part)) {
            let (outer, inner) = (&outer.shown, &part.shown);
            let message = format!("{outer} is a file, and {inner} needs a folder there; move one of them");
            return Err(FetchError::Places(message));
        }
    }
    Ok(())
}

fn each_once(parts: &[Part], places: Places) -> Result<(), FetchError> {
    let mut seen: BTreeMap<&str, Vec<&Part>> = BTreeMap::new();
    for part in parts {
        let others = seen.entry(places.identity(&part.path)).or_default();
        if let Some(first) = others.iter().find(|other| other.meets(part)) {
            let (first, second, to) = (&first.shown, &part.shown, shown(places));
            let message = format!("{first} and {second} would be one to {to}; rename one of them");
            return Err(FetchError::Places(message));
        }
        others.push(part);
    }
    Ok(())
}
