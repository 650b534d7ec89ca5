//! The static pods of a server, made again one after another.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{ErrorKind, Node, PATIENCE, StepError, failed, read};
use crate::distro::Changes;
use crate::io::AtPath;
use crate::yaml;

const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Where kubeadm writes down the address by which a server's API is reached.
const ENDPOINT: &str = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint";
/// What kubectl shows of a pod that the kubelet runs by itself: which manifest it is of, and whether it is ready.
const SHOWN: &str = "--output=jsonpath={.metadata.annotations.kubernetes\\.io/config\\.hash} \
    {.status.conditions[?(@.type==\"Ready\")].status}";
const LOGS: &str = "/var/log/pods";
/// How often a container is started until that is given up.
const STARTS: u32 = 3;
/// Those that lead by a lease.
const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
/// What a certificate that makes room for another one is called meanwhile.
const ASIDE: &str = "carrack-old";

/// What the API shows of a static pod.
struct Shown {
    hash: String,
    ready: bool,
}

impl Node<'_> {
    pub(super) fn control_plane(&self, changes: &Changes, config: &Path) -> Result<(), StepError> {
        if changes.certificate.is_some() {
            self.certificate(config)?;
        }
        for name in changes.restarts() {
            let phase: &[&str] = match name {
                "etcd" => &["etcd", "local"],
                "kube-apiserver" => &["control-plane", "apiserver"],
                "kube-controller-manager" => &["control-plane", "controller-manager"],
                "kube-scheduler" => &["control-plane", "scheduler"],
                _ => continue,
            };
            self.component(name, phase, config)?;
        }
        let ready = ["get", "--raw", "/readyz"];
        self.until("the API server is ready", || Ok(self.ask(&ready)?.map(drop)))?;
        for name in changes.certificate.iter().flatten() {
            self.serves(name)?;
        }
        Ok(())
    }

    /// Makes one again. Where it does not work then, it becomes what it was.
    fn component(&self, name: &str, phase: &[&str], config: &Path) -> Result<(), StepError> {
        let manifest = self.path(&format!("{MANIFESTS}/{name}.yaml"));
        let (before, shown) = (read(&manifest)?, self.shown(name)?.ok().flatten());
        let logs = self.logs(name);
        let what = format!("make {name} again");
        let words: Vec<&str> = ["init", "phase"].iter().chain(phase).copied().chain(["--config"]).collect();
        self.kubeadm(&words, config, &what)?;
        if read(&manifest)? == before {
            return Ok(());
        }
        let worked = self.works(name, shown.as_ref(), &logs);
        let (Err(error), Some(before)) = (&worked, before) else { return worked };
        if matches!(error, StepError::Interrupted) {
            return worked;
        }
        let (broken, logs) = (self.shown(name)?.ok().flatten(), self.logs(name));
        // As kubeadm writes it: beside it, a copy under another name would be another pod.
        fs::write(&manifest, before).at("write", &manifest)?;
        match self.works(name, broken.as_ref(), &logs) {
            Ok(()) => worked,
            Err(second) => Err(failed(self.step, &format!("{error}; nor does what it was before work: {second}"))),
        }
    }

    /// Waits until another pod than `before` is there and ready, and until those lead that lead. One whose container ends again and
    /// again, as its logs that were not among `logs` tell, is not waited for.
    fn works(&self, name: &str, before: Option<&Shown>, logs: &BTreeSet<PathBuf>) -> Result<(), StepError> {
        let mut missed = 0;
        self.until(&format!("{name} is ready with this configuration"), || {
            if let Some(said) = self.logs(name).difference(logs).find_map(|folder| ended(folder)) {
                return Err(failed(self.step, &format!("made {name} again, which ends again and again: {said}")));
            }
            Ok(match self.shown(name)? {
                Ok(Some(now)) if before.is_some_and(|before| before.hash == now.hash) => {
                    Err("the kubelet has not taken its manifest yet".to_owned())
                }
                Ok(Some(Shown { ready: true, .. })) => Ok(()),
                Ok(Some(_)) => Err("its pod is not ready".to_owned()),
                Ok(None) => {
                    missed += 1;
                    if before.is_none() && missed >= PATIENCE { Ok(()) } else { Err("its pod is not there".to_owned()) }
                }
                Err(why) => Err(why),
            })
        })?;
        match name {
            // Without an API for a while, they may have stopped leading.
            "etcd" | "kube-apiserver" => LEADERS.iter().try_for_each(|name| self.renewed("kube-system", name)),
            leader if LEADERS.contains(&leader) => self.renewed("kube-system", leader),
            _ => Ok(()),
        }
    }

    /// Where the kubelet keeps what the containers of the static pod write, a folder for each pod of that name.
    fn logs(&self, name: &str) -> BTreeSet<PathBuf> {
        let start = format!("kube-system_{name}-{}_", self.name);
        let pods = fs::read_dir(self.path(LOGS)).into_iter().flatten().flatten();
        let own = pods.filter(|pod| pod.file_name().to_string_lossy().starts_with(&start));
        own.map(|pod| pod.path().join(name)).collect()
    }

    /// Nothing where the API answers and shows none.
    fn shown(&self, name: &str) -> Result<Result<Option<Shown>, String>, StepError> {
        let pod = format!("{name}-{}", self.name);
        let asked = self.ask(&["--namespace=kube-system", "get", "pod", &pod, "--ignore-not-found", SHOWN])?;
        Ok(asked.map(|text| {
            let mut words = text.split_whitespace();
            let hash = words.next()?.to_owned();
            Some(Shown { hash, ready: words.next() == Some("True") })
        }))
    }

    /// Another certificate for the API server, which reads it by itself. The one of before goes once that is there.
    fn certificate(&self, config: &Path) -> Result<(), StepError> {
        let folder = self.path(&self.wanted.certificates_folder());
        let own = ["apiserver.crt", "apiserver.key"].map(|name| folder.join(name));
        let aside = own.each_ref().map(|path| path.with_added_extension(ASIDE));
        for (from, to) in own.iter().zip(&aside) {
            match fs::rename(from, to) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).at("rename", from)?,
                _ => {}
            }
        }
        let made = self.kubeadm(&["init", "phase", "certs", "apiserver", "--config"], config, "make a certificate");
        for (path, aside) in own.iter().zip(&aside).filter(|(_, aside)| aside.exists()) {
            // Also where nothing was made, as by a program that only says that it was.
            if made.is_err() || !path.exists() {
                fs::rename(aside, path).at("rename", aside)?;
            } else {
                fs::remove_file(aside).at("remove", aside)?;
            }
        }
        made
    }

    /// Waits until this machine's API server is known by a name.
    fn serves(&self, name: &str) -> Result<(), StepError> {
        let Some((host, port)) = self.endpoint()? else { return Ok(()) };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let (server, name) = (format!("--server=https://{host}:{port}"), format!("--tls-server-name={name}"));
        let ready = [server.as_str(), &name, "get", "--raw", "/readyz"];
        self.until(&format!("the API server answers with {name}"), || Ok(self.ask(&ready)?.map(drop)))
    }

    /// Where this machine's API server is, as kubeadm has made it: address and port.
    pub(super) fn endpoint(&self) -> Result<Option<(String, String)>, StepError> {
        let Some(manifest) = read(&self.path(&format!("{MANIFESTS}/kube-apiserver.yaml")))? else { return Ok(None) };
        let parsed = yaml::parse(&manifest);
        let annotations = parsed.documents.first().and_then(|pod| pod.get("metadata")?.get("annotations"));
        let at = annotations.and_then(|all| all.get(ENDPOINT)?.scalar().map(|scalar| scalar.text.to_string()));
        Ok(at.and_then(|at| {
            let (host, port) = at.rsplit_once(':')?;
            Some((host.trim_matches(['[', ']']).to_owned(), port.to_owned()))
        }))
    }
}

