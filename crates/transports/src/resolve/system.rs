//! [`SystemResolver`]: the C library's `getaddrinfo` and `getnameinfo`, which block.

use super::name::is_scoped_address;
use super::query::{AddressInfo, AddressQuery, Family, NameQuery, Service, SocketType};
use super::threaded::BlockingResolver;
use dns_lookup::{AddrInfoHints, LookupError};
use std::io;

/// The system's resolver: whatever the C library asks, files and name servers as a rule. It blocks for
/// as long as they take.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl BlockingResolver for SystemResolver {
    fn look_up_addresses(&self, query: &AddressQuery) -> io::Result<Vec<AddressInfo>> {
        let (service, mut flags) = match &query.service {
            Service::Port(port) => (port.to_string(), libc::AI_NUMERICSERV),
            Service::Name(name) => (name.clone(), 0),
        };
        if is_scoped_address(&query.host) {
            flags |= libc::AI_NUMERICHOST; // no name server is to see it
        }
        if query.canonical_name {
            flags |= libc::AI_CANONNAME;
        }
        if query.only_configured {
            flags |= libc::AI_ADDRCONFIG;
        }
        let hints = AddrInfoHints {
            flags,
            address: query.family.map_or(libc::AF_UNSPEC, family_number),
            socktype: query.socket_type.map_or(0, socket_type_number),
            protocol: query.protocol.unwrap_or(0),
        };
        let found = dns_lookup::getaddrinfo(Some(&query.host), Some(&service), Some(hints));
        let mut answers = Vec::new();
        for answer in found.map_err(io_error)? {
            let answer = answer?;
            answers.push(AddressInfo {
                address: answer.sockaddr,
                socket_type: socket_type(answer.socktype),
                protocol: answer.protocol,
                canonical_name: answer.canonname,
            });
        }
        Ok(answers)
    }

    fn look_up_name(&self, query: &NameQuery) -> io::Result<(String, String)> {
        let mut flags = 0;
        for (wanted, flag) in [
            (query.numeric_host, libc::NI_NUMERICHOST),
            (query.numeric_service, libc::NI_NUMERICSERV),
            (query.name_required, libc::NI_NAMEREQD),
            (query.datagram, libc::NI_DGRAM),
        ] {
            if wanted {
                flags |= flag;
            }
        }
        dns_lookup::getnameinfo(&query.address, flags).map_err(io_error)
    }
}

fn family_number(family: Family) -> i32 {
    match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    }
}

fn socket_type_number(socket_type: SocketType) -> i32 {
    match socket_type {
        SocketType::Stream => libc::SOCK_STREAM,
        SocketType::Datagram => libc::SOCK_DGRAM,
        SocketType::Raw => libc::SOCK_RAW,
        SocketType::SequencedPacket => libc::SOCK_SEQPACKET,
    }
}

fn socket_type(number: i32) -> Option<SocketType> {
    match number {
        libc::SOCK_STREAM => Some(SocketType::Stream),
        libc::SOCK_DGRAM => Some(SocketType::Datagram),
        libc::SOCK_RAW => Some(SocketType::Raw),
        libc::SOCK_SEQPACKET => Some(SocketType::SequencedPacket),
        _ => None,
    }
}

/// The library's error with a kind that tells what can be done about it.
fn io_error(error: LookupError) -> io::Error {
    let kind = match error.error_num() {
        libc::EAI_NONAME | libc::EAI_NODATA => io::ErrorKind::NotFound,
        libc::EAI_AGAIN => io::ErrorKind::ResourceBusy,
        libc::EAI_MEMORY => io::ErrorKind::OutOfMemory,
        libc::EAI_SERVICE | libc::EAI_SOCKTYPE | libc::EAI_BADFLAGS | libc::EAI_FAMILY => {
            io::ErrorKind::InvalidInput
        }
        // 0 stands for errors that are none of the resolver's.
        libc::EAI_SYSTEM | 0 => return error.into(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn n1_the_system_knows_localhost_and_services() {
        let query = AddressQuery::from(("localhost", "http")).socket_type(SocketType::Stream);
        // There may be no file of services here.
        match SystemResolver.look_up_addresses(&query) {
            Ok(found) => assert!(found.iter().all(|info| info.address.port() == 80)),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}"),
        }
        let query = AddressQuery::from(("localhost", 7)).family(Family::V4);
        let found = SystemResolver.look_up_addresses(&query.canonical_name(true)).unwrap();
        assert!(found.iter().all(|info| info.address.to_string() == "127.0.0.1:7"), "{found:?}");
        assert!(found[0].canonical_name.is_some());
        assert!(found.iter().any(|info| info.socket_type == Some(SocketType::Datagram)));
    }

    #[test]
    fn n2_a_scope_is_kept() {
        let query = AddressQuery::from(("fe80::1%lo", 80)).socket_type(SocketType::Stream);
        let found = SystemResolver.look_up_addresses(&query).unwrap();
        let SocketAddr::V6(address) = found[0].address else { panic!("not IPv6") };
        assert_eq!((address.ip().to_string(), address.scope_id()), ("fe80::1".to_owned(), 1));
        let nowhere = AddressQuery::from(("fe80::1%nowhere0", 80));
        assert_eq!(
            SystemResolver.look_up_addresses(&nowhere).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let query = NameQuery::from(found[0].address).numeric_host(true).numeric_service(true);
        let named = SystemResolver.look_up_name(&query).unwrap();
        assert_eq!(named, ("fe80::1%lo".to_owned(), "80".to_owned()));
    }

    #[test]
    fn n1_an_error_of_the_system_has_a_kind() {
        let query = AddressQuery::from(("127.0.0.1", "no-such-service"));
        let error = SystemResolver.look_up_addresses(&query).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        for (number, kind) in [
            (libc::EAI_AGAIN, io::ErrorKind::ResourceBusy),
            (libc::EAI_NONAME, io::ErrorKind::NotFound),
            (libc::EAI_FAIL, io::ErrorKind::Other),
        ] {
            assert_eq!(io_error(LookupError::new(number)).kind(), kind);
        }
    }
}
