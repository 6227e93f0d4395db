//! Reading a header of the PROXY protocol, of which any part may be there.
//!
//! Invariant: what can no longer become a header is refused at its first wrong byte, as far as that can
//! be seen before the end; a header that is complete gives the same result however it came.

use super::format::*;
use super::{ProxyHeader, ProxyHeaderError, ProxyValue};
use crate::Address;
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

/// Either the header and its size, or `None` if more is needed.
type Read = Result<Option<(ProxyHeader, usize)>, ProxyHeaderError>;

/// Reads a header of either version, of at most `most` bytes.
pub(super) fn header(data: &[u8], most: usize) -> Read {
    if begins(data, V1_BEGIN) {
        v1(data, most)
    } else if begins(data, V2_BEGIN) {
        v2(data, most)
    } else {
        Err(ProxyHeaderError::NotProxy)
    }
}

/// Whether `data` has the same beginning, as far as both go.
fn begins(data: &[u8], beginning: &[u8]) -> bool {
    data.iter().zip(beginning).all(|(byte, wanted)| byte == wanted)
}

fn v1(data: &[u8], most: usize) -> Read {
    let most = most.min(ProxyHeader::LONGEST_V1);
    let shown = &data[..data.len().min(most)];
    let end = memchr::memchr2(b'\r', b'\n', shown);
    let end = match end.map(|end| (end, shown[end], shown.get(end + 1))) {
        Some((end, b'\r', Some(b'\n'))) => end,
        None | Some((_, b'\r', None)) if shown.len() < most => return Ok(None),
        None | Some((_, b'\r', None)) => return Err(ProxyHeaderError::TooLong { most }),
        Some(_) => return Err(ProxyHeaderError::InvalidLine { problem: "half an end of line" }),
    };
    let line = shown.get(V1_BEGIN.len()..end).ok_or(ProxyHeaderError::NotProxy)?;
    let addresses = v1_addresses(line)?;
    Ok(Some((ProxyHeader { addresses, ..ProxyHeader::unknown() }, end + 2)))
}

fn v1_addresses(line: &[u8]) -> Result<Option<(Address, Address)>, ProxyHeaderError> {
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(None); // whatever follows
    }
    let invalid = |problem| ProxyHeaderError::InvalidLine { problem };
    let line = std::str::from_utf8(line).map_err(|_| invalid("not text"))?;
    let fields: Vec<&str> = line.split(' ').collect();
    let [family, from, to, from_port, to_port] = fields[..] else {
        return Err(invalid("not of five fields"));
    };
    let ip = |text: &str| match family {
        "TCP4" => text.parse().map(IpAddr::V4).map_err(|_| invalid("no IPv4 address")),
        "TCP6" => text.parse().map(IpAddr::V6).map_err(|_| invalid("no IPv6 address")),
        _ => Err(invalid("neither TCP4, TCP6 nor UNKNOWN")),
    };
    let port = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let plain = text == "0" || !text.starts_with('0');
        let number = text.parse().ok().filter(|_: &u16| digits && plain);
        number.ok_or(invalid("no port"))
    };
    let from = SocketAddr::new(ip(from)?, port(from_port)?);
    let to = SocketAddr::new(ip(to)?, port(to_port)?);
    Ok(Some((from.into(), to.into())))
}

