//! Charts and configuration: packages as they are, values as one document for each release.

use std::collections::HashMap;
use std::path::Path;

use super::local::describe;
use super::{FetchError, Source};
use crate::bundle::{ChartFile, ChartValues, ConfigFile, FileContent};
use crate::chart::{self, Chart};
use crate::oci::{Descriptor, Digest, media_type};
use crate::problem::read_document;
use crate::profile::{Distribution, Profile, Template};
use crate::variables::Variable;
use crate::variables::template::{Around, check, scan};

/// The charts with what goes into the bundle of each: its package, and its values.
pub(super) fn read(
    profile: &Profile,
    charts: &[Chart],
    sources: &mut HashMap<Digest, Source>,
) -> Result<Vec<(ChartFile, FileContent, Vec<u8>)>, FetchError> {
    check_releases(profile, charts)?;
    charts.iter().map(|chart| read_one(chart, &profile.variables, sources)).collect()
}

fn read_one(
    chart: &Chart,
    variables: &[Variable],
    sources: &mut HashMap<Digest, Source>,
) -> Result<(ChartFile, FileContent, Vec<u8>), FetchError> {
    let (blob, content) = describe(&chart.package, media_type::HELM_CHART, sources)?;
    if blob.digest != chart.digest {
        let (path, got, want) = (chart.package.clone(), blob.digest, chart.digest);
        return Err(FetchError::FileDigest { path, got, want });
    }
    // Compressed by definition, whatever its first bytes are.
    let content = if matches!(content, FileContent::Tail) { FileContent::Stored } else { content };
    let text = if chart.values.is_empty() { String::new() } else { chart::merge(&chart.values)? };
    let values = (!chart.values.is_empty()).then(|| ChartValues {
        blob: Descriptor::of(media_type::CHART_VALUES, text.as_bytes()),
        template: has_placeholders(&text),
    });
    for layer in &chart.values {
        check_template(layer, variables)?;
    }
    let file = ChartFile {
        blob,
        pack: chart.pack.clone(),
        name: chart.metadata.name.clone(),
        version: chart.metadata.version.clone(),
        release: chart.release.clone(),
        namespace: chart.namespace.clone(),
        values,
    };
    Ok((file, content, text.into_bytes()))
}

/// k3s and RKE2 keep all releases in one place, so a name is taken once whatever the namespace.
fn check_releases(profile: &Profile, charts: &[Chart]) -> Result<(), FetchError> {
    let folder = |distribution| matches!(distribution, Some(Distribution::K3s | Distribution::Rke2));
    let Some(pack) = profile.packs.iter().find(|pack| folder(pack.distribution)) else { return Ok(()) };
    for (index, chart) in charts.iter().enumerate() {
        if let Some(first) = charts[..index].iter().find(|first| first.release == chart.release) {
            return Err(FetchError::Release {
                release: chart.release.clone(),
                first: first.pack.clone(),
                second: chart.pack.clone(),
                distribution: pack.distribution.map(|one| one.to_string()).unwrap_or_default(),
            });
        }
    }
    Ok(())
}

/// What is added to the configuration of the profile's distribution.
pub(super) fn config(profile: &Profile) -> Result<Option<(ConfigFile, Vec<u8>)>, FetchError> {
    let with_config = profile.packs.iter().find_map(|pack| Some((pack, pack.config.as_ref()?)));
    let Some((pack, config)) = with_config else { return Ok(None) };
    check_template(config, &profile.variables)?;
    let blob = Descriptor::of(media_type::CONFIG, config.text.as_bytes());
    let file = ConfigFile { blob, pack: pack.name.clone(), template: has_placeholders(&config.text) };
    Ok(Some((file, config.text.clone().into_bytes())))
}

fn check_template(template: &Template, variables: &[Variable]) -> Result<(), FetchError> {
    let mistakes = check(&template.text, Around::Yaml, variables);
    let problems: Vec<_> = mistakes.into_iter().map(|one| chart::problem_in(template, one.at, one.message)).collect();
    if problems.is_empty() { Ok(()) } else { Err(crate::problem::Problems::Found(problems).into()) }
}

/// Whether the document at `path` has placeholders.
pub(super) fn is_template(path: &Path, around: Around, variables: &[Variable]) -> Result<bool, FetchError> {
    let source = read_document(path).map_err(crate::problem::Problems::from)?;
    let source = source.map_err(|problem| crate::problem::Problems::Found(vec![problem]))?;
    let mistakes = check(source.text(), around, variables);
    if !mistakes.is_empty() {
        let problems = mistakes.into_iter().map(|one| source.problem(one.at, one.message)).collect();
        return Err(crate::problem::Problems::Found(problems).into());
    }
    Ok(has_placeholders(source.text()))
}

fn has_placeholders(text: &str) -> bool {
    !scan(text).placeholders.is_empty()
}
