//! Programs, services, and what guards them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Facts;

/// Where services look for programs (systemd.exec(5)). What a person's own shell finds besides does not help them.
pub const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Where units are (systemd.unit(5)).
const UNITS: [&str; 4] =
    ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// What SELinux does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeLinux {
    /// It is not there, or switched off.
    Off,
    /// It only writes down what it would deny.
    Permissive,
    /// It denies.
    Enforcing,
}

impl Facts {
    /// The path of a program, where services find it.
    pub fn command(&self, name: &str) -> Option<String> {
        let mut paths = PROGRAMS.iter().map(|folder| format!("{folder}/{name}"));
        paths.find(|path| {
            self.at(path).metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        })
    }

    /// The path of a unit such as `docker.service`. One that is masked is not there.
    pub fn unit(&self, name: &str) -> Option<String> {
        let path = UNITS.iter().map(|folder| format!("{folder}/{name}")).find(|path| self.exists(path))?;
        let masked = self.at(&path).read_link().is_ok_and(|target| target == Path::new("/dev/null"));
        (!masked).then_some(path)
    }

    /// Whether a unit is started when the machine starts.
    pub fn is_enabled(&self, name: &str) -> bool {
        ["multi-user.target", "default.target", "sockets.target"]
            .iter()
            .any(|target| self.exists(&format!("/etc/systemd/system/{target}.wants/{name}")))
    }

    /// What SELinux does now.
    pub fn selinux(&self) -> SeLinux {
        match self.line("/sys/fs/selinux/enforce").as_deref() {
            Some("1") => SeLinux::Enforcing,
            Some(_) => SeLinux::Permissive,
            None => SeLinux::Off,
        }
    }

    /// What SELinux does after the next start (selinux(8)).
    pub fn selinux_at_start(&self) -> SeLinux {
        let text = self.text("/etc/selinux/config").unwrap_or_default();
        match text.lines().find_map(|line| line.trim().strip_prefix("SELINUX=")).map(str::trim) {
            Some("enforcing") => SeLinux::Enforcing,
            Some("permissive") => SeLinux::Permissive,
            _ => SeLinux::Off,
        }
    }

    /// Whether AppArmor is at work.
    pub fn apparmor(&self) -> bool {
        self.line("/sys/module/apparmor/parameters/enabled").is_some_and(|enabled| enabled == "Y")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn programs_and_units_are_found_where_services_find_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["usr/bin", "opt/bin", "etc/systemd/system", "usr/lib/systemd/system"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for (path, mode) in [("usr/bin/runs", 0o755), ("usr/bin/text", 0o644), ("opt/bin/elsewhere", 0o755)] {
            fs::write(at(path), "").unwrap();
            fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::write(at("usr/lib/systemd/system/a.service"), "").unwrap();
        fs::write(at("usr/lib/systemd/system/b.service"), "").unwrap();
        symlink("/dev/null", at("etc/systemd/system/b.service")).unwrap();
        let facts = Facts::below(folder.path(), super::super::disk::space);
        assert_eq!(facts.command("runs").as_deref(), Some("/usr/bin/runs"));
        assert_eq!((facts.command("text"), facts.command("elsewhere"), facts.command("none")), (None, None, None));
        assert_eq!(facts.unit("a.service").as_deref(), Some("/usr/lib/systemd/system/a.service"));
        assert_eq!((facts.unit("b.service"), facts.unit("c.service")), (None, None));
        assert_eq!((facts.selinux(), facts.selinux_at_start(), facts.apparmor()), (SeLinux::Off, SeLinux::Off, false));
    }
}
