//! Ending what containers have left behind once what started them is stopped: processes, mounts, network interfaces.
//!
//! Nothing is told by where its program lies. Processes are those in the control groups of this kubelet's pods, which have the
//! identifiers of its folder, and of the unit itself; mounts are those that a kubelet makes below its folder for pods, and a
//! runtime below its own. What was mounted before the installation stays mounted.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::StepError;
use super::programs::{POLL, pause};
use crate::apply::Interrupt;
use crate::apply::claims::{Claim, Prior};
use crate::host::Facts;
use crate::io::{AtPath, PathError};

const GROUPS: &str = "/sys/fs/cgroup";
/// How long processes may take to end that were killed.
const LIMIT: Duration = Duration::from_secs(60);
/// Where runtimes have the networks of pods.
const NETWORKS: &str = "/run/netns";
/// The folders of a kubelet below which it, and drivers of volumes, mount for pods.
const KUBELET_MOUNTS: [&str; 2] = ["pods", "plugins"];

/// What is swept: the parts of [`crate::distro::Step::Sweep`].
pub(super) struct Swept<'a> {
    pub(super) unit: Option<&'a str>,
    pub(super) data: Option<&'a str>,
    pub(super) state: Option<&'a str>,
    pub(super) kubelet: &'a str,
}

impl Swept<'_> {
    /// Ends processes, and then takes away what was mounted for them.
    ///
    /// # Errors
    /// Where a process does not end, or a mount stays.
    pub(super) fn sweep(&self, claims: &[Claim], interrupt: &Interrupt) -> Result<(), StepError> {
        // Another kubelet's pods are in a folder that was there before.
        let kubelet = claims.iter().all(|claim| claim.path != self.kubelet || claim.before != Prior::Foreign);
        let pods = if kubelet { pods(Path::new(self.kubelet))? } else { BTreeSet::new() };
        let groups = groups(Path::new(GROUPS), &pods, self.unit)?;
        let networks = networks(&groups, Path::new(NETWORKS))?;
        end(&groups, interrupt)?;
        let before = mounted_before(claims);
        let ours = |path: &Path| {
            let is_before = before.iter().any(|one| one == path);
            !is_before && (self.has_mounted(path, kubelet) || networks.iter().any(|one| one == path))
        };
        let mounted = || -> Vec<PathBuf> {
            let mut all: Vec<PathBuf> = Facts::here().mounts().into_iter().map(|one| one.folder).collect();
            all.retain(|path| ours(path));
            // What is mounted inside others goes first, and what covers others too.
            all.sort_by(|a, b| b.cmp(a));
            all
        };
        for path in mounted() {
            if unmount(&path, UnmountFlags::NOFOLLOW).is_err() {
                // What is still open somewhere goes when that is closed.
                unmount(&path, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH).at("unmount", &path)?;
            }
        }
        if let Some(left) = mounted().first() {
            return Err(io::Error::other("it is still mounted")).at("unmount", left)?;
        }
        for network in networks {
            match fs::remove_file(&network) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at("remove", &network)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether something at this path is what this kubelet or this runtime mounts.
    fn has_mounted(&self, path: &Path, kubelet: bool) -> bool {
        let below = |folder: &Path, depth: usize| {
            path.strip_prefix(folder).is_ok_and(|rest| rest.components().count() >= depth)
        };
        let kubelet_folder = Path::new(self.kubelet);
        // A volume is mounted in the folder of its pod or driver, which is below these.
        let for_pods = kubelet && KUBELET_MOUNTS.iter().any(|part| below(&kubelet_folder.join(part), 2));
        let in_state = self.state.is_some_and(|state| below(&Path::new(state).join("containerd"), 2));
        let in_data = self.data.is_some_and(|data| below(&Path::new(data).join("agent/containerd"), 2));
        for_pods || in_state || in_data
    }
}

/// What was mounted below the distribution's folders before it was installed.
fn mounted_before(claims: &[Claim]) -> Vec<PathBuf> {
    let of = |claim: &Claim| {
        let real = PathBuf::from(claim.real());
        claim
            .mounts
            .iter()
            .map(move |mount| if mount.is_empty() { real.clone() } else { real.join(mount) })
            .collect::<Vec<_>>()
    };
    claims.iter().flat_map(of).collect()
}

/// The identifiers of the pods of a kubelet: the folders that it has for them.
fn pods(kubelet: &Path) -> Result<BTreeSet<String>, PathError> {
    let folder = kubelet.join("pods");
    let entries = match fs::read_dir(&folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(BTreeSet::new());
        }
        other => other.at("read", &folder)?,
    };
    let mut pods = BTreeSet::new();
    for entry in entries {
        let name = entry.at("read", &folder)?.file_name();
        // A UUID, or for a pod of a file 32 hexadecimal digits.
        let plain = |text: &&str| text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        pods.extend(name.to_str().filter(plain).map(str::to_owned));
    }
    Ok(pods)
}

