//! Rules for paths that somebody names: what is a path at all, and which folders are the system's own.
//!
//! Pure: they look at no host. What is in a folder is another question, which the host answers.

/// Longest path that Linux takes (`PATH_MAX`), with its NUL.
const MAX_PATH: usize = 4096;
/// Longest name in a path (`NAME_MAX`).
const MAX_NAME: usize = 255;

/// Folders below the root that belong to the system, so that nobody's data is the whole of one.
const TOP: [&str; 25] = [
    "bin",
    "boot",
    "dev",
    "efi",
    "etc",
    "home",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "lost+found",
    "media",
    "mnt",
    "nix",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "snap",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
];
/// Folders that are the system's with everything below them.
const WHOLE: [&str; 17] = [
    "/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/proc", "/run", "/sbin",
    "/snap", "/sys", "/tmp", "/usr",
];
/// Folders further down that many share.
const SHARED: [&str; 38] = [
    "/etc/containerd",
    "/etc/systemd",
    "/etc/systemd/system",
    "/etc/ssl",
    "/etc/pki",
    "/etc/cni",
    "/etc/default",
    "/usr/bin",
    "/usr/lib",
    "/usr/libexec",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/local/share",
    "/usr/sbin",
    "/usr/share",
    "/var/backups",
    "/var/cache",
    "/var/db",
    "/var/empty",
    "/var/home",
    "/var/lib",
    "/var/local",
    "/var/lock",
    "/var/log",
    "/var/mail",
    "/var/opt",
    "/var/roothome",
    "/var/run",
    "/var/snap",
    "/var/spool",
    "/var/tmp",
    "/var/www",
    "/opt/cni",
    "/etc/rancher",
    "/etc/sysconfig",
    "/root/.kube",
];
/// Folders of other programs, or Carrack's own, where no cluster keeps its data; with everything below them.
const OTHERS: [&str; 10] = [
    "/var/lib/carrack",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/var/lib/snapd",
    "/var/lib/systemd",
    "/var/run",
    "/var/tmp",
];

/// Whether a text is an absolute path as it is written best: without `.`, `..`, `//`, a `/` at its end or control characters,
/// and with at least one name.
///
/// # Errors
/// What is wrong with it.
pub fn check_clean(path: &str) -> Result<(), &'static str> {
    let Some(rest) = path.strip_prefix('/') else { return Err("is not an absolute path") };
    if path.len() >= MAX_PATH || rest.split('/').any(|name| name.len() > MAX_NAME) {
        return Err("is longer than a path can be");
    }
    if path.chars().any(char::is_control) {
        return Err("has a control character");
    }
    if rest.is_empty() {
        return Err("is the root of the file system");
    }
    if rest.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err("has `.`, `..`, `//` or a `/` at its end");
    }
    Ok(())
}

/// Whether a path is a folder of the system itself or one that many programs share: never data of one program.
pub fn is_system_folder(path: &str) -> bool {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    match names.as_slice() {
        [] => true,
        [top] => TOP.contains(top),
        _ => SHARED.contains(&path),
    }
}

/// Whether a path can be removed with all that is below it, whoever asks for it.
///
/// # Errors
/// Why not.
pub fn check_removable(path: &str) -> Result<(), &'static str> {
    check_clean(path)?;
    if path.matches('/').count() < 2 {
        return Err("has fewer than two components");
    }
    if is_system_folder(path) {
        return Err("is a folder of the system");
    }
    Ok(())
}

/// Whether a path can be the folder of a cluster's data.
///
/// # Errors
/// Why not.
pub fn check_data_folder(path: &str) -> Result<(), &'static str> {
    check_clean(path)?;
    let below = |folders: &[&str]| folders.iter().any(|folder| is_within(path, folder));
    if is_system_folder(path) || below(&WHOLE) {
        return Err("is a folder of the system");
    }
    if below(&OTHERS) {
        return Err("is a folder of another program");
    }
    Ok(())
}

/// Whether a path can be a file that a program writes and removes.
///
/// # Errors
/// Why not.
pub fn check_file(path: &str) -> Result<(), &'static str> {
    check_clean(path)?;
    if path.matches('/').count() < 2 {
        return Err("is a file in the root of the file system");
    }
    if is_system_folder(path) {
        return Err("is a folder of the system, not a file");
    }
    if ["/dev", "/proc", "/sys", "/boot"].iter().any(|folder| is_within(path, folder)) {
        return Err("is in a file system of the kernel, or where the system starts from");
    }
    if is_within(path, super::OWN) {
        return Err("is a place of Carrack's own");
    }
    Ok(())
}

/// Whether `path` is `folder` or below it.
pub fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_absolute_paths_are_paths() {
        for path in ["", "a", "./a", "/", "//", "/a/", "/a//b", "/a/./b", "/a/../b", "/..", "/a\nb", "/a\0b", " /a"] {
            assert!(check_clean(path).is_err(), "{path:?}");
        }
        assert!(check_clean(&format!("/{}", "a".repeat(256))).is_err());
        assert!(check_clean(&"/a".repeat(2048)).is_err());
        for path in ["/a", "/a/b", "/a/..b", "/a/.b", "/a/b c", "/ä"] {
            assert_eq!(check_clean(path), Ok(()), "{path:?}");
        }
    }

    #[test]
    fn folders_of_the_system_are_never_removed() {
        for path in [
            "/",
            "/a",
            "/etc",
            "/usr/local",
            "/usr/local/bin",
            "/var/lib",
            "/var/log",
            "/home",
            "/etc/systemd",
            "/etc/rancher",
            "relative/path",
            "/var/lib/../etc",
            "/var//lib/x",
            "/var/lib/x/",
        ] {
            assert!(check_removable(path).is_err(), "{path}");
        }
        for path in
            ["/var/lib/kubelet", "/etc/kubernetes", "/run/k3s", "/opt/edge", "/etc/rancher/node", "/data/server"]
        {
            assert_eq!(check_removable(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn data_has_a_folder_of_its_own() {
        for path in [
            "/",
            "/usr",
            "/usr/local",
            "/usr/share/edge",
            "/etc",
            "/etc/edge",
            "/srv",
            "/var",
            "/var/lib",
            "/opt",
            "/home",
            "/root",
            "/boot",
            "/boot/efi",
            "/mnt",
            "/media",
            "/tmp/edge",
            "/run/edge",
            "/var/tmp/edge",
            "/var/run/edge",
            "/var/lib/carrack",
            "/var/lib/carrack/data",
            "/var/lib/docker",
            "/var/lib/containerd/x",
            "/dev/shm/edge",
            "/lib",
        ] {
            assert!(check_data_folder(path).is_err(), "{path}");
        }
        for path in [
            "/data",
            "/edge",
            "/opt/edge",
            "/srv/edge",
            "/mnt/disk1",
            "/var/lib/edge",
            "/home/edge",
            "/var/lib/rancher/k3s",
            "/usr2",
            "/var/lib/carrack2",
        ] {
            assert_eq!(check_data_folder(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn files_are_no_folders_of_the_system() {
        for path in [
            "/etc",
            "/x",
            "/usr/local/bin",
            "/etc/",
            "a",
            "../a",
            "/dev/null",
            "/proc/x",
            "/var/lib/carrack/x",
            "/a/../b",
        ] {
            assert!(check_file(path).is_err(), "{path}");
        }
        for path in
            ["/etc/rancher/k3s/k3s.yaml", "/root/k3s.yaml", "/root/.kube/config", "/home/a/config", "/tmp/k3s.yaml"]
        {
            assert_eq!(check_file(path), Ok(()), "{path}");
        }
    }
}
