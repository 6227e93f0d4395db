//! Host names to addresses. Literals need no look-up (N-2); names are looked up in the executor, so
//! that a slow resolver delays only those who asked.

use eventloop::{AbstractEventLoop, AbstractEventLoopExt};
use futures::{Exception, Future};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// A family of IP addresses, to which a look-up may be restricted (N-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(crate) fn matches(self, address: &SocketAddr) -> bool {
        match self {
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

/// The addresses of `host`, in the resolver's order, each once. The future is done at once where no
/// look-up is needed.
///
/// Cancelling it gives up waiting; the thread finishes on its own (N-4).
pub(crate) fn resolve(
    event_loop: &dyn AbstractEventLoop,
    host: &str,
    port: u16,
    family: Option<Family>,
) -> Future<Vec<SocketAddr>> {
    let known = match host.parse::<IpAddr>() {
        Ok(address) => Some(Ok(vec![SocketAddr::new(address, port)])),
        Err(_) => check_name(host).err().map(Err),
    };
    let wanted = host.to_owned();
    let choose = move |found: io::Result<Vec<SocketAddr>>| choose(&wanted, family, found);
    let scheduler = event_loop.to_rc();
    let finished = move |found| {
        let future = Future::new(scheduler);
        // It is new, hence pending.
        let _ = future.set_outcome(choose(found));
        future
    };
    match known {
        Some(found) => finished(found),
        None => {
            let name = host.to_owned();
            let look_up = event_loop.run_in_executor(None, move || {
                (name.as_str(), port).to_socket_addrs().map(|found| found.collect::<Vec<_>>())
            });
            look_up.then(finished)
        }
    }
}

fn choose(
    host: &str,
    family: Option<Family>,
    found: io::Result<Vec<SocketAddr>>,
) -> Result<Vec<SocketAddr>, Exception> {
    let named = |source| io::Error::from(ResolveError { host: host.to_owned(), source });
    let found = found.map_err(named)?;
    let mut addresses: Vec<SocketAddr> = Vec::with_capacity(found.len());
    for address in found {
        if family.is_none_or(|family| family.matches(&address)) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        let source = io::Error::new(io::ErrorKind::NotFound, "no address of the wanted family");
        return Err(named(source).into());
    }
    Ok(addresses)
}

/// Refuses what is no name before it reaches the C library.
fn check_name(host: &str) -> io::Result<()> {
    let trimmed = host.strip_suffix('.').unwrap_or(host);
    let bad = |reason: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, reason.to_owned()));
    if trimmed.is_empty() {
        return bad("the name is empty");
    }
    if trimmed.bytes().any(|byte| byte == 0 || byte.is_ascii_whitespace()) {
        return bad("the name contains a byte that no name has");
    }
    // A scope ("fe80::1%eth0") belongs to an address, which the resolver knows how to read.
    if trimmed.contains(':') {
        return Ok(());
    }
    if trimmed.len() > 253 {
        return bad("the name is longer than 253 bytes");
    }
    if trimmed.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return bad("a label of the name is empty or longer than 63 bytes");
    }
    Ok(())
}

/// A name that could not be resolved. (`Error::source` returns the resolver's answer.)
#[derive(Debug)]
pub struct ResolveError {
    host: String,
    source: io::Error,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot resolve {:?}", self.host)
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl From<ResolveError> for io::Error {
    fn from(error: ResolveError) -> Self {
        io::Error::new(error.source.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n3_what_is_no_name_is_refused_before_the_look_up() {
        for name in ["", ".", "a..b", "a b", "nul\0byte", &"x".repeat(64), &"abc.".repeat(70)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["localhost", "example.org.", "fe80::1%lo", &"x".repeat(63)] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn n3_n13_an_answer_without_a_usable_address_names_the_look_up() {
        let found = Ok(vec!["127.0.0.1:1".parse().unwrap()]);
        let error = choose("example.org", Some(Family::V6), found).unwrap_err();
        assert_eq!(error.to_string(), "cannot resolve \"example.org\"");
        let twice = Ok(vec!["127.0.0.1:1".parse().unwrap(); 2]);
        assert_eq!(choose("x", None, twice).unwrap().len(), 1);
    }
}
