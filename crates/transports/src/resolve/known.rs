//! What needs no look-up (N-2): addresses with numeric ports, and what cannot be a name.

use super::name::{check_host, check_service};
use super::query::{AddressInfo, AddressQuery, Family, NameQuery, Service, SocketType};
use std::io;
use std::net::{IpAddr, SocketAddr};

const IP: i32 = 0;
const TCP: i32 = libc::IPPROTO_TCP;
const UDP: i32 = libc::IPPROTO_UDP;

/// The answer, or the refusal, if no resolver has to be asked.
pub(super) fn known_addresses(query: &AddressQuery) -> Option<io::Result<Vec<AddressInfo>>> {
    if let Err(refused) = check_service(&query.service) {
        return Some(Err(refused));
    }
    let Ok(address) = query.host.parse::<IpAddr>() else {
        return check_host(&query.host).err().map(Err);
    };
    let Service::Port(port) = query.service else { return None };
    let address = SocketAddr::new(address, port);
    let sockets: &[(SocketType, i32)] = match (query.socket_type, query.protocol) {
        (None, None | Some(0)) => {
            &[(SocketType::Stream, TCP), (SocketType::Datagram, UDP), (SocketType::Raw, IP)]
        }
        (Some(SocketType::Stream) | None, Some(TCP))
        | (Some(SocketType::Stream), None | Some(0)) => &[(SocketType::Stream, TCP)],
        (Some(SocketType::Datagram) | None, Some(UDP))
        | (Some(SocketType::Datagram), None | Some(0)) => &[(SocketType::Datagram, UDP)],
        _ => return None, // the resolver knows which of them go together
    };
    if query.family.is_some_and(|family| family != Family::of(&address)) {
        let message = "it is an address of the other family";
        return Some(Err(io::Error::new(io::ErrorKind::NotFound, message)));
    }
    let answers = sockets.iter().enumerate().map(|(index, (socket_type, protocol))| {
        let answer = AddressInfo::from(address).socket(*socket_type, *protocol);
        match query.canonical_name && index == 0 {
            true => answer.named(&*query.host),
            false => answer,
        }
    });
    Some(Ok(answers.collect()))
}

/// The answer, if both parts of it are numbers. The number of a scope has a name that only the system
/// knows.
pub(super) fn known_name(query: &NameQuery) -> Option<(String, String)> {
    let has_scope = matches!(query.address, SocketAddr::V6(address) if address.scope_id() != 0);
    let known = query.numeric_host && query.numeric_service && !query.name_required && !has_scope;
    known.then(|| (query.address.ip().to_string(), query.address.port().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(query: impl Into<AddressQuery>) -> Option<Vec<AddressInfo>> {
        known_addresses(&query.into()).map(Result::unwrap)
    }

    #[test]
    fn n2_an_address_with_a_number_needs_no_look_up() {
        let stream = AddressQuery::from(("127.0.0.1", "80")).socket_type(SocketType::Stream);
        let answer = AddressInfo::from("127.0.0.1:80".parse::<SocketAddr>().unwrap());
        assert_eq!(known(stream.clone()), Some(vec![answer.clone().socket(SocketType::Stream, 6)]));
        assert_eq!(known(stream.clone().protocol(6)).unwrap().len(), 1);
        let named = known(stream.canonical_name(true)).unwrap();
        assert_eq!(named[0].canonical_name.as_deref(), Some("127.0.0.1"));
        let datagram = AddressQuery::from(("::1", "")).socket_type(SocketType::Datagram);
        let found = known(datagram).unwrap();
        assert_eq!((found[0].address.to_string(), found[0].protocol), ("[::1]:0".to_owned(), 17));
        let all = known(("127.0.0.1", 80)).unwrap();
        let kinds: Vec<_> = all.iter().map(|info| info.socket_type.unwrap()).collect();
        assert_eq!(kinds, [SocketType::Stream, SocketType::Datagram, SocketType::Raw]);
        assert_eq!(known(AddressQuery::from(("::1", 1)).protocol(17)).unwrap().len(), 1);
    }

    #[test]
    fn n2_scopes_names_of_services_and_other_protocols_are_left_to_the_resolver() {
        for query in [
            AddressQuery::from(("fe80::1%lo", 80)),
            AddressQuery::from(("127.0.0.1", "http")),
            AddressQuery::from(("127.0.0.1", 80)).protocol(132),
            AddressQuery::from(("127.0.0.1", 80)).socket_type(SocketType::Stream).protocol(17),
            AddressQuery::from(("127.0.0.1", 80)).socket_type(SocketType::SequencedPacket),
            AddressQuery::from(("localhost", 80)),
        ] {
            assert!(known(query.clone()).is_none(), "{query:?}");
        }
    }

    #[test]
    fn n2_n13_an_address_of_the_other_family_is_an_error() {
        let query = AddressQuery::from(("127.0.0.1", 80)).family(Family::V6);
        let refused = known_addresses(&query).unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn n2_numbers_alone_need_no_look_up_of_a_name() {
        let query = |text: &str| NameQuery::from(text.parse::<SocketAddr>().unwrap());
        let numeric = |text: &str| query(text).numeric_host(true).numeric_service(true);
        assert_eq!(known_name(&numeric("[::1]:80")), Some(("::1".into(), "80".into())));
        assert_eq!(known_name(&numeric("[fe80::1%1]:80")), None);
        assert_eq!(known_name(&numeric("1.2.3.4:80").name_required(true)), None);
        assert_eq!(known_name(&query("1.2.3.4:80").numeric_host(true)), None);
    }
}
