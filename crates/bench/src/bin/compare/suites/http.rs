//! What a small HTTP request and its reply cost.

use crate::programs::Programs;
use crate::suite::{Case, Method, Peer, Servers, Suite};
use tulipa_bench::load::Window;
use tulipa_bench::load::http::Http;

const CONNECTIONS: usize = 100;
const SIZE: usize = 1024;

pub(crate) fn suite(programs: &Programs) -> Suite {
    let http = Http { connections: CONNECTIONS, size: SIZE, window: Window::short() };
    let case = Case::new(format!("{CONNECTIONS}x{SIZE}"), move |server| http.measure(server));
    let size = &SIZE.to_string();
    Suite {
        name: "http",
        baseline: Some("httparse"),
        peers: vec![
            Peer::new("tulipa", programs.example("http_hello", ["--port", "0", "--size", size])),
            Peer::new("httparse", programs.peer(["http", "httparse", "--size", size])),
            Peer::new("hyper", programs.peer(["http", "hyper", "--size", size])),
        ],
        method: Method::Windows { servers: Servers::Stay, cases: vec![case] },
    }
}
