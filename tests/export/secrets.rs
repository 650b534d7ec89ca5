//! Values of secrets: nowhere, unless they are asked for.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::cluster::{CANARIES, Cluster, by_helm, object, release, secret, template};
use super::server::ApiServer;
use super::{Place, succeed};

fn cluster() -> Cluster {
    let cluster = Cluster::new(ApiServer::plain());
    cluster.add(secret(
        "shop",
        "db",
        "Opaque",
        &[("password", CANARIES[0].as_bytes()), ("user.name", CANARIES[1].as_bytes())],
    ));
    cluster.add(secret(
        "shop",
        "db-2",
        "Opaque",
        &[("user", b""), ("binary", &[0xff, 0xfe, 0x00]), ("same", CANARIES[0].as_bytes())],
    ));
    cluster.add(secret("shop", "tls", "kubernetes.io/tls", &[("tls.key", CANARIES[3].as_bytes())]));
    cluster.add(secret("shop", "web-token", "kubernetes.io/service-account-token", &[("token", b"canary-of-a-token")]));
    let chart = json!({
        "metadata": {"apiVersion": "v2", "name": "blog", "version": "1.0.0"}, "values": {"auth": {"password": ""}}, "files": {},
        "templates": {"templates/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\nstringData: {p: {{ .Values.auth.password | quote }}}\n"},
    });
    let values = json!({"auth": {"password": CANARIES[4], "existingSecret": "blog-db"}, "url": format!("db://u:{}@h", CANARIES[2]), "replicas": 2});
    cluster.add(release("shop", "blog", 1, "deployed", &chart, &values));
    let made = secret("shop", "blog-made", "Opaque", &[("p", CANARIES[2].as_bytes())]);
    cluster.add(by_helm(made, "shop", "blog"));
    let mut spec = json!({"template": template("quay.io/shop/web:1")});
    spec["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "URL", "value": format!("postgres://shop:{}@db", CANARIES[0])}]);
    cluster.add(object("apps/v1", "Deployment", "shop", "web", json!({"spec": spec})));
    cluster
}

#[test]
fn no_value_of_a_secret_is_anywhere() {
    let cluster = cluster();
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&["-v"]));
    let mut all = format!("{}{}", ran.stdout, ran.stderr);
    for file in place.files() {
        all += &std::fs::read_to_string(file).unwrap();
    }
    assert!(!all.contains("canary"), "{all}");
    for canary in CANARIES {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(canary);
        assert!(!all.contains(&encoded[..encoded.len() - 4]), "{encoded}");
    }
    let secrets = place.file("shop/secrets.yaml");
    for there in [
        "password: \"{{.carrack.var.secret_shop_db_password}}\"",
        "user.name: \"{{.carrack.var.secret_shop_db_user_name}}\"",
        "binary: \"{{.carrack.var.secret_shop_db_2_binary}}\"",
        "same: \"{{.carrack.var.secret_shop_db_password}}\"",
        "user: \"\"",
        "type: kubernetes.io/tls",
    ] {
        assert!(secrets.contains(there), "{there}: {secrets}");
    }
    assert!(!secrets.contains("web-token") && !secrets.contains("blog"), "{secrets}");
    assert!(
        place.file("shop/deployments.yaml").contains("postgres://shop:{{.carrack.var.secret_shop_db_password}}@db")
    );
    let values = place.file("blog/values.yaml");
    assert!(values.contains("db://u:{{.carrack.var.secret_shop_blog_made_p}}@h"), "{values}");
    assert!(values.contains("password: \"{{.carrack.var.secret_blog_auth_password}}\""), "{values}");
    assert!(values.contains("existingSecret: blog-db") && values.contains("replicas: 2"), "{values}");
    let profile = place.file("carrack.yaml");
    assert_eq!(profile.matches("sensitive: true").count(), 6, "{profile}");
    assert!(profile.contains("The value binary of the Secret shop/db-2, in base64"), "{profile}");
    succeed(place.sandbox.carrack(&["check", "out", "--allow-unrendered"]));
}

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
const WEBHOOK: &str = "https://hooks.slack.com/services/T0CANARY1/B0CANARY2/XXcanaryXXXXXXXXXXXXXXXXX";
const LOGIN: &str = "admin:S3cretCanary42";
/// Its forms of base64 all differ.
const SIGNS: &str = "canary>>>???~~~1";
const NUMBER: u64 = 7_391_845_026;
const KEYSTORE: &[u8] = &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0xff, 0x3f, 0xfe];

/// `value` and what else it may be found as.
fn forms(value: &[u8]) -> Vec<String> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let raw = String::from_utf8(value.to_vec()).ok();
    [STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value)].into_iter().chain(raw).collect()
}

