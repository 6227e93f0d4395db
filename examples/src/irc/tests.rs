//! Server and clients in memory, on a clock that steps by itself.
