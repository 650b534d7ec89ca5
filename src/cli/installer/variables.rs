//! The flags that give values to variables, and asking for what is missing.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::apply::installed::installed;
use crate::apply::receipt::RECEIPTS;
use crate::apply::{Asked, Memory, addressed};
use crate::bundle::Contents;
use crate::cli::{CliError, Kind, Ui};
use crate::host::{Facts, Root};
use crate::problem::Problems;
use crate::site::Site;
use crate::site::node::Node;
use crate::variables::{Given, InstalledValue, Known, MASK, Values, Variable, Written, is_name, resolve};

/// What differs from place to place.
#[derive(Debug, clap::Args)]
pub(super) struct VariableArgs {
    /// A site file: what differs from place to place, the values of variables among it; without it, the site that is installed
    /// counts
    #[arg(long, value_name = "FILE", requires = "bundle")]
    site: Option<PathBuf>,
    /// Let this machine take another part in its cluster than it has, or go to another cluster, as the site says
    #[arg(long, requires = "bundle")]
    change_role: bool,
    /// The value of a variable, instead of the site's; for more variables give it again
    // Not parsed by clap, whose errors would show a value that may be sensitive.
    #[arg(long, value_name = "NAME=VALUE", requires = "bundle")]
    set: Vec<String>,
}

/// A variable's value as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    name: String,
    value: String,
}

impl VariableArgs {
    /// The site, where one is named.
    pub(super) fn site(&self) -> Result<Option<Site>, CliError> {
        let site = self.site.as_deref().map(Site::load).transpose().map_err(problems)?;
        Ok(site)
    }

    /// What was said for this time only.
    pub(super) fn asked(&self) -> Asked {
        Asked { site: self.site.is_some(), change_role: self.change_role, images_only: false }
    }

    /// The values of the bundle's variables; what an earlier version of the profile was installed with below `root` is
    /// kept. Somebody at a terminal is asked for what is missing where `may_ask`.
    pub(super) fn values(
        &self,
        site: Option<&Site>,
        contents: &Contents,
        bundle: &Path,
        root: &Root,
        may_ask: bool,
        ui: &Ui,
    ) -> Result<Values, CliError> {
        let declared = &contents.profile.variables;
        let set = self.set.iter().map(|text| assignment(text)).collect::<Result<Vec<_>, _>>()?;
        for (index, given) in set.iter().enumerate() {
            if set[..index].iter().any(|other| other.name == given.name) {
                return Err(CliError::new(Kind::Usage, format!("--set gives variable {} twice", given.name)));
            }
            if declared.iter().any(|variable| variable.sensitive && variable.name == given.name) {
                ui.warn(&format!(
                    "variable {} is sensitive: on a command line, the list of processes and the shell's history show it; \
                     give it in a site file",
                    given.name
                ));
            }
        }
        site.iter().flat_map(|site| site.warnings(declared)).for_each(|warning| ui.warn(&warning));
        let site = site.map(|site| &*site.values).unwrap_or_default();
        let installed = installed(root, &contents.profile.name)?;
        for variable in declared.iter().filter(|variable| variable.sensitive) {
            if let Some(InstalledValue::Value { plain: true, .. }) = installed.get(&variable.name) {
                ui.warn(&format!(
                    "variable {} was not sensitive before, so its value is in a receipt below {RECEIPTS} that everybody can \
                     read: give another value, or remove that receipt",
                    variable.name
                ));
            }
        }
        let known = Known { declared, set: &set, site, installed: &installed, bundle };
        let mut ask = |variable: &Variable| super::ask::ask(variable, ui);
        // Who types must see the question.
        let somebody = may_ask && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        resolve(known, if somebody { Some(&mut ask) } else { None }).map_err(problems)
    }
}

/// What the site says of its machine, or else the one that is installed, with the addresses that it has below `root`.
pub(super) fn node(site: Option<&Site>, memory: &Memory, root: &Root) -> Result<Node, CliError> {
    let node = memory.node(site.map(|site| &site.node));
    node.and_then(|node| addressed(node, root, &Facts::here())).map_err(CliError::before_changes)
}

/// The values in the order in which the bundle declares them, sensitive ones masked.
pub(super) fn shown(values: &Values, contents: &Contents) -> Vec<Shown> {
    let one = |variable: &Variable| {
        let value = values.get(&variable.name)?;
        let value = if variable.sensitive { MASK.to_owned() } else { value.clone() };
        Some(Shown { name: variable.name.clone(), value })
    };
    contents.profile.variables.iter().filter_map(one).collect()
}

/// The same, a line each.
pub(super) fn lines(values: &Values, contents: &Contents) -> Vec<String> {
    let one = |variable: &Variable| {
        let value = variable.shown(values.get(&variable.name)?);
        Some(format!("{:7} variable {} = {value}", "use", variable.name))
    };
    contents.profile.variables.iter().filter_map(one).collect()
}

/// `NAME=VALUE`. Its errors do not repeat the value.
fn assignment(text: &str) -> Result<Given, CliError> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(CliError::new(Kind::Usage, "--set takes NAME=VALUE").hint("for example: --set storeId=42"));
    };
    if !is_name(name) {
        let message = format!("--set names variable {name:?}, which none can be called");
        return Err(
            CliError::new(Kind::Usage, message).hint("a name has letters, digits and `_`, and begins with no digit")
        );
    }
    Ok(Given { name: name.to_owned(), written: Written::Text(value.to_owned()), file: "--set".into(), at: None })
}

fn problems(problems: Problems) -> CliError {
    match problems {
        // The hint for profiles that are not there is not for sites.
        Problems::Unreadable(error) => CliError::from(error),
        found @ Problems::Found(_) => CliError::from(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_have_any_text_and_no_error_has_it() {
        let given = assignment("x=a=b, c").unwrap();
        assert!(matches!(given.written, Written::Text(text) if text == "a=b, c"));
        for text in ["canary", "1x=canary", "=canary", "a-b=canary"] {
            let error = assignment(text).err().unwrap();
            assert_eq!(error.kind.code(), 2);
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }
}
