//! Streams that go on encrypted (Y-22).

use super::opening::Creating;
use super::{Stream, StreamReader, StreamWriter};
use crate::tls::{Early, StartTls, TlsRole};
use futures::{Exception, InvalidStateError};
use std::rc::Rc;

impl StreamWriter {
    /// Goes on encrypted, as one of both sides agreed to (Y-22). What was written before is sent first, in
    /// plain text; then comes the handshake. The reader and all writers go on with the new transport.
    ///
    /// `reader` is the one that belongs to this writer. What it holds came before the handshake, and from
    /// anybody: `early` says what becomes of it, and it is never read as if it had been encrypted. So call
    /// this right after the last write, without an `.await` in between: what comes from then on is TLS.
    ///
    /// Cancelled or dropped, it ends the connection, and so does a failure.
    ///
    /// # Errors
    /// Once, the [`WriteRefusal`](crate::WriteRefusal) of an earlier write that was not taken; else as
    /// [`StartTls::start_tls`]; or a cancellation.
    ///
    /// # Examples
    /// ```
    /// use futures::Exception;
    /// use tulipa_transports::streams::{StreamReader, StreamWriter};
    /// use tulipa_transports::tls::{Early, TlsRole, TlsServerConfig};
    ///
    /// async fn serve(
    ///     mut reader: StreamReader,
    ///     writer: StreamWriter,
    ///     config: TlsServerConfig,
    /// ) -> Result<(), Exception> {
    ///     if reader.readline().await? == b"STARTTLS\r\n" {
    ///         writer.write(b"220 go ahead\r\n");
    ///         writer.start_tls(&mut reader, TlsRole::Server { config }, Early::Refuse).await?;
    ///     }
    ///     // What the peer said before is forgotten.
    ///     let line = reader.readline().await?;
    ///     writer.write(&line);
    ///     writer.drain().await
    /// }
    /// ```
    pub async fn start_tls(
        &self,
        reader: &mut StreamReader,
        role: TlsRole,
        early: Early,
    ) -> Result<(), Exception> {
        if !Rc::ptr_eq(reader.shared(), &self.shared) {
            return Err(InvalidStateError::new("the reader is another connection's").into());
        }
        self.check_refused()?;
        let unread = reader.take_unread();
        let starting = self.transport().start_tls(role, early, unread);
        Creating::new(starting, |_| ()).await.map(drop)
    }
}

impl Stream {
    /// Goes on encrypted; see [`StreamWriter::start_tls`].
    ///
    /// # Errors
    /// As there.
    pub async fn start_tls(&mut self, role: TlsRole, early: Early) -> Result<(), Exception> {
        let (reader, writer) = self.halves();
        writer.start_tls(reader, role, early).await
    }
}
