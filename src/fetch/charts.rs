//! Charts and configuration: packages as they are, values as one document for each release.

use std::collections::HashMap;
use std::path::Path;

use super::local::describe;
use super::{FetchError, Source};
use crate::bundle::{ChartFile, ChartValues, ConfigFile, FileContent};
use crate::chart::{self, Chart};
use crate::oci::{Descriptor, Digest, media_type};
use crate::problem::read_document;
use crate::profile::{Profile, Template};
use crate::variables::Variable;
use crate::variables::template::{Around, check, scan};

/// The charts with what goes into the bundle of each: its package, and its values.
pub(super) fn read(
    profile: &Profile,
    charts: &[Chart],
    sources: &mut HashMap<Digest, Source>,
) -> Result<Vec<(ChartFile, FileContent, Vec<u8>)>, FetchError> {
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

/// Checks the placeholders of the profile's own host files.
///
/// # Errors
/// Where a file cannot be read, and every placeholder that cannot be filled.
pub fn check_templates(profile: &Profile) -> Result<(), FetchError> {
    for file in profile.packs.iter().flat_map(|pack| &pack.files).filter(|file| file.template) {
        if let Some(path) = file.source.local() {
            is_template(path, Around::Plain, &profile.variables)?;
        }
    }
    Ok(())
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
