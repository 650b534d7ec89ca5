//! Operators whose images are in their code: when a profile lacks them, and when it does not.

use super::spellings::read;

/// A Deployment of the operator `image`, with `more` fields of its container.
fn operator(image: &str, more: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: operator}}\nspec: {{template: {{spec: {{containers: [{{name: manager, image: '{image}'{more}}}]}}}}}}\n---\n"
    )
}

fn resource(kind: &str, api: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n")
}

fn pod(image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: other}}\nspec: {{containers: [{{name: a, image: '{image}'}}]}}\n---\n"
    )
}

/// What the hint says is missing, and all that is said.
fn lacks(manifest: &str, ignored: &str) -> (Vec<String>, Vec<String>) {
    let warnings = read(manifest, ignored).warnings;
    let listed = |warning: &String| {
        let (_, rest) = warning.split_once("and the profile lacks ")?;
        Some(rest.split_once(';')?.0.split(", ").map(str::to_owned).collect::<Vec<_>>())
    };
    (warnings.iter().filter_map(listed).flatten().collect(), warnings)
}

#[test]
fn an_operator_without_what_it_starts_is_named() {
    let cluster = |spec: &str| resource("Cluster", "postgresql.cnpg.io/v1", "db", spec);
    let elastic =
        |kind: &str, spec: &str| resource(kind, &format!("{}.k8s.elastic.co/v1", kind.to_lowercase()), "es", spec);
    let cnpg = operator("ghcr.io/cloudnative-pg/cloudnative-pg:1.27.0", "");
    let postgresql = "ghcr.io/cloudnative-pg/postgresql";
    for (manifest, missing) in [
        (cnpg.clone(), vec![postgresql]),
        (cnpg.clone() + &cluster("{instances: 3}"), vec![postgresql]),
        (
            cnpg.clone() + &cluster("{instances: 3}") + &resource("Pooler", "postgresql.cnpg.io/v1", "p", "{}"),
            vec!["ghcr.io/cloudnative-pg/pgbouncer", postgresql],
        ),
        // One names another image, and the other does not.
        (
            cnpg.clone()
                + &cluster("{imageName: 'registry.example.org/pg:16'}")
                + &resource("Cluster", "postgresql.cnpg.io/v1", "second", "{}"),
            vec![postgresql],
        ),
        (
            operator("docker.elastic.co/eck/eck-operator:3.1.0", "")
                + &elastic("Elasticsearch", "{version: 9.1.0, image: 'registry.example.org/es:9'}")
                + &elastic("Kibana", "{version: 9.1.0}"),
            vec!["docker.elastic.co/kibana/kibana"],
        ),
        // The operator comes from elsewhere, under another name say.
        (resource("RabbitmqCluster", "rabbitmq.com/v1beta1", "q", "{replicas: 3}"), vec!["docker.io/library/rabbitmq"]),
        (
            resource(
                "KubeArmorConfig",
                "operator.kubearmor.com/v1",
                "k",
                "{kubearmorImage: {image: 'registry.example.org/k:1'}, kubearmorInitImage: {image: 'registry.example.org/i:1'}}",
            ),
            vec![
                "docker.io/kubearmor/kubearmor-controller",
                "docker.io/kubearmor/kubearmor-relay-server",
                "docker.io/kubearmor/kubearmor-snitch",
            ],
        ),
        (operator("mirror.example.org/quay/tigera/operator:v1.38.6", ""), vec!["quay.io/calico/node"]),
        (
            operator("quay.io/prometheus-operator/prometheus-operator:v0.84.1", "")
                + &resource("Alertmanager", "monitoring.coreos.com/v1", "a", "{}"),
            vec!["quay.io/prometheus-operator/prometheus-config-reloader", "quay.io/prometheus/alertmanager"],
        ),
        (operator("nvcr.io/nvidia/gpu-operator:v25.3.2", ""), vec!["nvcr.io/nvidia/driver"]),
        (
            operator("docker.io/velero/velero:v1.16.1", "")
                + &resource("BackupStorageLocation", "velero.io/v1", "b", "{provider: aws}"),
            vec!["docker.io/velero/velero-plugin-for-*"],
        ),
    ] {
        let (listed, all) = lacks(&manifest, "");
        assert_eq!(listed, missing, "{manifest}\n{all:#?}");
        let [warning] = &all[..] else { panic!("{all:#?}: {manifest}") };
        assert!(
            warning.contains("pack a: ") && warning.contains("https://") && warning.contains(" decides "),
            "{warning}"
        );
    }
}

