//! What a machine holds, in lines that can be compared: every file, and everything in containerd.

use std::collections::BTreeSet;

/// What the system itself writes at every start, or whenever it runs; and what is mounted on it.
const LEFT_OUT: &str =
    "/var/log /var/tmp /tmp /var/lib/systemd /var/cache /etc/.pwd.lock /run /media /var/lib/containerd";
const RECEIPTS: &str = "/var/lib/carrack/receipts";

/// Where containerd unpacks.
const SNAPSHOTS: &str = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots";
const CONTENT: &str = "/var/lib/containerd/io.containerd.content.v1.content";

/// Every file on the root file system as `type mode owner path → target`, or with its SHA-256; of receipts what they say.
/// containerd's own folder is left out: there are [`names`] and [`unpacked`]. `run` is what runs a script there.
pub(crate) fn files(mut run: impl FnMut(&str) -> String) -> BTreeSet<String> {
    let prune: Vec<_> = LEFT_OUT.split(' ').map(|path| format!("-path {path}")).collect();
    let find = format!("find / -xdev \\( {} \\) -prune -o", prune.join(" -o "));
    let script = format!(
        "set -e; {find} \\( -type f -printf '%y %#m %u:%g %p\\n' -o -printf '%y %#m %u:%g %p %l\\n' \\)\n\
         {find} -type f -not -path '{RECEIPTS}/*' -print0 | xargs -0 sha256sum"
    );
    let mut all = lines(&run(&script));
    let listed = run(&format!("ls {RECEIPTS} 2>&1 || true"));
    for name in listed.lines().filter(|line| line.ends_with(".json")) {
        let text = run(&format!("cat {RECEIPTS}/{name}"));
        let mut receipt: serde_json::Value = serde_json::from_str(&text).unwrap();
        // When it was, what there was to check, and how much space was free then.
        for field in ["applied", "verified", "preflight"] {
            assert!(receipt.as_object_mut().unwrap().remove(field).is_some(), "{field} in {text}");
        }
        all.insert(format!("{name} {receipt}"));
    }
    all
}

/// Everything in containerd's namespace of the kubelet: [`names`] and [`unpacked`].
pub(crate) fn content(mut run: impl FnMut(&str) -> String) -> BTreeSet<String> {
    let mut all = names(&mut run);
    all.extend(unpacked(run));
    all
}

/// Names, content, leases and snapshots in containerd's namespace of the kubelet, each with labels. Neither the numbers nor
/// the times of things; and no lease of `ctr run`, which leaves one where it is killed itself.
pub(crate) fn names(mut run: impl FnMut(&str) -> String) -> BTreeSet<String> {
    let script = "set -e; ctr() { command ctr -n k8s.io \"$@\"; }\n\
        ctr images ls | sed 's/  */ /g; s/^/image /'\n\
        ctr content ls | sed 's/\\t[^\\t]* \\(second\\|minute\\|hour\\|day\\|week\\)s* *\\t/ /; s/^/content /'\n\
        ctr leases ls -q | sed -n 's/^carrack-/lease &/p'\n\
        ctr containers ls -q | sed 's/^/container /'\n\
        ctr snapshots ls | sed 's/  */ /g; s/^/snapshot /'";
    lines(&run(script)).into_iter().map(|line| sorted_labels(&line)).collect()
}

/// What lies in containerd's folders: blobs by what their digest is, what is not whole, and what every snapshot holds. `run`
/// is what runs a script there.
pub(crate) fn unpacked(mut run: impl FnMut(&str) -> String) -> BTreeSet<String> {
    let script = format!(
        "set -e; shopt -s nullglob; cd {CONTENT}; ls ingest | sed 's/^/unfinished /'\n\
         for blob in blobs/sha256/*; do sha256sum $blob; done\n\
         cd {SNAPSHOTS}; for snapshot in *; do (cd $snapshot/fs\n\
         echo unpacked $(find . -type f -exec sha256sum {{}} + | sort) $(find . -printf '%y %#m %U:%G %p %l\\n' | sort)); done"
    );
    lines(&run(&script))
}

/// `ctr` shows labels in any order, separated by commas, at the end of a line.
fn sorted_labels(line: &str) -> String {
    let (before, labels) = line.trim_end().rsplit_once([' ', '\t']).unwrap_or_default();
    let mut labels: Vec<_> = labels.split(',').collect();
    labels.sort_unstable();
    format!("{before} {}", labels.join(","))
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Lines that only one of them has, `-` before those of `left` and `+` before those of `right`.
pub(crate) fn difference(left: &BTreeSet<String>, right: &BTreeSet<String>) -> String {
    let gone = left.difference(right).map(|line| format!("- {line}\n"));
    gone.chain(right.difference(left).map(|line| format!("+ {line}\n"))).collect()
}
