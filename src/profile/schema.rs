//! The JSON Schema of a cluster profile, generated from types that have its shape. What cannot be said in a schema
//! (files that exist, layers taken once) is left to [`super::load()`].

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// Everything that goes into an air-gapped Kubernetes cluster.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
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
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Lowercase letters, digits and `-`, up to 63 (a DNS-1123 label).
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// The profile's own semantic version, such as `1.4.0`.
    pub version: String,
    /// One line for people.
    pub description: Option<String>,
}

/// What a profile contains.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// What the nodes run on, such as `linux/arm64`; `linux/amd64` where absent.
    #[schemars(length(min = 1), inner(regex(pattern = r"^linux/[a-z0-9]+(/[a-z0-9]+)?$")))]
    pub platforms: Option<Vec<String>>,
    /// The parts of the cluster, in order; at most one each of os, k8s, cni and csi.
    #[schemars(length(min = 1))]
    pub packs: Vec<Pack>,
    /// What looks like an image in manifests but is not wanted, each with the reason.
    pub ignore_images: Option<Vec<IgnoredImage>>,
}

/// One part of a cluster.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pack {
    /// Unique in the profile; lowercase letters, digits and `-`, up to 63.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// Its place in the cluster.
    pub layer: Layer,
    /// The version of what it carries, as its makers write it. In quotes where it looks like a number.
    pub version: Option<String>,
    /// Which Kubernetes distribution; only on layer k8s.
    pub distribution: Option<Distribution>,
    /// Files to put on the host.
    pub files: Option<Vec<File>>,
    /// Text files inside the profile's folder with one image reference per line.
    pub image_lists: Option<Vec<String>>,
    /// Images that no manifest names.
    pub images: Option<Vec<String>>,
    /// Kubernetes manifests inside the profile's folder; `*` and `**` are patterns.
    pub manifests: Option<Vec<String>>,
}

/// A pack's place in the cluster.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
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
    Addon,
}

/// A Kubernetes distribution.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Distribution {
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// None: the host has its own Kubernetes, or only a container runtime.
    None,
}

/// A file to put on the host.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// A file inside the profile's folder.
    pub source: String,
    /// SHA-256 that the file must have.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// The only platform that gets the file; every one where absent.
    pub platform: Option<String>,
    /// Absolute path on the host, without `.` and `..`.
    #[schemars(regex(pattern = r"^/.*[^/]$"))]
    pub path: String,
    /// Permission bits as octal digits in quotes; `"0644"` where absent.
    #[schemars(regex(pattern = r"^[0-7]{3,4}$"))]
    pub mode: Option<String>,
    /// USER or USER:GROUP, names or numbers; root where absent.
    pub owner: Option<String>,
}

/// What looks like an image but is not wanted.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct IgnoredImage {
    /// The text as it stands where it is found.
    pub image: String,
    /// Why it is left out.
    pub reason: String,
}

/// The JSON Schema (2020-12) of a cluster profile.
pub fn cluster_profile() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ClusterProfile>();
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
    use super::super::{decode, files};
    use super::*;

    fn properties(schema: &Value) -> Vec<String> {
        let mut names: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    }

    #[test]
    fn the_schema_and_the_decoder_know_the_same_fields() {
        let schema = serde_json::to_value(cluster_profile()).unwrap();
        let definitions = &schema["$defs"];
        for (schema, known) in [
            (&schema, decode::DOCUMENT),
            (&definitions["Metadata"], decode::METADATA),
            (&definitions["Spec"], decode::SPEC),
            (&definitions["Pack"], decode::PACK),
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
    fn the_shipped_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/cluster-profile.schema.json");
        let current = serde_json::to_string_pretty(&cluster_profile()).unwrap() + "\n";
        let shipped = std::fs::read_to_string(path).unwrap_or_default();
        assert!(shipped == current, "run: cargo run --bin carrack -- schema > docs/schema/cluster-profile.schema.json");
    }
}