#[test]
fn no_copy_of_a_value_is_anywhere_in_any_shape() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    let number = NUMBER.to_string();
    let held: [(&str, &[u8]); 8] = [
        ("jwt", JWT.as_bytes()),
        ("webhook", WEBHOOK.as_bytes()),
        ("login", LOGIN.as_bytes()),
        ("signs", SIGNS.as_bytes()),
        ("number", number.as_bytes()),
        ("keystore", KEYSTORE),
        ("line", b"canary-of-a-line\n"),
        ("quoted", b"canary \"line\"\nand more"),
    ];
    let cluster = Cluster::new(ApiServer::plain());
    let mut db = secret("shop", "db", "Opaque", &held);
    let earlier = STANDARD.encode("canary-of-an-earlier-day");
    let annotations = &mut db["metadata"]["annotations"];
    annotations["kapp.k14s.io/original"] = json!({"data": {"login": earlier}}).to_string().into();
    annotations["example.org/note"] = format!("see {LOGIN}").into();
    annotations["example.org/hash"] = STANDARD.encode(SIGNS).into();
    annotations["example.org/owner"] = "blue".into();
    cluster.add(db);
    let copies = |value: &[u8]| {
        let raw = String::from_utf8(value.to_vec()).unwrap_or_default();
        let encoded = [STANDARD.encode(value), STANDARD_NO_PAD.encode(value), URL_SAFE.encode(value)];
        format!("raw={} in=({raw}) {}", raw.trim(), encoded.join(" "))
    };
    let all: serde_json::Map<String, serde_json::Value> =
        held.iter().map(|(key, value)| ((*key).to_owned(), copies(value).into())).collect();
    cluster.add(object("v1", "ConfigMap", "shop", "copies", json!({"data": all})));
    cluster.add(object("v1", "ConfigMap", "shop", "binary", json!({"binaryData": {"x": STANDARD.encode(KEYSTORE)}})));
    cluster.add(object("example.org/v1", "Widget", "shop", "copies", json!({"spec": {"deep": [all, NUMBER]}})));
    let mut spec = json!({"template": template("quay.io/shop/web:1")});
    spec["template"]["spec"]["containers"][0]["env"] = json!([
        {"name": "KEY", "value": URL_SAFE.encode(SIGNS)},
        {"name": "URL", "value": "amqp://u:canary%3E%3E%3E%3F%3F%3F~~~1@mq"},
        {"name": "JSON", "value": json!({"a": "canary \"line\"\nand more"}).to_string()},
    ]);
    cluster.add(object("apps/v1", "Deployment", "shop", "web", json!({"spec": spec})));
    let chart = |template: &str| {
        json!({
            "metadata": {"apiVersion": "v2", "name": "blog", "version": "1.0.0"}, "values": {}, "files": {},
            "templates": {"templates/c.yaml": format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: b}}\n{template}")},
        })
    };
    let values = json!({
        "copies": all, "password": 5_550_123_999_u64, "db": {"pass": "canary-pass", "DB_PWD": "canary-pwd"},
        "env": [{"name": "DB_PWD", "value": 5_550_124_000_u64}], "token": {"value": 5_550_125_111_u64, "ttl": 86_399},
        "passthrough": "tls-passthrough", "bypass": "10.0.0.0/8", "passwordLength": 12, "secrets": {"create": true},
    });
    cluster.add(release("shop", "blog", 1, "deployed", &chart(""), &values));
    cluster.add(release("pay", "leaky", 1, "deployed", &chart(&format!("data: {{a: {LOGIN:?}}}\n")), &json!({})));
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&["-v"]));
    let mut shown = format!("{}{}", ran.stdout, ran.stderr);
    for file in place.files() {
        shown += &std::fs::read_to_string(file).unwrap();
    }
    let more: [&[u8]; 6] =
        [b"canary-of-an-earlier-day", b"canary-pass", b"canary-pwd", b"5550123999", b"5550124000", b"5550125111"];
    for canary in held.iter().map(|(_, value)| *value).chain(more).chain([&b"canary-of-a-line"[..]]).flat_map(forms) {
        assert!(!shown.contains(&canary), "{canary}: {shown}");
    }
    assert!(!shown.to_lowercase().contains("canary"), "{shown}");
    let secrets = place.file("shop/secrets.yaml");
    assert!(secrets.contains("example.org/owner: blue") && secrets.contains("team: blue"), "{secrets}");
    let told = "Secret shop/db: its annotation kapp.k14s.io/original is left out";
    assert!(ran.stderr.contains(told) && place.file("NOT-EXPORTED.md").contains(told), "{}", ran.stderr);
    assert!(ran.stderr.contains("its file templates/c.yaml has the value of a secret"), "{}", ran.stderr);
    let values = place.file("blog/values.yaml");
    for kept in
        ["passthrough: tls-passthrough", "bypass: 10.0.0.0/8", "passwordLength: 12", "ttl: 86399", "create: true"]
    {
        assert!(values.contains(kept), "{kept}: {values}");
    }
    assert!(place.file("carrack.yaml").contains("The value signs of the Secret shop/db, in base64 for URLs\n"));
    succeed(place.sandbox.carrack(&["check", "out", "--allow-unrendered"]));
}

