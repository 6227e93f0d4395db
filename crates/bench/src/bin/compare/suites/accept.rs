//! What a connection costs that is made, asks once and is closed by the client.

use super::echo::peers;
use crate::programs::Programs;
use crate::suite::{Case, Method, Servers, Suite};
use tulipa_bench::load::Window;
use tulipa_bench::load::accept::Accept;

/// So many connections there are at a time.
const AT_A_TIME: usize = 32;

pub(crate) fn suite(programs: &Programs) -> Suite {
    let accept = Accept { at_a_time: AT_A_TIME, window: Window::short() };
    let case = Case::new(format!("{AT_A_TIME}x64"), move |server| accept.measure(server));
    Suite {
        name: "accept",
        baseline: Some("epoll"),
        peers: peers(programs),
        method: Method::Windows { servers: Servers::Stay, cases: vec![case] },
    }
}
