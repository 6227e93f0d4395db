//! [`TlsLimits`]: what both roles have in common: how long things may take, and what a stream that was
//! cut counts as.

use super::TlsConfigError;
use std::time::Duration;

/// What it counts as when the connection below ends and the peer has not said goodbye (close_notify).
///
/// An attacker on the way can do that at any moment, so whoever reads until the end, and takes what came
/// for the whole, would be deceived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Truncation {
    /// An error: `connection_lost` gets an `UnexpectedEof`.
    #[default]
    IsError,
    /// An end like any other: only for protocols that know by themselves whether a message is whole, as
    /// HTTP does by its lengths, where many peers leave without a word.
    IsEnd,
}

/// How long things may take, and what a cut stream counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TlsLimits {
    /// The whole handshake.
    pub(crate) handshake: Duration,
    /// From our goodbye to the peer's.
    pub(crate) shutdown: Duration,
    pub(crate) truncation: Truncation,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(20),
            shutdown: Duration::from_secs(10),
            truncation: Truncation::default(),
        }
    }
}

impl TlsLimits {
    /// Whether the times are times.
    pub(crate) fn check(self) -> Result<Self, TlsConfigError> {
        if self.handshake.is_zero() {
            return Err(TlsConfigError::setting("the handshake's time-out must not be zero"));
        }
        if self.shutdown.is_zero() {
            return Err(TlsConfigError::setting("the shutdown's time-out must not be zero"));
        }
        Ok(self)
    }
}

/// The builder methods that both roles have.
macro_rules! limit_options {
    ($(#[$attribute:meta])?) => {
        /// How long the handshake may take, 20 seconds by default. Then the connection is aborted, and
        /// whoever waits for it gets an error of the kind `TimedOut`.
        $(#[$attribute])?
        pub fn handshake_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.limits.handshake = timeout;
            self
        }

        /// How long, after a close, the peer may take to say goodbye too: 10 seconds by default. Then
        /// the connection is cut, and `connection_lost` gets a `TimeoutError`. A peer that is
        /// slow is given this time anew as long as it takes at least 256 bytes a second of what was written
        /// before.
        $(#[$attribute])?
        pub fn shutdown_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.limits.shutdown = timeout;
            self
        }

        /// What it counts as when the stream is cut: by default an error.
        $(#[$attribute])?
        pub fn truncation(mut self, truncation: crate::tls::Truncation) -> Self {
            self.limits.truncation = truncation;
            self
        }
    };
}
pub(super) use limit_options;
