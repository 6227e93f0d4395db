//! Fetching as a coroutine: what happens, in the order in which it happens.

use super::{PageTooLarge, Response, Url};
use tulipa::Exception;
use tulipa::streams::open_connection;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// Asks for a page, preferably of the media type `accept`, and waits for the answer. It has no time
/// limit of its own: put a [`timeout`](tulipa::timeout) around it.
///
/// # Errors
/// If there is no whole answer, or a [larger](PageTooLarge) one than `largest` bytes. An answer that
/// says no is an answer.
pub async fn get(url: &Url, accept: &str, largest: usize) -> Result<Response, Exception> {
    let (mut reader, writer) = open_connection((url.host(), url.port())).await?;
    writer.write(url.request(accept).as_bytes());
    let mut answer = Vec::new();
    loop {
        let piece = reader.read(PIECE).await?;
        if piece.is_empty() {
            return Response::parse(answer);
        }
        answer.extend(piece);
        if answer.len() > largest {
            return Err(PageTooLarge.into());
        }
    }
}
