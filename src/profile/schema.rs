//! The JSON Schemas of profiles and packs, generated from types that have their shape, in which profiles that Carrack
//! makes are composed too. What cannot be said in a schema (files that exist, layers taken once) is left to
//! [`super::load()`].

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::Value;

/// Everything that goes into an air-gapped Kubernetes cluster.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct ClusterProfile {
    /// Version of this format.
    #[schemars(extend("const" = "carrack/v1"))]
    pub api_version: String,
    /// Kind of document.
    #[schemars(extend("const" = "ClusterProfile"))]
    pub kind: String,
    /// What the profile is called.
    pub metadata: Metadata,
    /// What it contains.
    pub spec: Spec,
}

/// What a profile is called.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Metadata {
    /// Lowercase letters, digits and `-`, up to 63 (a DNS-1123 label).
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// The profile's own semantic version, such as `1.4.0`.
    pub version: String,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What a profile contains.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Spec {
    /// What the nodes run on, such as `linux/arm64`; `linux/amd64` where absent.
    #[schemars(length(min = 1), inner(regex(pattern = r"^linux/[a-z0-9]+(/[a-z0-9]+)?$")))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
    /// What differs from site to site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<Variable>>,
    /// What a host must have for the cluster as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Requirements>,
    /// The parts of the cluster, in order; at most one each of os, k8s, cni and csi.
    #[schemars(length(min = 1))]
    pub packs: Vec<PackItem>,
    /// What looks like an image in manifests but is not wanted, each with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_images: Option<Vec<IgnoredImage>>,
}

/// One part of a cluster, written here or in a document of its own.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(untagged)]
pub enum PackItem {
    /// Written here.
    Here(Box<Pack>),
    /// In a folder or a registry.
    Elsewhere(SourcedPack),
}

/// A part of a cluster that has a document of its own.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct SourcedPack {
    /// Unique in the profile; lowercase letters, digits and `-`, up to 63.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// A folder with a `pack.yaml`, or `oci://HOST/REPOSITORY:TAG`.
    pub source: String,
    /// The version that the pack must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Values for its only chart, over the pack's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Values>>,
}

/// One part of a cluster.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Pack {
    /// Unique in the profile; lowercase letters, digits and `-`, up to 63.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// Its place in the cluster.
    pub layer: Layer,
    /// The version of what it carries, as its makers write it. In quotes where it looks like a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Which Kubernetes distribution; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Packs that must be in the profile too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<Dependency>>,
    /// What a host must have for this pack, besides the others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Requirements>,
    /// The versions of this pack from which a host can be upgraded: a range such as `>=1.2, <2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_from: Option<String>,
    /// What the cluster's API has besides Kubernetes' own, for charts that ask: `GROUP/VERSION[/KIND]`; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_versions: Option<Vec<String>>,
    /// Added to the distribution's own configuration; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Map<String, Value>>,
    /// Files to put on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<File>>,
    /// Text files inside the folder with one image reference per line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_lists: Option<Vec<String>>,
    /// Images that no manifest names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<String>>,
    /// Kubernetes manifests inside the folder; `*` and `**` are patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<String>>,
    /// A Helm chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Helm charts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charts: Option<Vec<Chart>>,
}

/// A part of a cluster as a document of its own: `pack.yaml`.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct PackDocument {
    /// Version of this format.
    #[schemars(extend("const" = "carrack/v1"))]
    pub api_version: String,
    /// Kind of document.
    #[schemars(extend("const" = "Pack"))]
    pub kind: String,
    /// What the pack is called.
    pub metadata: PackMetadata,
    /// What it contains.
    pub spec: PackSpec,
}

/// What a pack is called.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct PackMetadata {
    /// Lowercase letters, digits and `-`, up to 63 (a DNS-1123 label). A profile may give it another name.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// The version of what it carries. In quotes where it looks like a number.
    pub version: String,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What a pack contains.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct PackSpec {
    /// Its place in the cluster.
    pub layer: Layer,
    /// What differs from site to site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<Variable>>,
    /// What looks like an image in manifests but is not wanted, each with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_images: Option<Vec<IgnoredImage>>,
    /// Which Kubernetes distribution; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Packs that must be in the profile too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<Dependency>>,
    /// What a host must have for this pack, besides the others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Requirements>,
    /// The versions of this pack from which a host can be upgraded: a range such as `>=1.2, <2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_from: Option<String>,
    /// What the cluster's API has besides Kubernetes' own, for charts that ask: `GROUP/VERSION[/KIND]`; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_versions: Option<Vec<String>>,
    /// Added to the distribution's own configuration; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Map<String, Value>>,
    /// Files to put on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<File>>,
    /// Text files inside the folder with one image reference per line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_lists: Option<Vec<String>>,
    /// Images that no manifest names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<String>>,
    /// Kubernetes manifests inside the folder; `*` and `**` are patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<String>>,
    /// A Helm chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Helm charts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charts: Option<Vec<Chart>>,
}

/// What differs from site to site.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Variable {
    /// As placeholders name it: `{{.carrack.var.NAME}}`.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"))]
    pub name: String,
    /// What it is, for the person who sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What its values look like; string where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Whether a value must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Its value where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A pattern that the whole value matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// The only values that it may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<Value>>,
    /// Whether nobody is asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
    /// Whether it always has its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Whether its value is never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
    /// Whether a host keeps the first value for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

/// What values look like.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Any text.
    String,
    /// A number.
    Number,
    /// true or false.
    Boolean,
    /// An IPv4 address.
    Ipv4,
    /// An IPv4 network, such as 10.0.0.0/24.
    Ipv4cidr,
    /// An IPv6 address.
    Ipv6,
    /// A semantic version.
    Version,
}

