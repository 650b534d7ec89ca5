//! The shop: a profile whose service runs a container from the bundle, in the versions that the tests need.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use carrack::registry::in_process::{InProcessRegistry, Layer};

use super::layers::{busybox_layer, image, layer};
use super::noise::noise;

/// A version of the shop.
pub(crate) struct Version {
    pub(crate) number: &'static str,
    /// Whether its service says when it is ready and never does.
    never_ready: bool,
}

/// What is installed first.
pub(crate) const FIRST: Version = Version { number: "1.0.0", never_ready: false };
/// What it is upgraded to.
pub(crate) const SECOND: Version = Version { number: "1.1.0", never_ready: false };
/// What it cannot be upgraded to.
pub(crate) const BROKEN: Version = Version { number: "1.2.0", never_ready: true };

impl Version {
    /// The bundle's path in the machine.
    pub(crate) fn bundle(&self) -> String {
        format!("/media/usb/shop-{}.tar.zst", self.number)
    }
}

/// How large its data is.
const DATA: usize = 2 << 20;

/// Builds the bundles of all versions in `folder`; returns their paths.
pub(crate) fn build(folder: &Path) -> Vec<PathBuf> {
    let registry = InProcessRegistry::start().unwrap();
    // Large enough that an apply takes its time, and shared by all versions.
    let base = vec![
        busybox_layer(&[]),
        Layer::tar(&[("noise", 0o644, noise(1, 4 << 20).as_slice())]).unwrap().zstd().unwrap(),
    ];
    [FIRST, SECOND, BROKEN].iter().map(|version| build_version(version, folder, &registry, &base)).collect()
}

fn build_version(version: &Version, folder: &Path, registry: &InProcessRegistry, base: &[Layer]) -> PathBuf {
    let number = version.number;
    let reference = format!("{}/shop/beat:{number}", registry.host());
    let beat = format!("trap 'exit 0' TERM\nwhile :; do echo 'shop {number}' >/shop/beat; sleep 1 & wait; done\n");
    let layers = [base, &[layer(&[("beat", &beat)])]].concat();
    registry.put_image("shop/beat", Some(number), &image("linux/amd64", layers, &["/bin/busybox", "sh", "/beat"]));

    let folder = folder.join(number);
    fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, content: &[u8]| fs::write(folder.join(name), content).unwrap();
    write("shop.service", unit(version).as_bytes());
    write("run", script(&reference, number).as_bytes());
    write("motd", format!("This host sells things, by {number}.\n").as_bytes());
    write("data", &noise(2, DATA));
    let mut files = "        - {source: ./shop.service, path: /etc/systemd/system/shop.service}\n        \
                     - {source: ./run, path: /usr/local/bin/shop, mode: \"0755\"}\n        \
                     - {source: ./motd, path: /etc/motd}\n        \
                     - {source: ./data, path: /usr/local/share/shop/data, mode: \"0640\", owner: \"root:adm\"}\n"
        .to_owned();
    for name in ["prices", "taxes", "tills", &format!("only-{number}")] {
        write(name, format!("{name} of {number}\n").as_bytes());
        writeln!(files, "        - {{source: ./{name}, path: /etc/shop/{name}, mode: \"0600\"}}").unwrap();
    }
    let profile = format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: shop, version: {number}}}\nspec:\n  packs:\n    \
         - name: none\n      layer: k8s\n      distribution: none\n    \
         - name: shop\n      layer: addon\n      images: [\"{reference}\"]\n      services: [shop.service]\n      \
         files:\n{files}"
    );
    write("carrack.yaml", profile.as_bytes());
    build_bundle(&folder, folder.with_file_name(format!("shop-{number}.tar.zst")))
}

/// Builds the bundle of the profile in `folder`; returns its path.
pub(crate) fn build_bundle(folder: &Path, bundle: PathBuf) -> PathBuf {
    let mut build = Command::new(env!("CARGO_BIN_EXE_carrack"));
    let ran = build.arg("build").arg(folder).arg("-o").arg(&bundle).env("HOME", folder).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    bundle
}

fn unit(version: &Version) -> String {
    let kind = if version.never_ready { "Type=notify\nNotifyAccess=all\nTimeoutStartSec=20\n" } else { "" };
    format!(
        "[Unit]\nDescription=The shop {}\nRequires=containerd.service\nAfter=containerd.service\n\
         [Service]\n{kind}RuntimeDirectory=shop\nExecStart=/usr/local/bin/shop\n\
         [Install]\nWantedBy=multi-user.target\n",
        version.number
    )
}

/// Runs the container. One that was left when the power failed is removed first. Started on half its files it leaves a
/// mark, and so a difference.
fn script(image: &str, number: &str) -> String {
    let ctr = "ctr -n k8s.io";
    format!(
        "#!/bin/sh\n\
         for file in /etc/motd $(printf '/etc/shop/%s ' prices taxes tills only-{number}); do\n  \
         grep -q {number} $file || {{ echo $file >>/var/started-on-half; exit 1; }}\ndone\n\
         [ $(stat -c %s /usr/local/share/shop/data) = {DATA} ] || echo data >>/var/started-on-half\n\
         {ctr} tasks rm --force shop\n{ctr} containers rm shop\n{ctr} snapshots rm shop\n\
         exec {ctr} run --rm --mount type=bind,src=/run/shop,dst=/shop,options=rbind:rw {image} shop\n"
    )
}
