//! What Kubernetes says of a node and of what runs on it, and what of that does not work. Pure: it reads what `kubectl get -o json`
//! prints.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What `kubectl get` of several objects prints.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    items: Vec<T>,
}

/// The name of an object, and what it is known by.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    generation: i64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// One of an object's conditions.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

/// A node.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    #[serde(default)]
    spec: NodeSpec,
    status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    taints: Vec<Taint>,
}

#[derive(Debug, Deserialize)]
struct Taint {
    key: String,
    effect: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    conditions: Vec<Condition>,
}

/// A Deployment, DaemonSet or StatefulSet.
#[derive(Debug, Deserialize)]
pub(super) struct Workload {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: WorkloadSpec,
    #[serde(default)]
    status: WorkloadStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WorkloadSpec {
    replicas: Option<i64>,
    selector: Selector,
    update_strategy: Strategy,
}

/// How pods of a DaemonSet or StatefulSet are replaced.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Strategy {
    r#type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WorkloadStatus {
    observed_generation: i64,
    replicas: i64,
    updated_replicas: i64,
    available_replicas: i64,
    ready_replicas: i64,
    desired_number_scheduled: i64,
    current_number_scheduled: i64,
}

/// A pod.
#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    node_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    conditions: Vec<Condition>,
    init_container_statuses: Vec<Container>,
    container_statuses: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    ready: bool,
    state: ContainerState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Reason>,
    terminated: Option<Reason>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reason {
    reason: String,
    message: String,
    exit_code: Option<i64>,
}

/// What is wanted of a cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The node.
    pub(super) node: &'a str,
    /// What was applied, `Deployment NAMESPACE/NAME`.
    pub(super) workloads: &'a [String],
    /// The releases of charts, `NAMESPACE/NAME`.
    pub(super) releases: &'a [String],
}

/// Something that is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unready {
    /// What, and why, in a sentence.
    pub(super) told: String,
    /// Whether it waits for a node that takes it: another one may have to join first.
    pub(super) for_a_node: bool,
    /// A pod of it that does not run, by namespace and name, which may have told more.
    pub(super) pod: Option<(String, String)>,
}

impl Unready {
    /// Something that no pod tells of.
    pub(super) fn of(told: String) -> Self {
        Self { told, for_a_node: false, pod: None }
    }
}

/// What a program printed, as what it should be.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// What is wrong with a node: it is not ready, or takes no pods for a reason of Kubernetes' own.
pub(super) fn of_node(node: &Node) -> Vec<String> {
    let wrong = |condition: &&Condition| match condition.r#type.as_str() {
        "Ready" => condition.status != "True",
        "MemoryPressure" | "DiskPressure" | "PIDPressure" | "NetworkUnavailable" => condition.status == "True",
        _ => false,
    };
    let told = |condition: &Condition| {
        let Condition { r#type, status, reason, message } = condition;
        format!("{type} is {status}{}", sentence(&[reason, message]))
    };
    let mut all: Vec<String> = node.status.conditions.iter().filter(wrong).map(told).collect();
    if !node.status.conditions.iter().any(|condition| condition.r#type == "Ready") {
        all.push("it has not said that it is ready".to_owned());
    }
    let own = |taint: &&Taint| taint.key.starts_with("node.kubernetes.io/") && taint.effect != "PreferNoSchedule";
    all.extend(node.spec.taints.iter().filter(own).map(|taint| format!("it has the taint {}", taint.key)));
    all
}

/// What of `wanted` is not ready.
pub(super) fn of_workloads(all: &List<Workload>, pods: &List<Pod>, wanted: Wanted<'_>) -> Vec<Unready> {
    let is = |workload: &Workload, named: &str| workload.named() == named;
    let missing = wanted.workloads.iter().filter(|named| !all.items.iter().any(|workload| is(workload, named)));
    let mut unready: Vec<Unready> = missing.map(|named| Unready::of(format!("{named} is not there"))).collect();
    let ours = |workload: &&Workload| {
        wanted.workloads.iter().any(|named| is(workload, named)) || workload.is_dns() || workload.is_of(wanted.releases)
    };
    unready.extend(all.items.iter().filter(ours).filter_map(|workload| workload.unready(&pods.items, wanted.node)));
    unready
}

