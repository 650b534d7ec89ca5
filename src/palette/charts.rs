//! Charts of Palette packs.

use super::descriptor::Descriptor;
use super::error::PaletteError;
use super::pack::{Build, Input};
use super::parts::Part;
use super::source::PackFolder;
use super::values::is_label;
use crate::chart;
use crate::io::with_causes;
use crate::oci::Reference;
use crate::profile::schema::Chart;

/// A chart in a registry of Palette's.
pub(super) struct Remote {
    /// The registry's name in Palette.
    pub(super) registry: String,
    /// Its address, where the profile says it.
    pub(super) address: Option<String>,
}

/// The values of the chart `name`.
fn take(parts: &mut Vec<Part>, name: &str) -> Option<Part> {
    let at = parts.iter().position(|part| part.name == name)?;
    Some(parts.remove(at))
}

impl Build<'_> {
    /// The charts that pack.json names, each with its values.
    pub(super) fn folder_charts(
        &mut self,
        pack: &mut PackFolder,
        descriptor: &Descriptor,
        mut parts: Vec<Part>,
    ) -> Result<(), PaletteError> {
        for path in &descriptor.charts {
            let examined = pack.find(path).and_then(|path| chart::examine(&path).map_err(|error| with_causes(&error)));
            let (package, tree) = match examined {
                Ok(examined) => examined,
                Err(reason) => {
                    self.lost(&descriptor.place, "charts", reason);
                    continue;
                }
            };
            let name = &tree.metadata.name;
            pack.chart(name, &tree.metadata.version.to_string());
            let file = format!("charts/{name}-{}.tgz", tree.metadata.version);
            self.import.folder.add(format!("{}/{file}", self.folder), package)?;
            let values = take(&mut parts, name).map(|part| part.values(self.import)).unwrap_or_default();
            self.chart(name, Chart { source: Some(format!("./{file}")), ..Chart::default() }, values)?;
        }
        for part in parts {
            part.out(self.import, "the pack has no chart of this name");
        }
        Ok(())
    }

    /// The chart that a pack from a registry of charts is.
    pub(super) fn remote_chart(
        &mut self,
        remote: &Remote,
        mut parts: Vec<Part>,
        input: &Input<'_>,
    ) -> Result<(), PaletteError> {
        let name = input.palette;
        // Values of the only chart are its own, whatever they call it.
        let only = if parts.len() == 1 { parts.pop() } else { None };
        let part = only.or_else(|| take(&mut parts, name));
        let values = part.map(|part| part.values(self.import)).unwrap_or_default();
        let exact = semver::Version::parse(input.version).ok().map(|version| format!("={version}"));
        let address = remote.address.as_deref().map(|address| address.trim_end_matches('/'));
        match address.and_then(|address| source(address, name, input.version)) {
            Some(chart) => {
                self.chart(name, Chart { version: exact.filter(|_| chart.repository.is_some()), ..chart }, values)?;
            }
            None => {
                let file = self.values_file(name, &values)?;
                let with = file.map(|file| format!(", with the values of {file}")).unwrap_or_default();
                let why = match address {
                    Some(_) => "whose address cannot stand in a profile",
                    None => "whose address the profile does not have",
                };
                let reason = format!(
                    "chart {name} {} is in the registry {:?} of Palette's, {why}; write it as a `charts` of {}/pack.yaml{with}",
                    input.version, remote.registry, self.folder
                );
                self.lost(&input.place, &input.field, reason);
            }
        }
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            part.out(self.import, "the pack has no chart of this name");
        }
        Ok(())
    }

    /// Values of charts whose pack is not there.
    pub(super) fn absent_charts(&mut self, parts: Vec<Part>) -> Result<(), PaletteError> {
        for part in parts {
            let values = part.values(self.import);
            let file = self.values_file(&part.name, &values)?;
            let with =
                file.map(|file| format!("; its values are in {}/{}", self.folder, file.trim_start_matches("./")));
            let reason = format!("chart {} is in the pack's folder{}", part.name, with.unwrap_or_default());
            part.lost(self.import, reason);
        }
        Ok(())
    }
}

/// The chart `name` in `version` of the registry at `address`, where a profile can say that.
fn source(address: &str, name: &str, version: &str) -> Option<Chart> {
    let (scheme, rest) = address.split_once("://")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    if address.contains(|c: char| matches!(c, '@' | '?' | '#') || c.is_whitespace() || c.is_control()) {
        return None;
    }
    // Plain HTTP is for this machine alone, as everywhere.
    let loopback = host.starts_with("127.") || host.split(':').next() == Some("localhost");
    let is_repository = scheme == "https" || scheme == "http" && loopback;
    match scheme {
        _ if is_repository && name.split('.').all(is_label) && name.len() <= 250 => {
            Some(Chart { repository: Some(address.to_owned()), name: Some(name.to_owned()), ..Chart::default() })
        }
        "oci" if host == "localhost" || host.contains(['.', ':']) => {
            // A tag has no `+`.
            let reference = format!("{rest}/{name}:{}", version.replace('+', "_"));
            let whole = reference.parse::<Reference>().is_ok();
            whole.then(|| Chart { source: Some(format!("oci://{reference}")), ..Chart::default() })
        }
        _ => None,
    }
}
