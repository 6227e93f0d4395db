//! How soon one client is answered by servers that look for its next message before they sleep, and by one that
//! never sleeps.

use crate::programs::Programs;
use crate::suite::{Case, Method, Peer, Servers, Suite};
use tulipa_bench::load::Window;
use tulipa_bench::load::echo::Echo;

pub(crate) fn suite(programs: &Programs) -> Suite {
    let echo = Echo { connections: 1, size: 64, idle: 0, window: Window::short() };
    Suite {
        name: "spin",
        baseline: Some("epoll-spin"),
        peers: peers(programs),
        method: Method::Windows {
            // A server that never sleeps leaves nothing to the others.
            servers: Servers::Fresh,
            cases: vec![Case::new("1x64", move |server| echo.measure(server))],
        },
    }
}

fn peers(programs: &Programs) -> Vec<Peer> {
    let spinning = ["--port", "0", "--spin", "50"];
    vec![
        Peer::new("tulipa", programs.example("echo_server", ["--port", "0"])),
        Peer::new("tulipa-spin", programs.example("echo_server", spinning)),
        Peer::new("epoll", programs.peer(["echo", "epoll"])),
        Peer::new("epoll-spin", programs.peer(["echo", "epoll-spin"])),
    ]
}