/// Which of `releases` are not among those that are `installed`, a line for each.
pub(super) fn of_releases(installed: &str, releases: &[String]) -> Vec<Unready> {
    let missing = releases.iter().filter(|release| !installed.lines().any(|line| line.trim() == *release));
    missing.map(|release| Unready::of(format!("the release {release} is not installed yet"))).collect()
}

impl Workload {
    fn named(&self) -> String {
        format!("{} {}/{}", self.kind, self.metadata.namespace, self.metadata.name)
    }

    /// Whether it is the cluster's DNS.
    fn is_dns(&self) -> bool {
        self.metadata.namespace == "kube-system"
            && self.metadata.labels.get("k8s-app").is_some_and(|name| name == "kube-dns")
    }

    /// Whether it is of one of these releases, as Helm marks what it installs.
    fn is_of(&self, releases: &[String]) -> bool {
        let of = |key: &str| self.metadata.annotations.get(&format!("meta.helm.sh/{key}")).map(String::as_str);
        let (namespace, name) = (of("release-namespace").unwrap_or_default(), of("release-name").unwrap_or_default());
        releases.iter().any(|release| *release == format!("{namespace}/{name}"))
    }

    /// Whether somebody else removes pods that are to be replaced.
    fn is_left_to_others(&self) -> bool {
        self.spec.update_strategy.r#type == "OnDelete"
    }

    /// Whether a pod of this DaemonSet is of its newest template, as far as both say.
    fn has_made(&self, pod: &Pod) -> bool {
        let newest = self.metadata.annotations.get("deprecated.daemonset.template.generation");
        let own = pod.metadata.labels.get("pod-template-generation");
        self.is_left_to_others() || newest.is_none() || own.is_none() || newest == own
    }

    fn unready(&self, pods: &[Pod], node: &str) -> Option<Unready> {
        let Self { metadata, spec, status, .. } = self;
        let labels = &spec.selector.match_labels;
        let mine = |pod: &&Pod| {
            let has = |(key, value): (&String, &String)| pod.metadata.labels.get(key) == Some(value);
            pod.metadata.namespace == metadata.namespace && !labels.is_empty() && labels.iter().all(has)
        };
        let mut pods: Vec<&Pod> = pods.iter().filter(mine).collect();
        let seen = status.observed_generation >= metadata.generation;
        let count = if self.kind == "DaemonSet" {
            // Other nodes are not this machine's affair.
            pods.retain(|pod| pod.spec.node_name == node);
            let ready = pods.iter().filter(|pod| pod.is_ready() && self.has_made(pod)).count();
            let all_made = status.current_number_scheduled >= status.desired_number_scheduled;
            if seen && all_made && ready == pods.len() {
                return None;
            }
            format!("{ready} of {} pods on this node ready", pods.len())
        } else {
            let wanted = spec.replicas.unwrap_or(1);
            let there = if self.kind == "Deployment" { status.available_replicas } else { status.ready_replicas };
            // As `kubectl rollout status` sees it: old pods that still run would hide that new ones do not.
            let updated = self.is_left_to_others() || status.updated_replicas >= wanted;
            let old = if self.kind == "Deployment" { status.replicas - status.updated_replicas } else { 0 };
            if seen && updated && old <= 0 && there >= wanted {
                return None;
            }
            if old > 0 {
                format!("new pods do not take the place of {old} from before")
            } else if !updated && there >= wanted {
                format!("{} of {wanted} replaced", status.updated_replicas)
            } else {
                format!("{there} of {wanted} ready")
            }
        };
        let wrong: Vec<(&Pod, String)> = pods.iter().filter_map(|pod| Some((*pod, pod.why()?))).collect();
        let why = wrong.first().map_or_else(String::new, |(pod, why)| format!("; pod {}: {why}", pod.metadata.name));
        let named = wrong.first().map(|(pod, _)| (pod.metadata.namespace.clone(), pod.metadata.name.clone()));
        let for_a_node = !wrong.is_empty() && wrong.iter().all(|(pod, _)| pod.has_no_node());
        Some(Unready { told: format!("{}: {count}{why}", self.named()), for_a_node, pod: named })
    }
}

