//! Factories, connectors, and clients that keep their connection up.
//!
//! Every test runs on a `TestLoop`, which fails if anything is left at its end. Clients connect in memory,
//! so that hours of waiting pass at once; connectors and servers have real sockets.

mod connectors;
mod reconnecting;
mod servers;
mod stubborn;
mod support;
