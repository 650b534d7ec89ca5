//! Errors of the offline side's steps, as a user sees them.

use super::{CliError, Kind};
use crate::apply::containerd::ContainerdError;
use crate::apply::files::FileError;
use crate::apply::{ApplyError, Leftover, StepError};
use crate::host::RootError;

impl From<RootError> for CliError {
    fn from(error: RootError) -> Self {
        Self::from_error(Kind::NotReady, &error)
    }
}

impl From<ApplyError> for CliError {
    fn from(error: ApplyError) -> Self {
        let error = match error {
            ApplyError::Values(problems) => return problems.into(),
            other => other,
        };
        let made = Self::from_error(apply_kind(&error), &error);
        match apply_hint(&error) {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }
}

impl CliError {
    /// The error of a step that only looks: where apply would have put everything back, nothing had been changed.
    pub fn before_changes(error: ApplyError) -> Self {
        match Self::from(error) {
            Self { kind: Kind::RolledBack | Kind::NeedsPerson, message, causes, .. } => {
                Self { causes, ..Self::new(Kind::NotReady, message) }
            }
            other => other,
        }
    }
}

fn apply_kind(error: &ApplyError) -> Kind {
    match error {
        ApplyError::Wanted(_)
        | ApplyError::Busy(..)
        | ApplyError::MissingImages(_)
        | ApplyError::Refused(_)
        | ApplyError::RoleChange { .. }
        | ApplyError::RoleFixed { .. }
        | ApplyError::InstallRoot { .. }
        | ApplyError::AddressFixed { .. }
        | ApplyError::ConfigurationFixed { .. }
        | ApplyError::ImagesOnly
        | ApplyError::UnknownSite { .. }
        | ApplyError::LostSite(_)
        | ApplyError::Installer { .. } => Kind::NotReady,
        ApplyError::Values(_) => Kind::Input,
        ApplyError::File(FileError::Path(_))
        | ApplyError::Path(_)
        | ApplyError::Receipt { .. }
        | ApplyError::LaterReceipt { .. }
        | ApplyError::RememberedSite(_)
        | ApplyError::Journal { .. }
        | ApplyError::LaterJournal(_)
        | ApplyError::Journals(_) => Kind::Local,
        // Told alone only before anything has changed.
        ApplyError::Step(_) => Kind::NotReady,
        ApplyError::Unfinished(_) | ApplyError::Collected(_) => Kind::RolledBack,
        ApplyError::NothingInstalled(_)
        | ApplyError::NotInstalled { .. }
        | ApplyError::NothingBefore(_)
        | ApplyError::LostReceipt { .. }
        | ApplyError::Leftovers(_)
        | ApplyError::NotFinished(_) => Kind::NotReady,
        ApplyError::SeveralInstalled(_) => Kind::Usage,
        // For want of memory, or a mistake of ours.
        ApplyError::Compose(_) => Kind::Bug,
        ApplyError::File(FileError::Name(_)) | ApplyError::Foreign { .. } => Kind::Integrity,
        ApplyError::File(_) => Kind::NotReady,
        ApplyError::Containerd(error) => match error {
            ContainerdError::Unreachable { .. } | ContainerdError::Busy(_) => Kind::NotReady,
            ContainerdError::Namespace(_) => Kind::Usage,
            ContainerdError::DiffId { .. } => Kind::Integrity,
            ContainerdError::Call { .. } => Kind::RolledBack,
            ContainerdError::Size { .. } => Kind::NeedsPerson,
        },
        ApplyError::Blob { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => Kind::Integrity,
        ApplyError::Blob { .. } => Kind::Local,
        ApplyError::Config { .. } | ApplyError::LayerCount { .. } => Kind::Integrity,
        ApplyError::Name(_) => Kind::Integrity,
        ApplyError::Interrupted => Kind::Interrupted,
        ApplyError::RolledBack { .. } | ApplyError::Stays { .. } => Kind::RolledBack,
        ApplyError::NeedsPerson { .. } | ApplyError::NotAsBefore(_) => Kind::NeedsPerson,
        ApplyError::NotReleased { source, .. } => apply_kind(source),
    }
}

/// Whether it failed because what was applied did not become ready.
fn is_not_ready(error: &ApplyError) -> bool {
    match error {
        ApplyError::Step(StepError::NotReady { .. }) => true,
        ApplyError::Step(StepError::Logged { error, .. }) => matches!(**error, StepError::NotReady { .. }),
        _ => false,
    }
}

fn apply_hint(error: &ApplyError) -> Option<String> {
    match error {
        ApplyError::Wanted(_) => {
            Some("build the bundle for this platform too: carrack build PROFILE --platform OS/ARCH".into())
        }
        ApplyError::Containerd(ContainerdError::Unreachable { .. }) => Some(
            "start containerd, or name its socket: --containerd-address; or leave images alone: --runtime none".into(),
        ),
        ApplyError::Busy(..) | ApplyError::Containerd(ContainerdError::Busy(_)) => Some(
            "wait until it has ended; to stop it, end that process with kill: it finishes its change or takes it back".into(),
        ),
        ApplyError::File(FileError::Immutable(path)) => {
            Some(format!("where it may be replaced, allow it: chattr -i -a {}", path.display()))
        }
        ApplyError::File(FileError::Mounted(path)) => {
            Some(format!("see what is mounted there: findmnt {0}; where it may go, unmount it: umount {0}", path.display()))
        }
        ApplyError::File(FileError::Taken { taken, .. }) => {
            Some(format!("look what it is, and move it away: mv {0} {0}.mine", taken.display()))
        }
        ApplyError::Containerd(ContainerdError::Size { digest, .. }) => {
            Some(format!("remove it, and what needs it, and apply again: ctr -n k8s.io content rm {digest}"))
        }
        ApplyError::Blob { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
            Some("nothing on this host has changed; see all that is damaged: carrack-install verify BUNDLE".into())
        }
        ApplyError::RoleChange { .. } => Some(
            "give the site that this machine has: --site FILE; or leave --site out, and the installed one counts; where the \
             machine shall change: --change-role"
                .into(),
        ),
        ApplyError::RoleFixed { .. } => Some(
            "take it out of its cluster and make it anew: carrack-install uninstall, then carrack-install apply BUNDLE --site FILE"
                .into(),
        ),
        ApplyError::InstallRoot { .. } => Some(
            "keep `installRoot` as it was; to move the data: carrack-install uninstall, then carrack-install apply BUNDLE --site FILE"
                .into(),
        ),
        ApplyError::ImagesOnly => Some(
            "start the distribution or containerd, or name its socket: --runtime containerd --containerd-address SOCKET; \
             where nothing is installed yet, leave --images-only out: apply brings the images with all else"
                .into(),
        ),
        ApplyError::ConfigurationFixed { .. } => Some(
            "keep it as it was; where it has to change, save what is in the cluster and make it anew: carrack-install uninstall, then \
             carrack-install apply BUNDLE"
                .into(),
        ),
        ApplyError::AddressFixed { before, .. } => Some(format!(
            "give this host {before} again, and keep `nodeAddress` as it was; to have another one: carrack-install uninstall, then \
             carrack-install apply BUNDLE --site FILE"
        )),
        ApplyError::UnknownSite { .. } | ApplyError::LostSite(_) | ApplyError::RememberedSite(_) => {
            Some("give the site of this machine once more, later versions keep it: carrack-install apply BUNDLE --site FILE".into())
        }
        ApplyError::Receipt { path, .. } => {
            let path = path.display();
            Some(format!(
                "restore it from a backup; without one, rename it, which keeps it in its folder: mv {path} {path}.damaged, and apply the \
                 bundle of the same version again, which writes a new receipt"
            ))
        }
        ApplyError::Journal { path, .. } => {
            let path = path.display();
            Some(format!(
                "what it says of the interrupted run is lost; what that had replaced lies beside each file as NAME.carrack-old, and is \
                 not removed. Rename the journal: mv {path} {path}.damaged, and run the interrupted command again; apply with the same \
                 bundle puts those files back first"
            ))
        }
        ApplyError::Journals(paths) => {
            let first = paths.first()?.display();
            Some(format!(
                "an interrupted run has one; keep the one whose name fits the state of the host, rename the others, such as: mv {first} \
                 {first}.damaged, and continue: carrack-install resume"
            ))
        }
        ApplyError::LostReceipt { name, version } => {
            Some(format!("apply the bundle of {name} {version} first, which writes a new receipt"))
        }
        ApplyError::Leftovers(leftovers) => {
            let Leftover { left, place } = leftovers.first()?;
            let (left, place) = (left.display(), place.display());
            Some(format!(
                "look at both; to restore it: mv {left} {place}; if it is not needed, move it elsewhere; then run the same command again"
            ))
        }
        ApplyError::Foreign { path, .. } => Some(format!(
            "nothing that it says was done; somebody else wrote or changed it, so find out who, and bring it back from a backup: {}",
            path.display()
        )),
        ApplyError::LaterReceipt { .. } | ApplyError::LaterJournal(_) => {
            Some("use the carrack-install that came with the newest bundle".into())
        }
        ApplyError::Path(error) if error.source.kind() == std::io::ErrorKind::PermissionDenied => {
            Some("run carrack-install as root".into())
        }
        ApplyError::RolledBack { source, .. } | ApplyError::Stays { source, .. } if is_not_ready(source) => Some(
            "make it ready, then run the same command again; where it may become ready later, do not wait for it: --skip ready"
                .into(),
        ),
        ApplyError::RolledBack { .. } | ApplyError::Containerd(ContainerdError::Call { .. }) => {
            Some("fix the cause, then run the same command again".into())
        }
        ApplyError::Stays { .. } => {
            Some("look at what stays; when the cause is gone, run the same command again".into())
        }
        ApplyError::SeveralInstalled(profiles) => {
            Some(format!("say which, such as {}, after the command", profiles.first()?))
        }
        ApplyError::Installer { .. } => Some("use the carrack-install that came with the bundle".into()),
        ApplyError::NotReleased { source, .. } => apply_hint(source),
        ApplyError::NeedsPerson { .. } => Some(
            "put right what is named above, then go on: carrack-install resume; see what differs then: carrack-install status"
                .into(),
        ),
        _ => None,
    }
}
