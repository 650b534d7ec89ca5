//! The journal: what is being changed, and how far that has come. One file, whose name is the phase, so that going on to
//! the next phase is one rename.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::apply::ApplyError;
use crate::apply::claims::{self, Claim, Prior};
use crate::apply::containerd::{Client, ContainerdError, NameChange, Session};
use crate::apply::files::{Before, FileError};
use crate::apply::foreign;
use crate::apply::receipt::Receipt;
use crate::apply::staging::missing_folders;
use crate::distro::{FOREIGN, Step, renewed};
use crate::host::Root;
use crate::io::{AtPath, AtomicFile, PathError, Place};
use crate::oci::Digest;
use crate::places::OWN;
use crate::site::sources::PinnedFile;

/// Where it is, within the root.
pub(in crate::apply) const JOURNAL: &str = "/var/lib/carrack/journal";
/// No journal is longer: ten thousand images and files make a few MiB.
const LIMIT: u64 = 64 << 20;
/// The shape of [`Record`]; another shape is another number.
const VERSION: u32 = 2;

/// How far a change has come. Killed in one of these, it goes on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::apply) enum Phase {
    /// Content is on its way, and files are being written beside their targets. Nothing has changed yet.
    Preparing,
    /// All content is there; images get their names.
    Naming,
    /// What has to stop first does, and what has to be saved is.
    Stopping,
    /// What the distribution has made is taken away, for good: from here on there is no way back.
    Removing,
    /// Files get their names.
    Changing,
    /// Everything is in place; units are started, and waited for.
    Starting,
    /// It is done, receipt and all; what is not needed any more goes.
    Finishing,
    /// It failed before anything was started, and files become what they were.
    Restoring,
    /// They are what they were; units are started again, and names are put back.
    Restarting,
    /// It failed after something was started: that is undone, and files become what they were.
    Undoing,
    /// They are what they were; the cluster's state is put back too, units are started again, and names are put back.
    Recovering,
}

impl Phase {
    const ALL: [Self; 11] = [
        Self::Preparing,
        Self::Naming,
        Self::Stopping,
        Self::Removing,
        Self::Changing,
        Self::Starting,
        Self::Finishing,
        Self::Restoring,
        Self::Restarting,
        Self::Undoing,
        Self::Recovering,
    ];

    /// The name of the journal's file in this phase.
    pub(in crate::apply) fn file(self) -> &'static str {
        match self {
            Self::Preparing => "preparing.json",
            Self::Naming => "naming.json",
            Self::Stopping => "stopping.json",
            Self::Removing => "removing.json",
            Self::Changing => "changing.json",
            Self::Starting => "starting.json",
            Self::Finishing => "finishing.json",
            Self::Undoing => "undoing.json",
            Self::Recovering => "recovering.json",
            Self::Restoring => "restoring.json",
            Self::Restarting => "restarting.json",
        }
    }
}

/// Everything that is needed to go on, or to go back, without the bundle.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::apply) struct Record {
    /// [`VERSION`].
    pub(in crate::apply) journal_version: u32,
    /// What this does, for people: `apply shop 1.1.0`.
    pub(in crate::apply) what: String,
    /// How it was called, to begin again where nothing has changed yet.
    pub(in crate::apply) command: Invocation,
    /// Files, in the order in which they change.
    pub(in crate::apply) files: Vec<Change>,
    /// Folders that were made on the way, within the root; the outer ones first.
    pub(in crate::apply) made: Vec<String>,
    /// Whether the receipt was there before, so that going back leaves it.
    pub(in crate::apply) keeps_receipt: bool,
    /// Folders that were made for the journal itself, within the root; the outer ones first.
    pub(in crate::apply) own: Vec<String>,
    /// Folders that may be empty afterwards and are removed then, within the root; the inner ones first.
    pub(in crate::apply) emptied: Vec<String>,
    /// The names of images.
    pub(in crate::apply) names: Option<Names>,
    /// What is done before files change.
    pub(in crate::apply) stop: Vec<Step>,
    /// What takes away, before files change, what nothing brings back: a cluster's data.
    pub(in crate::apply) remove: Vec<Step>,
    /// What is done when all files are in place.
    pub(in crate::apply) start: Vec<Step>,
    /// The start of the host in which all files came into their places; absent until they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::apply) boot: Option<String>,
    /// What takes [`Self::start`] back, before files are put back.
    pub(in crate::apply) undo: Vec<Step>,
    /// What puts the cluster's state back, after files were, where what failed may have changed it.
    pub(in crate::apply) restore: Vec<Step>,
    /// What brings up what ran before, after files were put back.
    pub(in crate::apply) again: Vec<Step>,
    /// Folders that are removed with all that is in them, when all else is done.
    pub(in crate::apply) discarded: Vec<String>,
    /// Units that must not start on half their files.
    pub(in crate::apply) guarded: Vec<String>,
    /// What was at the places that the distribution fills, before anything was installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::apply) claims: Vec<Claim>,
    /// Whether the distribution was not installed before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::apply) first: bool,
    /// What is left when it is done; absent while that is not known yet.
    pub(in crate::apply) result: Option<Outcome>,
}

