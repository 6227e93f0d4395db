//! Children: programs that are started, watched, fed and read, with a protocol or as a coroutine's
//! [`Process`].
//!
//! ```
//! use eventloop::{EventLoop, prelude::*};
//! use tulipa_transports::subprocess::{SubprocessOptions, Stdio, create_subprocess_exec};
//!
//! let event_loop = EventLoop::new()?;
//! let task = event_loop.create_task(async {
//!     let count = SubprocessOptions::new("wc").arg("-c").stderr(Stdio::Inherit);
//!     let mut wc = create_subprocess_exec(count).await?;
//!     wc.communicate(b"tulip\n").await
//! });
//! let wc = event_loop.run_until_complete(&task)?;
//! assert_eq!(wc.stdout.unwrap().trim_ascii(), b"6");
//! # Ok::<(), futures::Exception>(())
//! ```
//!
//! - A child inherits what it was given and nothing else: three streams, an environment, a directory.
//!   No signal is blocked or ignored in it.
//! - Its end is noticed for itself, by a descriptor of its own, and its status taken once; nobody else's
//!   child is ever waited for. A signal reaches this child or nobody.
//! - No zombie stays: not when a start is cancelled, nor when a [`Process`] is dropped or the loop
//!   closed; what runs is killed then. (Children of the child are its own affair; see
//!   [`process_group`](SubprocessOptions::process_group).)

mod child;
mod children;
mod error;
mod exit_status;
mod machine;
mod options;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "subprocess/no_pidfd.rs"]
mod pidfd;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod pidfd;
mod pipe;
mod process;
mod protocol;
mod running;
mod scope;
mod spawn;
mod subprocess_loop;
mod system;
mod transport;

pub use children::ChildWatcher;
pub use error::SpawnError;
pub use exit_status::ExitStatus;
pub use options::{ShellCommand, Stdio, SubprocessOptions};
pub use process::{Process, ProcessOutput, create_subprocess_exec, create_subprocess_shell};
pub use protocol::{IntoSubprocessProtocol, SubprocessProtocol};
pub use subprocess_loop::SubprocessLoop;
pub use transport::{SubprocessTransport, SubprocessTransportExt};
