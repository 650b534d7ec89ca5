//! Servers that answer in pages, refuse, break off or say nothing.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::json;

use super::cluster::{Cluster, object, template};
use super::server::{ApiServer, Fault};
use super::{Place, succeed};

#[test]
fn a_thousand_objects_come_in_pages_even_where_the_server_forgets() {
    let cluster = Cluster::new(ApiServer::plain());
    for number in 0..1100 {
        let data = json!({"data": {"number": number.to_string()}});
        cluster.add(object("v1", "ConfigMap", "shop", &format!("map-{number}"), data.clone()));
        cluster.add(object("example.org/v1", "Widget", "shop", &format!("widget-{number}"), data));
    }
    cluster.server.fault("widgets", Fault::Gone(1));
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    assert!(ran.stderr.contains("2202 objects") && !ran.stderr.contains("warning"), "{}", ran.stderr);
    for (file, name) in [("configmaps", "map"), ("widgets.example.org", "widget")] {
        let text = place.file(&format!("shop/{file}.yaml"));
        let there = |number: usize| text.contains(&format!("name: {name}-{number}\n"));
        assert!((0..1100).all(there) && text.matches("kind: ").count() == 1100, "{file}");
    }
    let asked: Vec<String> =
        cluster.server.requests().into_iter().filter(|request| request.contains("/configmaps")).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[1].contains("limit=500") && asked[2].contains("continue=after-1000"), "{asked:?}");
    succeed(place.sandbox.carrack(&["check", "out"]));
}

#[test]
fn what_cannot_be_read_is_told_by_kind_and_the_rest_is_exported() {
    let mut cluster = Cluster::new(ApiServer::plain());
    let image = cluster.moved("shop/web");
    cluster.add(object("apps/v1", "DaemonSet", "shop", "web", json!({"spec": {"template": template(&image.0)}})));
    cluster.pod("web-1", Some(("apps/v1", "DaemonSet", "web")), &[("main", &image)]);
    cluster.add(object("v1", "Service", "shop", "web", json!({"spec": {"ports": [{"port": 80}]}})));
    cluster.server.fault("ingresses", Fault::Forbidden);
    cluster.server.fault("clusterroles", Fault::Silent);
    cluster.server.fault("services", Fault::Broken);
    cluster.server.fault("configmaps", Fault::Garbage);
    cluster.server.group_down("down.example.org/v1");
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&["--request-timeout", "5"]));
    let notes = place.file("NOT-EXPORTED.md");
    for told in [
        "Ingress.networking.k8s.io: forbidden: ingresses is forbidden: User \"me\" cannot list resource \"ingresses\"",
        "ClusterRole.rbac.authorization.k8s.io: no answer within 5 s",
        "Service: the answer breaks off",
        "ConfigMap: the answer is no list of objects",
        "down.example.org/v1: status 500: the aggregated API is down",
    ] {
        assert!(ran.stderr.contains(&format!("warning: not read: {told}")), "{told}: {}", ran.stderr);
        assert!(notes.contains(told), "{told}: {notes}");
    }
    assert!(!format!("{}{notes}", ran.stderr).contains("canary"));
    assert_eq!(place.build(&[]), super::expected(&cluster));
    cluster.server.heal("clusterroles");
    let json = place.sandbox.carrack(&["export", "--from-cluster", "-o", "again", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&succeed(json).stdout).unwrap();
    let not_read = report["notRead"].as_array().unwrap();
    assert_eq!(not_read.len(), 4, "{report}");
    let forbidden: Vec<&serde_json::Value> = not_read.iter().filter(|one| one["forbidden"] == true).collect();
    assert_eq!(forbidden[0]["kind"], "Ingress.networking.k8s.io");
}

#[test]
fn answers_without_an_end_are_given_up() {
    let cluster = Cluster::new(ApiServer::plain());
    cluster.add(object("v1", "ConfigMap", "shop", "map", json!({"data": {"a": "b"}})));
    cluster.server.kind("big.example.org/v1", "bigs", "Big", true);
    cluster.server.kind("large.example.org/v7", "larges", "Large", true);
    cluster.server.fault("bigs", Fault::Endless);
    cluster.server.fault("widgets", Fault::EndlessError);
    cluster.server.fault("v7", Fault::Endless);
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&["--request-timeout", "60"]));
    for told in [
        "Big.big.example.org: an answer has more than 64 MiB",
        "Widget.example.org: status 500: Internal Server Error",
        "large.example.org/v7: an answer has more than 16 MiB",
    ] {
        assert!(ran.stderr.contains(&format!("warning: not read: {told}\n")), "{told}: {}", ran.stderr);
    }
    for (fault, told) in [
        (Fault::Endless, "gives no answer: an answer has more than 16 MiB"),
        (Fault::EndlessError, "gives no answer: status 500: Internal Server Error"),
    ] {
        cluster.server.fault("apis", fault);
        let ran = place.sandbox.carrack(&["export", "--from-cluster", "-o", "other", "--request-timeout", "60"]);
        assert_eq!(ran.code, 20, "{ran:?}");
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
}

