//! Programs as Go really builds them: whether `carrack check` knows which Kubernetes they are of.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![expect(clippy::print_stdout, reason = "what cannot be tested here is said")]

#[path = "common/available.rs"]
#[expect(dead_code, reason = "no other real part is needed")]
mod available;
mod common;

use std::path::Path;
use std::process::Command;

use common::Sandbox;

/// The variables of `k8s.io/component-base/version`, as its sources declare them.
const VERSION: &str = "package version

import \"sync/atomic\"

var (
	gitMajor string
	gitMinor string
	gitVersion = \"v0.0.0-master+$Format:%H$\"
	gitCommit = \"$Format:%H$\"
	gitTreeState = \"\"
	buildDate = \"1970-01-01T00:00:00Z\"
)

var dynamic atomic.Value

func init() { dynamic.Store(gitVersion) }

type Info struct{ Major, Minor, GitVersion, GitCommit, GitTreeState, BuildDate string }

func Get() Info {
	return Info{gitMajor, gitMinor, dynamic.Load().(string), gitCommit, gitTreeState, buildDate}
}
";
/// A program with the version in it, and much else.
const MAIN: &str = "package main

import (
	\"fmt\"
	\"os\"
	\"text/template\"

	\"k8s.io/component-base/version\"
)

func main() {
	template.Must(template.New(\"\").Parse(\"{{.GitVersion}}\\n\")).Execute(os.Stdout, version.Get())
	fmt.Fprintln(os.Stderr, version.Get())
}
";

/// Builds the program as `name`, and returns what it says of itself.
fn build(sandbox: &Sandbox, go: &Path, name: &str, architecture: &str, set: &[(&str, &str)]) -> String {
    let package = "k8s.io/component-base/version";
    let flags: String = set.iter().map(|(variable, value)| format!(" -X {package}.{variable}={value}")).collect();
    let output = sandbox.work().join(name);
    let built = Command::new(go)
        .args(["build", "-p", "1", "-trimpath", "-ldflags", &format!("-s -w{flags}"), "-o"])
        .arg(&output)
        .arg(".")
        .current_dir(sandbox.work().join("program"))
        .envs([("GOFLAGS", "-mod=mod -buildvcs=false"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")])
        .envs([("GOWORK", "off"), ("CGO_ENABLED", "0"), ("GOARCH", architecture)])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    if architecture != own {
        return String::new();
    }
    String::from_utf8(Command::new(output).output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn the_release_of_a_trimmed_and_stripped_program_is_known() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/local/go/bin".into()]);
    let Some(go) = folders.map(|folder| folder.join("go")).find(|go| go.is_file()) else {
        return available::skip("the_release_of_a_trimmed_and_stripped_program_is_known: needs go");
    };
    let sandbox = Sandbox::new();
    for (file, text) in [
        ("program/main.go", MAIN),
        (
            "program/go.mod",
            "module example.org/program\n\ngo 1.21\n\nrequire k8s.io/component-base v0.0.0\n\nreplace k8s.io/component-base => ../base\n",
        ),
        ("base/go.mod", "module k8s.io/component-base\n\ngo 1.21\n"),
        ("base/version/base.go", VERSION),
    ] {
        sandbox.write(file, text);
    }
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let release = |version: &'static str| {
        [
            ("gitVersion", version),
            ("gitMajor", "1"),
            ("gitMinor", "34"),
            ("gitCommit", commit),
            ("gitTreeState", "clean"),
            ("buildDate", "2026-01-01T00:00:00Z"),
        ]
    };
    let files: String = ["kubeadm", "kubelet", "kubectl"]
        .map(|name| format!("        - {{source: ./{name}, path: /usr/bin/{name}}}\n"))
        .concat();
    for architecture in ["amd64", "arm64"] {
        sandbox.write(
            "carrack.yaml",
            format!(
                "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: 1.0.0}}\nspec:\n  platforms: [linux/{architecture}]\n  \
                 packs:\n    - name: kubeadm\n      layer: k8s\n      distribution: kubeadm\n      version: 1.34.4\n      files:\n{files}"
            ),
        );
        let built = build(&sandbox, &go, "kubeadm", architecture, &release("v1.34.4"));
        assert!(built.is_empty() || built == "v1.34.4", "{built}");
        build(&sandbox, &go, "kubelet", architecture, &[("gitVersion", "v1.34.4")]);
        build(&sandbox, &go, "kubectl", architecture, &release("v1.35.0"));
        let right = sandbox.carrack(&["check", "."]);
        assert_eq!(right.code, 0, "{}", right.stderr);
        assert!(!right.stderr.contains("does not say"), "{}", right.stderr);

        build(&sandbox, &go, "kubeadm", architecture, &release("v1.34.5"));
        build(&sandbox, &go, "kubelet", architecture, &[("gitVersion", "v1.35.0")]);
        let wrong = sandbox.carrack(&["check", "."]);
        assert_eq!(wrong.code, 10, "{}", wrong.stderr);
        for told in [
            "/usr/bin/kubeadm is of Kubernetes v1.34.5, and version 1.34.4 of the pack needs kubeadm 1.34.4",
            "/usr/bin/kubelet is of Kubernetes v1.35.0, and version 1.34.4 of the pack needs a kubelet from 1.31 to 1.34",
        ] {
            assert!(wrong.stderr.contains(told), "{}", wrong.stderr);
        }

        // One that was built without its version does not say it.
        build(&sandbox, &go, "kubeadm", architecture, &release("v1.34.4"));
        build(&sandbox, &go, "kubelet", architecture, &[]);
        let unknown = sandbox.carrack(&["check", "."]);
        assert_eq!(unknown.code, 0, "{}", unknown.stderr);
        let told = "/usr/bin/kubelet does not say of which Kubernetes it was built; see that it goes with 1.34.4";
        assert!(unknown.stderr.contains(told), "{}", unknown.stderr);
    }
}