/// The last line of a container that was started too often; the kubelet numbers its logs, `2.log` for the third start.
fn ended(folder: &Path) -> Option<String> {
    let logs = fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_suffix(".log")?.parse::<u32>().ok();
    let last =
        logs.filter_map(|log| number(&log.file_name().to_string_lossy())).max().filter(|last| *last >= STARTS)?;
    // The last one may have just begun; where it has ended too, the kubelet has removed the log of the one before.
    let said = [last - 1, last].into_iter().find_map(|number| said(&folder.join(format!("{number}.log"))));
    said.or_else(|| (last > STARTS).then(|| "it says nothing".to_owned()))
}

/// The last message of a log: `TIME STREAM TAG MESSAGE`, as runtimes write it.
fn said(log: &Path) -> Option<String> {
    let text = read(log).ok().flatten()?;
    let mut messages =
        text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).filter(|line| !line.trim().is_empty());
    Some(messages.next_back()?.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_said_last_is_in_the_log_that_the_kubelet_keeps() {
        for (logs, expected) in [
            (&[("0.log", "T stderr F x\n"), ("1.log", "T stderr F y\n")][..], None),
            (&[("2.log", "T stderr F before\nT stderr F it ended\n"), ("3.log", "")], Some("it ended")),
            (&[("3.log", "T stderr F it ended\nT stderr F \n")], Some("it ended")),
            (&[("2.log", "T stderr F it ended\n"), ("3.log", "T stdout F it begins\n")], Some("it ended")),
            // The next one may say something.
            (&[("3.log", "")], None),
            (&[("4.log", "")], Some("it says nothing")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            logs.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
            assert_eq!(ended(folder.path()).as_deref(), expected, "{logs:?}");
        }
    }
}