#[test]
fn values_that_are_asked_for_are_there_and_for_the_user_alone() {
    let cluster = cluster();
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&["--with-secrets"]));
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("canary"), "{ran:?}");
    assert!(place.file("blog/values.yaml").contains(CANARIES[4]));
    assert!(!place.file("carrack.yaml").contains("variables"));
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(CANARIES[0]);
    assert!(place.file("shop/secrets.yaml").contains(&encoded));
    let mode = |path: &str| place.sandbox.work().join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("out"), mode("out/shop/secrets.yaml"), mode("out/blog/values.yaml")], [0o700, 0o600, 0o600]);
    succeed(place.sandbox.carrack(&["check", "out", "--allow-unrendered"]));
}

#[test]
fn names_of_variables_are_valid_and_there_once() {
    let cluster = Cluster::new(ApiServer::plain());
    let long = "a".repeat(200);
    for (name, key) in [("a-b", "c"), ("a", "b-c"), ("a", "b.c"), ("a", "b_c"), (&*long, "x"), (&*long, "y")] {
        cluster.add(secret("shop", name, "Opaque", &[(key, format!("value of {name} {key}").as_bytes())]));
    }
    let place = Place::of(&cluster);
    // The server has three objects of one name here, as none has; each is told apart by its key.
    succeed(place.export(&[]));
    succeed(place.sandbox.carrack(&["check", "out", "--allow-unrendered"]));
    let profile = place.file("carrack.yaml");
    assert!(profile.contains("name: secret_shop_a_b_c\n"), "{profile}");
}

#[test]
fn a_text_like_a_placeholder_stays_that_text() {
    let cluster = Cluster::new(ApiServer::plain());
    let data = json!({"data": {"x": "say {{ .carrack.var.y }} and {{ .Values.z }}", "plain": "{{ .Values.z }}"}});
    cluster.add(object("v1", "ConfigMap", "shop", "tricky", data));
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    assert!(ran.stderr.contains("ConfigMap shop/tricky: has a text like {{.carrack…}}"), "{}", ran.stderr);
    succeed(place.sandbox.carrack(&["check", "out", "--allow-unrendered"]));
    let read = &carrack::yaml::parse(&place.file("shop/configmaps.yaml")).documents[0];
    let text = read.get("data").unwrap().get("x").unwrap().text();
    assert_eq!(text, Some("say {{ .carrack.var.y }} and {{ .Values.z }}"));
    assert_eq!(place.build(&[]), super::expected(&cluster));
}

#[test]
fn the_installer_asks_for_what_was_left_out() {
    let mut cluster = Cluster::new(ApiServer::plain());
    let image = cluster.moved("shop/web");
    cluster.add(secret("shop", "db", "Opaque", &[("password", CANARIES[3].as_bytes())]));
    cluster.add(object("apps/v1", "Deployment", "shop", "web", json!({"spec": {"template": template(&image.0)}})));
    cluster.pod("web-1", Some(("apps/v1", "Deployment", "web")), &[("main", &image)]);
    let chart = json!({
        "metadata": {"apiVersion": "v2", "name": "blog", "version": "1.0.0"}, "values": {}, "files": {},
        "templates": {"templates/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"},
    });
    let values = json!({"auth": {"password": CANARIES[4]}, "replicas": 2});
    cluster.add(release("pay", "blog", 1, "deployed", &chart, &values));
    let place = Place::of(&cluster);
    succeed(place.export(&[]));
    assert_eq!(place.build(&["--allow-unrendered"]), super::expected(&cluster));
    let root = place.sandbox.work().join("root");
    std::fs::create_dir(&root).unwrap();
    let apply = |more: &[&str]| {
        let arguments = [&["apply", "bundle.tar.zst", "--root", "root"], more].concat();
        place.sandbox.run(std::path::Path::new(env!("CARGO_BIN_EXE_carrack-install")), &arguments)
    };
    let refused = apply(&[]);
    assert_eq!(refused.code, 10, "{refused:?}");
    let site = "apiVersion: carrack/v1\nkind: Site\nspec:\n  variables:\n    secret_shop_db_password: \"line 1\\nline 2\\n\"\n    \
        secret_blog_auth_password: \"yes\"\n";
    place.sandbox.write("site.yaml", site);
    succeed(apply(&["--site", "site.yaml"]));
    let manifests = root.join("var/lib/rancher/k3s/server/manifests");
    let file = |name: &str| std::fs::read_to_string(manifests.join(name)).unwrap();
    let secrets = file("carrack-shop-secrets.yaml");
    let read = &carrack::yaml::parse(&secrets).documents[0];
    assert_eq!(read.get("stringData").unwrap().get("password").unwrap().text(), Some("line 1\nline 2\n"));
    let chart = file("carrack-blog-chart-blog.yaml");
    assert!(chart.contains("\"password\": \"yes\"") && chart.contains("targetNamespace: \"pay\""), "{chart}");
}
