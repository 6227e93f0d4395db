//! Headers of the PROXY protocol, read and written: tables of what is right and wrong, and properties.

use super::format::*;
use super::{ProxyHeader, ProxyHeaderError};
use crate::Address;
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::SocketAddr;

fn ip(text: &str) -> Address {
    text.parse::<SocketAddr>().unwrap().into()
}

/// A binary header with this command, family and rest.
fn binary(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2_BEGIN, &[version_and_command, family][..], &length, rest].concat()
}

fn read(data: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let (header, size) = ProxyHeader::parse(data)?.expect("it is complete");
    assert_eq!(size, data.len());
    Ok(header)
}

const IPV4_BLOCK: [u8; 12] = [192, 0, 2, 7, 192, 0, 2, 1, 0xC3, 0xCB, 0x01, 0xBB];

#[test]
fn w7_lines_of_version_1_are_read() {
    let longest = [b"PROXY UNKNOWN ".as_slice(), &[b'f'; 91], b"\r\n"].concat();
    type Addresses = Option<(&'static str, &'static str)>;
    let cases: [(&[u8], Addresses); 6] = [
        (
            b"PROXY TCP4 192.0.2.7 192.0.2.1 50123 443\r\n",
            Some(("192.0.2.7:50123", "192.0.2.1:443")),
        ),
        (
            b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n",
            Some(("255.255.255.255:65535", "0.0.0.0:0")),
        ),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", Some(("[2001:db8::7]:1", "[::1]:2"))),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", Some(("[::ffff:192.0.2.7]:1", "[::1]:2"))),
        (b"PROXY UNKNOWN\r\n", None),
        (&longest, None),
    ];
    for (line, addresses) in cases {
        let header = read(line).unwrap();
        let addresses = addresses.map(|(from, to)| (ip(from), ip(to)));
        assert_eq!(header.addresses, addresses, "{}", line.escape_ascii());
        assert!(!header.is_local() && header.values().is_empty());
    }
    assert_eq!(longest.len(), ProxyHeader::LONGEST_V1);
}

#[test]
fn w7_lines_that_are_not_exact_are_refused() {
    let too_long = [b"PROXY UNKNOWN ".as_slice(), &[b'f'; 92], b"\r\n"].concat();
    let lines: [&[u8]; 24] = [
        b"GET / HTTP/1.1\r\n",
        b"proxy TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 \r\n",
        b"PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY\tTCP4 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.07 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 192.0.2 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.256 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 +1 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\r\n",
        &too_long,
    ];
    for line in lines {
        assert!(ProxyHeader::parse(line).is_err(), "{}", line.escape_ascii());
    }
    assert!(ProxyHeader::parse(b"PROXY \xFF\r\n").is_err());
}

