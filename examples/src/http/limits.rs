//! How much of everything a connection takes.

/// What one connection may ask for. A limit counts bytes as they were sent, line ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The request line; a longer one is answered 414.
    pub request_line: usize,
    /// The whole head (request line and fields); a longer one is answered 431.
    pub head: usize,
    /// The number of fields; one more is answered 431. At most [`Limits::MOST_FIELDS`].
    pub fields: usize,
    /// One line before a chunk, with its extensions; a longer one is answered 400.
    pub chunk_line: usize,
    /// All chunk extensions of one body together; more is answered 400.
    pub chunk_extensions: usize,
    /// The fields after the last chunk; more is answered 400.
    pub trailers: usize,
    /// The body; a larger one is answered 413.
    pub body: usize,
    /// Replies not taken away yet: from here on no further request is read ([`Next::Full`]).
    ///
    /// [`Next::Full`]: super::Next::Full
    pub output: usize,
}

impl Limits {
    /// Room for fields is on the stack, so their number has an upper bound of its own.
    pub const MOST_FIELDS: usize = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_line: 8 * 1024,
            head: 32 * 1024,
            fields: Limits::MOST_FIELDS,
            chunk_line: 1024,
            chunk_extensions: 16 * 1024,
            trailers: 4 * 1024,
            body: 1024 * 1024,
            output: 256 * 1024,
        }
    }
}
