//! Helm releases, out of the secrets or ConfigMaps that Helm keeps them in, and the charts in them.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Object;
use super::decide::{ReleaseName, is_helm_record};
use crate::{chart, yaml};

/// Bytes of a release, unpacked. Packed, a secret has 1 MiB at most.
const MAX_RELEASE: u64 = 64 << 20;

/// The revision of a release that is deployed.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) name: ReleaseName,
    /// The files of its chart, or why there is none.
    pub(super) chart: Result<Chart, String>,
    /// What its user gave.
    pub(super) values: Map<String, Value>,
}

/// A chart, as far as a release has it.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) name: String,
    pub(super) version: String,
    /// By their paths in its folder.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Names of the resource definitions that are in no template.
    pub(super) definitions: Vec<String>,
}

#[derive(Deserialize)]
struct Stored {
    chart: StoredChart,
    #[serde(default)]
    config: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct StoredChart {
    metadata: Value,
    #[serde(default)]
    templates: Option<Vec<StoredFile>>,
    #[serde(default)]
    values: Option<Map<String, Value>>,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    files: Option<Vec<StoredFile>>,
    /// Helm 3 and 4 leave subcharts out.
    #[serde(default)]
    dependencies: Option<Vec<StoredChart>>,
}

#[derive(Deserialize)]
struct StoredFile {
    name: String,
    #[serde(default)]
    data: Option<String>,
}

/// The deployed revision of every release that `objects` keep, by namespace and name, and what is wrong with others.
pub(super) fn all(objects: &[Object]) -> (Vec<Release>, Vec<String>) {
    let mut newest: BTreeMap<ReleaseName, BTreeMap<u64, &Object>> = BTreeMap::new();
    for record in objects.iter().filter(|object| is_helm_record(object)) {
        let (Some(namespace), Some(name)) = (record.namespace(), record.label("name")) else { continue };
        let revision = record.label("version").and_then(|version| version.parse().ok()).unwrap_or_default();
        newest.entry((namespace.to_owned(), name.to_owned())).or_default().insert(revision, record);
    }
    let (mut releases, mut warnings) = (Vec::new(), Vec::new());
    for (name, revisions) in newest {
        let shown = format!("Helm release {}/{}", name.0, name.1);
        let deployed = revisions.values().rev().find(|record| record.label("status") == Some("deployed"));
        let Some(record) = deployed else {
            let status = revisions.values().next_back().and_then(|record| record.label("status")).unwrap_or("?");
            if status != "uninstalled" {
                warnings.push(format!("{shown}: no revision of it is deployed, the newest is {status:?}"));
            }
            continue;
        };
        match read(record) {
            Ok(stored) => releases.push(Release {
                name,
                chart: chart_of(&stored.chart),
                values: stored.config.unwrap_or_default(),
            }),
            Err(reason) => warnings.push(format!("{shown}: its record {record} cannot be read: {reason}")),
        }
    }
    (releases, warnings)
}

/// What Helm has stored: JSON, packed, in base64; as the value of a secret, which the server has in base64 again, or where
/// somebody wants it so, of a ConfigMap.
fn read(record: &Object) -> Result<Stored, String> {
    let text = record.value["data"]["release"].as_str().ok_or("it has no data")?;
    let decode = |bytes: &[u8]| STANDARD.decode(bytes).map_err(|_| "it is not base64".to_owned());
    let mut packed = decode(text.as_bytes())?;
    if record.is("", "Secret") {
        packed = decode(&packed)?;
    }
    let mut json = Vec::new();
    // Releases of Helm 2's days are not packed.
    if packed.starts_with(&[0x1f, 0x8b]) {
        let unpacked = GzDecoder::new(&packed[..]).take(MAX_RELEASE + 1).read_to_end(&mut json);
        unpacked.map_err(|error| format!("it cannot be unpacked: {error}"))?;
    } else {
        json = packed;
    }
    if json.len() as u64 > MAX_RELEASE {
        return Err(format!("it has more than {} MiB", MAX_RELEASE >> 20));
    }
    // The error's own text may quote a value, and values are secrets.
    serde_json::from_slice(&json).map_err(|_| "it is no release as Helm 3 and 4 have them".to_owned())
}

fn chart_of(stored: &StoredChart) -> Result<Chart, String> {
    let mut files = BTreeMap::new();
    unfold(stored, "", &mut files)?;
    let metadata = chart::of_files(&files).map_err(|reason| match declared(stored) {
        // This is what people have to understand; the reason alone sounds like damage.
        names if !names.is_empty() => format!("Helm keeps no subcharts in a release, and it has {}", names.join(", ")),
        _ => reason,
    })?;
    let definitions = files.iter().filter(|(path, _)| path.starts_with("crds/"));
    let definitions = definitions.flat_map(|(_, content)| definitions_in(&String::from_utf8_lossy(content))).collect();
    Ok(Chart { name: metadata.name, version: metadata.version, definitions, files })
}

fn declared(stored: &StoredChart) -> Vec<String> {
    let declared = stored.metadata["dependencies"].as_array().into_iter().flatten();
    declared.filter_map(|dependency| dependency["name"].as_str()).map(str::to_owned).collect()
}

/// The files of a chart and its subcharts, below `folder`.
fn unfold(stored: &StoredChart, folder: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let mut add = |path: &str, content: Vec<u8>| match files.insert(format!("{folder}{path}"), content) {
        Some(_) => Err(format!("it has {folder}{path} twice")),
        None => Ok(()),
    };
    let text = |value: &Value| yaml::written(value).map(String::into_bytes).map_err(|error| error.to_string());
    add("Chart.yaml", text(&stored.metadata)?)?;
    if let Some(values) = stored.values.as_ref().filter(|values| !values.is_empty()) {
        add("values.yaml", text(&Value::Object(values.clone()))?)?;
    }
    if let Some(schema) = stored.schema.as_ref().filter(|schema| !schema.is_empty()) {
        add("values.schema.json", decoded(schema, "values.schema.json")?)?;
    }
    for file in stored.templates.iter().chain(&stored.files).flatten() {
        add(&file.name, decoded(file.data.as_deref().unwrap_or_default(), &file.name)?)?;
    }
    for subchart in stored.dependencies.iter().flatten() {
        let name = subchart.metadata["name"].as_str().ok_or("it has a subchart without a name")?;
        unfold(subchart, &format!("{folder}charts/{name}/"), files)?;
    }
    Ok(())
}

fn decoded(data: &str, name: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(data).map_err(|_| format!("its file {name:?} is not base64"))
}

fn definitions_in(text: &str) -> Vec<String> {
    let documents = yaml::parse(text).documents;
    let name = |document: &yaml::Node| {
        document.get("kind").and_then(yaml::Node::text).filter(|kind| *kind == "CustomResourceDefinition")?;
        document.get("metadata")?.get("name")?.text().map(str::to_owned)
    };
    documents.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ApiKind;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use serde_json::json;
    use std::io::Write;

    fn record(packed: &[u8]) -> Object {
        let word = |text: &str| text.to_owned();
        let kind = ApiKind {
            group: word(""),
            version: word("v1"),
            plural: word("secrets"),
            kind: word("Secret"),
            namespaced: true,
        };
        let data = STANDARD.encode(STANDARD.encode(packed));
        let labels = json!({"name": "r", "status": "deployed", "version": "1"});
        let secret = json!({
            "metadata": {"name": "r", "namespace": "n", "labels": labels}, "type": "helm.sh/release.v1", "data": {"release": data},
        });
        Object::new(&kind, secret).unwrap()
    }

    fn packed(json: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(json).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_release_that_grows_without_end_is_refused() {
        let bomb = packed(&vec![b' '; MAX_RELEASE as usize + 1]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(read(&record(&bomb)).err().unwrap(), "it has more than 64 MiB");
    }

    #[test]
    fn subcharts_that_are_there_are_taken() {
        let chart = |name: &str, more: Value| {
            let mut chart = json!({"metadata": {"apiVersion": "v2", "name": name, "version": "1.0.0"}});
            chart.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            chart
        };
        let mut whole = chart("a", json!({"dependencies": [chart("b", json!({}))]}));
        whole["metadata"]["dependencies"] = json!([{"name": "b", "version": "1.0.0"}]);
        let stored = read(&record(&packed(json!({"chart": whole}).to_string().as_bytes()))).unwrap();
        let files: Vec<String> = chart_of(&stored.chart).unwrap().files.into_keys().collect();
        assert_eq!(files, ["Chart.yaml", "charts/b/Chart.yaml"]);
    }

    proptest! {
        #[test]
        fn any_record_is_a_release_or_told(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,40}") {
            let json = json!({"chart": {"metadata": {"name": text, "version": text}, "templates": [{"name": text, "data": text}]}});
            for packed in [bytes.clone(), packed(&bytes), packed(json.to_string().as_bytes())] {
                let (releases, warnings) = all(&[record(&packed)]);
                prop_assert_eq!(releases.len() + warnings.len(), 1);
            }
        }
    }
}
