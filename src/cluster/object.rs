//! One object of a cluster.

use std::fmt;

use serde_json::Value;

use super::ApiKind;

/// An object as the server has it.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its kind.
    pub kind: ApiKind,
    /// All of it, with `apiVersion` and `kind`.
    pub value: Value,
}

/// Who an object belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner<'o> {
    pub(super) uid: &'o str,
    pub(super) controller: bool,
}

impl Object {
    /// The object in `value`, an item of a list of objects of `kind`. Nothing where it is none.
    pub fn new(kind: &ApiKind, mut value: Value) -> Option<Self> {
        let fields = value.as_object_mut()?;
        // Items of lists of Kubernetes' own kinds leave out what the list says already.
        fields.insert("apiVersion".to_owned(), kind.api_version().into());
        fields.insert("kind".to_owned(), kind.kind.clone().into());
        let object = Self { kind: kind.clone(), value };
        let named = !object.name().is_empty() && object.namespace().is_some() == kind.namespaced;
        named.then_some(object)
    }

    /// Whether it is of this kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.kind.is(group, kind)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// Its namespace, where it lives in one.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
    }

    pub(super) fn uid(&self) -> Option<&str> {
        self.metadata("uid")
    }

    /// Whether it is about to be gone.
    pub(super) fn is_deleted(&self) -> bool {
        self.metadata("deletionTimestamp").is_some()
    }

    fn metadata(&self, field: &str) -> Option<&str> {
        self.value["metadata"][field].as_str()
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.value["metadata"]["annotations"][name].as_str()
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.value["metadata"]["labels"][name].as_str()
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = Owner<'_>> {
        let owners = self.value["metadata"]["ownerReferences"].as_array();
        owners.into_iter().flatten().filter_map(|owner| {
            Some(Owner { uid: owner["uid"].as_str()?, controller: owner["controller"].as_bool().unwrap_or_default() })
        })
    }

    /// What tells it from every other.
    pub(super) fn key(&self) -> (&ApiKind, Option<&str>, &str) {
        (&self.kind, self.namespace(), self.name())
    }

    /// Where its pods are described: the path of their `spec`.
    pub(super) fn pod_spec_path(&self) -> Option<&'static [&'static str]> {
        const TEMPLATE: &[&str] = &["spec", "template", "spec"];
        match (&*self.kind.group, &*self.kind.kind) {
            ("", "Pod") => Some(&["spec"]),
            ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => Some(TEMPLATE),
            ("batch", "Job") | ("", "ReplicationController") => Some(TEMPLATE),
            ("batch", "CronJob") => Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
            ("", "PodTemplate") => Some(&["template", "spec"]),
            _ => None,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.title())?;
        if let Some(namespace) = self.namespace() {
            write!(f, "{namespace}/")?;
        }
        f.write_str(self.name())
    }
}

/// The value below `path`.
pub(super) fn below<'v>(value: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().fold(value, |value, field| &value[*field])
}

/// The value below `path`, where there is one.
pub(super) fn below_mut<'v>(value: &'v mut Value, path: &[&str]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, field| value.get_mut(*field))
}
