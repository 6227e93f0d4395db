//! [`TrustedProxies`]: who is believed.

use crate::Address;
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// From whom the header of the PROXY protocol is believed. Whoever may send one can claim any address, so
/// there is no default.
///
/// # Examples
/// ```
/// use tulipa_transports::wrappers::TrustedProxies;
/// let balancers: TrustedProxies = "10.0.0.0/8, 2001:db8::/32, 192.0.2.1".parse()?;
/// let local = TrustedProxies::none().unix(true);
/// assert!("10.0.0.0/33".parse::<TrustedProxies>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<(IpAddr, u8)>,
    unix: bool,
    everybody: bool,
}

impl TrustedProxies {
    /// Nobody: others are to be added.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everybody. Only where nobody but a proxy can connect.
    pub fn everybody() -> Self {
        Self { everybody: true, ..Self::none() }
    }

    /// Adds the addresses whose first `prefix` bits are those of `address`. More bits than it has are all
    /// of them. Addresses of IPv4 are the same as in an IPv6 address (`::ffff:192.0.2.1`).
    #[must_use]
    pub fn network(mut self, address: IpAddr, prefix: u8) -> Self {
        let mapped: IpAddr = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().into();
        if address.is_ipv6() && covers(address, prefix.min(96), mapped) {
            let v4 = match address.to_canonical() {
                IpAddr::V4(v4) => v4,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            };
            self.networks.push((v4.into(), prefix.saturating_sub(96)));
        }
        self.networks.push((address, prefix));
        self
    }

    /// Adds one address.
    #[must_use]
    pub fn address(self, address: IpAddr) -> Self {
        self.network(address, u8::MAX)
    }

    /// Whether connections over Unix sockets are believed: who may open the socket's file may connect.
    #[must_use]
    pub fn unix(mut self, enabled: bool) -> Self {
        self.unix = enabled;
        self
    }

    /// Whether a header from this peer is believed. A peer without an address is not.
    pub fn contains(&self, peer: Option<&Address>) -> bool {
        let Some(peer) = peer else { return self.everybody };
        let Some(peer) = peer.as_ip() else { return self.everybody || self.unix };
        let peer = peer.ip().to_canonical();
        self.everybody
            || self.networks.iter().any(|(network, prefix)| covers(*network, *prefix, peer))
    }
}

/// Whether the first `prefix` bits are the same.
fn covers(network: IpAddr, prefix: u8, peer: IpAddr) -> bool {
    match (network, peer) {
        (IpAddr::V4(network), IpAddr::V4(peer)) => {
            let differ = network.to_bits() ^ peer.to_bits();
            differ.leading_zeros() >= u32::from(prefix.min(32))
        }
        (IpAddr::V6(network), IpAddr::V6(peer)) => {
            let differ = network.to_bits() ^ peer.to_bits();
            differ.leading_zeros() >= u32::from(prefix.min(128))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

impl FromStr for TrustedProxies {
    type Err = InvalidNetwork;

    /// Addresses and networks (`address/prefix`) with commas between them, and `unix`.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let mut trusted = Self::none();
        for part in text.split(',').map(str::trim) {
            if part == "unix" {
                trusted.unix = true;
                continue;
            }
            let network = match part.split_once('/') {
                None => part.parse().ok().map(|address| (address, u8::MAX)),
                Some((address, prefix)) => {
                    let address: Option<IpAddr> = address.parse().ok();
                    let prefix: Option<u8> = prefix.parse().ok();
                    let most =
                        address.map_or(0, |address| if address.is_ipv4() { 32 } else { 128 });
                    address.zip(prefix.filter(|prefix| *prefix <= most))
                }
            };
            let network = network.ok_or_else(|| InvalidNetwork { text: part.to_owned() });
            let (address, prefix) = network?;
            trusted = trusted.network(address, prefix);
        }
        Ok(trusted)
    }
}

/// Something that is no address, no network and not `unix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork {
    text: String,
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an IP address or a network: {:?}", self.text)
    }
}

impl Error for InvalidNetwork {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn peer(text: &str) -> Address {
        Address::Ip(SocketAddr::new(text.parse().unwrap(), 1))
    }

    #[test]
    fn w7_a_network_is_trusted_to_its_last_address_and_no_further() {
        let trusted: TrustedProxies = "10.1.2.0/23, 2001:db8::/33,192.0.2.1".parse().unwrap();
        for inside in ["10.1.2.0", "10.1.3.255", "2001:db8:7fff::1", "192.0.2.1", "::ffff:10.1.2.3"]
        {
            assert!(trusted.contains(Some(&peer(inside))), "{inside}");
        }
        for outside in ["10.1.1.255", "10.1.4.0", "2001:db8:8000::", "192.0.2.2", "::1"] {
            assert!(!trusted.contains(Some(&peer(outside))), "{outside}");
        }
        assert!(!trusted.contains(None) && !trusted.contains(Some(&Address::Unnamed)));
        assert!(trusted.unix(true).contains(Some(&Address::Unnamed)));
        assert!(TrustedProxies::everybody().contains(None));
        let all: TrustedProxies = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains(Some(&peer("203.0.113.9"))) && !all.contains(Some(&peer("::1"))));
    }

    #[test]
    fn w7_networks_of_ipv4_may_be_written_as_a_socket_for_both_tells_them() {
        let trusted: TrustedProxies = "::ffff:10.1.2.3, ::ffff:10.2.0.0/112".parse().unwrap();
        for inside in ["10.1.2.3", "::ffff:10.1.2.3", "10.2.255.255", "::ffff:10.2.0.1"] {
            assert!(trusted.contains(Some(&peer(inside))), "{inside}");
        }
        for outside in ["10.1.2.4", "10.3.0.0", "::10.1.2.3", "::1"] {
            assert!(!trusted.contains(Some(&peer(outside))), "{outside}");
        }
        // A network that has those of IPv4 in it has all of them.
        let all: TrustedProxies = "::ffff:0:0/90".parse().unwrap();
        assert!(
            all.contains(Some(&peer("203.0.113.9"))) && !all.contains(Some(&peer("::1:0:0:0")))
        );
    }

    #[test]
    fn w7_what_is_no_network_is_named_in_the_error() {
        for wrong in
            ["", "10.0.0.0/33", "::/129", "10.0.0/8", "example.org", "10.0.0.0/-1", "1.2.3.4/"]
        {
            let error = wrong.parse::<TrustedProxies>().unwrap_err();
            assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
