//! What a busy connection pays for others that are there and silent.

use crate::programs::Programs;
use crate::suite::{Case, Method, Servers, Suite};
use tulipa_bench::load::Window;
use tulipa_bench::load::echo::Echo;

/// How many are silent.
const IDLE: [usize; 3] = [0, 1000, 9000];

pub(crate) fn suite(programs: &Programs) -> Suite {
    Suite {
        name: "crowd",
        baseline: Some("epoll"),
        peers: super::echo::peers(programs),
        method: Method::Windows { servers: Servers::Stay, cases: IDLE.map(case).into() },
    }
}

fn case(idle: usize) -> Case {
    let echo = Echo { connections: 1, size: 64, idle, window: Window::short() };
    Case::new(idle.to_string(), move |server| echo.measure(server))
}
