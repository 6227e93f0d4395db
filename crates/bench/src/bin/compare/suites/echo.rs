//! What a message costs that is sent back as it came: over connections and sizes.

use crate::programs::Programs;
use crate::suite::{Case, Method, Peer, Servers, Suite};
use tulipa_bench::load::Window;
use tulipa_bench::load::echo::Echo;

const CONNECTIONS: [usize; 4] = [1, 10, 100, 1000];
const SIZES: [usize; 4] = [64, 1024, 16 * 1024, 100 * 1024];

pub(crate) fn suite(programs: &Programs) -> Suite {
    Suite {
        name: "echo",
        baseline: Some("epoll"),
        peers: peers(programs),
        method: Method::Windows { servers: Servers::Stay, cases: cases() },
    }
}

fn cases() -> Vec<Case> {
    let each = |size| CONNECTIONS.map(|connections| case(connections, size));
    SIZES.into_iter().flat_map(each).collect()
}

fn case(connections: usize, size: usize) -> Case {
    // Where a round over all connections takes longer than most windows.
    let window = match connections * size >= 16_000_000 {
        true => Window::long(),
        false => Window::short(),
    };
    let echo = Echo { connections, size, idle: 0, window };
    Case::new(format!("{connections}x{size}"), move |server| echo.measure(server))
}

/// Everybody who has an echo server here.
pub(super) fn peers(programs: &Programs) -> Vec<Peer> {
    vec![
        Peer::new("tulipa", programs.example("echo_server", ["--port", "0"])),
        Peer::new("epoll", programs.peer(["echo", "epoll"])),
        Peer::perhaps("epoll-c", programs.compiled("epoll_echo.c", &[])),
        Peer::new("mio", programs.peer(["echo", "mio"])),
        Peer::new("tokio", programs.peer(["echo", "tokio"])),
        Peer::new("smol", programs.peer(["echo", "smol"])),
        Peer::new("calloop", programs.peer(["echo", "calloop"])),
        Peer::new("monoio", programs.peer(["echo", "monoio"])),
        Peer::perhaps("libuv", programs.on_libuv("uv_echo.c")),
        Peer::perhaps("uvloop", programs.on_uvloop("echo_asyncio.py")),
        Peer::perhaps("asyncio", programs.on_asyncio("echo_asyncio.py")),
    ]
}
