//! What a message costs that is sent back encrypted.

use crate::programs::Programs;
use crate::suite::{Case, Method, Peer, Servers, Suite};
use tulipa::Exception;
use tulipa_bench::load::Window;
use tulipa_bench::load::tls::{Identity, Tls};

/// Connections, and the size of their messages.
const CASES: [(usize, usize); 2] = [(100, 1024), (10, 100 * 1024)];

/// # Errors
/// If the certificate cannot be left for the servers.
pub(crate) fn suite(programs: &Programs) -> Result<Suite, Exception> {
    let folder = programs.target().join("bench");
    std::fs::create_dir_all(&folder)?;
    let identity = Identity::make(&folder)?;
    let cases = CASES.map(|(connections, size)| {
        let tls = Tls::new(&identity, connections, size, Window::short());
        Case::new(format!("{connections}x{size}"), move |server| tls.measure(server))
    });
    let files = ["--certificate".into(), identity.certificate, "--key".into(), identity.key];
    Ok(Suite {
        name: "tls",
        baseline: Some("tokio"),
        peers: vec![
            Peer::new("tulipa", programs.example("tls_echo", ["--port", "0"]).with(files.clone())),
            Peer::new("tokio", programs.peer(["tls", "tokio"]).with(files)),
        ],
        method: Method::Windows { servers: Servers::Stay, cases: cases.into() },
    })
}
