//! Checks of what a journal or a receipt says: a root may be somebody else's, and what its files name is acted upon only where
//! it is what Carrack writes.

use std::ffi::OsStr;

use super::ApplyError;
use super::claims::Claim;
use super::files::Before;
use super::installed::KeptValue;
use super::receipt::{Receipt, ReceiptRuntime, SavedState, check_name};
use super::transaction::{Outcome, Record};
use crate::distro::{Configure, SAVED, Save, Step};
use crate::io::{Place, is_plain};
use crate::places::OWN;

/// Longer paths are none of Linux (PATH_MAX).
const LONGEST_PATH: usize = 4095;
/// The longest component of a path (NAME_MAX).
const LONGEST_NAME: usize = 255;
/// As much of a refused value as is shown.
const SHOWN: usize = 120;

/// The first value that is not what Carrack writes.
#[derive(Debug)]
struct Wrong {
    field: String,
    value: String,
    wanted: &'static str,
}

type Checked = Result<(), Wrong>;

/// Checks every name and path of the journal that was read at `place`.
///
/// # Errors
/// [`ApplyError::Foreign`], for the first that is none.
pub(super) fn journal(place: &Place, record: &Record) -> Result<(), ApplyError> {
    record_is_plain(record).map_err(|wrong| wrong.of(place))
}

/// Checks every name and path of the receipt that was read at `place`.
///
/// # Errors
/// [`ApplyError::Foreign`], for the first that is none.
pub(super) fn receipt(place: &Place, receipt: &Receipt) -> Result<(), ApplyError> {
    receipt_is_plain("", receipt).map_err(|wrong| wrong.of(place))
}

/// Checks every path of what was read at `place` of what an attempt has left.
///
/// # Errors
/// [`ApplyError::Foreign`], for the first that is none.
pub(super) fn left(place: &Place, left: &[Claim]) -> Result<(), ApplyError> {
    claims("", left).map_err(|wrong| wrong.of(place))
}

impl Wrong {
    fn of(self, place: &Place) -> ApplyError {
        let Self { field, value, wanted } = self;
        let mut shown: String = value.chars().take(SHOWN).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        ApplyError::Foreign { path: place.shown().to_owned(), field, value: shown, wanted }
    }
}

fn record_is_plain(record: &Record) -> Checked {
    text("what", &record.what)?;
    for (index, change) in record.files.iter().enumerate() {
        let at = |field: &str| format!("files[{index}].{field}");
        path(&at("path"), &change.path)?;
        if let Some(staged) = &change.staged {
            name(&at("staged.name"), &staged.name)?;
        }
        before(&at("before"), change.before.as_ref())?;
        before(&at("restores"), change.restores.as_ref())?;
    }
    paths("made", &record.made)?;
    paths("own", &record.own)?;
    paths("emptied", &record.emptied)?;
    for (index, folder) in record.discarded.iter().enumerate() {
        copy_of_state(&format!("discarded[{index}]"), folder)?;
    }
    for (index, one) in record.guarded.iter().enumerate() {
        unit(&format!("guarded[{index}]"), one)?;
    }
    let lists = [
        ("stop", &record.stop),
        ("remove", &record.remove),
        ("start", &record.start),
        ("undo", &record.undo),
        ("restore", &record.restore),
        ("again", &record.again),
    ];
    lists.iter().try_for_each(|(field, list)| steps(field, list))?;
    claims("claims", &record.claims)?;
    match &record.result {
        Some(Outcome::Installed { file, receipt, .. }) => {
            receipt_file("result.file", file)?;
            receipt_is_plain("result.receipt.", receipt)
        }
        Some(Outcome::Removed { receipts, .. }) => {
            let mut files = receipts.iter().enumerate();
            files.try_for_each(|(index, file)| receipt_file(&format!("result.receipts[{index}]"), file))
        }
        None => Ok(()),
    }
}

