//! Fetching a page over plain HTTP, twice: with futures and callbacks ([`fetch`]), and as a coroutine
//! ([`get`]). What they ask for and what they make of the answer is the same code.

mod coroutine;
mod printing;
mod response;
mod url;
mod with_callbacks;

pub use coroutine::get;
pub use printing::print_pages;
pub use response::{PageTooLarge, Response};
pub use url::{Url, UrlError};
pub use with_callbacks::{fetch, fetch_json};

/// The largest answer that is taken, unless somebody says otherwise.
pub const LARGEST: usize = 64 * 1024 * 1024;
