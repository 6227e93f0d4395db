//! How long a quiet connection waits while others send as fast as they can.

use crate::programs::Programs;
use crate::suite::{Case, Method, Servers, Suite};
use std::time::Duration;
use tulipa_bench::load::{Window, flood};

const FLOODING: usize = 100;

pub(crate) fn suite(programs: &Programs) -> Suite {
    // Longer than others, as the longest wait of a few says little; short enough that a thread which runs in real
    // time is not made to pause by the kernel (after 0.95 s in a second).
    let window = Window { length: Duration::from_millis(600), ..Window::short() };
    let case =
        Case::new(FLOODING.to_string(), move |server| flood::measure(server, FLOODING, window));
    Suite {
        name: "flood",
        baseline: Some("epoll"),
        peers: super::echo::peers(programs),
        method: Method::Windows { servers: Servers::Stay, cases: vec![case] },
    }
}