#[test]
fn an_operator_with_what_it_starts_is_not() {
    let cnpg = operator("ghcr.io/cloudnative-pg/cloudnative-pg:1.27.0", "");
    let argument = ", args: ['--collector-image=ghcr.io/open-telemetry/opentelemetry-collector-releases/opentelemetry-collector-k8s:0.131.0']";
    for manifest in [
        cnpg.clone() + &pod("mirror.example.org/cloudnative-pg/postgresql:17"),
        cnpg + &resource("Cluster", "postgresql.cnpg.io/v1", "db", "{imageName: 'registry.example.org/pg:16'}"),
        operator("rabbitmqoperator/cluster-operator:2.16.0", ", env: [{name: DEFAULT_RABBITMQ_IMAGE, value: 'rabbitmq:4.1.2-management'}]"),
        operator("ghcr.io/open-telemetry/opentelemetry-operator/opentelemetry-operator:0.131.0", argument),
        operator("ghcr.io/zalando/postgres-operator:v1.14.0", "")
            + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {docker_image: 'ghcr.io/zalando/spilo-17:4.0-p2'}\n",
        // Others have objects of these groups too.
        resource("ServiceMonitor", "monitoring.coreos.com/v1", "s", "{endpoints: [{port: http}]}"),
        resource("Cluster", "cluster.x-k8s.io/v1beta1", "c", "{}"),
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: rabbitmq.com/v1beta1, kind: RabbitmqCluster, metadata: {name: q}, spec: {image: 'registry.example.org/rabbit:4'}}]\n".to_owned(),
    ] {
        assert_eq!(lacks(&manifest, "").1, [""; 0], "{manifest}");
    }
}

#[test]
fn what_nothing_starts_can_be_ignored() {
    let velero = operator("docker.io/velero/velero:v1.16.1", "");
    assert_eq!(lacks(&velero, "{image: 'docker.io/velero/velero-plugin-for-*', reason: r}").1, [""; 0]);
    assert_eq!(lacks(&velero, "{image: 'velero/velero-plugin-for-aws:v1.12.0', reason: r}").1, [""; 0]);
    let (_, unused) =
        lacks(&pod("registry.example.org/a:1"), "{image: 'docker.io/velero/velero-plugin-for-*', reason: r}");
    assert!(matches!(&unused[..], [warning] if warning.contains("is found nowhere")), "{unused:?}");
}

#[test]
fn a_variable_may_have_half_a_name() {
    let variables = ", env: [{name: MONGODB_IMAGE, value: mongodb-community-server}, {name: MONGODB_REPO_URL, value: quay.io/mongodb}]";
    let manifest = operator("quay.io/mongodb/mongodb-kubernetes-operator:0.13.0", variables);
    let found = read(&manifest, "");
    assert_eq!(found.images, ["quay.io/mongodb/mongodb-kubernetes-operator:0.13.0"]);
    let (listed, all) = lacks(&manifest, "{image: mongodb-community-server, reason: r}");
    assert_eq!((listed.len(), all.len()), (1, 1), "{all:#?}");
    assert!(found.warnings.iter().any(|warning| warning.contains("\"mongodb-community-server\" is a part")));
}

#[test]
fn settings_with_dots_are_put_together() {
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  trivy.repository: registry.example.org/aquasec/trivy\n  trivy.tag: 0.64.1\n  trivy.severity: HIGH\n";
    assert_eq!(read(config, "").candidates, ["aquasec/trivy:0.64.1"]);
}
