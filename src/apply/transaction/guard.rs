//! What keeps a host right while a change is under way: a unit that goes on with it when the host starts, and drop-ins that
//! keep services from starting on half their files. All of it goes away with the journal.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::journal::{JOURNAL, Phase};
use super::switch::remove_if_there;
use crate::apply::ApplyError;
use crate::apply::files::{FileError, hash};
use crate::host::Root;
use crate::io::{AtPath, AtomicFile, PathError, create_folders, sync_dir};

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
    create_folders(parent(&wanted))?;
    match symlink(RESUME, &wanted) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error).at("link", &wanted)?,
        _ => sync_dir(parent(&wanted))?,
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
    let paths = [resolve(WANTED, root)?, resolve(RESUME, root)?];
    // Together, so that a failing power seldom takes one alone: a half would neither start nor go by itself.
    paths.iter().try_for_each(|path| remove_if_there(path))?;
    for folder in paths.iter().map(|path| parent(path)).filter(|folder| folder.is_dir()) {
        sync_dir(folder)?;
    }
    release(root, units)
}

/// Whether the unit that goes on is there.
///
/// # Errors
/// Where its path means nothing in the root.
pub(super) fn is_there(root: &Root) -> Result<bool, ApplyError> {
    Ok(resolve(RESUME, root)?.exists() || resolve(WANTED, root)?.is_symlink())
}

/// The units that have a drop-in.
///
/// # Errors
/// Where the path of units means nothing in the root.
pub(super) fn guarded(root: &Root) -> Result<Vec<String>, ApplyError> {
    let folder = resolve(RESUME, root)?;
    let entries = fs::read_dir(parent(&folder)).into_iter().flatten().flatten();
    let guarded = entries.filter(|entry| entry.path().join(DROP_IN).exists());
    Ok(guarded.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".d")?.to_owned())).collect())
}

/// Takes the drop-ins away.
///
/// # Errors
/// Where one cannot be removed.
pub(super) fn release(root: &Root, units: &[String]) -> Result<(), ApplyError> {
    for name in units {
        let path = resolve(&drop_in(name), root)?;
        remove_if_there(&path)?;
        // It stays where somebody else has something in it.
        let _ = fs::remove_dir(parent(&path));
    }
    Ok(())
}

/// Removes the installer's copy.
///
/// # Errors
/// Where it cannot be removed.
pub(super) fn remove_installer(root: &Root) -> Result<(), ApplyError> {
    let path = resolve(INSTALLER, root)?;
    remove_if_there(&path)?;
    let _ = fs::remove_dir(parent(&path));
    Ok(())
}

fn install_self(target: &Path) -> Result<(), PathError> {
    // Not by its name: a run that goes on may have been started from a file that is not there any more.
    let own = Path::new("/proc/self/exe");
    if target.exists() && hash(own, || true)? == hash(target, || true)? {
        return Ok(());
    }
    let mut file = AtomicFile::create(target, 0o755)?;
    let mut from = fs::File::open(own).at("read", own)?;
    io::copy(&mut from, &mut file).at("write", target)?;
    file.commit()
}

fn write(target: &Path, text: &str) -> Result<(), PathError> {
    if fs::read(target).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    AtomicFile::write_all(target, 0o644, text.as_bytes())
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

fn resolve(path: &str, root: &Root) -> Result<PathBuf, ApplyError> {
    root.resolve(path).map_err(|source| FileError::Place { pack: "(installer)".to_owned(), source }.into())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
