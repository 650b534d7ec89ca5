//! The addresses of this machine's network interfaces, as the kernel tells them (rtnetlink(7)): no file has those of IPv4 with
//! their interfaces.

use std::net::IpAddr;

use rustix::io::Errno;
use rustix::net::netdevice::index_to_name;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use super::Facts;

/// `RTM_NEWADDR` and `RTM_GETADDR`.
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const ALL: u16 = 0x301;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The heads of a message, of an address in it, and of an attribute of that.
const MESSAGE: usize = 16;
const ADDRESS: usize = 8;
const ATTRIBUTE: usize = 4;
/// `IFA_ADDRESS`, `IFA_LOCAL`, `IFA_FLAGS`: on a line between two machines the first is the other machine's.
const PEER: u16 = 1;
const LOCAL: u16 = 2;
const FLAGS: u16 = 8;
/// `IFA_F_SECONDARY`, which is `IFA_F_TEMPORARY` too, `IFA_F_DADFAILED`, `IFA_F_DEPRECATED` and `IFA_F_TENTATIVE`.
const PASSING: u32 = 0x01 | 0x08 | 0x20 | 0x40;

/// An address that other machines can know this one by: one of global scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The network interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Whether it is one to stay: neither a second one of its network, nor temporary, deprecated or not yet checked.
    pub lasting: bool,
}

impl Facts {
    /// The addresses of global scope of all interfaces, in the kernel's order. None where the kernel does not tell.
    pub fn addresses(&self) -> Option<Vec<InterfaceAddress>> {
        self.addresses.clone().or_else(|| ask().ok())
    }
}

fn ask() -> Result<Vec<InterfaceAddress>, Errno> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut request = Vec::with_capacity(MESSAGE + ADDRESS);
    request.extend(((MESSAGE + ADDRESS) as u32).to_ne_bytes());
    request.extend(GET_ADDRESS.to_ne_bytes());
    request.extend(ALL.to_ne_bytes());
    request.resize(MESSAGE + ADDRESS, 0);
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let (mut found, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let (count, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let (addresses, done) = read(&buffer[..count]).ok_or(Errno::BADMSG)?;
        for Told { index, address, lasting } in addresses {
            // One that has gone meanwhile has no name.
            if let Ok(interface) = index_to_name(&socket, index) {
                found.push(InterfaceAddress { interface, address, lasting });
            }
        }
        if done {
            return Ok(found);
        }
    }
}

/// An address with the number of its interface.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    index: u32,
    address: IpAddr,
    lasting: bool,
}

/// The addresses of global scope in some messages, and whether the last message is among them; none where they are no messages.
fn read(mut bytes: &[u8]) -> Option<(Vec<Told>, bool)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (message, rest) = cut(bytes, four(bytes, 0)? as usize, MESSAGE)?;
        match two(message, 4)? {
            NEW_ADDRESS => found.extend(address(message.get(MESSAGE..)?)),
            DONE => return Some((found, true)),
            ERROR => return None,
            _ => {}
        }
        bytes = rest;
    }
    Some((found, false))
}

/// One message's address, where it is of global scope.
fn address(bytes: &[u8]) -> Option<Told> {
    const GLOBAL: u8 = 0;
    let head = bytes.get(..ADDRESS)?;
    let (family, scope, index) = (head[0], head[3], four(head, 4)?);
    let (mut flags, mut own, mut peer) = (u32::from(head[2]), None, None);
    let mut rest = bytes.get(ADDRESS..)?;
    while !rest.is_empty() {
        let (attribute, after) = cut(rest, two(rest, 0)? as usize, ATTRIBUTE)?;
        let value = attribute.get(ATTRIBUTE..)?;
        match two(attribute, 2)? {
            LOCAL => own = ip(family, value),
            PEER => peer = ip(family, value),
            FLAGS => flags = four(value, 0)?,
            _ => {}
        }
        rest = after;
    }
    let address = own.or(peer).filter(|_| scope == GLOBAL)?;
    Some(Told { index, address, lasting: flags & PASSING == 0 })
}

fn ip(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match u16::from(family) {
        family if family == AddressFamily::INET.as_raw() => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        family if family == AddressFamily::INET6.as_raw() => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The first `length` bytes, with a head of `least`, and what follows at the next multiple of four.
fn cut(bytes: &[u8], length: usize, least: usize) -> Option<(&[u8], &[u8])> {
    let part = bytes.get(..length).filter(|part| part.len() >= least)?;
    Some((part, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn two(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn four(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((ATTRIBUTE + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((MESSAGE + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(MESSAGE, 0);
        bytes.extend(body);
        bytes
    }

    fn told(family: AddressFamily, scope: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![family.as_raw() as u8, 24, 0x80, scope];
        body.extend(7_u32.to_ne_bytes());
        body.extend(attributes.concat());
        message(NEW_ADDRESS, &body)
    }

    #[test]
    fn addresses_of_global_scope_are_read() {
        let (four, six): ([u8; 4], IpAddr) = ([10, 0, 0, 1], "fd00::1".parse().unwrap());
        let IpAddr::V6(octets) = six else { panic!() };
        let messages = [
            // Between two machines, the peer's comes first.
            told(
                AddressFamily::INET,
                0,
                &[attribute(PEER, &[10, 0, 0, 2]), attribute(3, b"eth0\0"), attribute(LOCAL, &four)],
            ),
            told(AddressFamily::INET, 254, &[attribute(LOCAL, &[127, 0, 0, 1])]),
            told(AddressFamily::INET6, 253, &[attribute(PEER, &octets.octets())]),
            told(
                AddressFamily::INET6,
                0,
                &[attribute(PEER, &octets.octets()), attribute(FLAGS, &0x181_u32.to_ne_bytes())],
            ),
        ];
        let expected =
            [(four.into(), true), (six, false)].map(|(address, lasting)| Told { index: 7, address, lasting });
        let all = messages.concat();
        assert_eq!(read(&all), Some((expected.into(), false)));
        assert_eq!(read(&message(DONE, &[0; 4])), Some((Vec::new(), true)));
        assert_eq!(read(&message(ERROR, &[0; 4])), None);
        for length in 0..all.len() {
            let _ = read(&all[..length]);
        }
    }

    #[test]
    fn the_kernel_tells_of_this_machine() {
        assert!(Facts::here().addresses().is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_passed_over(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
