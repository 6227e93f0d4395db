//! What a connection costs in memory that is open and silent.
//!
//! A baseline that holds nothing for a connection leaves no ratio to take: these figures are absolute.

use crate::programs::Programs;
use crate::suite::{Case, Method, Peer, Servers, Suite};
use tulipa_bench::load::memory;

const CONNECTIONS: usize = 5_000;

pub(crate) fn suite(programs: &Programs) -> Suite {
    let mut peers = super::echo::peers(programs);
    // As it is usually written for tokio, a task holds its buffer all the time. It need not.
    peers.push(Peer::new("tokio-readable", programs.peer(["echo", "tokio-readable"])));
    let case = Case::new(CONNECTIONS.to_string(), |server| memory::measure(server, CONNECTIONS));
    Suite {
        name: "memory",
        baseline: None,
        peers,
        // Earlier windows would leave free memory behind that is used again.
        method: Method::Windows { servers: Servers::Fresh, cases: vec![case] },
    }
}