#[test]
fn w7_binary_headers_of_every_family_are_read() {
    let v4 = read(&binary(0x21, 0x11, &IPV4_BLOCK)).unwrap();
    assert_eq!(v4, ProxyHeader::new(ip("192.0.2.7:50123"), ip("192.0.2.1:443")));
    let datagram = read(&binary(0x21, 0x12, &IPV4_BLOCK)).unwrap();
    assert!(datagram.is_datagram() && datagram.source() == v4.source());

    let mut v6 = [0; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (7, 1, 5, 6);
    let v6 = read(&binary(0x21, 0x21, &v6)).unwrap();
    assert_eq!(v6, ProxyHeader::new(ip("[::7]:5"), ip("[::1]:6")));

    let mut names = [0; 216];
    names[..5].copy_from_slice(b"/a/b\0");
    names[5] = b'x'; // what is left from before is no part of the name
    names[109..112].copy_from_slice(b"abs");
    let unix = read(&binary(0x21, 0x31, &names)).unwrap();
    assert_eq!(unix.source(), Some(&Address::Path("/a/b".into())));
    assert_eq!(unix.destination(), Some(&Address::Abstract(b"abs".to_vec())));
    let unnamed = read(&binary(0x21, 0x31, &[0; 216])).unwrap();
    assert_eq!(unnamed.source(), Some(&Address::Unnamed));
    let whole = read(&binary(0x21, 0x31, &[b'a'; 216])).unwrap();
    assert_eq!(whole.source(), Some(&Address::Path("a".repeat(108).into())));
}

#[test]
fn w7_local_and_unspecified_headers_are_skipped_whole() {
    // Of LOCAL even the family is ignored, and what follows is skipped.
    for (family, rest) in [(0x00, &[][..]), (0x11, &IPV4_BLOCK), (0xFF, b"junk"), (0x21, b"x")] {
        let header = read(&binary(0x20, family, rest)).unwrap();
        assert!(header.is_local() && header.source().is_none() && header.values().is_empty());
    }
    for (family, rest) in [(0x00, &[][..]), (0x00, b"junk"), (0x10, b"x"), (0x01, &IPV4_BLOCK)] {
        assert_eq!(read(&binary(0x21, family, rest)).unwrap(), ProxyHeader::unknown());
    }
}

#[test]
fn w7_binary_headers_that_are_wrong_are_refused_as_early_as_can_be() {
    use ProxyHeaderError as E;
    let error = |data: &[u8]| ProxyHeader::parse(data).unwrap_err();
    assert_eq!(error(&binary(0x11, 0x11, &IPV4_BLOCK)[..13]), E::UnknownVersion(1));
    assert_eq!(error(&binary(0x22, 0x11, &IPV4_BLOCK)[..13]), E::UnknownCommand(2));
    assert_eq!(error(&binary(0x21, 0x41, &IPV4_BLOCK)[..14]), E::UnknownFamily(0x41));
    assert_eq!(error(&binary(0x21, 0x13, &IPV4_BLOCK)[..14]), E::UnknownFamily(0x13));
    assert_eq!(error(&binary(0x21, 0x11, &IPV4_BLOCK[1..])[..16]), E::TooShort);
    assert_eq!(error(&binary(0x21, 0x21, &[0; 35])[..16]), E::TooShort);
    assert_eq!(error(&binary(0x21, 0x31, &[0; 215])[..16]), E::TooShort);
    let long = binary(0x21, 0x11, &[0; 1000]);
    let within = |most| ProxyHeader::parse_within(&long[..16], most);
    assert_eq!(within(1015), Err(E::TooLong { most: 1015 }));
    assert_eq!(within(1016), Ok(None));
    assert_eq!(error(b"\r\n\r\n\0\r\nQUIT\r"), E::NotProxy);
    assert_eq!(error(b"\r\n\r\n\0\r\nQUIS"), E::NotProxy);
}

/// An IPv4 header with these bytes for values.
fn with_values(values: &[u8]) -> Vec<u8> {
    binary(0x21, 0x11, &[&IPV4_BLOCK, values].concat())
}

#[test]
fn w7_values_stay_within_the_header() {
    use ProxyHeaderError as E;
    let header = read(&with_values(b"\x02\0\x03a.b\x04\0\x02\0\0\xE0\0\0\x01\0\x02h2")).unwrap();
    assert_eq!(header.authority(), Some("a.b"));
    assert_eq!(header.get(ProxyHeader::ALPN), Some(&b"h2"[..]));
    assert_eq!(header.get(ProxyHeader::CUSTOM), Some(&b""[..]));
    assert_eq!(header.values().len(), 3, "one that does nothing is not told");

    let id = |size: u8| [&[5, 0, size][..], &vec![b'i'; usize::from(size)]].concat();
    assert!(read(&with_values(&id(128))).is_ok());
    let wrong: [&[u8]; 6] =
        [b"\x02", b"\x02\0", b"\x02\0\x01", b"\x02\0\x04a.b", b"\x02\xFF\xFFa.b", &id(129)];
    for values in wrong {
        let kind = values[0];
        assert_eq!(read(&with_values(values)), Err(E::InvalidValue { kind }), "{values:?}");
    }
}

#[test]
fn w7_a_checksum_that_is_there_is_right() {
    let header = ProxyHeader::new(ip("192.0.2.7:1"), ip("192.0.2.1:2"))
        .value(ProxyHeader::AUTHORITY, "example.org")
        .checksum(true);
    let bytes = header.to_v2().unwrap();
    assert_eq!(read(&bytes).unwrap(), header);
    for place in 16..bytes.len() - 7 {
        let mut wrong = bytes.clone();
        wrong[place] ^= 0x10;
        assert!(read(&wrong).is_err(), "byte {place}");
    }
    let twice = [&bytes[16..], &bytes[bytes.len() - 7..]].concat();
    assert!(read(&binary(0x21, 0x11, &twice)).is_err());
    assert!(read(&with_values(b"\x03\0\x03abc")).is_err());
    assert!(read(&with_values(b"\x03\0\x00")).is_err());
}

#[test]
fn w7_what_cannot_be_said_is_not_sent() {
    use ProxyHeaderError as E;
    let header = ProxyHeader::new(ip("192.0.2.7:1"), ip("[2001:db8::1]:2"));
    assert_eq!(header.to_v1(), b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n");
    let read_again = read(&header.to_v2().unwrap()).unwrap();
    assert_eq!(read_again.source(), Some(&ip("[::ffff:192.0.2.7]:1")));

    let unix = ProxyHeader::new(Address::Unnamed, Address::Path("/run/x".into()));
    assert_eq!(unix.to_v1(), b"PROXY UNKNOWN\r\n");
    assert_eq!(ProxyHeader::local().to_v1(), b"PROXY UNKNOWN\r\n");
    let mixed = ProxyHeader::new(Address::Unnamed, ip("192.0.2.7:1"));
    assert_eq!(read(&mixed.to_v2().unwrap()), Ok(ProxyHeader::unknown()));

    let long = |size: usize| Address::Path("x".repeat(size).into());
    assert!(ProxyHeader::new(long(108), Address::Unnamed).to_v2().is_ok());
    let too_long = ProxyHeader::new(long(109), Address::Unnamed).to_v2();
    assert_eq!(too_long, Err(E::NameTooLong));
    let hidden = Address::Abstract(vec![1; 108]);
    assert_eq!(ProxyHeader::new(hidden, Address::Unnamed).to_v2(), Err(E::NameTooLong));

    let with = |kind, size| ProxyHeader::unknown().value(kind, vec![0; size]).to_v2();
    assert_eq!(with(0x05, 129), Err(E::InvalidValue { kind: 0x05 }));
    assert_eq!(with(CRC32C, 4), Err(E::InvalidValue { kind: CRC32C }));
    assert_eq!(with(0xE0, 65_536), Err(E::InvalidValue { kind: 0xE0 }));
    assert!(with(0xE0, 65_532).is_ok());
    assert_eq!(with(0xE0, 65_533), Err(E::TooLong { most: 65_551 }));
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    any::<SocketAddr>().prop_map(|address| SocketAddr::new(address.ip(), address.port()))
}

fn any_name() -> impl Strategy<Value = Address> {
    prop_oneof![
        Just(Address::Unnamed),
        "/[a-z]{0,107}".prop_map(|path| Address::Path(path.into())),
        vec(1u8.., 1..107).prop_map(Address::Abstract),
    ]
}

fn any_header() -> impl Strategy<Value = ProxyHeader> {
    let addresses = prop_oneof![
        (any_address(), any_address())
            .prop_filter("one family", |(from, to)| from.is_ipv4() == to.is_ipv4())
            .prop_map(|(from, to)| (Address::Ip(from), Address::Ip(to))),
        (any_name(), any_name()),
    ];
    let kind = any::<u8>().prop_filter("its own", |kind| ![CRC32C, NOOP].contains(kind));
    let values = vec((kind, vec(any::<u8>(), 0..100)), 0..5);
    (addresses, values, any::<bool>(), any::<bool>()).prop_map(
        |((from, to), values, datagram, checksum)| {
            let header = ProxyHeader { datagram, ..ProxyHeader::new(from, to) };
            let add = |header: ProxyHeader, (kind, value)| header.value(kind, value);
            values.into_iter().fold(header, add).checksum(checksum)
        },
    )
}

/// The beginning of a header, and what may become of it.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let noise = vec(any::<u8>(), 0..300);
    let text =
        "PROXY [TCPUNKOW46]{0,7}[ 0-9a-f.:]{0,100}(\r|\n|\r\n)?".prop_map(String::into_bytes);
    let damaged =
        (any_header(), vec((any::<usize>(), any::<u8>()), 0..4)).prop_map(|(header, damage)| {
            let mut bytes = header.to_v2().unwrap();
            for (place, byte) in damage {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
            bytes
        });
    let begun = vec(any::<u8>(), 0..300).prop_map(|rest| [&V2_BEGIN[..], &rest].concat());
    prop_oneof![noise, text, damaged, begun]
}

proptest! {
    #[test]
    fn w7_w16_a_header_that_is_written_is_read_and_nothing_behind_it(
        header in any_header(), behind in vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = header.to_v2().unwrap();
        let size = bytes.len();
        bytes.extend(&behind);
        prop_assert_eq!(ProxyHeader::parse(&bytes), Ok(Some((header.clone(), size))));

        let mut line = header.to_v1();
        let size = line.len();
        line.extend(&behind);
        let plain = match header.source().and_then(Address::as_ip) {
            Some(_) => ProxyHeader { addresses: header.addresses, ..ProxyHeader::unknown() },
            None => ProxyHeader::unknown(),
        };
        prop_assert_eq!(ProxyHeader::parse(&line), Ok(Some((plain, size))));
    }

    #[test]
    fn w7_w16_any_bytes_give_the_same_answer_however_they_come(bytes in any_bytes()) {
        let whole = ProxyHeader::parse_within(&bytes, 4096);
        let mut earlier = Ok(None);
        for end in 0..=bytes.len() {
            let now = ProxyHeader::parse_within(&bytes[..end], 4096);
            if earlier != Ok(None) {
                // Once there is an answer, more bytes do not change it.
                prop_assert_eq!(&now, &earlier);
            }
            if let Ok(Some((_, size))) = &now {
                prop_assert!(*size <= end);
            }
            earlier = now;
        }
        prop_assert_eq!(earlier, whole);
    }
}
