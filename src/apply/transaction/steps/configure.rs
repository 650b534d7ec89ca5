//! Bringing what has changed of its configuration to a node that kubeadm has made, in an order in which the API stays up: one
//! part of the control plane after another, each waited for, and only then what the cluster keeps and what kubelets read.

mod control_plane;
mod node;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::programs::{Ended, execute, pause};
use super::units::start;
use super::{PAUSE, StepError, Told, program};
use crate::apply::Interrupt;
use crate::distro::{Changes, Configuration, Configure};
use crate::host::Root;
use crate::io::{AtPath, AtomicFile, PathError};

/// How long one part may take until it works: kubeadm has the same for an upgrade.
const PART: Duration = Duration::from_secs(300);
/// How long a program may take that waits for nothing.
const PROGRAM: Duration = Duration::from_secs(180);
/// How long one answer of the API is waited for.
const ANSWER: Duration = Duration::from_secs(15);
/// How often an API that answers is asked for what it does not show, until that is not waited for: nobody has it then.
const PATIENCE: u32 = 3;
const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";

/// One node, and what it is to get.
struct Node<'a> {
    step: &'a Configure,
    root: &'a Root,
    interrupt: &'a Interrupt,
    wanted: &'a Configuration,
    /// What the machine is called in its cluster.
    name: &'a str,
    /// Whether an earlier run had begun it, so that what it has written may not be in force yet.
    resumed: bool,
}

/// Compares what the node has with what its files say, and brings it the difference.
///
/// # Errors
/// Where something cannot be changed, or does not work with it: what had changed of the control plane is back then.
pub(super) fn configure(step: &Configure, root: &Root, interrupt: &Interrupt) -> Result<Told, StepError> {
    // A node that somebody else has made is left as it is.
    if !root.exists(&step.made()) {
        return Ok(Told::default());
    }
    let path = |path: String| root.folder().join(path.trim_start_matches('/'));
    let (applied, applying) = (path(step.applied()), path(step.applying()));
    let Some(config) = read(&path(step.config()))? else { return Ok(Told::default()) };
    let cluster = read(&path(step.cluster()))?.unwrap_or_default();
    let wanted = parse(step, &[&config, &cluster])?;
    let Some(had) = read(&applied)? else {
        // It was made with this just now.
        write(&applied, &wanted.record())?;
        return Ok(Told::default());
    };
    let getting = read(&applying)?;
    let (had, resumed) = (parse(step, &[&had])?, getting.is_some());
    let getting = getting.map(|text| parse(step, &[&text])).transpose()?;
    let before: Vec<Configuration> = [Some(had.clone()), getting].into_iter().flatten().collect();
    let hostname = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let changes = wanted.changes(&before, &hostname);
    if !changes.fixed.is_empty() {
        // Their values may be a variable's, which nobody is to see.
        let names: Vec<&str> = changes.fixed.iter().map(|fixed| fixed.name.as_str()).collect();
        return Err(failed(step, &format!("cannot change it on a node that is made: {}", names.join(", "))));
    }
    let mut done = wanted.clone();
    let mut told = Told::default();
    if !changes.is_empty() {
        write(&applying, &wanted.record())?;
        let name = if step.node.is_empty() { &hostname } else { &step.node };
        let node = Node { step, root, interrupt, wanted: &wanted, name, resumed };
        let left = node.bring(&changes)?;
        if left.kubelet {
            done = done.with_kubelet_of(&had);
        }
        if left.taints {
            done = done.with_taints_of(&had);
        }
        told.warnings = left.warnings;
    }
    write(&applied, &done.record())?;
    match fs::remove_file(&applying) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at("remove", &applying)?,
        _ => Ok(told),
    }
}

/// What this node could not do by itself. It counts as not done, so that the next run tries again.
#[derive(Default)]
struct Left {
    kubelet: bool,
    taints: bool,
    warnings: Vec<String>,
}

