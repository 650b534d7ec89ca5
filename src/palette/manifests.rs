//! Manifests of Palette packs. Those without templates stay manifests; those that Palette renders with values of their
//! own become charts, which is what Helm renders in the same way.

use serde_json::json;

use super::Import;
use super::document::{Ready, macros_in};
use super::error::PaletteError;
use super::functions;
use super::macros::Mapped;
use super::values::label;
use crate::profile::schema::{Chart, Values};
use crate::variables::template::scan;
use crate::yaml;

/// The field of a chart's values that has the variables of its templates.
const VARIABLES: &str = "paletteVariables";

/// A manifest of a pack.
pub(super) struct Manifest<'m> {
    /// As values name it.
    pub(super) name: &'m str,
    /// Where its text is from, for the list.
    pub(super) place: &'m str,
    /// Its field there, and the lines above it.
    pub(super) field: &'m str,
    pub(super) above: usize,
    /// With its templates mapped.
    pub(super) text: Mapped,
    /// What its templates are rendered with; nothing where Palette renders none.
    pub(super) values: Option<Ready>,
}

impl Manifest<'_> {
    /// Lists it, or a line of it.
    fn out(&self, import: &mut Import, line: Option<usize>, reason: impl Into<String>) {
        import.left.out(self.place, line.map(|line| self.above + line), self.field, reason);
    }
}

/// Where manifests and charts of a pack go to.
pub(super) struct Target<'t> {
    /// The pack's folder in the profile's, `packs/NAME`.
    pub(super) folder: &'t str,
    /// The name that Palette has for the pack.
    pub(super) pack: &'t str,
    /// A version for charts that are made.
    pub(super) version: &'t str,
    pub(super) namespace: Option<&'t str>,
    pub(super) release: Option<&'t str>,
}

/// What became of a manifest, with paths relative to the pack's folder.
pub(super) enum Became {
    Manifest(String),
    Chart(Box<Chart>),
    /// It lies beside, for somebody to look at.
    LeftOut,
}

/// Puts a manifest into the profile's folder.
pub(super) fn place(import: &mut Import, target: &Target<'_>, manifest: Manifest<'_>) -> Result<Became, PaletteError> {
    let stem = label(manifest.name.trim_end_matches(".yaml").trim_end_matches(".yml"), 60);
    let original = manifest.text.restore(&manifest.text.text);
    let rendered = manifest.values.is_some() && has_templates(&manifest.text.text);
    // What is a comment in YAML is a template to Helm.
    let found = if rendered { Ok(manifest.text.all(&manifest.text.text)) } else { macros_in(&manifest.text) };
    let (macros, broken) = match found {
        Ok(macros) => (macros, None),
        Err(broken) => (manifest.text.all(&manifest.text.text), Some(broken)),
    };
    for one in &macros {
        import.left.a_macro(manifest.place, Some(one.line), manifest.field, one);
    }
    if let Some((at, message)) = &broken {
        manifest.out(import, Some(*at), message);
    }
    let template = templated(&original);
    let unreadable = if rendered && macros.is_empty() { functions::unreadable(&template.text) } else { None };
    if let Some(reason) = &unreadable {
        manifest.out(import, None, reason);
    }
    if !macros.is_empty() || broken.is_some() || unreadable.is_some() {
        let path = free(import, &format!("{}/left-out/{stem}", target.folder));
        let reason =
            format!("this manifest is no part of the pack; it is in {path}, to be corrected and added to `manifests`");
        import.left.part(manifest.place, None, manifest.field, reason);
        import.folder.add(path, original)?;
        return Ok(Became::LeftOut);
    }
    match manifest.values {
        Some(values) if rendered => chart(import, target, &stem, template, values).map(Became::Chart),
        _ => {
            without_namespace(import, target, &manifest, &original);
            let path = free(import, &format!("{}/manifests/{stem}", target.folder));
            let within = path.replacen(target.folder, ".", 1);
            import.folder.add(path, original)?;
            Ok(Became::Manifest(within))
        }
    }
}

/// A path that is not taken.
fn free(import: &Import, base: &str) -> String {
    let numbered = (2..).map(|number| format!("{base}-{number}.yaml"));
    let mut paths = std::iter::once(format!("{base}.yaml")).chain(numbered);
    paths.find(|path| !import.folder.contains(path)).unwrap_or_default()
}