fn receipt_is_plain(of: &str, receipt: &Receipt) -> Checked {
    for (field, word) in [("name", &receipt.name), ("version", &receipt.version)] {
        let plain = check_name(word, word).is_ok();
        check(plain, &format!("{of}{field}"), word, "a profile's name or version")?;
    }
    text(&format!("{of}applied"), &receipt.applied)?;
    for (index, file) in receipt.files.iter().enumerate() {
        let at = |field: &str| format!("{of}files[{index}].{field}");
        path(&at("path"), &file.path)?;
        mode(&at("mode"), &file.mode)?;
        owner(&at("owner"), file.owner.as_deref().unwrap_or_default())?;
        before(&at("original"), file.original.as_ref())?;
    }
    for (index, folder) in receipt.folders.iter().enumerate() {
        path(&format!("{of}folders[{index}]"), folder)?;
    }
    for (index, service) in receipt.services.iter().enumerate() {
        unit(&format!("{of}services[{index}].unit"), &service.unit)?;
    }
    for KeptValue { path: kept, .. } in receipt.variables.iter().flat_map(|variable| &variable.kept) {
        path(&format!("{of}variables.kept.path"), kept)?;
    }
    match &receipt.runtime {
        ReceiptRuntime::K3s(folder) | ReceiptRuntime::Rke2(folder) | ReceiptRuntime::Canonical(folder) => {
            path(&format!("{of}runtime.folder"), &folder.folder)?;
            if let Some(archive) = &folder.archive {
                path(&format!("{of}runtime.archive.path"), &archive.path)?;
            }
        }
        ReceiptRuntime::None | ReceiptRuntime::Containerd { .. } => {}
    }
    claims(&format!("{of}claims"), &receipt.claims)?;
    steps(&format!("{of}start"), &receipt.start)?;
    steps(&format!("{of}remove"), &receipt.remove)?;
    if let Some(Save { state, save, restore }) = &receipt.state {
        path(&format!("{of}state.state"), state)?;
        steps(&format!("{of}state.save"), save)?;
        steps(&format!("{of}state.restore"), restore)?;
    }
    if let Some(SavedState { folder, made, restore }) = &receipt.saved {
        copy_of_state(&format!("{of}saved.folder"), folder)?;
        text(&format!("{of}saved.made"), made)?;
        steps(&format!("{of}saved.restore"), restore)?;
    }
    Ok(())
}

fn before(field: &str, before: Option<&Before>) -> Checked {
    let Some(before) = before else { return Ok(()) };
    if let Some(folder) = &before.kept {
        name(&format!("{field}.kept"), folder)?;
    }
    mode(&format!("{field}.mode"), &before.mode)?;
    owner(&format!("{field}.owner"), &before.owner)
}

fn steps(field: &str, steps: &[Step]) -> Checked {
    for (index, step) in steps.iter().enumerate() {
        let at = |name: &str| format!("{field}[{index}].{name}");
        match step {
            Step::Start { unit: one, .. }
            | Step::Stop { unit: one }
            | Step::Disable { unit: one }
            | Step::Enabled { unit: one, .. } => unit(&at("unit"), one)?,
            Step::Run { unless: Some(unless), .. } => path(&at("unless"), unless)?,
            Step::Copy { from, to, unless, .. } => {
                if let Some(unless) = unless {
                    path_or_saved(&at("unless"), unless)?;
                }
                for (name, one) in [("from", from), ("to", to)] {
                    path_or_saved(&at(name), one)?;
                }
            }
            Step::Folder { path: one } => path_or_saved(&at("path"), one)?,
            Step::Sweep { unit: one, data, state, kubelet, interfaces } => {
                if let Some(one) = one {
                    unit(&at("unit"), one)?;
                }
                for (field, folder) in [("data", data.as_ref()), ("state", state.as_ref()), ("kubelet", Some(kubelet))]
                {
                    if let Some(folder) = folder {
                        path(&at(field), folder)?;
                    }
                }
                for (index, interface) in interfaces.iter().enumerate() {
                    let plain = is_name(interface) && !interface.starts_with('-');
                    check(
                        plain,
                        &format!("{}[{index}]", at("interfaces")),
                        interface,
                        "the name of a network interface",
                    )?;
                }
            }
            Step::Remove { path: one } => path_or_saved(&at("path"), one)?,
            // It is an argument of a program.
            Step::Ready { node, .. } => {
                let plain = node.is_empty() || is_name(node) && !node.starts_with('-');
                check(plain, &at("node"), node, "the name of a node")?;
            }
            // The folder is written into, and the name is an argument of a program.
            Step::Configure(Configure { folder, node, .. }) => {
                path(&at("folder"), folder)?;
                let plain = node.is_empty() || is_name(node) && !node.starts_with('-');
                check(plain, &at("node"), node, "the name of a node")?;
            }
            Step::Run { unless: None, .. } | Step::Load { .. } | Step::Wait { .. } | Step::Join(_) => {}
        }
    }
    Ok(())
}

