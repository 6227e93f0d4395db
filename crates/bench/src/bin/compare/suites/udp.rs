//! What a datagram costs that is sent back as it came, with many peers.

use crate::programs::Programs;
use crate::suite::{Case, Method, Peer, Servers, Suite};
use tulipa_bench::load::Window;
use tulipa_bench::load::udp::Udp;

const PEERS: usize = 1000;
/// As many as are under way at a time, so that a socket's buffer of the usual size has room for them.
const UNDER_WAY: [usize; 2] = [1, 100];

pub(crate) fn suite(programs: &Programs) -> Suite {
    let cases = UNDER_WAY.map(|under_way| {
        let udp = Udp { peers: PEERS, under_way, window: Window::short() };
        Case::new(format!("{under_way} of {PEERS}"), move |server| udp.measure(server))
    });
    Suite {
        name: "udp",
        baseline: Some("epoll"),
        peers: vec![
            Peer::new("tulipa", programs.example("udp_echo", ["--port", "0"])),
            Peer::new("epoll", programs.peer(["udp", "epoll"])),
            Peer::new("recvmmsg", programs.peer(["udp", "recvmmsg"])),
            Peer::new("tokio", programs.peer(["udp", "tokio"])),
        ],
        method: Method::Windows { servers: Servers::Stay, cases: cases.into() },
    }
}
