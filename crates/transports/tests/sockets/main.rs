//! Sockets that stay the caller's (N-42…N-48, N-53), files that are sent (N-49…N-52), and what only Unix
//! sockets can do. Every test runs on a `TestLoop`, which fails if anything is left at its end.

mod cancelling;
mod operations;
mod refusals;
mod sending_files;
mod support;
