//! Functions that make one awaitable of others.

mod handles;
mod wait_for;

pub use wait_for::wait_for;
