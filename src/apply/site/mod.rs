//! The site that a version was installed with, which counts for the next one until another site is given.

mod address;
mod changes;
mod guard;

use serde::{Deserialize, Serialize};

pub use self::{address::addressed, changes::SiteChange};
pub(super) use self::{address::warning, changes::changes, guard::guard};

use super::ApplyError;
use super::choices::Choices;
use super::history::History;
use super::installed::{self, KeptValue};
use super::plan::HostPlan;
use super::receipt::Receipt;
use crate::host::Root;
use crate::oci::Digest;
use crate::site::node::{Node, Secret};

/// A site as a receipt has it. Values of variables are not here: the receipt has them for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptSite {
    /// SHA-256 of `machine` as JSON: equal where two machines have the same site, secrets aside.
    pub digest: Digest,
    /// The machine, with the certificates that its files held, and an empty text in place of each secret.
    pub machine: Node,
    /// Where those secrets are, in the order of [`Node::secrets_mut`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<KeptSecret>,
}

/// Where a secret of a site is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum KeptSecret {
    /// In an installed file.
    At(KeptValue),
    /// Here, where no installed file has it as it is: the receipt is for root alone then.
    Text(Secret),
}

impl ReceiptSite {
    /// The site of `node`, whose files are those of `plan`; nothing where a machine without a site is the same.
    pub(super) fn of(node: &Node, plan: &HostPlan) -> Option<Self> {
        if node == Node::alone() {
            return None;
        }
        let mut machine = node.clone();
        let secrets = machine.secrets_mut().into_iter().map(|secret| kept(std::mem::take(secret), plan)).collect();
        Some(Self { digest: digest(&machine), machine, secrets })
    }

    /// The machine with its secrets, and what is said of those that are gone.
    ///
    /// # Errors
    /// Where it is not what a site can say, or a file cannot be read.
    fn read(&self, receipt: &Receipt, root: &Root) -> Result<(Node, Vec<String>), ApplyError> {
        let (mut machine, mut lost) = (self.machine.clone(), Vec::new());
        let invalid = |field: &str| ApplyError::RememberedSite(field.to_owned());
        let mut places = machine.secrets_mut();
        if places.len() != self.secrets.len() || places.iter().any(|text| !text.is_empty()) {
            return Err(invalid("secrets"));
        }
        for (place, secret) in places.iter_mut().zip(&self.secrets) {
            match secret {
                KeptSecret::Text(Secret(text)) => (**place).clone_from(text),
                KeptSecret::At(kept) => match installed::read(kept, receipt, root)? {
                    Some(text) => **place = text,
                    None => lost.push(format!("{} is not what was installed", kept.path)),
                },
            }
        }
        lost.sort_unstable();
        lost.dedup();
        // What is gone is empty, and an empty secret is none that a site can have.
        if lost.is_empty() {
            machine = machine.checked().map_err(invalid)?;
        }
        Ok((machine, lost))
    }
}

fn digest(machine: &Node) -> Digest {
    Digest::of(&serde_json::to_vec(machine).unwrap_or_default())
}

/// Where `secret` is once `plan` is carried out. Only files that are private have secrets, and each of them is pinned by its
/// digest, so that wherever the text stands in one it is found again.
fn kept(secret: String, plan: &HostPlan) -> KeptSecret {
    let private = plan.files.iter().filter_map(|planned| {
        let content = planned.file.content.as_ref().filter(|content| content.private)?;
        Some((&planned.file.path, std::str::from_utf8(&content.bytes).ok()?))
    });
    let mut found = private.filter(|_| !secret.is_empty()).filter_map(|(path, text)| Some((path, text.find(&secret)?)));
    match found.next() {
        Some((path, offset)) => KeptSecret::At(KeptValue::as_it_is(path.clone(), offset, secret.len())),
        None => KeptSecret::Text(Secret(secret)),
    }
}

/// What is known below a root of how a profile was installed there.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// What was chosen.
    pub choices: Choices,
    machine: Option<(Node, Vec<String>)>,
}

impl Memory {
    /// That of the profile `name` below `root`; nothing where it is not installed.
    ///
    /// # Errors
    /// Where receipts, or what they point to, cannot be read.
    pub fn of(root: &Root, name: &str) -> Result<Self, ApplyError> {
        let history = History::of(root)?;
        let staged = history.staged(name).and_then(|entry| entry.receipt.choices.clone());
        let Some(entry) = history.of_profile(name).next() else {
            return Ok(Self { choices: staged.unwrap_or_default(), machine: None });
        };
        let receipt = &entry.receipt;
        let machine = receipt.site.as_ref().map(|site| site.read(receipt, root)).transpose()?;
        let choices = staged.or_else(|| receipt.choices.clone()).unwrap_or_default();
        Ok(Self { choices, machine })
    }

    /// The machine that the next version is installed on: that of the `given` site, or else the one that is installed.
    ///
    /// # Errors
    /// [`ApplyError::LostSite`] where a secret of the one that is installed is gone.
    pub fn node(&self, given: Option<&Node>) -> Result<Node, ApplyError> {
        match (given, &self.machine) {
            (Some(given), _) => Ok(given.clone()),
            (None, Some((machine, lost))) if lost.is_empty() => Ok(machine.clone()),
            (None, Some((_, lost))) => Err(ApplyError::LostSite(lost.clone())),
            (None, None) => Ok(Node::alone().clone()),
        }
    }
}

/// The machine that is installed of the profile `name`, as far as its secrets are still there.
fn installed_machine(history: &History, name: &str, root: &Root) -> Result<Option<Node>, ApplyError> {
    let Some(entry) = history.of_profile(name).next() else { return Ok(None) };
    match (&entry.receipt.site, &entry.receipt.choices) {
        (Some(site), _) => Ok(Some(site.read(&entry.receipt, root)?.0)),
        (None, Some(_)) => Ok(Some(Node::alone().clone())),
        // Written by an installer that did not write sites down.
        (None, None) => Ok(None),
    }
}