#[test]
fn a_list_that_the_server_forgets_twice_is_given_up() {
    let cluster = Cluster::new(ApiServer::plain());
    cluster.add(object("v1", "ConfigMap", "shop", "map", json!({"data": {"a": "b"}})));
    for number in 0..600 {
        cluster.add(object("example.org/v1", "Widget", "shop", &format!("widget-{number}"), json!({})));
    }
    cluster.server.fault("widgets", Fault::Gone(2));
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    let told = "not read: Widget.example.org: status 410: The provided continue parameter is too old";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert_eq!(cluster.server.requests().iter().filter(|request| request.contains("/widgets")).count(), 4);
}

#[test]
fn pages_without_an_end_are_given_up() {
    let cluster = Cluster::new(ApiServer::plain());
    cluster.add(object("v1", "ConfigMap", "shop", "map", json!({"data": {"a": "b"}})));
    cluster.server.kind("round.example.org/v1", "rounds", "Round", true);
    cluster.server.fault("widgets", Fault::Pages);
    cluster.server.fault("rounds", Fault::Circle);
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    for told in [
        "Widget.example.org: its list has more than 2000 pages",
        "Round.round.example.org: the server's list goes round in circles",
    ] {
        assert!(ran.stderr.contains(&format!("warning: not read: {told}\n")), "{told}: {}", ran.stderr);
    }
    let requests = cluster.server.requests();
    let of = |plural: &str| requests.iter().filter(|request| request.contains(plural)).count();
    assert_eq!((of("/widgets"), of("/rounds")), (2_001, 2));
    assert_eq!(place.build(&[]), super::expected(&cluster));
}

#[test]
fn kinds_whose_names_lead_elsewhere_are_left_alone() {
    let cluster = Cluster::new(ApiServer::plain());
    cluster.add(object("v1", "ConfigMap", "shop", "map", json!({"data": {"a": "b"}})));
    cluster.server.kind("up..example.org/v1", "things", "Thing", true);
    cluster.server.kind("example.org/v1", "..", "Parent", true);
    cluster.server.kind("example.org/v1", "wide?watch=1&x", "Wide", true);
    cluster.server.kind("example.org/v1", &"x".repeat(150), "Long", true);
    cluster.server.kind("hash#.example.org/v1", "hashes", "Hash", true);
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    for told in
        ["up..example.org/v1", "Parent.example.org", "Wide.example.org", "Long.example.org", "hash#.example.org/v1"]
    {
        let told = format!("warning: not read: \"{told}\": its name is none that Kubernetes allows");
        assert!(ran.stderr.contains(&told), "{told}: {}", ran.stderr);
    }
    let requests = cluster.server.requests();
    let strange = |request: &&String| ["..", "watch=1", "xxx", "hash"].iter().any(|part| request.contains(part));
    assert_eq!(requests.iter().find(strange), None);
    succeed(place.sandbox.carrack(&["check", "out"]));
}

