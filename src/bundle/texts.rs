//! The texts of a bundle's head, checked once, before anything prints one or makes a name, a path or an argument of it.
//!
//! A profile is checked by the same rules ([`crate::text`]) when people write it, so a bundle that breaks one was not made by
//! Carrack. A writer checks its parts too, and makes nothing that a reader refuses.

use super::artifact::{ChartFile, ConfigFile, HostFile, ManifestFile};
use super::compose::Parts;
use super::contents::{Contents, ResolvedPack, ResolvedProfile};
use crate::oci::Platform;
use crate::requirements::LONGEST_READY;
use crate::text::{self, LONGEST_VERSION, shown};
use crate::variables::check_declared;

const LAYERS: [&str; 5] = ["os", "k8s", "cni", "csi", "addon"];
const DISTRIBUTIONS: [&str; 5] = ["k3s", "rke2", "kubeadm", "canonical", "none"];

/// Checks every text of what was read.
///
/// # Errors
/// The first that no bundle has: the field, and the text with what cannot be seen escaped.
pub(super) fn check(contents: &Contents) -> Result<(), String> {
    profile(&contents.profile)?;
    contents.created.as_deref().map_or(Ok(()), created)?;
    contents.files.iter().try_for_each(file)?;
    contents.manifests.iter().try_for_each(manifest)?;
    contents.charts.iter().try_for_each(chart)?;
    contents.config.iter().try_for_each(config)?;
    let manifests = contents.images.iter().flat_map(|image| image.manifests.iter().map(move |one| (image, one)));
    for (image, platform) in manifests.filter_map(|(image, one)| Some((image, one.platform.as_ref()?))) {
        // A registry's word, which need not be one of ours.
        let field = |reason| format!("the platform of the image {} {reason}", image.reference);
        text::check(&platform.to_string()).map_err(field)?;
    }
    Ok(())
}

/// Checks every text of what is to be written.
///
/// # Errors
/// As [`check`].
pub(super) fn check_parts(parts: &Parts) -> Result<(), String> {
    profile(&parts.profile)?;
    parts.created.as_deref().map_or(Ok(()), created)?;
    parts.files.iter().try_for_each(|(one, _)| file(one))?;
    parts.manifests.iter().try_for_each(|(one, _)| manifest(one))?;
    parts.charts.iter().try_for_each(|(one, ..)| chart(one))?;
    parts.config.iter().try_for_each(|(one, _)| config(one))
}

fn profile(profile: &ResolvedProfile) -> Result<(), String> {
    label("the profile's name", &profile.name)?;
    version("the profile's version", &profile.version)?;
    text::check(&profile.description).map_err(|reason| format!("the profile's description {reason}"))?;
    if let Some(seconds) = profile.ready_seconds.filter(|seconds| *seconds > LONGEST_READY) {
        return Err(format!("the profile's readySeconds is {seconds}, more than {LONGEST_READY}"));
    }
    for platform in &profile.platforms {
        if platform.to_string().parse::<Platform>().as_ref() != Ok(platform) {
            let text = shown(&platform.to_string());
            return Err(format!("a platform of the profile is {text}, expected one such as linux/amd64"));
        }
    }
    check_declared(&profile.variables)?;
    for image in &profile.ignore_images {
        text::check(image).map_err(|reason| format!("an image that the profile ignores {reason}"))?;
    }
    profile.packs.iter().try_for_each(pack)
}

fn pack(pack: &ResolvedPack) -> Result<(), String> {
    label("a pack's name", &pack.name)?;
    let name = &pack.name;
    one_of(&format!("the layer of the pack {name}"), &pack.layer, &LAYERS)?;
    if let Some(version) = &pack.version {
        text::check(version).map_err(|reason| format!("the version of the pack {name} {reason}"))?;
    }
    if let Some(distribution) = &pack.distribution {
        one_of(&format!("the distribution of the pack {name}"), distribution, &DISTRIBUTIONS)?;
    }
    for other in &pack.depends_on {
        label(&format!("a pack that the pack {name} depends on"), &other.pack)?;
    }
    match pack.services.iter().find(|unit| !text::is_unit(unit)) {
        None => Ok(()),
        Some(unit) => {
            let endings = text::UNITS.join(", ");
            let unit = shown(unit);
            Err(format!(
                "a service of the pack {name} is {unit}, expected the name of a systemd unit that ends in {endings}"
            ))
        }
    }
}

