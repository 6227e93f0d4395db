//! Names to addresses, and back (N-1…N-4). What needs no look-up is answered at once, what cannot be a
//! name is refused; everything else is asked of the loop's [`Resolver`], with a deadline.
//!
//! [`resolve`] is the one way from a host to its addresses, for connections, servers and datagrams.

mod error;
mod known;
mod look_up;
mod name;
mod query;
mod resolver;
mod resolver_loop;
mod system;
mod threaded;

pub use error::ResolveError;
pub use query::{AddressInfo, AddressQuery, Family, NameQuery, Service, SocketType};
pub use resolver::Resolver;
pub use resolver_loop::ResolverLoop;
pub use system::SystemResolver;
pub use threaded::{BlockingResolver, ThreadedResolver, ThreadedResolverOptions};

use eventloop::AbstractEventLoop;
use futures::{Exception, Future, SchedulerExt};
use indexmap::IndexSet;
use known::{known_addresses, known_name};
use look_up::{Question, begin};
use std::io;
use std::net::SocketAddr;

/// The addresses of `host`, in the resolver's order, each once. The future is done at once where no
/// look-up is needed.
///
/// Cancelling it gives up waiting (N-4).
pub(crate) fn resolve(
    event_loop: &dyn AbstractEventLoop,
    host: &str,
    port: u16,
    family: Option<Family>,
) -> Future<Vec<SocketAddr>> {
    let mut query = AddressQuery::from((host, port)).socket_type(SocketType::Stream);
    query.family = family;
    look_up_addresses(event_loop, query, |answers| {
        // There may be thousands, and others wait.
        let addresses: IndexSet<SocketAddr> = answers.iter().map(|info| info.address).collect();
        addresses.into_iter().collect()
    })
}

/// See [`ResolverLoop::getaddrinfo`].
fn getaddrinfo(
    event_loop: &dyn AbstractEventLoop,
    query: AddressQuery,
) -> Future<Vec<AddressInfo>> {
    look_up_addresses(event_loop, query, |answers| answers)
}

fn look_up_addresses<U: 'static>(
    event_loop: &dyn AbstractEventLoop,
    query: AddressQuery,
    finish: impl FnOnce(Vec<AddressInfo>) -> U + 'static,
) -> Future<U> {
    match known_addresses(&query) {
        Some(Ok(known)) => finished(event_loop, Ok(finish(known))),
        Some(Err(refused)) => {
            finished(event_loop, Err(ResolveError::exception(query.asked(), refused)))
        }
        None => begin(event_loop, query, finish),
    }
}

/// See [`ResolverLoop::getnameinfo`].
fn getnameinfo(event_loop: &dyn AbstractEventLoop, query: NameQuery) -> Future<(String, String)> {
    match known_name(&query) {
        Some(known) => finished(event_loop, Ok(known)),
        None => begin(event_loop, query, |names| names),
    }
}

fn finished<T: 'static>(
    event_loop: &dyn AbstractEventLoop,
    outcome: Result<T, Exception>,
) -> Future<T> {
    let future = event_loop.create_future();
    // It is new, hence pending.
    let _ = future.set_outcome(outcome);
    future
}

impl Question for AddressQuery {
    type Answer = Vec<AddressInfo>;

    fn asked(&self) -> String {
        match &self.service {
            Service::Port(_) => self.host.clone(),
            Service::Name(service) => format!("{}:{service}", self.host),
        }
    }

    fn ask(
        &self,
        resolver: &dyn Resolver,
        event_loop: &dyn AbstractEventLoop,
    ) -> Future<Vec<AddressInfo>> {
        resolver.look_up_addresses(event_loop, self)
    }

    /// The addresses that are what was asked for, with the port that was; it is an error if there are
    /// none (N-3).
    fn usable(&self, mut answers: Vec<AddressInfo>) -> io::Result<Vec<AddressInfo>> {
        if let Some(family) = self.family {
            answers.retain(|answer| family.matches(&answer.address));
        }
        if answers.is_empty() {
            let message = match self.family {
                None => "no address",
                Some(Family::V4) => "no IPv4 address",
                Some(Family::V6) => "no IPv6 address",
            };
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        if let Service::Port(port) = self.service {
            for answer in &mut answers {
                answer.address.set_port(port);
            }
        }
        Ok(answers)
    }

    fn why_late(&self, resolver: &dyn Resolver) -> Option<String> {
        resolver.why_late(self)
    }
}

impl Question for NameQuery {
    type Answer = (String, String);

    fn asked(&self) -> String {
        self.address.to_string()
    }

    fn ask(
        &self,
        resolver: &dyn Resolver,
        event_loop: &dyn AbstractEventLoop,
    ) -> Future<(String, String)> {
        resolver.look_up_name(event_loop, self)
    }

    fn usable(&self, names: (String, String)) -> io::Result<(String, String)> {
        Ok(names)
    }

    fn why_late(&self, resolver: &dyn Resolver) -> Option<String> {
        resolver.why_name_late(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n3_n13_an_answer_without_a_usable_address_is_an_error() {
        let query = AddressQuery::from(("example.org", 7)).family(Family::V6);
        let answers: Vec<AddressInfo> = ["127.0.0.1:0", "[::1]:0"]
            .map(|text| AddressInfo::from(text.parse::<SocketAddr>().unwrap()))
            .into();
        let error = query.usable(answers[..1].to_vec()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let found = query.usable(answers).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].address.to_string(), "[::1]:7"); // the port that was asked for
    }
}
