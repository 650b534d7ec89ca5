//! Locks that keep installers apart: of a root, so that what was found there stays true until it is acted upon, and of a containerd.
//!
//! A lock on a file that others can open is one that they can hold for ever. So a lock is on a file of its own, which its owner
//! alone can open. It is there only while it is held, or after a kill: then the next run takes it over and removes it.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::ApplyError;
use super::files::FileError;
use super::transaction::Transaction;
use crate::host::Root;
use crate::io::{AtPath, PathError, Place};
use crate::places::OWN;

/// The file of a root's lock, in Carrack's own folder.
const LOCK: &str = "lock";
/// Journals before this version are of installers that lock the root's folder itself.
const FIRST_JOURNAL: u32 = 2;
/// How often a lock is tried. Who only looks whether it is held has it for a moment.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(25);
/// Commands that hold a root's lock.
const COMMANDS: [&str; 5] = ["apply", "resume", "repair", "rollback", "uninstall"];
/// Nobody but the owner can open it, and so lock it.
const LOCK_MODE: u32 = 0o600;
/// The most that is read of a lock file.
const MAX_TEXT: u64 = 64 << 10;

/// The lock files that this process holds, for a process that ends without returning.
static HELD: Mutex<Vec<Arc<Held>>> = Mutex::new(Vec::new());

/// Locked while a root's lock is being taken, so that a process that ends meanwhile knows all that was made for it.
static TAKING: Mutex<()> = Mutex::new(());

/// Keeps other installers out of a root.
#[derive(Debug)]
pub struct RootLock {
    _held: LockFile,
    /// Keeps out installers up to 0.3, which lock the folder. Others can keep this one from us, so it is not counted on.
    _folder: Option<File>,
}

/// A lock file that is held until it is dropped.
#[derive(Debug)]
pub(super) struct LockFile(Arc<Held>);

#[derive(Debug)]
struct Held {
    place: Place,
    /// The root whose lock this is.
    root: Option<Root>,
    file: Mutex<Option<File>>,
}

/// Why a lock was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another process has it: in words, who.
    Busy(String),
    /// The file cannot be made, or is not to be trusted.
    Path(PathError),
}

impl From<PathError> for Refused {
    fn from(error: PathError) -> Self {
        Self::Path(error)
    }
}

impl RootLock {
    /// Takes the lock of `root`. It lies in Carrack's own folder, which is made for it where it is missing and removed after it
    /// where it is empty.
    ///
    /// # Errors
    /// [`ApplyError::Busy`] where another process has it, or where the file cannot be made or is not to be trusted.
    pub fn take(root: &Root) -> Result<Self, ApplyError> {
        let folder = File::open(root.folder()).at("open", root.folder())?;
        let folder = flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(folder);
        if folder.is_none()
            && let Some(left) = Transaction::left(root)?
            && left.record.journal_version < FIRST_JOURNAL
        {
            // The installer that wrote it may be at work: it holds this lock then, and knows no other.
            return Err(ApplyError::Busy(root.folder().to_owned(), "of an earlier version".to_owned()));
        }
        let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, mut made) = (place(root)?, Vec::new());
        match take_in_folder(&place, root, &mut made) {
            Ok(held) => Ok(Self { _held: held, _folder: folder }),
            Err(error) => {
                remove_empty(&made, root);
                Err(error)
            }
        }
    }

    /// Who has the lock of `root`, in words. Nothing is changed. Who may not open the lock is told nothing.
    ///
    /// # Errors
    /// Where the path of the lock means nothing in the root.
    pub fn holder(root: &Root) -> Result<Option<String>, ApplyError> {
        let Ok(mut file) = place(root)?.open() else { return Ok(None) };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Ok(Some(holder(&mut file))),
            _ => Ok(None),
        }
    }
}

/// Removes all lock files that this process holds, for a process that is about to end without returning.
pub fn release_all() {
    let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let held: Vec<_> = HELD.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
    held.iter().for_each(|held| held.release());
}

