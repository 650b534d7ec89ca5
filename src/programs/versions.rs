//! Whether kubeadm, kubelet and kubectl go together (<https://kubernetes.io/releases/version-skew-policy/>).

use semver::Version;

use super::{Brought, Content};
use crate::problem::Problem;
use crate::profile::Pack;

/// Minor versions that a kubelet may be older than the API server.
const KUBELET_BEHIND: u64 = 3;

/// What is wrong with the releases of the programs that were `found`, and what is not known of them. The API server is of
/// the pack's version, which kubeadm installs.
pub(super) fn check(pack: &Pack, found: &[(&str, Brought<'_>, Content)]) -> (Vec<Problem>, Vec<Problem>) {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let Some(server) = pack.version.as_deref().and_then(release) else { return (problems, warnings) };
    for (name, brought, content) in found.iter().filter(|(.., content)| content.whole && content.is_elf()) {
        let path = &brought.file.path;
        let Some(text) = content.kubernetes.as_deref() else {
            if *name != super::HELM {
                warnings.push(brought.problem(format!(
                    "{path} does not say of which Kubernetes it was built; see that it goes with {server}"
                )));
            }
            continue;
        };
        let Some(own) = release(text) else { continue };
        if let Some(rule) = broken(name, &own, &server) {
            problems.push(
                brought
                    .problem(format!("{path} is of Kubernetes {text}, and version {server} of the pack needs {rule}")),
            );
        }
    }
    (problems, warnings)
}

/// The rule that a program breaks, where it breaks one.
fn broken(name: &str, own: &Version, server: &Version) -> Option<String> {
    let behind = |minors| server.minor.saturating_sub(minors);
    let (major, minor) = (server.major, server.minor);
    let right = own.major == major;
    match name {
        "kubeadm" if (own.major, own.minor, own.patch) != (major, minor, server.patch) => {
            Some(format!("kubeadm {major}.{minor}.{}", server.patch))
        }
        "kubelet" if !right || own.minor > minor || own.minor < behind(KUBELET_BEHIND) => {
            Some(format!("a kubelet from {major}.{} to {major}.{minor}", behind(KUBELET_BEHIND)))
        }
        "kubectl" if !right || own.minor > minor + 1 || own.minor < behind(1) => {
            Some(format!("a kubectl from {major}.{} to {major}.{}", behind(1), minor + 1))
        }
        _ => None,
    }
}

/// A release, with or without its `v`.
fn release(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_go_with_their_neighbours() {
        let rule =
            |name: &str, own: &str, server: &str| broken(name, &release(own).unwrap(), &release(server).unwrap());
        for (name, own) in [
            ("kubeadm", "v1.31.2"),
            ("kubeadm", "v1.31.2+vendor"),
            ("kubelet", "v1.31.9"),
            ("kubelet", "v1.28.0"),
            ("kubectl", "v1.30.0"),
            ("kubectl", "v1.32.0"),
        ] {
            assert_eq!(rule(name, own, "1.31.2"), None, "{name} {own}");
        }
        for (name, own, needed) in [
            ("kubeadm", "v1.31.3", "kubeadm 1.31.2"),
            ("kubeadm", "v1.30.2", "kubeadm 1.31.2"),
            ("kubelet", "v1.32.0", "a kubelet from 1.28 to 1.31"),
            ("kubelet", "v1.27.9", "a kubelet from 1.28 to 1.31"),
            ("kubelet", "v2.31.0", "a kubelet from 1.28 to 1.31"),
            ("kubectl", "v1.29.0", "a kubectl from 1.30 to 1.32"),
            ("kubectl", "v1.33.0", "a kubectl from 1.30 to 1.32"),
        ] {
            assert_eq!(rule(name, own, "1.31.2").as_deref(), Some(needed), "{name} {own}");
        }
        assert_eq!(rule("kubelet", "v1.0.0", "1.2.0"), None);
        assert_eq!((release("1.31"), release("x")), (None, None));
    }
}