fn v2(data: &[u8], most: usize) -> Read {
    let Some(version_and_command) = data.get(12) else { return Ok(None) };
    let (version, command) = (version_and_command >> 4, version_and_command & 0xF);
    if version != VERSION {
        return Err(ProxyHeaderError::UnknownVersion(version));
    }
    if command != LOCAL && command != PROXY {
        return Err(ProxyHeaderError::UnknownCommand(command));
    }
    let Some(kind) = data.get(13) else { return Ok(None) };
    let (family, protocol) = (kind >> 4, kind & 0xF);
    if command == PROXY && (family > UNIX || protocol > DATAGRAM) {
        return Err(ProxyHeaderError::UnknownFamily(*kind));
    }
    let Some(length) = data.get(14..V2_FIXED) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let size = V2_FIXED + length;
    if size > most {
        return Err(ProxyHeaderError::TooLong { most });
    }
    let addresses_size = match (command, family, protocol) {
        (LOCAL, ..) | (_, UNSPECIFIED, _) | (_, _, UNSPECIFIED) => None,
        (_, INET, _) => Some(12),
        (_, INET6, _) => Some(36),
        _ => Some(2 * UNIX_NAME),
    };
    if addresses_size.is_some_and(|needed| length < needed) {
        return Err(ProxyHeaderError::TooShort);
    }
    let Some(whole) = data.get(..size) else { return Ok(None) };
    let header = match addresses_size {
        None if command == LOCAL => ProxyHeader::local(),
        None => ProxyHeader::unknown(),
        Some(addresses_size) => {
            let (block, _) = whole[V2_FIXED..].split_at(addresses_size);
            let (values, checksum) = values(whole, V2_FIXED + addresses_size)?;
            ProxyHeader {
                local: false,
                datagram: protocol == DATAGRAM,
                addresses: Some(v2_addresses(family, block)),
                values,
                checksum,
            }
        }
    };
    Ok(Some((header, size)))
}

/// The two addresses in a block that has just their size.
fn v2_addresses(family: u8, block: &[u8]) -> (Address, Address) {
    let mut rest = block;
    if family == UNIX {
        let (from, to) = rest.split_at(UNIX_NAME);
        return (unix_name(from), unix_name(to));
    }
    let (from_ip, to_ip): (IpAddr, IpAddr) = if family == INET {
        (Ipv4Addr::from(take::<4>(&mut rest)).into(), Ipv4Addr::from(take::<4>(&mut rest)).into())
    } else {
        (Ipv6Addr::from(take::<16>(&mut rest)).into(), Ipv6Addr::from(take::<16>(&mut rest)).into())
    };
    let from_port = u16::from_be_bytes(take(&mut rest));
    let to_port = u16::from_be_bytes(take(&mut rest));
    (SocketAddr::new(from_ip, from_port).into(), SocketAddr::new(to_ip, to_port).into())
}

/// The next bytes of a block that has them.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (taken, others) = rest.split_first_chunk().expect("the size was checked");
    *rest = others;
    *taken
}

/// The name of a Unix socket: it ends at its first zero byte, unless it begins with one.
fn unix_name(name: &[u8]) -> Address {
    match name.iter().position(|byte| *byte == 0) {
        Some(0) => match name.iter().rposition(|byte| *byte != 0) {
            None => Address::Unnamed,
            Some(last) => Address::Abstract(name[1..=last].to_vec()),
        },
        end => Address::Path(OsStr::from_bytes(&name[..end.unwrap_or(name.len())]).into()),
    }
}

/// The values behind the addresses, and whether there was a checksum, which was right.
fn values(whole: &[u8], start: usize) -> Result<(Vec<ProxyValue>, bool), ProxyHeaderError> {
    let mut values = Vec::new();
    let mut checksum = false;
    let mut place = start;
    while let Some(&kind) = whole.get(place) {
        let invalid = ProxyHeaderError::InvalidValue { kind };
        let Some(length) = whole.get(place + 1..place + VALUE_FIXED) else { return Err(invalid) };
        let begin = place + VALUE_FIXED;
        let end = begin + usize::from(u16::from_be_bytes([length[0], length[1]]));
        let Some(value) = whole.get(begin..end) else { return Err(invalid) };
        match (kind, value) {
            (CRC32C, &[a, b, c, d]) if !checksum => {
                let (before, after) = (&whole[..begin], &whole[end..]);
                let computed = crc32c(before.iter().chain(&[0; 4]).chain(after));
                if computed != u32::from_be_bytes([a, b, c, d]) {
                    return Err(ProxyHeaderError::WrongChecksum);
                }
                checksum = true;
            }
            (CRC32C, _) => return Err(invalid),
            (NOOP, _) => {}
            (ProxyHeader::UNIQUE_ID, id) if id.len() > LONGEST_ID => return Err(invalid),
            (kind, value) => values.push(ProxyValue { kind, value: value.to_vec() }),
        }
        place = end;
    }
    Ok((values, checksum))
}