/// Folders that were made for the lock of `root`, within the root: whoever holds the lock makes them its own.
pub(super) fn made_folders(root: &Root) -> Result<Vec<String>, ApplyError> {
    let text = place(root)?.open().ok().map(|mut file| text_of(&mut file)).unwrap_or_default();
    Ok(folders(&text).map(str::to_owned).collect())
}

/// Has the lock of `root` remove those of `emptied` that are empty but for it, when it is released.
pub(super) fn remove_after<'a>(emptied: impl Iterator<Item = &'a String>, root: &Root) -> Result<(), ApplyError> {
    let above = |folder: &&String| {
        OWN == *folder || OWN.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    add_folders(root, &emptied.filter(above).cloned().collect::<Vec<_>>())
}

impl LockFile {
    /// Takes the lock at `place`, whose file belongs to one of `trusted` or is made.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(super) fn take(place: &Place, root: Option<&Root>, trusted: &[u32]) -> Result<Self, Refused> {
        let path = place.shown();
        let mut busy = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            let mut file = place.open_or_create(LOCK_MODE)?;
            check(&file, trusted).at("use the lock", path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {
                    busy = Some(holder(&mut file));
                    continue;
                }
                locked => locked.at("lock", path)?,
            }
            // Who had it may have removed it meanwhile, and somebody else have made another.
            if !is_named(&file, place) {
                continue;
            }
            let left = text_of(&mut file);
            if let Err(error) = write(&file, &folders(&left).map(str::to_owned).collect::<Vec<_>>()) {
                // A disk that is full. While the lock is held, what bears the name is this file.
                place.remove()?;
                return Err(error).at("write", path)?;
            }
            let held = Held { place: place.clone(), root: root.cloned(), file: Mutex::new(Some(file)) };
            let held = Arc::new(held);
            let mut all = HELD.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(Arc::clone(&held));
            return Ok(Self(held));
        }
        Err(Refused::Busy(busy.unwrap_or_default()))
    }
}

impl Held {
    /// Removes the file, and what was made for it and is empty.
    fn release(&self) {
        // Locked to the end: a thread that ends the process waits for the one that is at it.
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut file) = held.take() else { return };
        let text = text_of(&mut file);
        // While the lock is held: what bears the name is this file. Where it cannot be removed, the next run takes it over.
        let _ = self.place.remove();
        if let Some(root) = &self.root {
            let made: Vec<String> = folders(&text).map(str::to_owned).chain([OWN.to_owned()]).collect();
            remove_empty(&made, root);
        }
        drop(file);
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        self.0.release();
        HELD.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

/// Takes the lock at `place` in a folder that is made where it is missing; `made` gets the folders that were.
fn take_in_folder(place: &Place, root: &Root, made: &mut Vec<String>) -> Result<LockFile, ApplyError> {
    for _ in 0..ATTEMPTS {
        made.extend(super::staging::missing_folders(place));
        place.make_folders()?;
        check_folder(place, root)?;
        match LockFile::take(place, Some(root), &trusted(root)?) {
            // A run that has just ended has removed the folder.
            Err(Refused::Path(error)) if error.source.kind() == io::ErrorKind::NotFound => {}
            Err(Refused::Path(error)) => return Err(error.into()),
            Err(Refused::Busy(holder)) => return Err(ApplyError::Busy(root.folder().to_owned(), holder)),
            Ok(held) => {
                // From here on, dropping the lock removes them.
                add_folders(root, made)?;
                return Ok(held);
            }
        }
    }
    Err(io::Error::other("it is removed again and again")).at("create", place.shown())?
}

fn place(root: &Root) -> Result<Place, ApplyError> {
    root.below(OWN, LOCK).map_err(|source| FileError::Place { pack: "(lock)".to_owned(), source }.into())
}

/// Removes folders, the inner ones first, as far as they are empty.
fn remove_empty(folders: &[String], root: &Root) {
    let mut folders = folders.to_vec();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders.iter().rev() {
        let _ = root.place(folder).map(|folder| folder.remove_empty());
    }
}

/// Users who may have made what lies below `root`: the administrator, whoever runs this, and the root's owner.
fn trusted(root: &Root) -> Result<[u32; 3], PathError> {
    let owner = fs::metadata(root.folder()).at("look at", root.folder())?.uid();
    Ok([0, rustix::process::geteuid().as_raw(), owner])
}

/// Who may write into the folder of the lock may replace it.
fn check_folder(lock: &Place, root: &Root) -> Result<(), ApplyError> {
    let Some(folder) = lock.folder() else { return Ok(()) };
    let Some(found) = folder.stat()? else { return Ok(()) };
    let own = trusted(root)?.contains(&found.st_uid);
    let open = root.is_host() && found.st_mode & 0o022 != 0;
    let why = match (own, open) {
        (true, false) => return Ok(()),
        (false, _) => format!("it belongs to user {}", found.st_uid),
        (true, true) => "others can write into it: chmod go-w".to_owned(),
    };
    Err(io::Error::other(why)).at("use the folder", folder.shown())?
}

/// A file that somebody else can open is one that somebody else can lock.
fn check(file: &File, trusted: &[u32]) -> io::Result<()> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if !trusted.contains(&found.uid()) {
        return Err(io::Error::other(format!("it belongs to user {}: remove it", found.uid())));
    }
    if found.permissions().mode() & 0o077 != 0 {
        // Some file systems have no modes. There the owner of the mount decides who can open it.
        let _ = file.set_permissions(Permissions::from_mode(LOCK_MODE));
    }
    Ok(())
}

