//! What keeps a host right while a change is under way: a unit that goes on with it when the host starts, and drop-ins that
//! keep services from starting on half their files. All of it goes away with the journal.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use super::journal::{JOURNAL, Phase};
use crate::apply::ApplyError;
use crate::apply::files::{FileError, hash};
use crate::host::Root;
use crate::io::{AtPath, AtomicFile, PathError, Place};

/// Where the installer puts itself, so that it is there when the stick is not, within the root.
pub(in crate::apply) const INSTALLER: &str = "/var/lib/carrack/bin/carrack-install";
/// The unit that goes on.
const RESUME: &str = "/etc/systemd/system/carrack-resume.service";
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/carrack-resume.service";
const DROP_IN: &str = "50-carrack-unfinished.conf";

/// Puts the unit, the installer, and the drop-ins of `units`.
///
/// # Errors
/// Where one cannot be written.
pub(super) fn place(root: &Root, units: &[String]) -> Result<(), ApplyError> {
    install_self(&resolve(INSTALLER, root)?)?;
    write(&resolve(RESUME, root)?, &unit())?;
    let wanted = resolve(WANTED, root)?;
    wanted.make_folders()?;
    match wanted.symlink(OsStr::new(RESUME)) {
        Err(error) if error.source.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => wanted.sync_folder()?,
    }
    for name in units {
        write(&resolve(&drop_in(name), root)?, &condition())?;
    }
    Ok(())
}

/// Takes them away again, but for the installer.
///
/// # Errors
/// Where one cannot be removed.
pub(super) fn remove(root: &Root, units: &[String]) -> Result<(), ApplyError> {
    let places = [resolve(WANTED, root)?, resolve(RESUME, root)?];
    // Together, so that a failing power seldom takes one alone: a half would neither start nor go by itself.
    places.iter().try_for_each(Place::remove)?;
    for place in places.iter().filter(|place| place.folder().is_some_and(|folder| folder.is_folder())) {
        place.sync_folder()?;
    }
    release(root, units)
}

/// Whether the unit that goes on is there.
///
/// # Errors
/// Where its path means nothing in the root.
pub(super) fn is_there(root: &Root) -> Result<bool, ApplyError> {
    Ok(resolve(RESUME, root)?.is_there() || resolve(WANTED, root)?.is_there())
}

/// The units that have a drop-in.
///
/// # Errors
/// Where the path of units means nothing in the root.
pub(super) fn guarded(root: &Root) -> Result<Vec<String>, ApplyError> {
    let Some(folder) = resolve(RESUME, root)?.folder() else { return Ok(Vec::new()) };
    let mut guarded = Vec::new();
    for name in folder.names()? {
        let unit = name.to_str().and_then(|name| name.strip_suffix(".d"));
        if let Some(unit) = unit
            && folder.child(&name)?.child(DROP_IN)?.is_there()
        {
            guarded.push(unit.to_owned());
        }
    }
    Ok(guarded)
}

/// Takes the drop-ins away.
///
/// # Errors
/// Where one cannot be removed.
pub(super) fn release(root: &Root, units: &[String]) -> Result<(), ApplyError> {
    for name in units {
        // It stays where somebody else has something in it.
        remove_with_folder(&resolve(&drop_in(name), root)?)?;
    }
    Ok(())
}

/// Removes the installer's copy.
///
/// # Errors
/// Where it cannot be removed.
pub(super) fn remove_installer(root: &Root) -> Result<(), ApplyError> {
    Ok(remove_with_folder(&resolve(INSTALLER, root)?)?)
}

/// Removes a file, and the folder that it is in where nothing else is.
fn remove_with_folder(place: &Place) -> Result<(), PathError> {
    place.remove()?;
    let _ = place.folder().map(|folder| folder.remove_empty());
    Ok(())
}

fn install_self(target: &Place) -> Result<(), PathError> {
    // Not by its name: a run that goes on may have been started from a file that is not there any more.
    let own = Path::new("/proc/self/exe");
    let open = || File::open(own).at("read", own);
    if target.is_there() && hash(open()?, own, || true)? == hash(target.open()?, target.shown(), || true)? {
        return Ok(());
    }
    let mut file = AtomicFile::replacing(target, 0o755)?;
    io::copy(&mut open()?, &mut file).at("write", target.shown())?;
    file.commit()
}

fn write(target: &Place, text: &str) -> Result<(), PathError> {
    if target.read(text.len() as u64).is_ok_and(|there| there.as_deref() == Some(text.as_bytes())) {
        return Ok(());
    }
    AtomicFile::write_at(target, 0o644, text.as_bytes())
}

/// Without a journal it starts too, and takes itself away: a failed power may have brought it back.
fn unit() -> String {
    format!(
        "[Unit]\n\
         Description=Go on with an interrupted installation of Carrack\n\
         Documentation=man:carrack-install(8)\n\
         After=local-fs.target remote-fs.target containerd.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={INSTALLER} resume\n\
         Restart=on-failure\n\
         RestartSec=30\n\
         RestartPreventExitStatus=2 10 25 30 50 51\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// Neither while files are changing, nor while they are put back.
fn condition() -> String {
    let unfinished = [Phase::Removing, Phase::Changing, Phase::Restoring, Phase::Undoing];
    let lines: String = unfinished.map(|phase| format!("ConditionPathExists=!{JOURNAL}/{}\n", phase.file())).concat();
    format!("# Of carrack-install, until it has finished.\n[Unit]\n{lines}")
}

fn drop_in(unit: &str) -> String {
    format!("/etc/systemd/system/{unit}.d/{DROP_IN}")
}

fn resolve(path: &str, root: &Root) -> Result<Place, ApplyError> {
    root.place(path).map_err(|source| FileError::Place { pack: "(installer)".to_owned(), source }.into())
}