/// Whether a manifest that there are no values for is one as it stands, with what it has in braces.
pub(super) fn stays(text: &Mapped) -> bool {
    // What helm would fill in without values too, where it can read the template.
    let helms = [".Release.", ".Chart.", ".Capabilities."].iter().any(|field| text.text.contains(field));
    let is_helms = helms && functions::unreadable(&templated(&text.restore(&text.text)).text).is_none();
    !is_helms && macros_in(text).is_ok()
}

/// Whether Go would find a template in `text` that is no placeholder.
pub(super) fn has_templates(text: &str) -> bool {
    let (mut rest, mut from) = (String::new(), 0);
    for one in scan(text).placeholders {
        rest.push_str(&text[from..one.bytes.start]);
        from = one.bytes.end;
    }
    rest.push_str(&text[from..]);
    rest.contains("{{")
}

/// Whether a manifest's template only puts out the text that the values hold.
pub(super) fn is_only_contents(text: &str) -> bool {
    let inner = text.trim().strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
    inner.is_some_and(|inner| inner.trim_matches(['-', ' ', '\n']) == ".Values.contents")
}

/// Kubernetes puts objects without a namespace into `default`, and Palette into the pack's.
fn without_namespace(import: &mut Import, target: &Target<'_>, manifest: &Manifest<'_>, text: &str) {
    let Some(namespace) = target.namespace.filter(|namespace| *namespace != "default") else { return };
    let Ok(protected) = crate::variables::template::protect(text) else { return };
    const OF_CLUSTER: &[&str] = &[
        "Namespace",
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
        "PersistentVolume",
        "StorageClass",
        "PriorityClass",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "APIService",
        "IngressClass",
        "RuntimeClass",
        "CSIDriver",
    ];
    for document in yaml::parse_with_merge_keys(protected.text()).documents {
        let kind = document.get("kind").and_then(|kind| kind.text()).unwrap_or_default();
        let named = document.get("metadata").is_some_and(|metadata| metadata.get("namespace").is_some());
        if !kind.is_empty() && !named && !OF_CLUSTER.contains(&kind) {
            let reason = format!(
                "this {kind} names no namespace, and Palette puts it into {namespace:?}; write it into the manifest"
            );
            manifest.out(import, Some(document.at.line), reason);
        }
    }
}

/// A manifest as the template of a chart.
struct Template {
    text: String,
    /// The variables in it, as values.
    variables: serde_json::Map<String, serde_json::Value>,
}

fn templated(text: &str) -> Template {
    // A chart's templates are the same at every place; variables come in as values.
    let (mut template, mut from) = (String::new(), 0);
    let mut variables = serde_json::Map::new();
    for one in scan(text).placeholders {
        template.push_str(&text[from..one.bytes.start]);
        let placeholder = serde_json::Value::from(text[one.bytes.clone()].replace("\\\"", "\""));
        // The same variable may have two defaults.
        let mut name = one.name;
        while variables.get(&name).is_some_and(|other| *other != placeholder) {
            name.push('_');
        }
        template.push_str(&format!("{{{{ .Values.{VARIABLES}.{name} }}}}"));
        variables.insert(name, placeholder);
        from = one.bytes.end;
    }
    template.push_str(&text[from..]);
    Template { text: template, variables }
}

/// A chart whose one template is the manifest.
fn chart(
    import: &mut Import,
    target: &Target<'_>,
    stem: &str,
    template: Template,
    values: Ready,
) -> Result<Box<Chart>, PaletteError> {
    let Template { text, variables } = template;
    let chart = json!({"apiVersion": "v2", "name": stem, "version": target.version});
    let base = format!("{}/charts/{stem}", target.folder);
    import.folder.add(format!("{base}/Chart.yaml"), yaml::written(&chart)?)?;
    import.folder.add(format!("{base}/templates/{stem}.yaml"), text)?;
    let mut files = Vec::new();
    if !values.is_empty() {
        let path = free(import, &format!("{}/values/{stem}", target.folder));
        files.push(Values::File(path.replacen(target.folder, ".", 1)));
        import.folder.add(path, values.written()?)?;
    }
    if !variables.is_empty() {
        files.push(Values::Here([(VARIABLES.to_owned(), variables.into())].into_iter().collect()));
    }
    Ok(Box::new(Chart {
        source: Some(format!("./charts/{stem}")),
        release: Some(release(target, stem)),
        namespace: target.namespace.map(str::to_owned),
        values: Some(files).filter(|files| !files.is_empty()),
        ..Chart::default()
    }))
}

/// Palette calls releases after the pack and the chart.
pub(super) fn release(target: &Target<'_>, chart: &str) -> String {
    label(target.release.unwrap_or(&format!("{}-{chart}", target.pack)), 53)
}
