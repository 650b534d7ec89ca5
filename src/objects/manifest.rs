//! Kubernetes manifests: documents, lists, and the objects in them.

use super::{ObjectName, Place, Sink, object, template_of_a_chart};
use crate::problem::{Position, Source};
use crate::yaml::{self, Node, Parsed, Value};

/// Reads every object of a file.
pub fn read(source: &Source, sink: &mut dyn Sink) {
    read_parsed(source, &yaml::parse_with_merge_keys(source.text()), sink);
}

/// Reads every object that a chart's template became.
#[cfg(feature = "operator")]
pub fn read_rendered(source: &Source, sink: &mut dyn Sink) {
    read_parsed(source, &yaml::parse_as_helm(source.text()), sink);
}

fn read_parsed(source: &Source, parsed: &Parsed, sink: &mut dyn Sink) {
    let place = |at| Place { source, at, object: None, field: "" };
    // Of a template that is no YAML, what it is says more than where YAML ends.
    let template = parsed.mistakes.first().and_then(|_| template_of_a_chart(source.text()));
    if let Some((at, message)) = template {
        return sink.problem(place(at), message);
    }
    for mistake in &parsed.mistakes {
        sink.problem(place(mistake.at), mistake.message.clone());
    }
    // Nothing between two `---`, as templates leave behind, is no object.
    let mut documents = parsed.documents.iter().filter(|document| !document.is_null()).peekable();
    if documents.peek().is_none() && parsed.mistakes.is_empty() {
        sink.warn(place(Position::START), "no Kubernetes object is in this file".to_owned());
    }
    documents.for_each(|document| read_object(source, document, "", None, sink));
}

/// What items of a typed list have where they do not say it themselves.
#[derive(Clone, Copy)]
struct Inherited<'n> {
    api_version: &'n str,
    kind: &'n str,
}

/// What tools read that is written like an object, and that no API server has: the API group, and what to do with it.
const OF_TOOLS: &[(&str, &str)] = &[
    ("kubeadm.k8s.io", "kubeadm's configuration; give it in `config` of the pack on layer `k8s`"),
    ("kubelet.config.k8s.io", "the kubelet's configuration; give it in `config` of the pack on layer `k8s`"),
    ("kubeproxy.config.k8s.io", "kube-proxy's configuration; give it in `config` of the pack on layer `k8s`"),
    ("kubescheduler.config.k8s.io", "a scheduler's configuration; name it in `files`"),
    ("apiserver.config.k8s.io", "an API server's configuration; name it in `files`"),
    ("audit.k8s.io", "an API server's configuration; name it in `files`"),
    ("kind.x-k8s.io", "kind's configuration; leave it out"),
    ("k3d.io", "k3d's configuration; leave it out"),
    ("skaffold", "Skaffold's configuration; leave it out"),
    ("kpt.dev", "kpt's own file; leave it out"),
];

/// Whether it is what `kustomize` builds from (<https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/>), which may leave out
/// what it is, or a generator or transformer of it. Flux has a kind of the same name, which is an object.
fn is_kustomization(source: &Source, node: &Node) -> bool {
    const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    match node.get("apiVersion").and_then(Node::text) {
        Some(version) => version.starts_with("kustomize.config.k8s.io/") || version == "builtin",
        None if matches!(node.get("kind").and_then(Node::text), Some("Kustomization" | "Component")) => true,
        None => source.file().file_name().is_some_and(|name| FILES.iter().any(|file| name == *file)),
    }
}

fn read_object(source: &Source, node: &Node, prefix: &str, inherited: Option<Inherited<'_>>, sink: &mut dyn Sink) {
    let place = Place { source, at: node.at, object: None, field: prefix };
    if !matches!(node.value, Value::Mapping(_)) {
        return sink.problem(place, format!("a Kubernetes object is a mapping, found {}", node.describe()));
    }
    let text = |name: &str| node.get(name).and_then(Node::text);
    if is_kustomization(source, node) {
        let folder = source.file().parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or(".".to_owned(), |folder| folder.display().to_string());
        return sink.problem(
            place,
            format!(
                "a kustomization is no object that a cluster takes; build it, `kubectl kustomize {folder} > FILE`, and name that file"
            ),
        );
    }
    let kind = text("kind").or(inherited.map(|inherited| inherited.kind)).unwrap_or_default();
    let api_version = text("apiVersion").or(inherited.map(|inherited| inherited.api_version)).unwrap_or_default();
    for (name, value) in [("apiVersion", api_version), ("kind", kind)] {
        if value.is_empty() {
            sink.problem(place, format!("not a Kubernetes object: `{name}` is missing"));
        }
    }
    if api_version.is_empty() || kind.is_empty() {
        return;
    }
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if let Some((_, what)) = OF_TOOLS.iter().find(|(of, _)| *of == group) {
        return sink.problem(place, format!("{api_version} {kind} is no object that a cluster takes, but {what}"));
    }
    if let (Some(of), Some(items)) = (kind.strip_suffix("List"), node.get("items")) {
        // A bare `List` holds anything, so its items have to say what they are.
        let inherited = (!of.is_empty()).then_some(Inherited { api_version, kind: of });
        for (index, item) in items.items().iter().enumerate() {
            read_object(source, item, &format!("{prefix}items[{index}]."), inherited, sink);
        }
        return;
    }
    let metadata = |name: &str| node.get("metadata")?.get(name)?.scalar().map(|scalar| scalar.text.to_string());
    let name = metadata("name").or_else(|| metadata("generateName")).unwrap_or_default();
    let object = ObjectName { kind: kind.to_owned(), namespace: metadata("namespace"), name };
    object::read(source, node, api_version, &object, prefix, sink);
}
