//! Ports that something listens at, and what it is; and default routes.

use std::fs;

use super::Facts;

/// What has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The program's name, where the system tells: it does so to root.
    pub program: Option<String>,
}

/// Where packets go for which there is no other route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultRoute {
    /// The network interface.
    pub interface: String,
    /// Whether it is one of IPv6, and not of IPv4.
    pub is_ipv6: bool,
}

/// `RTF_UP` and `RTF_REJECT` of the kernel's include/uapi/linux/route.h.
const UP: u32 = 1;
const REJECT: u32 = 0x200;
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

    /// The default routes of the main table, those of IPv4 first. None where the kernel does not tell.
    pub fn default_routes(&self) -> Option<Vec<DefaultRoute>> {
        let (four, six) = (self.text("/proc/net/route"), self.text("/proc/net/ipv6_route"));
        if four.is_none() && six.is_none() {
            return None;
        }
        let named = |interface: &str, is_ipv6| DefaultRoute { interface: interface.to_owned(), is_ipv6 };
        let four = four.unwrap_or_default();
        let mut routes: Vec<DefaultRoute> =
            four.lines().filter_map(default_4).map(|interface| named(interface, false)).collect();
        let six = six.unwrap_or_default();
        routes.extend(six.lines().filter_map(default_6).map(|interface| named(interface, true)));
        Some(routes)
    }

    /// The name servers that this machine asks (resolv.conf(5)), or that systemd-resolved asks for it.
    pub fn nameservers(&self) -> Vec<String> {
        let files = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
        let texts = files.iter().filter_map(|path| self.text(path)).collect::<Vec<_>>();
        let lines = texts.iter().flat_map(|text| text.lines());
        let named = lines.filter_map(|line| line.trim().strip_prefix("nameserver")?.split_whitespace().next());
        named.map(str::to_owned).collect()
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

/// The interface of a line of `/proc/net/route`, where that is a default route (`fib_route_seq_show` of the kernel).
fn default_4(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [interface, target, _, flags, _, _, _, mask, ..] = fields.as_slice() else { return None };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let is_default = *target == "00000000" && *mask == "00000000" && flags & UP != 0 && flags & REJECT == 0;
    is_default.then_some(*interface)
}

/// The same of `/proc/net/ipv6_route`; the kernel has one there by `lo` that refuses everything (`rt6_info_route`).
fn default_6(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [target, bits, .., flags, interface] = fields.as_slice() else { return None };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let any = target.bytes().all(|digit| digit == b'0') && *bits == "00";
    (any && flags & REJECT == 0 && *interface != "lo").then_some(*interface)
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
    fn default_routes_are_those_to_everywhere_that_lead_somewhere() {
        let lines = [
            ("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT", None),
            ("eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0", Some("eth0")),
            ("eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0", None),
            ("eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000080\t0\t0\t0", None),
            ("*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0", None),
            ("eth0\t00000000\t0100000A\t0002", None),
        ];
        for (line, interface) in lines {
            assert_eq!(default_4(line), interface, "{line}");
        }
        let zero = "0".repeat(32);
        let six = |target: &str, bits: &str, flags: &str, interface: &str| {
            format!(
                "{target} {bits} {zero} 00 fe8000000000000000000000000000fe 00000400 00000001 00000000 {flags}     {interface}"
            )
        };
        let lan = "fd000000000000000000000000000000";
        for (line, interface) in [
            (six(&zero, "00", "00000003", "eth0"), Some("eth0")),
            (six(&zero, "00", "00200200", "lo"), None),
            (six(&zero, "00", "00000203", "eth0"), None),
            (six(lan, "40", "00000001", "eth0"), None),
            (six(&zero, "08", "00000001", "eth0"), None),
        ] {
            assert_eq!(default_6(&line), interface, "{line}");
        }
    }

    #[test]
    fn this_machine_tells_who_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = Facts::here().tcp(listener.local_addr().unwrap().port()).unwrap();
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(found.program.as_deref(), Some(own.trim()));
    }
}