impl Node<'_> {
    fn bring(&self, changes: &Changes) -> Result<Left, StepError> {
        let mut left = Left::default();
        let phases = self.path(&format!("{}/phases.yaml", self.step.folder));
        if self.wanted.is_server() {
            write(&phases, &self.wanted.phases(self.endpoint()?.as_ref().map(|(host, port)| (&**host, &**port))))?;
            let done = self.control_plane(changes, &phases).and_then(|()| self.cluster(changes, &phases));
            fs::remove_file(&phases).at("remove", &phases)?;
            done?;
        }
        self.kubelet(changes, &mut left)?;
        self.labels_and_taints(changes, &mut left)?;
        Ok(left)
    }

    /// What the cluster keeps for all.
    fn cluster(&self, changes: &Changes, config: &Path) -> Result<(), StepError> {
        if self.wanted.is_first() {
            let upload = |part: &str| {
                self.kubeadm(
                    &["init", "phase", "upload-config", part, "--config"],
                    config,
                    "give the cluster its configuration",
                )
            };
            if changes.cluster {
                upload("kubeadm")?;
            }
            if !changes.kubelet.is_empty() {
                upload("kubelet")?;
            }
        }
        if changes.proxy { self.proxy(config) } else { Ok(()) }
    }

    /// kube-proxy gets its configuration, where the cluster has it.
    fn proxy(&self, config: &Path) -> Result<(), StepError> {
        const NAME: &str = "daemonset/kube-proxy";
        let there = self.ask(&["--namespace=kube-system", "get", NAME, "--ignore-not-found", "--output=name"])?;
        if there.map_err(|why| failed(self.step, &why))?.trim().is_empty() {
            return Ok(());
        }
        self.kubeadm(
            &["init", "phase", "addon", "kube-proxy", "--config"],
            config,
            "give kube-proxy its configuration",
        )?;
        self.kubectl(&["--namespace=kube-system", "rollout", "restart", NAME], "restart kube-proxy", PROGRAM)?;
        let wait = ["--namespace=kube-system", "rollout", "status", NAME, "--timeout=240s"];
        self.kubectl(&wait, "restart kube-proxy", PART)
    }

    fn kubeadm(&self, words: &[&str], config: &Path, what: &str) -> Result<(), StepError> {
        let mut command = vec![self.step.kubeadm.clone()];
        command.extend(words.iter().map(|word| (*word).to_owned()));
        command.push(config.display().to_string());
        program(what, &command, PROGRAM, self.interrupt)
    }

    fn kubectl(&self, words: &[&str], what: &str, limit: Duration) -> Result<(), StepError> {
        program(what, &self.with(words), limit, self.interrupt)
    }

    /// What the API answers, or why it does not.
    fn ask(&self, words: &[&str]) -> Result<Result<String, String>, StepError> {
        Ok(match execute(&self.with(words), ANSWER, self.interrupt)? {
            Ended::Well(text) => Ok(text),
            Ended::Badly(why) => Err(format!("kubectl {why}")),
        })
    }

    fn with(&self, words: &[&str]) -> Vec<String> {
        self.step.kubectl.iter().cloned().chain(words.iter().map(|word| (*word).to_owned())).collect()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.folder().join(path.trim_start_matches('/'))
    }

    /// Waits until the lease was renewed since now. One that is never shown is not waited for.
    fn renewed(&self, namespace: &str, name: &str) -> Result<(), StepError> {
        let namespace = format!("--namespace={namespace}");
        let lease = [&namespace, "get", "lease", name, "--output=jsonpath={.spec.renewTime}"];
        let (mut before, mut missed) = (None, 0);
        self.until(&format!("{name} renews its lease"), || {
            match self.ask(&lease)? {
                Ok(now) if now.trim().is_empty() => missed += 1,
                Ok(now) => match &before {
                    None => before = Some(now),
                    Some(before) if *before != now => return Ok(Ok(())),
                    Some(_) => {}
                },
                Err(why) => return Ok(Err(why)),
            }
            Ok(if before.is_none() && missed >= PATIENCE { Ok(()) } else { Err("it is not renewed".to_owned()) })
        })
    }

    /// Tries until it is so, for as long as one part may take.
    fn until(
        &self,
        what: &str,
        mut is_so: impl FnMut() -> Result<Result<(), String>, StepError>,
    ) -> Result<(), StepError> {
        let begun = std::time::Instant::now();
        loop {
            let last = match is_so()? {
                Ok(()) => return Ok(()),
                Err(why) => why,
            };
            if begun.elapsed() >= PART {
                let seconds = u32::try_from(PART.as_secs()).unwrap_or(u32::MAX);
                return Err(StepError::Late { what: what.to_owned(), seconds, last });
            }
            pause(PAUSE, self.interrupt)?;
        }
    }

    fn restart_kubelet(&self) -> Result<(), StepError> {
        start("kubelet.service", true, self.interrupt)
    }
}

fn failed(step: &Configure, why: &str) -> StepError {
    let what = "bring the changed configuration to the node".to_owned();
    StepError::Program { what, program: step.kubeadm.clone(), why: why.to_owned() }
}

fn parse(step: &Configure, texts: &[&str]) -> Result<Configuration, StepError> {
    Configuration::parse(texts).map_err(|why| failed(step, &format!("cannot read its configuration: {why}")))
}

/// The text of a file; nothing where there is none.
fn read(path: &Path) -> Result<Option<String>, PathError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.at("read", path).map(Some),
    }
}

/// For root alone: values of a profile may be secret.
fn write(path: &Path, text: &str) -> Result<(), PathError> {
    AtomicFile::write_all(path, 0o600, text.as_bytes())
}
