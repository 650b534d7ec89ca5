//! Where there is no helm, and how little of this machine the helm that is there has in reach.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;

use super::helm::helms;
use super::shop::{Shop, pod, printed, refused, says, script};

/// A chart with an image in an annotation, one in its values, and one that only rendering tells.
fn chart() -> Shop {
    let chart = "apiVersion: v2\nname: shop\nversion: 1.2.3\nappVersion: '9'\nannotations:\n  artifacthub.io/images: |\n    - image: registry.example.org/annotated:1\n";
    let files = [
        ("Chart.yaml", chart),
        ("values.yaml", "image: {repository: registry.example.org/valued}\n"),
        ("templates/pod.yaml", &*pod("hidden", "registry.example.org/hidden:1")),
    ];
    Shop::chart("[]", &files)
}

#[test]
fn without_helm_it_is_said_what_to_do() {
    let shop = chart();
    for command in [&["check", "."][..], &["images", "."], &["lock", "."], &["build", ".", "-o", "b.tar.zst"]] {
        let ran = shop.with(command, &[("PATH", OsStr::new("/nowhere"))]);
        assert_eq!((ran.code, &*ran.stdout), (25, ""), "{command:?}: {}", ran.stderr);
        assert_eq!(
            ran.stderr,
            "error: chart shop 1.2.3 of pack shop cannot be rendered: there is no `helm` on the path\n  \
             hint: install helm 3 or 4 (https://helm.sh/docs/intro/install), or name it in CARRACK_HELM\n  \
             hint: or take what the chart says of its images, which may not be all: --allow-unrendered\n"
        );
    }
    let ran = shop.with(&["images", "."], &[("CARRACK_HELM", OsStr::new("/nowhere/helm"))]);
    assert_eq!(ran.code, 25);
    says(
        &ran.stderr,
        &["/nowhere/helm does not run as helm: No such file", "hint: name a helm 3 or 4 in CARRACK_HELM"],
    );
}