/// What a host must have.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Requirements {
    /// Cores: 4, 0.5 or "500m".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Value>,
    /// Memory: 512MiB, 4GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Value>,
    /// Disk: 32GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Value>,
    /// Whether data must lie on a disk that does not rotate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssd: Option<bool>,
    /// Kernel modules that must be there: `br_netfilter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_modules: Option<Vec<String>>,
    /// Programs that must be there: `iscsiadm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
    /// Ports that nothing else may listen at: 443, "53/udp".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Value>>,
}

/// A pack that must be in the profile too.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Dependency {
    /// Its name.
    pub pack: String,
    /// The versions that will do: a range such as `>=1.2, <2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A Helm chart: either `source`, or `repository` and `name`.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Chart {
    /// A package or folder inside the folder, or `oci://HOST/REPOSITORY[:TAG]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `https://…` of a chart repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The chart's name in the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The versions that will do: a range such as `~1.7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The release's name; the chart's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The release's namespace; default where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Values, later ones over earlier ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Values>>,
}

/// Values of a chart.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(untagged)]
pub enum Values {
    /// A file inside the folder.
    File(String),
    /// The values themselves.
    Here(serde_json::Map<String, Value>),
}

/// A pack's place in the cluster.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The operating system.
    Os,
    /// Kubernetes itself.
    K8s,
    /// The network between pods.
    Cni,
    /// Storage.
    Csi,
    /// Everything else.
    #[default]
    Addon,
}

/// A Kubernetes distribution.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// None: the host has its own Kubernetes, or only a container runtime.
    None,
}

/// A file to put on the host.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct File {
    /// A file inside the folder, or `https://…`, which needs `sha256`.
    pub source: String,
    /// SHA-256 that the file must have.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The only platform that gets the file; every one where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Absolute path on the host, without `.` and `..`.
    #[schemars(regex(pattern = r"^/.*[^/]$"))]
    pub path: String,
    /// Permission bits as octal digits in quotes; `"0644"` where absent.
    #[schemars(regex(pattern = r"^[0-7]{3,4}$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// USER or USER:GROUP, names or numbers; root where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether variables in it are filled in on the host; false where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<bool>,
}

/// What looks like an image but is not wanted.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct IgnoredImage {
    /// The text as it stands where it is found.
    pub image: String,
    /// Why it is left out.
    pub reason: String,
}

/// The JSON Schema (2020-12) of a cluster profile.
pub fn cluster_profile() -> Schema {
    schema_of::<ClusterProfile>()
}

/// The JSON Schema (2020-12) of a pack.
pub fn pack() -> Schema {
    schema_of::<PackDocument>()
}

fn schema_of<T: JsonSchema>() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    RecursiveTransform(without_null).transform(&mut schema);
    schema
}

/// A field that may be absent is an `Option` above, but a field without a value is a mistake.
fn without_null(schema: &mut Schema) {
    let null = |value: &Value| value == "null" || value["type"] == "null";
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|value| !null(value));
        if let [only] = &mut types[..] {
            let only = only.take();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|value| !null(value));
        if let [Value::Object(only)] = &mut any[..] {
            let only = std::mem::take(only);
            schema.remove("anyOf");
            for (key, value) in only {
                schema.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{charts, decode, files, packs, requirements};
    use super::*;
    use crate::variables;

    fn properties(schema: &Value) -> Vec<String> {
        let mut names: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    }

    #[test]
    fn the_schema_and_the_decoder_know_the_same_fields() {
        let schema = serde_json::to_value(cluster_profile()).unwrap();
        let definitions = &schema["$defs"];
        let pack = serde_json::to_value(pack()).unwrap();
        for (schema, known) in [
            (&schema, decode::DOCUMENT),
            (&definitions["Metadata"], decode::METADATA),
            (&definitions["Spec"], decode::SPEC),
            (&definitions["Pack"], packs::PACK),
            (&definitions["SourcedPack"], packs::SOURCED),
            (&pack, decode::DOCUMENT),
            (&pack["$defs"]["PackMetadata"], packs::PACK_METADATA),
            (&pack["$defs"]["PackSpec"], packs::PACK_SPEC),
            (&definitions["Dependency"], packs::DEPENDENCY),
            (&definitions["Requirements"], requirements::REQUIREMENTS),
            (&definitions["Chart"], charts::CHART),
            (&definitions["Variable"], variables::FIELDS),
            (&definitions["File"], files::FILE),
            (&definitions["IgnoredImage"], decode::IGNORED),
        ] {
            let mut known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
            known.sort();
            assert_eq!(properties(schema), known);
            assert_eq!(schema["additionalProperties"], Value::Bool(false));
        }
        let words = |schema: &Value| -> Vec<String> {
            schema["oneOf"].as_array().unwrap().iter().map(|one| one["const"].as_str().unwrap().to_owned()).collect()
        };
        let layers: Vec<String> = super::super::Layer::WORDS.iter().map(|(word, _)| (*word).to_owned()).collect();
        assert_eq!(words(&definitions["Layer"]), layers);
        let known: Vec<String> = super::super::Distribution::WORDS.iter().map(|(word, _)| (*word).to_owned()).collect();
        assert_eq!(words(&definitions["Distribution"]), known);
    }

    #[test]
    fn the_shipped_schemas_are_current() {
        for (name, argument, schema) in [("cluster-profile", "profile", cluster_profile()), ("pack", "pack", pack())] {
            let path = format!("{}/docs/schema/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
            let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            let shipped = std::fs::read_to_string(path).unwrap_or_default();
            let run = format!("cargo run --bin carrack -- schema {argument} > docs/schema/{name}.schema.json");
            assert!(shipped == current, "run: {run}");
        }
    }
}