impl Pod {
    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
    }

    /// Whether no node takes it.
    fn has_no_node(&self) -> bool {
        self.unscheduled().is_some_and(|condition| condition.reason == "Unschedulable")
    }

    fn unscheduled(&self) -> Option<&Condition> {
        self.status.conditions.iter().find(|one| one.r#type == "PodScheduled" && one.status == "False")
    }

    /// Why it is not ready; nothing where it is.
    fn why(&self) -> Option<String> {
        if self.is_ready() {
            return None;
        }
        if let Some(condition) = self.unscheduled() {
            return Some(format!("no node takes it{}", sentence(&[&condition.message])));
        }
        let containers = self.status.init_container_statuses.iter().chain(&self.status.container_statuses);
        let stuck = containers.filter(|container| !container.ready).find_map(|container| {
            let waits = container.state.waiting.as_ref().map(|reason| ("waits", reason));
            let ended = container.state.terminated.as_ref().filter(|ended| ended.exit_code != Some(0));
            let (word, reason) = waits.or_else(|| ended.map(|reason| ("ended", reason)))?;
            Some(format!("container {} {word}{}", container.name, sentence(&[&reason.reason, &reason.message])))
        });
        Some(stuck.unwrap_or_else(|| "it is not ready yet".to_owned()))
    }
}

