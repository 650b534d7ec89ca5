//! The stand-in for the distributions' programs, `fixtures/distro/stand-in/distribution`: it takes what is written for the
//! real ones, and refuses what they do not know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use carrack::distro::{Setup, Step};
use carrack::site::node::{Membership, Role};
use tempfile::TempDir;

use crate::cases::{self, Machine};

/// A machine on which the stand-in is all programs.
struct Host {
    folder: TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap() };
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/distro");
        for name in ["k3s", "rke2", "kubeadm", "kubelet", "kubectl", "helm", "snap", "k8s"] {
            let path = host.path("programs").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(fixtures.join("stand-in/distribution"), &path).unwrap();
        }
        for distribution in cases::DISTRIBUTIONS {
            let to = host.path("stand-in").join(distribution).join("options.txt");
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(fixtures.join(distribution).join("options.txt"), to).unwrap();
        }
        fs::create_dir(host.path("root")).unwrap();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path("root").join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn has(&self, path: &str) -> bool {
        self.path("root").join(path.trim_start_matches('/')).exists()
    }

    fn behave(&self, how: &str) {
        fs::write(self.path("stand-in/behaviour"), how).unwrap();
    }

    fn place(&self, setup: &Setup) {
        setup.files.iter().for_each(|file| self.write(&file.path, &file.text));
    }

    fn command(&self, words: &[String]) -> Command {
        let name = words[0].rsplit('/').next().unwrap();
        let mut command = Command::new("/bin/sh");
        command.arg(self.path("programs").join(name)).args(&words[1..]);
        command
            .env("STAND_IN", self.path("stand-in"))
            .env("STAND_IN_ROOT", self.path("root"))
            .env_remove("NOTIFY_SOCKET");
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).output().unwrap()
    }

    fn takes(&self, words: &[&str]) {
        let ran = self.run(words);
        assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    fn refuses(&self, words: &[&str], expected: &str) {
        let ran = self.run(words);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && said.contains(expected), "{words:?}: {said}");
    }

    /// A program that goes on, once `path` is there.
    fn serve(&self, words: &[&str], path: &str) -> Server {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut server = Server(
            self.command(&words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
        );
        while !self.has(path) {
            assert_eq!(server.0.try_wait().unwrap(), None, "{words:?} has ended");
            std::thread::yield_now();
        }
        server
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // A signal that it answers, so that what it waits for ends too.
        let _ = Command::new("/bin/kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

fn waits(setup: &Setup) -> Vec<Vec<String>> {
    let command = |step: &Step| match step {
        Step::Wait { command, .. } => Some(command.clone()),
        _ => None,
    };
    setup.start.iter().filter_map(command).collect()
}

#[test]
fn k3s_and_rke2_take_what_is_written_for_them() {
    for distribution in ["k3s", "rke2"] {
        for case in cases::CASES {
            let host = Host::new();
            let setup = Machine::case(distribution, case).setup(distribution).unwrap();
            host.place(&setup);
            let role = if case.starts_with("agent") { "agent" } else { "server" };
            let data = if setup.files[0].text.contains("/opt/edge") || case == "everything" || case == "custom-root" {
                "/opt/edge".to_owned()
            } else {
                format!("/var/lib/rancher/{distribution}")
            };
            let there = match role {
                "agent" => format!("{data}/bin/kubectl"),
                _ => format!("/etc/rancher/{distribution}/{distribution}.yaml"),
            };
            let _server = host.serve(&[distribution, role], &there);
            for command in waits(&setup) {
                host.takes(&command.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn what_the_real_ones_do_not_know_is_refused() {
    let host = Host::new();
    host.write("/etc/rancher/k3s/config.yaml", "tls-sann: [a]\n");
    host.refuses(&["k3s", "server"], "flag provided but not defined: -tls-sann");
    host.write("/etc/rancher/k3s/config.yaml", "\"cluster-init\": true\n");
    host.refuses(&["k3s", "server", "--cluster-initt"], "not defined: -cluster-initt");
    host.write("/etc/rancher/rke2/config.yaml", "cluster-init: true\n");
    host.refuses(&["rke2", "server"], "not defined: -cluster-init");
    host.write("/etc/rancher/k3s/config.yaml", "debug: true\n");
    host.refuses(&["k3s", "agent"], "--server is required");
    host.write("/etc/rancher/k3s/config.yaml", "token-file: /none\nserver: https://a:6443\n");
    host.refuses(&["k3s", "agent"], "failed to read token-file /none");
    for key in ["disable: [traefik]", "flannel-backend: none", "tls-san: [a]", "write-kubeconfig-mode: \"0644\""] {
        host.write("/etc/rancher/k3s/config.yaml", &format!("{key}\nserver: https://a:6443\n"));
        let name = key.split(':').next().unwrap();
        host.refuses(&["k3s", "agent"], &format!("flag provided but not defined: -{name}"));
    }
    host.refuses(&["k3s", "kubectl", "--kubeconfig", "/none", "get", "--raw", "/readyz"], "no such file");
    host.refuses(&["kubectl", "apply", "--serverside", "-f", "/x"], "not defined: -serverside");
    host.refuses(&["kubectl", "destroy"], "unknown command");
    host.refuses(&["snap", "install", "/k8s.snap", "--devmode"], "not defined: -devmode");
    host.write("/k8s.snap", "");
    host.refuses(&["snap", "install", "/k8s.snap"], "classic confinement");
    let wrong = "\"apiVersion\": \"kubeadm.k8s.io/v1beta4\"\n\"kind\": \"ClusterConfiguration\"\n\"apiServer\":\n  \"certSans\":\n    - \"a\"\n";
    host.write("/config.yaml", wrong);
    host.refuses(&["kubeadm", "init", "--config", "/config.yaml"], "unknown field \"apiServer.certSans\"");
    host.refuses(&["kubeadm", "init", "--yes", "--config", "/config.yaml"], "not defined: -yes");
}

#[test]
fn readiness_is_late_or_never_as_it_is_told() {
    let host = Host::new();
    let setup = Machine::of("k3s").setup("k3s").unwrap();
    host.place(&setup);
    let server = host.serve(&["k3s", "server"], "/etc/rancher/k3s/k3s.yaml");
    let ready = &["k3s", "kubectl", "--kubeconfig", "/etc/rancher/k3s/k3s.yaml", "get", "--raw", "/readyz"];
    host.behave("late 2\n");
    host.refuses(ready, "unable to handle");
    host.refuses(ready, "unable to handle");
    host.takes(ready);
    host.behave("never\n");
    host.refuses(ready, "unable to handle");
    drop(server);
    host.behave("dies\n");
    host.refuses(&["k3s", "server"], "it dies");
}

/// Runs the commands of steps, whose scripts run the stand-in.
fn run_script(host: &Host, step: &Step, saved: &Path) -> Output {
    let Step::Run { command, .. } = step else { panic!("{step:?}") };
    let root = host.path("root");
    let programs = host.path("programs");
    let words = command.iter().enumerate().map(|(index, word)| match word.as_str() {
        "@SAVED@" => saved.display().to_string(),
        path if index > 3 && path.starts_with("/usr/") => {
            programs.join(path.rsplit('/').next().unwrap()).display().to_string()
        }
        path if index > 3 && path.starts_with('/') => root.join(path.trim_start_matches('/')).display().to_string(),
        other => other.to_owned(),
    });
    let words: Vec<String> = words.collect();
    // Units are those of the test.
    fs::write(programs.join("systemctl"), "#!/bin/sh\nexit 0\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(programs.join("systemctl"), executable).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("PATH", path).env("STAND_IN", host.path("stand-in")).env("STAND_IN_ROOT", &root);
    command.output().unwrap()
}

/// Does what saves or restores a state: scripts with the stand-in, and copies as the installer makes them.
fn carry_out(host: &Host, steps: &[Step], saved: &Path) {
    let place = |path: &str| match path.strip_prefix("@SAVED@") {
        Some(rest) => saved.join(rest.trim_start_matches('/')),
        None => host.path("root").join(path.trim_start_matches('/')),
    };
    for step in steps {
        match step {
            Step::Run { .. } => good(&run_script(host, step, saved)),
            Step::Copy { from, to, unless, .. } => {
                let (from, to) = (place(from), place(to));
                if from.exists() && !unless.as_ref().is_some_and(|path| place(path).exists()) {
                    let _ = fs::remove_dir_all(&to);
                    good(&Command::new("cp").arg("-a").arg(from).arg(to).output().unwrap());
                }
            }
            Step::Stop { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

fn good(ran: &Output) {
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn what_is_saved_is_put_back_where_a_later_version_has_changed_it() {
    for others in [false, true] {
        let host = Host::new();
        let mut machine = Machine::of("k3s");
        if others {
            machine.node.cluster = Membership::Init { token: Some(cases::token("k3s")) };
        }
        let setup = machine.setup("k3s").unwrap();
        host.place(&setup);
        let serve = || host.serve(&["k3s", "server"], "/etc/rancher/k3s/k3s.yaml");
        let saved = host.path("saved");
        fs::create_dir(&saved).unwrap();
        let save = setup.save.as_ref().unwrap();
        let server = serve();
        carry_out(&host, &save.save, &saved);
        drop(server);
        // The upgrade.
        let program = host.path("programs/k3s");
        let text = fs::read_to_string(&program).unwrap();
        fs::write(&program, text.replace("\nversion=1\n", "\nversion=2\n")).unwrap();
        fs::remove_file(host.path("root/etc/rancher/k3s/k3s.yaml")).unwrap();
        drop(serve());
        // And back: the older program does not read what the later one wrote, until it is put back.
        fs::write(&program, &text).unwrap();
        host.refuses(&["k3s", "server"], "the data is of a later version");
        carry_out(&host, &save.restore, &saved);
        fs::remove_file(host.path("root/etc/rancher/k3s/k3s.yaml")).unwrap();
        drop(serve());
        assert_eq!(host.has("/var/lib/rancher/k3s/server/db/etcd"), others);
    }
}

#[test]
fn kubeadm_and_canonical_take_what_is_written_for_them() {
    for (distribution, verbs) in [("kubeadm", ["init", "join"]), ("canonical", ["bootstrap", "join-cluster"])] {
        for case in cases::CASES {
            let host = Host::new();
            let machine = Machine::case(distribution, case);
            let Ok(setup) = machine.setup(distribution) else { continue };
            host.place(&setup);
            machine.files.iter().chain(&machine.manifests).for_each(|path| host.write(path, ""));
            for release in &machine.releases {
                host.write(&release.package, "");
                host.write(release.values.as_deref().unwrap(), "");
            }
            let first = matches!(machine.node.cluster, Membership::Init { .. });
            let verb = verbs[usize::from(!first)];
            let config = format!("/var/lib/carrack/{distribution}/config.yaml");
            let token = if machine.node.role == Role::Agent { "worker-token" } else { "token" };
            match distribution {
                "kubeadm" => host.takes(&["kubeadm", verb, "--config", &config]),
                _ if first => host.takes(&["k8s", verb, "--file", &config, "--name", "box-1", "--timeout", "15m"]),
                _ => host.takes(&["k8s", verb, token, "--file", &config, "--name", "box-1", "--timeout", "15m"]),
            }
            for command in waits(&setup) {
                host.takes(&command.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn images_are_where_the_snap_imports_them_from_whenever_it_is_made() {
    let host = Host::new();
    let machine = Machine::of("canonical");
    let setup = machine.setup("canonical").unwrap();
    host.place(&setup);
    machine.files.iter().for_each(|path| host.write(path, ""));
    host.write("/var/lib/carrack/canonical/images/edge-1.0.0.tar", "images");
    let Some(Step::Run { command, .. }) = setup.start.first() else { panic!("{:?}", setup.start) };
    let (root, programs) = (host.path("root"), host.path("programs"));
    let mut words = command.clone();
    words[2] = words[2]
        .replace("/var/snap/", &format!("{}/var/snap/", root.display()))
        .replace("/snap/bin/", &format!("{}/", programs.display()))
        .replace(" /snap/k8s", &format!(" {}/snap/k8s", root.display()));
    // What the script itself uses; all else goes to the programs.
    words[6] = root.join(words[6].trim_start_matches('/')).display().to_string();
    let make = || {
        let path = format!("{}:/usr/bin:/bin", programs.display());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("PATH", path).env("STAND_IN", host.path("stand-in")).env("STAND_IN_ROOT", &root);
        command.output().unwrap()
    };
    let imported = root.join("var/snap/k8s/common/images/edge-1.0.0.tar");
    host.behave("dies\n");
    let died = make();
    let said = String::from_utf8_lossy(&died.stderr);
    assert!(!died.status.success() && said.contains("it dies, as it is told to"), "{said}");
    assert_eq!(fs::read_to_string(&imported).unwrap(), "images");
    // The importer has given it another name; going on removes the snap with its folder, and begins anew.
    fs::rename(&imported, imported.with_extension("tar.loaded")).unwrap();
    host.behave("");
    good(&make());
    assert_eq!(fs::read_to_string(&imported).unwrap(), "images");
    assert!(!imported.with_extension("tar.loaded").exists());
    assert!(host.has("/var/lib/carrack/canonical/made"));
}
