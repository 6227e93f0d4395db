//! Helpers for tests of protocols: transports without a network, and a recorder that checks what a
//! transport does to a protocol.
//!
//! - [`RecordingTransport`] needs no loop: call the protocol's methods, look at what it asked for.
//! - [`MemoryLoop::memory_pair`] connects two protocols on one loop, with the real transport between them and
//!   seeded trouble on the way.
//! - [`Chunking`] checks that a protocol does the same however its input is cut, delayed or broken off.
//! - [`LifeCycle`] wraps any protocol and fails at once on a call that its life does not allow.

mod chunking;
mod life_cycle;
mod memory;
#[cfg(feature = "tls")]
mod memory_tls;
mod recording;

pub use chunking::{Chunking, ChunkingFailure, ChunkingRun, Ending, Notes};
pub use life_cycle::{LifeCycle, LifeCycleLog, ProtocolCall};
pub use memory::{MemoryLoop, MemoryOptions, MemoryPair, MemoryStreams};
#[cfg(feature = "tls")]
pub use memory_tls::{MemoryTlsLoop, MemoryTlsPair};
pub use recording::{RecordingTransport, Request};
