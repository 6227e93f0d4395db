//! What protocols are made of, so that nobody writes it again.

mod timeout;

pub use timeout::{IdleTimeout, TimeoutProtocol};
