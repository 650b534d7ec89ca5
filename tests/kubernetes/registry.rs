//! Debian's docker-registry, which is the registries of all images for whoever is in its network.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::node::Namespaces;

const NAMES: [&str; 3] = ["registry.k8s.io", "ghcr.io", "registry.example.org"];

/// A registry that runs, and the network in which it does.
pub(crate) struct Registry {
    server: Child,
    network: Namespaces,
    /// The certificate of the authority that it is trusted by.
    authority: PathBuf,
}

impl Registry {
    /// Starts it in `folder`, with all images of the OCI layout `images`.
    pub(crate) fn start(folder: &Path, images: &Path) -> Self {
        let path = |name: &str| folder.join(name);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(NAMES.map(str::to_owned)).unwrap().self_signed(&key).unwrap();
        fs::create_dir(path("trusted")).unwrap();
        let authority = path("trusted/ca.crt");
        fs::write(&authority, certificate.pem()).unwrap();
        fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        fs::write(path("hosts"), format!("127.0.0.1 localhost {}\n", NAMES.join(" "))).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"127.0.0.1:443\", tls: {{certificate: {}, key: {}}}}}\n",
            path("data").display(),
            authority.display(),
            path("key.pem").display()
        );
        fs::write(path("config.yml"), config).unwrap();
        let network =
            Namespaces::new(&format!("ip link set lo up; mount --bind '{}' /etc/hosts", path("hosts").display()));
        let log = fs::File::create(path("log")).unwrap();
        let mut command = network.command("setpriv");
        command.args(["--pdeathsig", "KILL", "docker-registry", "serve"]).arg(path("config.yml"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut this = Self { server: command.spawn().unwrap(), network, authority };
        this.wait(&path("log"));
        this.push(images);
        this
    }

    /// Waits until it answers.
    fn wait(&mut self, log: &Path) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let answers = "exec 3<>/dev/tcp/127.0.0.1/443";
        while !self.network.command("bash").args(["-c", answers]).output().unwrap().status.success() {
            let ended = self.server.try_wait().unwrap();
            let said = || fs::read_to_string(log).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "the registry does not come: {ended:?} {}", said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn push(&self, images: &Path) {
        let index: serde_json::Value = serde_json::from_slice(&fs::read(images.join("index.json")).unwrap()).unwrap();
        for manifest in index["manifests"].as_array().unwrap() {
            let name = manifest["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
            let mut skopeo = self.operator("skopeo");
            skopeo.args(["copy", "--quiet", "--dest-cert-dir"]).arg(self.authority.parent().unwrap());
            succeed(skopeo.arg(format!("oci:{}:{name}", images.display())).arg(format!("docker://{name}")));
        }
    }

    /// Gives an image that is there another name, which then stands for it alone.
    pub(crate) fn name(&self, image: &str, name: &str) {
        let mut skopeo = self.operator("skopeo");
        let certificates = self.authority.parent().unwrap();
        skopeo.args(["copy", "--quiet", "--src-cert-dir"]).arg(certificates).arg("--dest-cert-dir").arg(certificates);
        succeed(skopeo.arg(format!("docker://{image}")).arg(format!("docker://{name}")));
    }

    /// A command of the operator, who has this registry and nothing else.
    pub(crate) fn operator(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.network.command(program);
        command.env("SSL_CERT_FILE", &self.authority);
        command
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Runs a command that must succeed; returns what it printed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ran.status.success(), "{command:?}: {}{}", text(&ran.stdout), text(&ran.stderr));
    text(&ran.stdout) + &text(&ran.stderr)
}
