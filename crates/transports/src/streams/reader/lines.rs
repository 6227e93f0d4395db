//! [`Lines`]: the lines of a reader, one after the other.

use super::StreamReader;
use futures::Exception;

/// The lines of a [`StreamReader`], from [`StreamReader::lines`].
#[derive(Debug)]
pub struct Lines<'r> {
    reader: &'r mut StreamReader,
}

impl<'r> Lines<'r> {
    pub(super) fn new(reader: &'r mut StreamReader) -> Self {
        Self { reader }
    }

    /// The next line with its newline, which the last one may lack; `None` at the end (Y-14).
    ///
    /// # Errors
    /// As [`StreamReader::readline`]. After a line that was too long one may go on.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Exception> {
        let line = self.reader.readline().await?;
        Ok((!line.is_empty()).then_some(line))
    }
}
