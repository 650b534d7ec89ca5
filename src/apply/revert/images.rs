//! The images on the way back: which names become what they were, and which nothing needs any more.

use super::{Finder, Goal, Revert};
use crate::apply::ApplyError;
use crate::apply::containerd::{Client, ContainerdError, NameChange};
use crate::apply::receipt::{Receipt, ReceiptRuntime};
use crate::apply::released;
use crate::apply::transaction::Names;
use crate::distro::Step;
use crate::io::with_causes;

impl Finder<'_> {
    /// A containerd that does not run is no reason not to bring back what runs it: names that the version before has had are there
    /// still, as a rule.
    pub(super) async fn images(&self, revert: &mut Revert) -> Result<(), ApplyError> {
        let ReceiptRuntime::Containerd { address, namespace, .. } = &self.current.receipt.runtime else {
            return Ok(());
        };
        // With the distribution goes the containerd that it has started, which need not run any more, and all that is in it.
        let goes = |step: &Step| matches!(step, Step::Remove { path } if address.starts_with(path));
        if self.target.is_none() && self.unmade().any(goes) {
            return Ok(());
        }
        let client = match Client::connect(address, namespace).await {
            Err(error @ ContainerdError::Unreachable { .. }) if self.target.is_some() => {
                revert.unreached = Some(with_causes(&error));
                return Ok(());
            }
            other => other?,
        };
        let mut names =
            Names { address: address.clone(), namespace: namespace.clone(), changes: Vec::new(), released: Vec::new() };
        for image in self.target.iter().flat_map(|entry| &entry.receipt.images) {
            let digest = image.target.to_string();
            let (mut wrong, mut right) = (Vec::new(), None);
            for name in &image.names {
                let found = client.name_target(name).await?;
                let managed = client.named(name).await?.is_some_and(|named| named.managed);
                match found {
                    Some(found) if found.digest == digest => {
                        // A distribution that has imported it from its folder may not have labelled it so.
                        if !managed {
                            wrong.push((name, Some(found.clone())));
                        }
                        right = Some(found);
                    }
                    found => wrong.push((name, found)),
                }
            }
            if wrong.is_empty() {
                continue;
            }
            let Some(right) = client.whole(image, right).await? else {
                revert.missing.push(format!("{}: its content is not in containerd any more", image.reference));
                continue;
            };
            names.changes.extend(wrong.into_iter().map(|(name, before)| NameChange {
                name: name.clone(),
                target: Some(right.clone()),
                before,
            }));
        }
        let name = &self.current.receipt.name;
        // What a second rollback leads to needs its names as well as its files.
        let chain = self.history.chain(name);
        let from = chain.iter().position(|entry| self.target.is_some_and(|target| target.number == entry.number));
        let staged = self.history.staged(name);
        let is_ahead = revert.goal == Goal::Before && staged.is_some();
        let (staying, staged) = match (is_ahead, from) {
            // What is installed stays, and what was before it.
            (true, _) => (&chain[..], None),
            (false, Some(from)) => (&chain[from..], staged),
            (false, None) => (&[][..], None),
        };
        let needed = released::names_of(staying.iter().copied().chain(staged).chain(self.history.others(name)));
        // Also of versions that were left while containerd did not answer.
        let leaving: Vec<&Receipt> = match is_ahead {
            true => self.history.all_staged(name).map(|entry| &entry.receipt).collect(),
            false => self.history.all_of(name).map(|entry| &entry.receipt).collect(),
        };
        let last: Vec<&Receipt> =
            [Some(self.current), self.history.staged(name)].into_iter().flatten().map(|entry| &entry.receipt).collect();
        names.released = released::no_longer(&leaving, &last, &needed, &client).await?;
        revert.names = names.changes.iter().chain(&names.released).map(|change| change.name.clone()).collect();
        revert.record.names = Some(names);
        Ok(())
    }
}