/// How the installer was called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Invocation {
    /// The arguments, without values of sensitive variables.
    pub arguments: Vec<String>,
    /// The folder that relative paths are relative to.
    pub folder: PathBuf,
    /// The identity of the bundle that was there, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Digest>,
    /// The site file that was given, and the files that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub site: Vec<PinnedFile>,
    /// A digest of each variable's value, whichever it came from: of what is not written down for being secret, nothing else is
    /// known. Whoever may read this may guess, and may read the values on this host anyway.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Digest>,
}

/// A file that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::apply) struct Change {
    /// Its path within the root.
    pub(in crate::apply) path: String,
    /// What it becomes; absent where it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::apply) staged: Option<Staged>,
    /// What it was; absent where nothing was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::apply) before: Option<Before>,
    /// What it must be again once it has its name, where something comes back. With a folder of originals, the file itself is
    /// kept there until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::apply) restores: Option<Before>,
}

impl Change {
    /// A file that is going to be staged: what it is then called, and no more.
    ///
    /// # Errors
    /// Where the place has no name.
    pub(in crate::apply) fn expected(path: &str, target: &Place) -> Result<Self, PathError> {
        Ok(Self::provisional(path, &AtomicFile::provisional(target)?))
    }

    /// The same where its provisional name is another one.
    pub(in crate::apply) fn provisional(path: &str, staged: &Place) -> Self {
        let name = staged.name().to_string_lossy().into_owned();
        Self { path: path.to_owned(), staged: Some(Staged { name, inode: 0 }), before: None, restores: None }
    }

    /// Where it waits for its name, within the root; nothing where it is removed.
    pub(in crate::apply) fn provisional_path(&self) -> Option<String> {
        let (folder, _) = self.path.rsplit_once('/')?;
        Some(format!("{folder}/{}", self.staged.as_ref()?.name))
    }
}

/// A file that waits for its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::apply) struct Staged {
    /// Its provisional name, in the same folder.
    pub(in crate::apply) name: String,
    /// Its inode: by that it is known under its name, too.
    pub(in crate::apply) inode: u64,
}

/// The names of images in a containerd.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::apply) struct Names {
    /// Its socket.
    pub(in crate::apply) address: PathBuf,
    /// Its namespace.
    pub(in crate::apply) namespace: String,
    /// Names that change.
    pub(in crate::apply) changes: Vec<NameChange>,
    /// Names that are taken away when all else is done.
    pub(in crate::apply) released: Vec<NameChange>,
}

/// How long a containerd that starts with the host is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

