//! What every distribution has in common: what the machine is called, whom it trusts, and a route where it has none.

use super::cluster::Cluster;
use super::{SetupFile, Step, dummy_route, file, words};

/// Takes the name back that the machine had.
const GIVE_BACK: &str = "printf '%s\\n' \"$1\" > /proc/sys/kernel/hostname";
/// The hostname is a file like all others, so that it is put back as they are. The running system takes it from there by
/// writing it to the kernel, as `hostname -F` does: `hostnamectl` needs a message bus, which small systems do not have.
const TAKE_HOSTNAME: &str = "[ ! -s /etc/hostname ] || cat /etc/hostname > /proc/sys/kernel/hostname";
const HOSTNAME: &str = "/etc/hostname";

/// What cannot be done on this host.
pub(super) fn refusals(cluster: &Cluster<'_>) -> Vec<String> {
    let mut refusals = super::labels::refusals(cluster.node);
    if !cluster.node.certificates.is_empty() && cluster.host.store().is_none() {
        let os = if cluster.host.os.is_empty() { "this system" } else { &cluster.host.os };
        refusals.push(format!(
            "`caCertificates` of the site: it is not known where {os} keeps the authorities that it trusts; add them \
             yourself and leave the field out"
        ));
    }
    refusals
}

pub(super) fn files(cluster: &Cluster<'_>) -> Vec<SetupFile> {
    let hostname = cluster.node.hostname.iter().map(|name| file(HOSTNAME, format!("{name}\n")));
    hostname.chain(certificates(cluster)).chain(dummy_route::unit(cluster.node)).collect()
}

pub(super) fn start(cluster: &Cluster<'_>) -> Vec<Step> {
    let old = &cluster.host.hostname;
    let hostname = cluster.node.hostname.iter().map(|name| Step::Run {
        what: format!("call this machine {name}"),
        command: words(["/bin/sh", "-c", TAKE_HOSTNAME]),
        unless: None,
        undo: (!old.is_empty()).then(|| words(["/bin/sh", "-c", GIVE_BACK, "hostname", old])),
        seconds: 10,
    });
    hostname.chain(trust(cluster)).chain(dummy_route::start(cluster.node)).collect()
}

/// What takes away what was started.
pub(super) fn remove(cluster: &Cluster<'_>) -> Vec<Step> {
    dummy_route::remove(cluster.node).into_iter().collect()
}

/// One file for each certificate: OpenSSL's folders of links pass over a file that has several.
fn certificates(cluster: &Cluster<'_>) -> Vec<SetupFile> {
    let Some(store) = cluster.host.store() else { return Vec::new() };
    let mut files = Vec::new();
    for certificate in &cluster.node.certificates {
        for (index, pem) in blocks(&certificate.pem).into_iter().enumerate() {
            let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
            files.push(file(format!("{}/{}{number}.crt", store.folder, certificate.name), pem));
        }
    }
    files
}

/// The certificates of a text, without what is written between them (RFC 7468).
fn blocks(pem: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let block = |part: &str| part.split_once(END).map(|(body, _)| format!("{BEGIN}{body}{END}\n"));
    pem.split(BEGIN).skip(1).filter_map(block).collect()
}

fn trust(cluster: &Cluster<'_>) -> Option<Step> {
    let store = cluster.host.store().filter(|_| !cluster.node.certificates.is_empty())?;
    let command = store.update.iter().map(|word| (*word).to_owned()).collect();
    let what = "put together the authorities that this system trusts".to_owned();
    Some(Step::Load { what, command, seconds: 120 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_told_apart() {
        let one = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        assert_eq!(blocks(&format!("# root\n{one}\nbetween\n{one}")), [one, one]);
        assert_eq!(blocks("nothing"), Vec::<String>::new());
    }
}