/// A path that may begin with the copy's own folder, which is put in its place later.
fn path_or_saved(field: &str, value: &str) -> Checked {
    match value.strip_prefix(SAVED) {
        Some("") => Ok(()),
        Some(rest) => path(field, rest),
        None => path(field, value),
    }
}

fn claims(field: &str, claims: &[Claim]) -> Checked {
    for (index, claim) in claims.iter().enumerate() {
        let at = |name: &str| format!("{field}[{index}].{name}");
        path(&at("path"), &claim.path)?;
        if let Some(real) = &claim.real {
            path(&at("real"), real)?;
        }
        for (name, list) in [("folders", &claim.folders), ("mounts", &claim.mounts)] {
            for (index, inner) in list.iter().enumerate() {
                // The path itself may be a mount point.
                let plain = is_path(&format!("/{inner}")) || (inner.is_empty() && name == "mounts");
                check(plain, &format!("{}[{index}]", at(name)), inner, "a path below the folder without '..'")?;
            }
        }
    }
    Ok(())
}

fn check(is_so: bool, field: &str, value: &str, wanted: &'static str) -> Checked {
    match is_so {
        true => Ok(()),
        false => Err(Wrong { field: field.to_owned(), value: value.to_owned(), wanted }),
    }
}

fn is_name(value: &str) -> bool {
    is_plain(OsStr::new(value)) && value.len() <= LONGEST_NAME && !value.chars().any(char::is_control)
}

fn name(field: &str, value: &str) -> Checked {
    check(is_name(value), field, value, "the name of a file")
}

fn is_path(value: &str) -> bool {
    let names = value.strip_prefix('/').map(|names| names.split('/').all(is_name));
    names == Some(true) && value.len() <= LONGEST_PATH
}

fn path(field: &str, value: &str) -> Checked {
    check(is_path(value), field, value, "an absolute path without '..'")
}

fn paths(field: &str, values: &[String]) -> Checked {
    values.iter().enumerate().try_for_each(|(index, value)| path(&format!("{field}[{index}]"), value))
}

/// A unit's name (systemd.unit(5)), which becomes a folder's.
fn unit(field: &str, value: &str) -> Checked {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let is_unit = is_name(value) && value.bytes().all(plain) && !value.starts_with(['-', '.']);
    check(is_unit, field, value, "the name of a unit")
}

/// `NNNN-NAME-VERSION.json`.
fn receipt_file(field: &str, value: &str) -> Checked {
    let number = value.strip_suffix(".json").and_then(|stem| stem.split_once('-')).map(|(number, _)| number);
    let is_number = number.is_some_and(|number| number.parse::<u32>().is_ok());
    check(is_name(value) && is_number, field, value, "the name of a receipt's file")
}

/// A copy of a cluster's state, which may be removed with all that is in it.
fn copy_of_state(field: &str, value: &str) -> Checked {
    let below = value.strip_prefix(OWN).and_then(|rest| rest.strip_prefix("/states/"));
    check(below.is_some_and(is_name), field, value, "a folder of a copy of a cluster's state")
}

fn mode(field: &str, value: &str) -> Checked {
    let is_mode = u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o7777) && !value.starts_with('+');
    check(is_mode, field, value, "permission bits in octal")
}

fn owner(field: &str, value: &str) -> Checked {
    let number = |part: &str| part.parse::<u32>().is_ok();
    let is_owner = value.is_empty() || value.split_once(':').is_some_and(|(user, group)| number(user) && number(group));
    check(is_owner, field, value, "USER:GROUP by number")
}

/// Something for people alone.
fn text(field: &str, value: &str) -> Checked {
    check(!value.chars().any(char::is_control), field, value, "a text without control characters")
}