/// `: ` and what is not empty of some texts, in one line.
fn sentence(parts: &[&String]) -> String {
    let parts: Vec<String> = parts.iter().filter(|part| !part.is_empty()).map(|part| part.replace('\n', " ")).collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(": ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(conditions: serde_json::Value, taints: serde_json::Value) -> Vec<String> {
        of_node(&read(&json!({"spec": {"taints": taints}, "status": {"conditions": conditions}}).to_string()).unwrap())
    }

    #[test]
    fn a_node_says_what_is_wrong_with_it() {
        let ready = json!({"type": "Ready", "status": "True"});
        assert_eq!(node(json!([ready]), json!([])), [""; 0]);
        let full =
            json!({"type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure", "message": "full"});
        let taint = json!({"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"});
        let own = json!({"key": "dedicated", "effect": "NoSchedule"});
        assert_eq!(
            node(json!([ready, full]), json!([taint, own])),
            ["DiskPressure is True: KubeletHasDiskPressure: full", "it has the taint node.kubernetes.io/disk-pressure"]
        );
        let not = json!({"type": "Ready", "status": "False", "message": "cni plugin not initialized"});
        assert_eq!(node(json!([not]), json!([])), ["Ready is False: cni plugin not initialized"]);
        assert_eq!(node(json!([]), json!([])), ["it has not said that it is ready"]);
    }

    fn workload(kind: &str, name: &str, more: serde_json::Value) -> serde_json::Value {
        let mut one = json!({
            "kind": kind, "metadata": {"name": name, "namespace": "shop", "generation": 2},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}},
            "status": {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1},
        });
        for (key, value) in more.as_object().unwrap() {
            one[key] = value.clone();
        }
        one
    }

    fn pod(app: &str, node: &str, status: serde_json::Value) -> serde_json::Value {
        json!({"metadata": {"name": format!("{app}-x"), "namespace": "shop", "labels": {"app": app, "other": "a"}},
               "spec": {"nodeName": node}, "status": status})
    }

    fn told(workloads: Vec<serde_json::Value>, pods: Vec<serde_json::Value>, wanted: &[&str]) -> Vec<Unready> {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let all = read(&json!({"items": workloads}).to_string()).unwrap();
        let pods = read(&json!({"items": pods}).to_string()).unwrap();
        let releases = ["shop/till".to_owned()];
        of_workloads(&all, &pods, Wanted { node: "n1", workloads: &wanted, releases: &releases })
    }

    fn texts(unready: &[Unready]) -> Vec<&str> {
        unready.iter().map(|one| one.told.as_str()).collect()
    }

    #[test]
    fn what_was_applied_is_ready_or_says_why_not() {
        let stuck = json!({"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses":
            [{"name": "api", "state": {"waiting": {"reason": "ErrImageNeverPull", "message": "not\npresent"}}}]});
        let none = json!({"status": {"observedGeneration": 2}});
        let all = told(
            vec![
                workload("Deployment", "web", json!({})),
                workload("Deployment", "api", none.clone()),
                workload("Deployment", "theirs", none.clone()),
                workload(
                    "StatefulSet",
                    "db",
                    json!({"status": {"observedGeneration": 1, "readyReplicas": 1, "updatedReplicas": 1}}),
                ),
            ],
            vec![pod("api", "n1", stuck)],
            &["Deployment shop/web", "Deployment shop/api", "StatefulSet shop/db", "DaemonSet shop/log"],
        );
        assert_eq!(
            texts(&all),
            [
                "DaemonSet shop/log is not there",
                "Deployment shop/api: 0 of 1 ready; pod api-x: container api waits: ErrImageNeverPull: not present",
                "StatefulSet shop/db: 1 of 1 ready",
            ]
        );
        assert_eq!(all[1].pod, Some(("shop".to_owned(), "api-x".to_owned())));
    }

    /// The pod of before runs on, and the new one does not.
    #[test]
    fn what_is_not_replaced_yet_is_not_ready() {
        let status = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1});
        let stuck =
            json!({"containerStatuses": [{"name": "api", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]});
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let pods = vec![pod("api", "n1", ready.clone()), pod("api", "n1", stuck)];
        let all = told(vec![workload("Deployment", "api", json!({"status": status}))], pods, &["Deployment shop/api"]);
        assert_eq!(
            texts(&all),
            [
                "Deployment shop/api: new pods do not take the place of 1 from before; pod api-x: container api waits: CrashLoopBackOff"
            ]
        );
        let old = json!({"observedGeneration": 2, "readyReplicas": 1});
        let set = |more: serde_json::Value| workload("StatefulSet", "db", more);
        assert_eq!(
            texts(&told(vec![set(json!({"status": old}))], Vec::new(), &["StatefulSet shop/db"])),
            ["StatefulSet shop/db: 0 of 1 replaced"]
        );
        let by_hand = json!({"status": old, "spec": {"updateStrategy": {"type": "OnDelete"}}});
        assert_eq!(told(vec![set(by_hand)], Vec::new(), &["StatefulSet shop/db"]), []);
        let mut log = pod("log", "n1", ready);
        log["metadata"]["labels"]["pod-template-generation"] = "1".into();
        let mut set = workload("DaemonSet", "log", json!({}));
        set["metadata"]["annotations"] = json!({"deprecated.daemonset.template.generation": "2"});
        let all = told(vec![set], vec![log], &["DaemonSet shop/log"]);
        assert_eq!(texts(&all), ["DaemonSet shop/log: 0 of 1 pods on this node ready"]);
    }

    #[test]
    fn dns_and_releases_are_looked_at_too() {
        let none = json!({"observedGeneration": 2});
        let dns = json!({"metadata": {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}, "status": none});
        let release = json!({"metadata": {"name": "till", "namespace": "shop", "annotations":
            {"meta.helm.sh/release-name": "till", "meta.helm.sh/release-namespace": "shop"}}, "status": none});
        let all = told(vec![workload("Deployment", "a", dns), workload("Deployment", "b", release)], Vec::new(), &[]);
        assert_eq!(texts(&all), ["Deployment kube-system/coredns: 0 of 1 ready", "Deployment shop/till: 0 of 1 ready"]);
    }

    #[test]
    fn another_node_is_not_waited_for() {
        let down = json!({"conditions": [{"type": "Ready", "status": "False"}]});
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let set = || vec![workload("DaemonSet", "log", json!({"status": {"observedGeneration": 2}}))];
        let wanted = ["DaemonSet shop/log"];
        assert_eq!(told(set(), vec![pod("log", "n2", down.clone()), pod("log", "n1", ready)], &wanted), []);
        assert_eq!(
            texts(&told(set(), vec![pod("log", "n1", down)], &wanted)),
            ["DaemonSet shop/log: 0 of 1 pods on this node ready; pod log-x: it is not ready yet"]
        );
        let made = json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 1});
        let all = told(vec![workload("DaemonSet", "log", json!({"status": made}))], Vec::new(), &wanted);
        assert_eq!(texts(&all), ["DaemonSet shop/log: 0 of 0 pods on this node ready"], "its pods are still to come");
        let no_node = json!({"conditions":
            [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}]});
        let api = workload("Deployment", "api", json!({"status": {"observedGeneration": 2}}));
        let all = told(vec![api], vec![pod("api", "", no_node)], &["Deployment shop/api"]);
        assert!(
            all[0].for_a_node && all[0].told.ends_with("pod api-x: no node takes it: 0/1 nodes are available"),
            "{all:?}"
        );
    }
}
