//! Protocols and transports of Tulipa: TCP and Unix streams, servers, testing helpers.
