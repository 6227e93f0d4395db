//! How the cost of a message grows with the number of connections, all of them busy.

use super::echo::peers;
use crate::programs::Programs;
use crate::suite::{Case, Method, Servers, Suite};
use tulipa_bench::load::Window;
use tulipa_bench::load::echo::Echo;

const CONNECTIONS: [usize; 9] = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000];
const SIZE: usize = 64;

pub(crate) fn suite(programs: &Programs) -> Suite {
    let cases = CONNECTIONS.map(|connections| {
        let echo = Echo { connections, size: SIZE, idle: 0, window: Window::short() };
        Case::new(connections.to_string(), move |server| echo.measure(server))
    });
    Suite {
        name: "connections",
        baseline: Some("epoll"),
        peers: peers(programs),
        method: Method::Windows { servers: Servers::Stay, cases: cases.into() },
    }
}