impl Names {
    /// A session with the containerd that has the names, which may be starting just now.
    ///
    /// # Errors
    /// Where it does not answer.
    pub(in crate::apply) async fn session(&self) -> Result<Session, ContainerdError> {
        let begun = Instant::now();
        loop {
            match Client::connect(&self.address, &self.namespace).await {
                Ok(client) => return Session::begin(&client).await,
                Err(_) if begun.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }
}

/// What is left when a change is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind", deny_unknown_fields)]
pub(in crate::apply) enum Outcome {
    /// Something is installed.
    Installed {
        /// The file of the receipt, a single path component.
        file: String,
        /// The receipt.
        receipt: Box<Receipt>,
        /// Digests of files that are kept besides those of the receipt, for a rollback.
        kept: Vec<Digest>,
    },
    /// A profile is no longer installed.
    Removed {
        /// The files of its receipts.
        receipts: Vec<String>,
        /// Digests of files that are kept for what else is installed.
        kept: Vec<Digest>,
    },
}

/// The journal of a root.
#[derive(Debug)]
pub(in crate::apply) struct Journal {
    folder: Place,
    phase: Phase,
}

impl Journal {
    /// Begins one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(in crate::apply) fn begin(root: &Root, record: &Record) -> Result<Self, ApplyError> {
        let journal = Self { folder: folder(root)?, phase: Phase::Preparing };
        journal.write(record)?;
        Ok(journal)
    }

    /// Folders on the way to it that are not there, within the root, and in any case those that nobody else makes; the outer ones
    /// first.
    ///
    /// # Errors
    /// Where the path means nothing in the root.
    pub(in crate::apply) fn missing_folders(root: &Root) -> Result<Vec<String>, ApplyError> {
        let mut folders = missing_folders(&folder(root)?.child(Phase::Preparing.file())?);
        folders.extend([OWN.to_owned(), JOURNAL.to_owned()]);
        folders.sort_unstable();
        folders.dedup();
        Ok(folders)
    }

    /// The journal that an earlier run has left.
    ///
    /// # Errors
    /// Where it cannot be read, or a later installer has written it.
    pub(in crate::apply) fn left(root: &Root) -> Result<Option<(Self, Record)>, ApplyError> {
        let folder = folder(root)?;
        let mut found = Vec::new();
        for phase in Phase::ALL {
            let place = folder.child(phase.file())?;
            if place.is_there() {
                found.push((phase, place));
            }
        }
        match found.as_slice() {
            [] => Ok(None),
            [(phase, place)] => Ok(Some((Self { folder, phase: *phase }, read(place)?))),
            _ => Err(ApplyError::Journals(found.iter().map(|(_, place)| place.shown().to_owned()).collect())),
        }
    }

    /// How far it has come.
    pub(in crate::apply) fn phase(&self) -> Phase {
        self.phase
    }

    /// Writes what is known by now, in the same phase.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(in crate::apply) fn write(&self, record: &Record) -> Result<(), PathError> {
        let place = self.place(self.phase)?;
        AtomicFile::write_json(&place, 0o600, record)
    }

    /// Goes on to the next phase.
    ///
    /// # Errors
    /// Where the file cannot be renamed, or its name not be made durable.
    pub(in crate::apply) fn advance(&mut self, phase: Phase) -> Result<(), PathError> {
        if phase == self.phase {
            return Ok(());
        }
        let next = self.place(phase)?;
        self.place(self.phase)?.rename(&next).at("rename to", next.shown())?;
        self.phase = phase;
        next.sync_folder()
    }

    /// Ends it: nothing is left to do.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub(in crate::apply) fn end(&self) -> Result<(), PathError> {
        let place = self.place(self.phase)?;
        place.remove()?;
        for phase in Phase::ALL {
            AtomicFile::provisional(&self.place(phase)?)?.remove()?;
        }
        place.sync_folder()?;
        // It stays where there is something else in it.
        let _ = self.folder.remove_empty();
        Ok(())
    }

    /// The file in a phase.
    fn place(&self, phase: Phase) -> Result<Place, PathError> {
        self.folder.child(phase.file())
    }
}

impl Record {
    /// A record of nothing yet.
    pub(in crate::apply) fn new(what: String, command: Invocation) -> Self {
        Self {
            journal_version: VERSION,
            what,
            command,
            files: Vec::new(),
            made: Vec::new(),
            keeps_receipt: false,
            own: Vec::new(),
            emptied: Vec::new(),
            names: None,
            stop: Vec::new(),
            remove: Vec::new(),
            start: Vec::new(),
            boot: None,
            undo: Vec::new(),
            restore: Vec::new(),
            again: Vec::new(),
            discarded: Vec::new(),
            guarded: Vec::new(),
            claims: Vec::new(),
            first: false,
            result: None,
        }
    }
}