/// The control groups of these pods and of the unit, in every hierarchy below `root`.
fn groups(root: &Path, pods: &BTreeSet<String>, unit: Option<&str>) -> Result<Vec<PathBuf>, PathError> {
    let mut found = Vec::new();
    let mut pending = vec![(root.to_owned(), false)];
    while let Some((folder, within)) = pending.pop() {
        for group in inner_groups(&folder)? {
            let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let within = within || name.starts_with("kubepods");
            let of_pod = within && pod_of(name).is_some_and(|pod| pods.contains(&pod));
            // systemd has services in slices; one of that name inside a container is in the container's scope.
            let slices = group.parent().is_some_and(|parent| is_slice(parent, root));
            if of_pod || (slices && unit == Some(name)) {
                found.push(group);
            } else {
                pending.push((group, within));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a control group is reached through slices alone, or the folder of a controller.
fn is_slice(group: &Path, root: &Path) -> bool {
    let mut names = group.strip_prefix(root).unwrap_or(group).components().peekable();
    let is_slice = |name: &std::ffi::OsStr| Path::new(name).extension().is_some_and(|ending| ending == "slice");
    // A hierarchy of version 1 has the name of its controller first.
    names.next_if(|name| !is_slice(name.as_os_str()));
    names.peek().is_some() && names.all(|name| is_slice(name.as_os_str()))
}

/// The pod that a control group is of, after its name: `podUID`, or `kubepods-CLASS-podUID.slice` with `_` for `-`.
fn pod_of(name: &str) -> Option<String> {
    let plain = name.strip_suffix(".slice");
    let id = match plain {
        Some(plain) => plain.rsplit_once("-pod").map(|(_, id)| id),
        None => name.strip_prefix("pod"),
    };
    id.map(|id| id.replace('_', "-"))
}

/// The control groups right below one.
fn inner_groups(folder: &Path) -> Result<Vec<PathBuf>, PathError> {
    let entries = match fs::read_dir(folder) {
        // It ended in the meantime, or there are none at all.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("read", folder)?,
    };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(folders.map(|entry| entry.path()).collect())
}

/// The processes of control groups, and of those below them.
fn processes(groups: &[PathBuf]) -> Result<BTreeSet<i32>, PathError> {
    let (mut found, mut pending) = (BTreeSet::new(), groups.to_vec());
    while let Some(group) = pending.pop() {
        pending.extend(inner_groups(&group)?);
        // Absent where the group has ended, refused where it has threads alone.
        let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.trim().parse::<i32>().ok()).filter(|number| *number > 1));
    }
    Ok(found)
}

/// Ends all processes of control groups, and waits until they have.
fn end(groups: &[PathBuf], interrupt: &Interrupt) -> Result<(), StepError> {
    let begun = Instant::now();
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    loop {
        let found = processes(groups)?;
        let running: Vec<i32> = found.into_iter().filter(|number| *number != own && is_running(*number)).collect();
        let Some(first) = running.first() else { return Ok(()) };
        if begun.elapsed() > LIMIT {
            let path = PathBuf::from(format!("/proc/{first}"));
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not end")).at("end the process", &path)?;
        }
        for number in running {
            kill(number, groups)?;
        }
        pause(POLL, interrupt)?;
    }
}

/// Ends a process, where it is still the one that is in the control groups: a number may have gone to another one.
fn kill(number: i32, groups: &[PathBuf]) -> Result<(), PathError> {
    let Some(pid) = Pid::from_raw(number) else { return Ok(()) };
    let path = PathBuf::from(format!("/proc/{number}"));
    let sent = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(open) if processes(groups)?.contains(&number) => pidfd_send_signal(&open, Signal::KILL),
        Ok(_) | Err(rustix::io::Errno::SRCH) => return Ok(()),
        // Kernels before 5.3.
        Err(rustix::io::Errno::NOSYS) => rustix::process::kill_process(pid, Signal::KILL),
        Err(error) => Err(error),
    };
    match sent {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).at("end the process", &path),
    }
}

/// Whether a process is there, and does not only wait to be reaped.
fn is_running(number: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The networks of the processes in control groups that have a name in `folder`.
fn networks(groups: &[PathBuf], folder: &Path) -> Result<Vec<PathBuf>, PathError> {
    let inode = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let own = inode(Path::new("/proc/1/ns/net"));
    let of = |number: i32| inode(Path::new(&format!("/proc/{number}/ns/net")));
    let used: BTreeSet<(u64, u64)> =
        processes(groups)?.into_iter().filter_map(of).filter(|one| Some(*one) != own).collect();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("read", folder)?,
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let real = fs::canonicalize(folder).at("find", folder)?;
    let named = paths.filter(|path| {
        let cni = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("cni-"));
        cni && inode(path).is_some_and(|one| used.contains(&one))
    });
    Ok(named.filter_map(|path| Some(real.join(path.file_name()?))).collect())
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