#[test]
fn a_server_that_does_not_answer_is_an_error() {
    let cluster = Cluster::new(ApiServer::plain());
    let place = Place::of(&cluster);
    let run = |more: &[&str]| place.export(more);
    let gone = run(&["--context", "gone"]);
    assert_eq!(gone.code, 20, "{gone:?}");
    assert!(gone.stderr.contains("gives no answer") && gone.stderr.contains("refused"), "{}", gone.stderr);
    let unknown = run(&["--context", "mars"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.stderr.contains("\"mars\"") && unknown.stderr.contains("lab, gone"), "{}", unknown.stderr);
    cluster.server.fault("apis", Fault::Silent);
    let silent = run(&["--request-timeout", "1"]);
    assert_eq!(silent.code, 20, "{silent:?}");
    assert!(silent.stderr.contains("no answer within 1 s"), "{}", silent.stderr);
    cluster.server.require("another");
    cluster.server.fault("apis", Fault::Forbidden);
    let stranger = run(&[]);
    assert_eq!(stranger.code, 20, "{stranger:?}");
    assert!(stranger.stderr.contains("does not know this user"), "{}", stranger.stderr);
    assert!(!place.sandbox.work().join("out").exists());
    std::fs::remove_file(place.sandbox.work().with_file_name("home").join(".kube/config")).unwrap();
    let without = run(&[]);
    assert_eq!(without.code, 25, "{without:?}");
    assert!(without.stderr.contains("kubeconfig"), "{}", without.stderr);
}

#[test]
fn a_user_of_one_namespace_can_export_it() {
    let cluster = Cluster::new(ApiServer::plain());
    cluster.add(object("v1", "ConfigMap", "shop", "mine", json!({"data": {"a": "b"}})));
    cluster.add(object("v1", "ConfigMap", "pay", "theirs", json!({"data": {"a": "b"}})));
    for plural in ["configmaps", "pods", "secrets", "services", "serviceaccounts", "namespaces", "nodes", "widgets"] {
        cluster.server.fault(plural, Fault::ForbiddenOutside("shop"));
    }
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&["--namespaces", "shop"]));
    assert!(ran.stderr.contains("not read: Namespace: forbidden"), "{}", ran.stderr);
    assert!(ran.stderr.contains("No pack on layer k8s"), "{}", ran.stderr);
    let text = place.file("shop/configmaps.yaml");
    assert!(text.contains("mine") && !text.contains("theirs"), "{text}");
    succeed(place.sandbox.carrack(&["check", "out"]));
    assert!(cluster.server.requests().iter().all(|request| !request.contains("/clusterroles")));
    let wrong = place.sandbox.carrack(&["export", "--from-cluster", "--namespaces", "../x", "-o", "other"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
}

#[test]
fn nothing_is_written_over_what_is_there() {
    let cluster = Cluster::new(ApiServer::plain());
    let place = Place::of(&cluster);
    place.sandbox.write("out/mine.txt", "x");
    let ran = place.export(&[]);
    assert_eq!(ran.code, 25, "{ran:?}");
    assert!(ran.stderr.contains("out is there and not empty"), "{}", ran.stderr);
    assert_eq!(cluster.server.requests(), [""; 0], "the server was asked for nothing");
}

#[test]
fn a_server_is_reached_over_tls_with_a_token() {
    let cluster = Cluster::new(ApiServer::secure());
    cluster.server.require("token-of-a-user");
    cluster.add(object("v1", "ConfigMap", "shop", "mine", json!({"data": {"a": "b"}})));
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    assert!(place.file("shop/configmaps.yaml").contains("mine"), "{}", ran.stderr);
    assert!(place.files().iter().all(|file| !std::fs::read_to_string(file).unwrap().contains("token-of-a-user")));
}

#[test]
fn a_proxy_is_used_where_it_is_meant() {
    let cluster = Cluster::new(ApiServer::secure());
    cluster.add(object("v1", "ConfigMap", "shop", "mine", json!({"data": {"a": "b"}})));
    let place = Place::of(&cluster);
    let run = |output: &str, environment: &[(&str, &str)]| {
        let environment: Vec<(&str, &OsStr)> = environment.iter().map(|(key, value)| (*key, value.as_ref())).collect();
        let arguments = ["export", "--from-cluster", "-o", output];
        place.sandbox.run_with(Path::new(env!("CARGO_BIN_EXE_carrack")), &arguments, &environment)
    };
    // Nobody listens there, and nobody is asked for this machine.
    succeed(run("direct", &[("HTTPS_PROXY", "http://127.0.0.1:1")]));
    let file = place.sandbox.work().with_file_name("home").join(".kube/config");
    // This machine too, and no address of its own.
    let server = format!("0.0.0.0:{}", cluster.server.address().port());
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace(&cluster.server.address().to_string(), &server)).unwrap();
    let proxy = format!("http://{}", cluster.server.address());
    succeed(run("through", &[("HTTPS_PROXY", &proxy)]));
    let tunnels = || cluster.server.requests().iter().filter(|asked| asked.starts_with("CONNECT ")).count();
    let used = tunnels();
    assert!(used > 0 && cluster.server.requests().contains(&format!("CONNECT {server} HTTP/1.1")));
    succeed(run("around", &[("HTTPS_PROXY", &proxy), ("NO_PROXY", "0.0.0.0/8")]));
    assert_eq!(tunnels(), used);
}

/// What a credential plugin was given and what it printed is not in any message, nor is a password in an address.
#[test]
fn credentials_are_in_no_message() {
    let place = Place::of(&Cluster::new(ApiServer::plain()));
    for user in [
        r#"{"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "sh",
            "args": ["-c", "echo canary-out; echo canary-err >&2; exit 3", "canary-argument"],
            "env": [{"name": "KEY", "value": "canary-environment"}]}}"#,
        r#"{"token": "canary-token"}"#,
    ] {
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: c, user: u}}}}], \
             clusters: [{{name: c, cluster: {{server: \"https://me:canary-password@127.0.0.1:1\"}}}}], users: [{{name: u, \
             user: {user}}}]}}"
        );
        std::fs::write(place.sandbox.work().join("../home/.kube/config"), text).unwrap();
        for json in [&["--json"][..], &[]] {
            let ran = place.export(json);
            assert_ne!(ran.code, 0, "{ran:?}");
            assert!(format!("{ran:?}").contains("127.0.0.1:1") && !format!("{ran:?}").contains("canary"), "{ran:?}");
        }
    }
}
