//! What a machine holds, in lines that can be compared: every file, and everything in containerd.

use std::collections::BTreeSet;

use super::machine::Machine;

/// What the system itself writes at every start, or whenever it runs.
const LEFT_OUT: &str = "/var/log /var/tmp /tmp /var/lib/systemd /var/cache /etc/.pwd.lock /run /var/lib/containerd";
const RECEIPTS: &str = "/var/lib/carrack/receipts";

/// Every file on the root file system as `type mode owner path → target`, or with its SHA-256; of receipts what they say.
/// containerd's own folder is left out: there are [`content`]'s lines.
pub(crate) fn files(machine: &mut Machine) -> BTreeSet<String> {
    let prune: Vec<_> = LEFT_OUT.split(' ').map(|path| format!("-path {path}")).collect();
    let find = format!("find / -xdev \\( {} \\) -prune -o", prune.join(" -o "));
    let script = format!(
        "set -e; {find} \\( -type f -printf '%y %#m %u:%g %p\\n' -o -printf '%y %#m %u:%g %p %l\\n' \\)\n\
         {find} -type f -not -path '{RECEIPTS}/*' -print0 | xargs -0 sha256sum"
    );
    let mut all = lines(&machine.succeed(&script));
    for name in machine.run(&format!("ls {RECEIPTS}")).output.lines().filter(|line| line.ends_with(".json")) {
        let text = machine.succeed(&format!("cat {RECEIPTS}/{name}"));
        let mut receipt: serde_json::Value = serde_json::from_str(&text).unwrap();
        // When it was, what there was to check, and how much space was free then.
        for field in ["applied", "verified", "preflight"] {
            assert!(receipt.as_object_mut().unwrap().remove(field).is_some(), "{field} in {text}");
        }
        all.insert(format!("{name} {receipt}"));
    }
    all
}

/// Names, content and snapshots in containerd's namespace of the kubelet, each with labels, and what every snapshot holds.
/// Neither the numbers nor the times of things.
pub(crate) fn content(machine: &mut Machine) -> BTreeSet<String> {
    let script = "set -e; ctr() { command ctr -n k8s.io \"$@\"; }\n\
        ctr images ls | sed 's/  */ /g; s/^/image /'\n\
        ctr content ls | sed 's/\\t[^\\t]* \\(second\\|minute\\|hour\\|day\\|week\\)s* *\\t/ /; s/^/content /'\n\
        ls /var/lib/containerd/io.containerd.content.v1.content/ingest | sed 's/^/unfinished /'\n\
        ctr leases ls -q | sed 's/^/lease /'\n\
        ctr containers ls -q | sed 's/^/container /'\n\
        ctr snapshots ls | sed 's/  */ /g; s/^/snapshot /'\n\
        cd /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots\n\
        shopt -s nullglob; for snapshot in */fs; do (cd $snapshot\n\
          echo unpacked $(find . -type f -exec sha256sum {} + | sort) $(find . -printf '%y %#m %U:%G %p %l\\n' | sort)); done";
    lines(&machine.succeed(script)).into_iter().map(|line| sorted_labels(&line)).collect()
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
