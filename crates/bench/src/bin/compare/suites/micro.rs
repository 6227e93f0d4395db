//! What a scheduler costs by itself, without a socket: programs that measure themselves.

use crate::programs::Programs;
use crate::suite::{Method, Peer, Suite};

/// Callbacks, timers, futures, tasks and threads.
pub(crate) fn suite(programs: &Programs) -> Suite {
    Suite {
        name: "micro",
        baseline: None,
        peers: vec![
            Peer::new("tulipa", programs.micro(["all"])),
            Peer::new("tokio", programs.peer(["micro", "tokio", "all"])),
            Peer::new("smol", programs.peer(["micro", "smol", "all"])),
            Peer::new("calloop", programs.peer(["micro", "calloop", "all"])),
            Peer::perhaps("libuv", programs.on_libuv("micro_uv.c")),
            Peer::perhaps("uvloop", programs.on_uvloop("micro_asyncio.py")),
            Peer::perhaps("asyncio", programs.on_asyncio("micro_asyncio.py")),
        ],
        method: Method::Programs,
    }
}

/// The same while from one to ten million of them are pending.
pub(crate) fn growth(programs: &Programs) -> Suite {
    Suite {
        name: "growth",
        baseline: None,
        peers: vec![
            Peer::new("tulipa", programs.micro(["growth"])),
            Peer::new("tokio", programs.peer(["micro", "tokio", "growth"])),
            Peer::new("smol", programs.peer(["micro", "smol", "growth"])),
        ],
        method: Method::Programs,
    }
}
