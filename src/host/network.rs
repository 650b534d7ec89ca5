//! Ports that something listens at, and what it is.

use std::fs;

use super::Facts;

/// What has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The program's name, where the system tells: it does so to root.
    pub program: Option<String>,
}

/// `TCP_LISTEN` of the kernel's include/net/tcp_states.h, as its files have it.
const LISTENS: &str = "0A";

impl Facts {
    /// What listens at a TCP port.
    pub fn tcp(&self, port: u16) -> Option<Listener> {
        self.listener(["/proc/net/tcp", "/proc/net/tcp6"], port, Some(LISTENS))
    }

    /// What has a UDP port.
    pub fn udp(&self, port: u16) -> Option<Listener> {
        self.listener(["/proc/net/udp", "/proc/net/udp6"], port, None)
    }

    fn listener(&self, files: [&str; 2], port: u16, state: Option<&str>) -> Option<Listener> {
        let inode = files.iter().find_map(|file| socket(&self.text(file)?, port, state))?;
        Some(Listener { program: self.program(inode) })
    }

    /// The program that has the socket `inode`; the kernel's own sockets have none.
    fn program(&self, inode: u64) -> Option<String> {
        let wanted = format!("socket:[{inode}]");
        for process in fs::read_dir(self.at("/proc")).ok()?.flatten() {
            let process = process.path();
            let number = process.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !number.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let Ok(open) = fs::read_dir(process.join("fd")) else { continue };
            if open.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == &*wanted)) {
                return self.line(self.within(&process.join("comm"))?);
            }
        }
        None
    }
}

/// The inode of the socket that is bound to `port` (proc_net_tcp of the kernel's Documentation/networking).
fn socket(text: &str, port: u16, state: Option<&str>) -> Option<u64> {
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let bound = fields.get(1)?.rsplit_once(':').and_then(|(_, hex)| u16::from_str_radix(hex, 16).ok())?;
        let right = bound == port && state.is_none_or(|state| fields.get(3) == Some(&state));
        if right { fields.get(9)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
           0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 386424 1 0 100 0 0 10 0\n\
           1: 0100007F:280A 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 1056 1 0 100 0 0 10 0\n\
           2: garbage\n";

    #[test]
    fn only_what_listens_has_a_port() {
        assert_eq!(socket(TCP, 6443, Some(LISTENS)), Some(386_424));
        assert_eq!(socket(TCP, 10250, Some(LISTENS)), None, "a connection that goes out from there");
        assert_eq!(socket(TCP, 10250, None), Some(1056));
        assert_eq!(socket(TCP, 80, None), None);
    }

    #[test]
    fn this_machine_tells_who_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = Facts::here().tcp(listener.local_addr().unwrap().port()).unwrap();
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(found.program.as_deref(), Some(own.trim()));
    }
}
