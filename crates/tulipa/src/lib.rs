//! PEP 3156 (the interface behind asyncio) for Rust: event loop, futures, transports, protocols.
