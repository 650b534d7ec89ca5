//! What a version or site changes of the configuration of a node that kubeadm has made: what restarts for it, and what no node
//! can change.

use super::ApplyError;
use super::history::History;
use super::plan::HostPlan;
use crate::distro::{Configuration, Configure, Fixed, NodeTaint, Setup, Step};
use crate::host::Root;

/// What changes of a running node's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconfigured {
    /// The fields that change, as kubeadm calls them, and labels and taints.
    pub fields: Vec<String>,
    /// What restarts, in this order.
    pub restarts: Vec<String>,
    /// What a person has to do.
    pub warnings: Vec<String>,
}

/// Compares what the node has with what it is to have. Nothing where it is no node yet. `secret` says that the configuration may
/// have what nobody is to see: what a field was before is not known to be none of that.
///
/// # Errors
/// [`ApplyError::ConfigurationFixed`] where a node cannot change it, or what cannot be read.
pub(super) fn look(
    setup: &Setup,
    plan: &HostPlan,
    history: &History,
    name: &str,
    root: &Root,
    secret: bool,
) -> Result<Reconfigured, ApplyError> {
    let (Some(step), Some(installed)) = (of(setup), history.of_profile(name).next()) else {
        return Ok(Reconfigured::default());
    };
    if !root.exists(&step.made()) {
        return Ok(Reconfigured::default());
    }
    let planned = |path: &str| {
        let file = plan.files.iter().find(|planned| planned.file.path == path);
        let content = file.and_then(|planned| planned.file.content.as_ref());
        content.map(|content| String::from_utf8_lossy(&content.bytes).into_owned()).unwrap_or_default()
    };
    let found = |path: &str| -> Option<String> {
        root.read(path).ok().flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let parse = |texts: &[&str]| {
        let refused = |why| vec![format!("the configuration of this node in {} cannot be read: {why}", step.folder)];
        Configuration::parse(texts).map_err(|why| ApplyError::Refused(refused(why)))
    };
    let wanted = parse(&[&planned(&step.config()), &planned(&step.cluster())])?;
    // An earlier Carrack has left no record; there it is what the file says.
    let had = found(&step.applied()).or_else(|| found(&step.config()));
    let before = had.into_iter().chain(found(&step.applying()));
    let before = before.map(|text| parse(&[&text])).collect::<Result<Vec<_>, _>>()?;
    let hostname = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let changes = wanted.changes(&before, &hostname);
    if !changes.fixed.is_empty() {
        let installed = format!("{} {}", installed.receipt.name, installed.receipt.version);
        let told = |fixed: &Fixed| if secret { format!("`{}` would change", fixed.name) } else { fixed.to_string() };
        return Err(ApplyError::ConfigurationFixed { installed, changes: changes.fixed.iter().map(told).collect() });
    }
    let restarts = changes.restarts().into_iter().map(str::to_owned).collect();
    let mut warnings = Vec::new();
    if !wanted.is_server() && !changes.taints.is_empty() {
        let gone = changes.taints.removed.iter().map(|taint| format!("{taint}-"));
        let words: Vec<String> = changes.taints.set.iter().map(NodeTaint::to_string).chain(gone).collect();
        warnings.push(format!(
            "an agent cannot change its own taints; on a server, run: kubectl taint node {} --overwrite {}",
            step.node,
            words.join(" ")
        ));
    }
    Ok(Reconfigured { fields: changes.fields, restarts, warnings })
}

fn of(setup: &Setup) -> Option<&Configure> {
    setup.start.iter().find_map(Step::configure)
}

/// What remembers, before files change, what a node has that an earlier Carrack made: it wrote no record.
pub(super) fn remember(setup: &Setup, root: &Root) -> Option<Step> {
    let step = of(setup).filter(|step| root.exists(&step.made()) && !root.exists(&step.applied()))?;
    let (from, to) = (step.config(), step.applied());
    Some(Step::Copy { from, unless: Some(to.clone()), to, over: false })
}

/// These steps, by which a version's files are taken up again, with what brings its configuration back: an earlier Carrack's have
/// none, and then it is that of `others`.
pub(super) fn with_configuration(mut steps: Vec<Step>, others: &[Step]) -> Vec<Step> {
    if steps.iter().any(|step| step.configure().is_some()) {
        return steps;
    }
    let at = steps.iter().rposition(|step| step.unit().is_some()).map_or(0, |at| at + 1);
    let missing: Vec<Step> = others.iter().filter(|step| step.configure().is_some()).cloned().collect();
    steps.splice(at..at, missing);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure(node: &str) -> Step {
        let (kubeadm, folder) = ("/usr/bin/kubeadm".to_owned(), "/state".to_owned());
        Step::Configure(Configure { kubeadm, kubectl: Vec::new(), node: node.to_owned(), folder, seconds: 1 })
    }

    #[test]
    fn a_version_of_before_is_brought_back_after_its_units_and_before_its_objects() {
        let start = |unit: &str| Step::Start { unit: unit.to_owned(), restart: true };
        let wait = Step::Wait { what: "it is ready".to_owned(), command: Vec::new(), seconds: 1 };
        let old = vec![start("containerd.service"), start("kubelet.service"), wait.clone()];
        let expected = [&old[..2], &[configure("new")], &old[2..]].concat();
        assert_eq!(with_configuration(old, &[start("kubelet.service"), configure("new")]), expected);
        // Its own is at its own place.
        assert_eq!(
            with_configuration(vec![wait.clone(), configure("own")], &expected),
            [wait.clone(), configure("own")]
        );
        assert_eq!(with_configuration(vec![wait.clone()], &[]), [wait]);
    }

    #[test]
    fn what_an_earlier_carrack_has_made_is_remembered_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let setup = Setup { start: vec![configure("n1")], ..Setup::default() };
        assert_eq!(remember(&setup, &root), None, "no node");
        std::fs::create_dir(folder.path().join("state")).unwrap();
        std::fs::write(folder.path().join("state/made"), "").unwrap();
        let Some(Step::Copy { from, to, unless, .. }) = remember(&setup, &root) else { panic!() };
        assert_eq!(
            (from.as_str(), to.as_str(), unless.as_deref()),
            ("/state/config.yaml", to.as_str(), Some(to.as_str()))
        );
        assert_eq!(to, "/state/applied.yaml");
        std::fs::write(folder.path().join("state/applied.yaml"), "").unwrap();
        assert_eq!(remember(&setup, &root), None);
        assert_eq!(remember(&Setup::default(), &root), None);
    }
}
