//! Writing a header of the PROXY protocol.

use super::format::*;
use super::{ProxyHeader, ProxyHeaderError};
use crate::Address;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

/// The line of version 1.
pub(super) fn v1(header: &ProxyHeader) -> Vec<u8> {
    let line = match ip_addresses(header) {
        Some((SocketAddr::V4(from), SocketAddr::V4(to))) => {
            format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
        }
        Some((from, to)) => {
            let (from_ip, to_ip) = (to_v6(from.ip()), to_v6(to.ip()));
            format!("PROXY TCP6 {from_ip} {to_ip} {} {}\r\n", from.port(), to.port())
        }
        None => "PROXY UNKNOWN\r\n".to_owned(),
    };
    line.into_bytes()
}

/// The binary form, version 2.
pub(super) fn v2(header: &ProxyHeader) -> Result<Vec<u8>, ProxyHeaderError> {
    let mut bytes = V2_BEGIN.to_vec();
    bytes.push(VERSION << 4 | if header.local { LOCAL } else { PROXY });
    let (family, block) = addresses(header)?;
    let protocol = match family {
        UNSPECIFIED => UNSPECIFIED,
        _ if header.datagram => DATAGRAM,
        _ => STREAM,
    };
    bytes.push(family << 4 | protocol);
    bytes.extend([0, 0]);
    bytes.extend(block);
    for value in &header.values {
        let invalid = ProxyHeaderError::InvalidValue { kind: value.kind };
        let too_long = value.kind == ProxyHeader::UNIQUE_ID && value.value.len() > LONGEST_ID;
        if too_long || [CRC32C, NOOP].contains(&value.kind) {
            return Err(invalid);
        }
        let length = u16::try_from(value.value.len()).map_err(|_| invalid)?;
        push_value(&mut bytes, value.kind, length, &value.value);
    }
    if header.checksum {
        push_value(&mut bytes, CRC32C, 4, &[0; 4]);
    }
    let length = u16::try_from(bytes.len() - V2_FIXED);
    let too_long = ProxyHeaderError::TooLong { most: V2_FIXED + usize::from(u16::MAX) };
    let length = length.map_err(|_| too_long)?;
    bytes[V2_FIXED - 2..V2_FIXED].copy_from_slice(&length.to_be_bytes());
    if header.checksum {
        let place = bytes.len() - 4;
        let checksum = crc32c(bytes.iter());
        bytes[place..].copy_from_slice(&checksum.to_be_bytes());
    }
    Ok(bytes)
}

fn push_value(bytes: &mut Vec<u8>, kind: u8, length: u16, value: &[u8]) {
    bytes.push(kind);
    bytes.extend(length.to_be_bytes());
    bytes.extend(value);
}

/// The family, and the addresses as it has them.
fn addresses(header: &ProxyHeader) -> Result<(u8, Vec<u8>), ProxyHeaderError> {
    if header.local {
        return Ok((UNSPECIFIED, Vec::new()));
    }
    if let Some((from, to)) = ip_addresses(header) {
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        return Ok(match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                (INET, [&from.octets()[..], &to.octets(), &ports].concat())
            }
            (from, to) => {
                (INET6, [&to_v6(from).octets()[..], &to_v6(to).octets(), &ports].concat())
            }
        });
    }
    match &header.addresses {
        None | Some((Address::Ip(_), _) | (_, Address::Ip(_))) => Ok((UNSPECIFIED, Vec::new())),
        Some((from, to)) => Ok((UNIX, [unix_name(from)?, unix_name(to)?].concat())),
    }
}

fn unix_name(address: &Address) -> Result<[u8; UNIX_NAME], ProxyHeaderError> {
    let mut name = [0; UNIX_NAME];
    let (start, bytes) = match address {
        Address::Path(path) => (0, path.as_os_str().as_bytes()),
        Address::Abstract(bytes) => (1, &bytes[..]),
        Address::Unnamed | Address::Ip(_) => (0, &[][..]),
    };
    let place = name.get_mut(start..start + bytes.len()).ok_or(ProxyHeaderError::NameTooLong)?;
    place.copy_from_slice(bytes);
    Ok(name)
}

fn ip_addresses(header: &ProxyHeader) -> Option<(SocketAddr, SocketAddr)> {
    let (from, to) = header.addresses.as_ref().filter(|_| !header.local)?;
    Some((from.as_ip()?, to.as_ip()?))
}

fn to_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}