fn is_named(file: &File, place: &Place) -> bool {
    match (file.metadata(), place.stat()) {
        (Ok(held), Ok(Some(named))) => (held.dev(), held.ino()) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

/// The process that holds it, then the folders that were made for it, a line each.
fn write(mut file: &File, folders: &[String]) -> io::Result<()> {
    let lines: String = folders.iter().map(|folder| format!("{folder}\n")).collect();
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{}\n{lines}", std::process::id()).as_bytes())
}

fn text_of(file: &mut File) -> String {
    let mut text = String::new();
    // What is no text says nothing.
    let read = file.rewind().and_then(|()| file.take(MAX_TEXT).read_to_string(&mut text));
    read.map(|_| text).unwrap_or_default()
}

/// Folders above the lock alone: whatever else stands there is not removed.
fn folders(text: &str) -> impl Iterator<Item = &str> {
    let above = |folder: &&str| OWN == *folder || OWN.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    text.lines().skip(1).filter(|folder| !folder.is_empty()).filter(above)
}

/// Notes folders in the lock file of `root`, where there is one.
fn add_folders(root: &Root, more: &[String]) -> Result<(), ApplyError> {
    let place = place(root)?;
    if !place.is_there() {
        return Ok(());
    }
    let mut file = place.open_or_create(LOCK_MODE)?;
    let text = text_of(&mut file);
    let mut all: Vec<String> = folders(&text).map(str::to_owned).chain(more.iter().cloned()).collect();
    all.sort_unstable();
    all.dedup();
    Ok(write(&file, &all).at("write", place.shown())?)
}

/// The process that a lock file names, with what it does where that can be seen.
fn holder(file: &mut File) -> String {
    let text = text_of(file);
    let Some(number) = text.lines().next().and_then(|line| line.parse::<u32>().ok()) else { return String::new() };
    // Of its arguments only the command is shown: others may be secret.
    let arguments = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
    let words = arguments.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok());
    match words.into_iter().find(|word| COMMANDS.contains(word)) {
        Some(command) => format!("process {number}, {command}"),
        None => format!("process {number}"),
    }
}