#[test]
fn annotations_and_values_are_taken_where_that_is_allowed() {
    let shop = chart();
    let found = "registry.example.org/annotated:1\nregistry.example.org/valued:9\n";
    let ran = shop.sandbox.carrack(&["images", ".", "--allow-unrendered"]);
    assert_eq!((ran.code, &*ran.stdout), (0, found), "{}", ran.stderr);
    let checked = shop.sandbox.carrack(&["check", ".", "--allow-unrendered"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    says(&checked.stderr, &["chart shop 1.2.3 of pack shop is not rendered", "there may be more"]);
    // With helm the flag changes nothing.
    for helm in helms("annotations_and_values_are_taken_where_that_is_allowed") {
        let images = printed(shop.carrack(&helm, &["images", ".", "--allow-unrendered"]));
        assert_eq!(images, "registry.example.org/annotated:1\nregistry.example.org/hidden:1\n");
    }
    // The profile names what is missing.
    let file = shop.sandbox.work().join("carrack.yaml");
    let profile = fs::read_to_string(&file).unwrap();
    fs::write(&file, profile + "      images: [\"registry.example.org/hidden:1\"]\n").unwrap();
    let images = printed(shop.sandbox.carrack(&["images", ".", "--allow-unrendered"]));
    says(&images, &["registry.example.org/hidden:1"]);
}

#[test]
fn the_users_own_helm_configuration_is_not_in_reach() {
    for helm in helms("the_users_own_helm_configuration_is_not_in_reach") {
        let shop = Shop::fixture("workloads");
        let plain = printed(shop.carrack(&helm, &["images", "."]));
        // What helm could not work with, were it read.
        let home = shop.sandbox.work().parent().unwrap().join("home");
        for file in [".config/helm/repositories.yaml", ".config/helm/registry/config.json", ".kube/config"] {
            fs::create_dir_all(home.join(file).parent().unwrap()).unwrap();
            fs::write(home.join(file), "not: [yaml").unwrap();
        }
        let plugin = home.join(".local/share/helm/plugins/bad");
        fs::create_dir_all(&plugin).unwrap();
        fs::write(plugin.join("plugin.yaml"), "name: [").unwrap();
        let before = files(&home);
        let environment = [
            ("CARRACK_HELM", helm.as_os_str()),
            ("HELM_PLUGINS", plugin.as_os_str()),
            ("HELM_KUBECONTEXT", OsStr::new("production")),
            ("HELM_NAMESPACE", OsStr::new("other")),
            ("HELM_DEBUG", OsStr::new("true")),
            ("KUBECONFIG", OsStr::new("/etc/kubeconfig")),
        ];
        assert_eq!(printed(shop.with(&["images", "."], &environment)), plain);
        assert_eq!(files(&home), before, "helm leaves nothing behind");
    }
}

fn files(folder: &std::path::Path) -> BTreeSet<String> {
    let entries = walk(folder);
    entries.into_iter().map(|path| path.display().to_string()).collect()
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn helm_is_started_in_an_empty_place_without_a_network() {
    let shop = chart();
    let (seen, place) = (shop.sandbox.work().join("seen"), shop.sandbox.work().join("place"));
    let report =
        format!("[ \"$1\" = version ] && echo v3.22.0 && exit\nenv >{}\nls -A >{}", seen.display(), place.display());
    let helm = script(&shop.sandbox, &report);
    let environment = [
        ("CARRACK_HELM", helm.as_os_str()),
        ("REGISTRY_TOKEN", OsStr::new("canary")),
        ("HTTPS_PROXY", OsStr::new("http://proxy.example.org:3128")),
        ("NO_PROXY", OsStr::new("*")),
    ];
    printed(shop.with(&["images", "."], &environment));
    let seen = fs::read_to_string(seen).unwrap();
    assert!(!seen.contains("canary") && !seen.contains("proxy.example.org") && !seen.contains("NO_PROXY"), "{seen}");
    says(&seen, &["HTTPS_PROXY=http://127.0.0.1:9\n", "HELM_NO_PLUGINS=1\n"]);
    let home = seen.lines().find_map(|line| line.strip_prefix("HOME=")).unwrap();
    let folder = home.strip_suffix("/home").unwrap();
    for variable in ["HELM_CONFIG_HOME", "HELM_PLUGINS", "HELM_REPOSITORY_CONFIG", "KUBECONFIG", "TMPDIR"] {
        says(&seen, &[&format!("{variable}={folder}/")]);
    }
    assert!(!std::path::Path::new(folder).exists(), "the place is gone afterwards");
    assert_eq!(fs::read_to_string(place).unwrap(), "chart.tgz\nvalues.yaml\n");
}

#[test]
fn a_schema_elsewhere_is_not_fetched() {
    for helm in helms("a_schema_elsewhere_is_not_fetched") {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        // This address is this machine's too, and unlike 127.0.0.1 none that a program asks past its proxy.
        let host = format!("0.0.0.0:{}", server.local_addr().unwrap().port());
        let schema =
            format!(r#"{{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "http://{host}/x.json"}}"#);
        let shop = Shop::chart("[]", &[("values.schema.json", &*schema)]);
        let said = refused(shop.carrack(&helm, &["images", "."]));
        let reference = format!("values.schema.json refers to $ref \"http://{host}/x.json\"");
        says(&said, &["shop is not a chart that can be used", &reference]);
        // Who had asked would stand in the queue.
        let asked = server.accept().map(drop).map_err(|error| error.kind());
        assert_eq!(asked, Err(ErrorKind::WouldBlock), "{} has asked", helm.display());
    }
}

#[test]
fn other_helms_are_refused() {
    let shop = chart();
    for (commands, code, says_so) in [
        ("echo v2.17.0", 25, "is helm v2.17.0, and 3 or 4 is needed"),
        ("exit 1", 25, "does not run as helm"),
        ("[ \"$1\" = version ] && echo v3.22.0 && exit; kill -9 $$", 25, "it was ended"),
        ("[ \"$1\" = version ] && echo v3.22.0 && exit; echo 'Error: no' >&2; exit 1", 10, "no"),
    ] {
        let helm = script(&shop.sandbox, commands);
        let ran = shop.carrack(&helm, &["images", "."]);
        assert_eq!((ran.code, &*ran.stdout), (code, ""), "{}", ran.stderr);
        says(&ran.stderr, &[says_so]);
    }
}

#[test]
fn a_helm_is_found_from_the_folder_that_one_is_in() {
    let shop = chart();
    script(&shop.sandbox, "[ \"$1\" = version ] && echo v3.22.0; true");
    for (named, path) in
        [("./bin/helm", "/nowhere"), ("bin/helm", "/nowhere"), ("helm", "bin"), ("", "bin"), ("", "./bin")]
    {
        let environment = [("CARRACK_HELM", OsStr::new(named)), ("PATH", OsStr::new(path))];
        let images = printed(shop.with(&["images", "."], &environment));
        assert_eq!(images, "registry.example.org/annotated:1\n", "{named}, {path}");
    }
    let ran = shop.with(&["images", "."], &[("CARRACK_HELM", OsStr::new("helm9")), ("PATH", OsStr::new("bin"))]);
    assert_eq!(ran.code, 25, "{}", ran.stderr);
    says(&ran.stderr, &["helm9 does not run as helm: it is not on the path"]);
}

#[test]
fn a_comma_in_the_temporary_folder_is_no_matter() {
    for helm in helms("a_comma_in_the_temporary_folder_is_no_matter") {
        let shop = chart();
        let folder = shop.sandbox.work().join("a,b");
        fs::create_dir(&folder).unwrap();
        let environment = [("CARRACK_HELM", helm.as_os_str()), ("TMPDIR", folder.as_os_str())];
        says(&printed(shop.with(&["images", "."], &environment)), &["registry.example.org/hidden:1"]);
    }
}