fn file(file: &HostFile) -> Result<(), String> {
    label("the pack of a host file", &file.pack)?;
    text::check_host_path(&file.path).map_err(|reason| format!("the path of a host file {reason}"))?;
    match file.owner.as_deref().filter(|owner| !text::is_owner(owner)) {
        None => Ok(()),
        Some(owner) => {
            let (path, owner) = (&file.path, shown(owner));
            Err(format!("the owner of the host file {path} is {owner}, expected USER or USER:GROUP"))
        }
    }
}

fn manifest(manifest: &ManifestFile) -> Result<(), String> {
    label("the pack of a manifest", &manifest.pack)?;
    text::check_name(&manifest.name).map_err(|reason| format!("the name of a manifest {reason}"))
}

fn chart(chart: &ChartFile) -> Result<(), String> {
    label("the pack of a chart", &chart.pack)?;
    if !text::is_chart_name(&chart.name) {
        return Err(format!("a chart's name is {}, expected letters, digits, `-`, `_` and `.`", shown(&chart.name)));
    }
    if text::chart_version(&chart.version).is_none() {
        let version = shown(&chart.version);
        return Err(format!("a chart's version is {version}, expected one that Helm takes, such as 1.4.0"));
    }
    if !text::is_subdomain(&chart.release, 53) {
        let release = shown(&chart.release);
        return Err(format!("a release is {release}, expected up to 53 lowercase letters, digits and inner `-`"));
    }
    label("the namespace of a release", &chart.namespace)
}

fn config(config: &ConfigFile) -> Result<(), String> {
    label("the pack of the configuration", &config.pack)
}

fn label(what: &str, text: &str) -> Result<(), String> {
    if text::is_label(text) {
        return Ok(());
    }
    Err(format!("{what} is {}, expected up to 63 lowercase letters, digits and inner `-`", shown(text)))
}

fn version(what: &str, text: &str) -> Result<(), String> {
    // Letters, digits, `-`, `+` and `.`, which is all that the grammar has.
    if text.len() <= LONGEST_VERSION && semver::Version::parse(text).is_ok() {
        return Ok(());
    }
    let text = shown(text);
    Err(format!("{what} is {text}, expected a semantic version such as 1.4.0 of at most {LONGEST_VERSION} characters"))
}

fn one_of(what: &str, text: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&text) {
        Ok(())
    } else {
        Err(format!("{what} is {}, expected {}", shown(text), words.join(", ")))
    }
}

/// RFC 3339, as Carrack writes it or with an offset.
fn created(text: &str) -> Result<(), String> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let (time, zone) = shape.split_at_checked(19).unwrap_or((&shape, ""));
    let fraction = zone.strip_prefix('.').map(|rest| rest.trim_start_matches('0'));
    let zone_is_right = matches!(fraction.unwrap_or(zone), "Z" | "+00:00" | "-00:00");
    if time == "0000-00-00T00:00:00" && zone_is_right && text.len() <= 40 {
        return Ok(());
    }
    Err(format!("the time when it was made is {}, expected one such as 2026-01-01T00:00:00Z", shown(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        for good in ["2026-01-01T00:00:00Z", "1970-01-01T00:00:00.123Z", "2026-01-01T00:00:00+02:00"] {
            assert_eq!(created(good), Ok(()), "{good}");
        }
        for bad in ["", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z\n", "12026-01-01T00:00:00Z"] {
            assert!(created(bad).is_err(), "{bad:?}");
        }
    }
}
