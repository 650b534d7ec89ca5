//! Texts that stand where images do and are none: patterns of policies, and what something puts an image in the place of.

use super::ObjectName;

/// What the images that an object names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Images that something pulls.
    Images,
    /// Images, and places for others that the kind's own controller fills.
    Templates,
    /// Patterns that images are compared with; what is none of these may be an image.
    Patterns,
    /// What is watched and never pulled.
    Nothing,
}

/// Groups whose objects say which images are allowed:
/// <https://kyverno.io/docs/>, <https://open-policy-agent.github.io/gatekeeper/>, <https://docs.sigstore.dev/policy-controller/>,
/// <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>, <https://docs.kubewarden.io/>.
const POLICIES: &[&str] = &[
    "kyverno.io",
    "policies.kyverno.io",
    "constraints.gatekeeper.sh",
    "templates.gatekeeper.sh",
    "mutations.gatekeeper.sh",
    "policy.sigstore.dev",
    "admissionregistration.k8s.io",
    "policies.kubewarden.io",
    "config.ratify.deislabs.io",
    "imagepolicy.k8s.io",
];
/// Groups with templates that their controllers fill: <https://tekton.dev/docs/pipelines/variables/>,
/// <https://argo-workflows.readthedocs.io/en/latest/variables/>.
const TEMPLATES: &[&str] = &[
    "tekton.dev",
    "triggers.tekton.dev",
    "argoproj.io",
    "sources.knative.dev",
    "templates.kluctl.io",
    "template.openshift.io",
];
/// Groups that look for new tags of an image: <https://fluxcd.io/flux/components/image/>.
const WATCHES: &[&str] = &["image.toolkit.fluxcd.io"];

/// What an object of this API group and kind names.
pub(super) fn names(group: &str, object: &ObjectName) -> Names {
    match group {
        _ if WATCHES.contains(&group) => Names::Nothing,
        _ if POLICIES.contains(&group) => Names::Patterns,
        _ if TEMPLATES.contains(&group) || object.kind == "Template" => Names::Templates,
        _ => Names::Images,
    }
}

/// Images whose tags NVIDIA's operator completes with what it finds on a node, by kind and field: `595.91.07` becomes
/// `595.91.07-ubuntu24.04` (`resolveDriverTag` and `GetImagePath` in <https://github.com/NVIDIA/gpu-operator>).
const COMPLETED: &[(&str, &[&str])] = &[
    ("ClusterPolicy", &["spec.driver", "spec.gds", "spec.gdrcopy", "spec.vgpuManager"]),
    ("NVIDIADriver", &["spec", "spec.gds", "spec.gdrcopy"]),
];

/// Whether the image that the field `field` of an object of the group `group` gives is a part of the name that is pulled.
pub(super) fn completes(group: &str, object: &ObjectName, field: &str) -> bool {
    group == "nvidia.com" && COMPLETED.iter().any(|(kind, fields)| *kind == object.kind && fields.contains(&field))
}

/// Whether no image can be called so, since something fills it in or compares with it: `$(params.image)`, `${IMAGE}`,
/// `{{inputs.parameters.image}}`, `<image>`, `quay.io/*`, `!*:latest`.
pub(super) fn is_placeholder(text: &str) -> bool {
    ["$(", "${", "{{", "<", "%("].iter().any(|mark| text.contains(mark))
        || text.contains(['*', '?', '|', '&', '^'])
        || text.starts_with(['!', '@', '#', '$', '%'])
}

/// Istio's webhook puts its proxy where this is the image of a container
/// (<https://istio.io/latest/docs/setup/additional-setup/gateway/>, <https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/>).
pub(super) const ISTIO: &str = "auto";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_something_fills_in_is_no_image() {
        for text in [
            "$(params.image)",
            "quay.io/a:$(params.tag)",
            "${IMAGE}",
            "{{inputs.parameters.image}}",
            "{{workflow.parameters.image}}:1",
            "<your-registry>/app:1",
            "quay.io/*",
            "*:latest",
            "!*:latest",
            "*/nginx:?",
            "ghcr.io/a | ghcr.io/b",
            "^quay.io/.+",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["nginx", "quay.io/a/b:v1", "localhost:5000/a__b:1.2-3_4", "a@sha256:00"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
