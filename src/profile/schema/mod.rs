//! The JSON Schemas of profiles and packs, generated from types that have their shape, in which profiles that Carrack
//! makes are composed too. What cannot be said in a schema (files that exist, layers taken once) is left to
//! [`super::load()`].

mod packs;

pub use packs::{
    Chart, Dependency, Distribution, File, ImageMadeFor, Layer, ListedImage, Pack, PackDocument, PackItem,
    PackMetadata, PackSpec, SourcedPack, Values,
};
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
    /// The Kubernetes that charts are rendered for, such as `1.33.4`, where no pack on layer `k8s` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^v?[0-9]+\.[0-9]+\.[0-9]+"))]
    pub kubernetes_version: Option<String>,
    /// When what was applied is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// The parts of the cluster, in order; at most one each of os, k8s, cni and csi.
    #[schemars(length(min = 1))]
    pub packs: Vec<PackItem>,
    /// What looks like an image in manifests but is not wanted, each with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_images: Option<Vec<IgnoredImage>>,
}

/// When what was applied is ready.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Ready {
    /// How long it is waited for, such as `90s`, `10m` or `1h`; `0s` waits for nothing, and `10m` is meant where it is absent.
    #[schemars(regex(pattern = r"^[0-9]+[smh]$"))]
    pub timeout: String,
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

/// The JSON Schema (2020-12) of a document that has the shape of `T`.
pub fn schema_of<T: JsonSchema>() -> Schema {
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
    use super::*;
    use crate::profile::{charts, decode, files, packs, ready, requirements};
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
            (&definitions["Ready"], ready::READY),
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
        let layers: Vec<String> = crate::profile::Layer::WORDS.iter().map(|(word, _)| (*word).to_owned()).collect();
        assert_eq!(words(&definitions["Layer"]), layers);
        let known: Vec<String> =
            crate::profile::Distribution::WORDS.iter().map(|(word, _)| (*word).to_owned()).collect();
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