impl Record {
    /// Gives a journal of an earlier installer the form of this one. A step of its own that removes a folder was there only where
    /// the folder was absent before the change that failed. Its script that left a node of kubeadm was always there: whose the
    /// folders of that are, and whether the containers are this change's, is not known. Of what it uninstalled it knew the folders
    /// that it had made.
    fn renew(&mut self) {
        if self.journal_version >= 2 {
            return;
        }
        let absent: Vec<Claim> = removed_of(&self.undo).map(|path| Claim::new(path, Prior::Absent)).collect();
        for steps in
            [&mut self.stop, &mut self.remove, &mut self.start, &mut self.undo, &mut self.restore, &mut self.again]
        {
            *steps = renewed(std::mem::take(steps));
        }
        // Only the script of kubeadm becomes one that has no runtime.
        self.undo.retain(|step| !matches!(step, Step::Sweep { data: None, .. }));
        self.claims = absent;
        let removed = claims::before_records(removed_of(&self.remove), &self.emptied);
        let left = removed_of(&self.undo).map(|path| Claim::new(path, Prior::Unknown));
        claims::inherit(&mut self.claims, removed.chain(left).collect());
        let foreign = claims::whose(&self.claims);
        for steps in [&mut self.remove, &mut self.start, &mut self.undo] {
            steps.iter_mut().for_each(|step| *step = step.with(FOREIGN, foreign));
        }
        if let Some(Outcome::Installed { receipt, .. }) = &mut self.result {
            receipt.renew();
        }
    }
}

/// What steps remove.
fn removed_of(steps: &[Step]) -> impl Iterator<Item = &str> {
    steps.iter().filter_map(|step| if let Step::Remove { path } = step { Some(path.as_str()) } else { None })
}

fn read(place: &Place) -> Result<Record, ApplyError> {
    /// What all journals have.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Any {
        journal_version: u32,
    }
    let path = place.shown();
    let damaged = |source: io::Error| ApplyError::Journal { path: path.to_owned(), source };
    let text = match place.read(LIMIT) {
        Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => return Err(error.into()),
        other => other.map_err(|error| damaged(error.source))?.unwrap_or_default(),
    };
    if serde_json::from_slice::<Any>(&text).is_ok_and(|any| any.journal_version > VERSION) {
        return Err(ApplyError::LaterJournal(path.to_owned()));
    }
    let mut record: Record = serde_json::from_slice(&text).map_err(|error| damaged(error.into()))?;
    foreign::journal(place, &record)?;
    record.renew();
    Ok(record)
}

fn folder(root: &Root) -> Result<Place, ApplyError> {
    let place = |source| FileError::Place { pack: "(journal)".to_owned(), source };
    Ok(root.below(OWN, "journal").map_err(place)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(words: &[&str]) -> Step {
        let command = ["/bin/sh", "-c", "rm -rf"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        Step::Run { what: "undo".to_owned(), command, unless: None, undo: None, seconds: 1 }
    }

    #[test]
    fn a_journal_of_an_earlier_installer_says_absent_only_of_what_it_had_seen_absent() {
        let mut record = Record::new("apply edge 1".to_owned(), Invocation::default());
        record.journal_version = 1;
        record.undo = vec![
            script(&["leave", "/usr/bin/kubeadm", "/s", "/etc/kubernetes", "/var/lib/kubelet", "/var/lib/etcd"]),
            Step::Remove { path: "/var/lib/rancher/k3s".to_owned() },
        ];
        record.renew();
        let claims: Vec<(&str, Prior)> = record.claims.iter().map(|one| (one.path.as_str(), one.before)).collect();
        let unknown = ["/etc/kubernetes", "/var/lib/kubelet", "/var/lib/etcd"].map(|path| (path, Prior::Unknown));
        assert_eq!(claims[0], ("/var/lib/rancher/k3s", Prior::Absent));
        assert_eq!(claims[1..], unknown);
        let Step::Run { command, .. } = &record.undo[0] else { panic!("{:?}", record.undo) };
        assert_eq!(command.last().map(String::as_str), Some("foreign"), "kubeadm does not empty them either");
        assert!(!record.undo.iter().any(|step| matches!(step, Step::Sweep { .. })), "{:?}", record.undo);

        let mut record = Record::new("apply edge 1".to_owned(), Invocation::default());
        record.journal_version = 1;
        record.undo = vec![script(&["sweep", "/d", "/run/k3s", "/var/lib/kubelet"])];
        record.undo.push(Step::Remove { path: "/d".to_owned() });
        record.renew();
        assert!(matches!(&record.undo[0], Step::Sweep { data: Some(data), .. } if data == "/d"));
        assert_eq!(record.claims, [Claim::new("/d", Prior::Absent)]);
    }
}
