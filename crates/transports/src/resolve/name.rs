//! What can be a name at all. Everything else is refused before any resolver sees it: bytes that
//! would cut the name short or are passed on to who knows what, addresses in disguise, names that are
//! longer than any.

use super::query::Service;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The name of a network interface is at most this long.
const LONGEST_SCOPE: usize = 15;
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
const LONGEST_SERVICE: usize = 63;

/// Refuses what is no name, and no IPv6 address with a scope either.
pub(super) fn check_host(host: &str) -> io::Result<()> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() {
        return refuse("the name is empty");
    }
    if name.bytes().any(|byte| byte <= b' ' || byte == 0x7F) {
        return refuse("the name contains a byte that no name has");
    }
    if name.contains([':', '%']) {
        return match is_scoped_address(host) {
            true => Ok(()),
            false => refuse("it is neither a name nor an address"),
        };
    }
    if name.len() > LONGEST_NAME {
        return refuse("the name is longer than 253 bytes");
    }
    if name.split('.').any(|label| label.is_empty() || label.len() > LONGEST_LABEL) {
        return refuse("a label of the name is empty or longer than 63 bytes");
    }
    if is_disguised_address(name) {
        return refuse("it is an IPv4 address in a form that not everybody reads alike");
    }
    Ok(())
}

/// Refuses what can be no name of a service: numbers that are no port above all, of which the C library
/// uses the last 16 bits.
pub(super) fn check_service(service: &Service) -> io::Result<()> {
    let Service::Name(name) = service else { return Ok(()) };
    if name.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-')) {
        return refuse("a port is a number from 0 to 65535");
    }
    if name.len() > LONGEST_SERVICE || name.bytes().any(|byte| byte <= b' ' || byte == 0x7F) {
        return refuse("the service is neither a name nor a number");
    }
    Ok(())
}

/// Whether it is an IPv6 address with a scope ("fe80::1%eth0"), which needs no name server, but
/// somebody who knows this machine's interfaces.
pub(super) fn is_scoped_address(host: &str) -> bool {
    host.split_once('%').is_some_and(|(address, scope)| {
        address.parse::<Ipv6Addr>().is_ok()
            && (1..=LONGEST_SCOPE).contains(&scope.len())
            && !scope.contains(['%', '/'])
    })
}

/// Whether the C library would read it as an IPv4 address, as it does "127.1", "0x7f000001" and
/// "0177.0.0.1". Who checked the name against a list of addresses has not seen one there.
fn is_disguised_address(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let numbers: Option<Vec<u64>> = parts.iter().map(|part| c_number(part)).collect();
    let Some(numbers) = numbers else { return false };
    let Some((last, others)) = numbers.split_last() else { return false };
    // With a dot at its end, which was taken away, a plain one is no address.
    let fits = others.len() < 4
        && others.iter().all(|part| *part < 256)
        && *last < 1 << (8 * (4 - others.len()));
    fits || name.parse::<Ipv4Addr>().is_ok()
}

/// A number as C writes them: decimal, octal or hexadecimal.
fn c_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_number {
        return if radix == 16 && digits.is_empty() { Some(0) } else { None };
    }
    u64::from_str_radix(digits, radix).ok()
}

fn refuse<T>(reason: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn r12_n3_what_is_no_name_is_refused_before_the_look_up() {
        let too_long = "abc.".repeat(70);
        let long_label = "x".repeat(64);
        let bad = ["", ".", "..", "a..b", ".a", "a b", "nul\0byte", "a\n", "\u{7f}", "a\tb"];
        let bad = bad.into_iter().chain([&*too_long, &*long_label]);
        let no_addresses = ["a:b", "::1::", "[::1]", "fe80::1%", "fe80::1%a/b", "fe80::1%%", "%lo"];
        let no_addresses =
            no_addresses.into_iter().chain(["127.0.0.1%lo", "fe80::1%0123456789abcdef"]);
        for name in bad.chain(no_addresses) {
            let error = check_host(name).expect_err(name);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        let longest = ["x".repeat(63), "y".repeat(63), "z".repeat(63), "w".repeat(61)].join(".");
        assert_eq!(longest.len(), 253);
        let good = ["localhost", "example.org.", "fe80::1%lo", "fe80::1%2", "_sip._udp.example"];
        for name in good.into_iter().chain(["münchen.example", "a-b.c", "1.example", &longest]) {
            assert!(check_host(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn r12_addresses_in_disguise_are_no_names() {
        let disguised =
            ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.0.1", "0"];
        let disguised =
            disguised.into_iter().chain(["127.0.0.1.", "0X7F.0.0.1", "00", "0x", "1.2.3"]);
        for name in disguised {
            assert!(check_host(name).is_err(), "{name:?}");
        }
        // Too large for an address, or with a letter in the wrong place.
        let names =
            ["4294967296", "256.1.1.1", "1.2.3.4.5", "08", "0xg", "1a", "abc", "123456789012"];
        for name in names {
            assert!(check_host(name).is_ok(), "{name:?}");
        }
    }

    /// Whether the C library takes it for an address, without asking anybody.
    fn is_address_in_c(text: &str) -> bool {
        let flags = libc::AI_NUMERICHOST;
        let hints = dns_lookup::AddrInfoHints { flags, ..Default::default() };
        dns_lookup::getaddrinfo(Some(text), None, Some(hints)).is_ok()
    }

    proptest! {
        #[test]
        fn r12_what_passes_for_a_name_is_no_address_to_the_c_library(
            text in "[0-9a-fxX]{0,4}(\\.[0-9a-fxX]{0,4}){0,4}|[0-9]{1,12}|0[xX]?[0-7]{0,11}\\.?|\\PC{0,8}",
        ) {
            let passes = check_host(&text).is_ok() && !is_scoped_address(&text);
            let is_plain = text.parse::<std::net::IpAddr>().is_ok();
            if passes && !is_plain {
                prop_assert!(!is_address_in_c(&text), "{text:?}");
            }
        }

        #[test]
        fn r12_what_passes_can_be_given_to_the_c_library_whole(text in any::<String>()) {
            if check_host(&text).is_ok() {
                prop_assert!(!text.is_empty() && text.len() <= 254);
                prop_assert!(std::ffi::CString::new(text).is_ok());
            }
        }
    }

    #[test]
    fn r12_a_number_that_is_no_port_is_no_service() {
        let named = |text: &str| check_service(&Service::from(text));
        for text in ["65536", "-1", "+80", "99999999999999999999", "a b", "a\0", &"s".repeat(64)] {
            assert_eq!(named(text).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{text:?}");
        }
        for text in ["", "80", "http", "no-such-service"] {
            assert!(named(text).is_ok(), "{text:?}");
        }
    }
}
