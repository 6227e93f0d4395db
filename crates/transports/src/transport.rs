//! The transport traits: what a protocol may ask of its connection (PEP 3153).
//!
//! All are object safe; a protocol sees `&dyn Transport`. No method blocks, none calls the protocol
//! back before it returns, and each is defined in every state: on a transport that is closing or
//! gone they do nothing, or say so.

use crate::descriptors::{DescriptorsRefused, Reason};
use crate::{
    Bandwidth, Bytes, ExtraInfo, ExtraValue, InvalidLimits, Protocol, SendFile, SendFileError,
    WriteBufferCap, WriteBufferLimits,
};
use futures::{Exception, Future, SchedulerExt};
use std::any::{Any, type_name};
use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// What every transport offers.
pub trait BaseTransport {
    /// Whether it is closing or closed: true from the first close, abort or fatal error on (X-2).
    fn is_closing(&self) -> bool;

    /// Closes it: reads no more from this moment, sends what was written, then calls
    /// `connection_lost(None)` (X-3). Idempotent, also mixed with `abort` (X-2). Over TLS it says goodbye
    /// besides, and waits a limited time for the peer's (X-47).
    ///
    /// A peer that does not read can hold this up for as long as the linger limit allows (X-5).
    fn close(&self);

    /// A future that is done when it is over, whatever ended it: after `connection_lost`.
    fn wait_closed(&self) -> Future<()>;

    /// Why the connection was lost: what [`Protocol::connection_lost`](crate::Protocol::connection_lost)
    /// was given. `None` while it is there, and after an orderly end. A handle that was taken before the
    /// end knows it afterwards, also one whose connection was encrypted meanwhile; some transports that
    /// are not ours never do.
    fn lost_reason(&self) -> Option<Exception> {
        None
    }

    /// What is known about the connection. It stays known after the end (X-1).
    fn extra_info(&self) -> ExtraInfo;

    /// What is known about the connection, by asyncio's names: `peername`, `sockname`, `socket`.
    /// `None` for what is unknown (X-1).
    fn get_extra_info(&self, name: &str) -> Option<ExtraValue> {
        self.extra_info().get(name)
    }

    /// Replaces the protocol; see [`TransportExt::set_protocol`].
    fn set_boxed_protocol(&self, protocol: Box<dyn Protocol>);
}

/// A transport that delivers bytes.
pub trait ReadTransport: BaseTransport {
    /// Whether bytes may be delivered: not while paused, not when closing (X-10).
    fn is_reading(&self) -> bool;

    /// Delivers nothing more, from this moment, until [`resume_reading`](ReadTransport::resume_reading).
    /// The end of file and errors are not noticed either meanwhile (X-11). Idempotent; does nothing
    /// on a closing transport (X-10).
    fn pause_reading(&self);

    /// Goes on delivering. Idempotent.
    fn resume_reading(&self);

    /// Gives back bytes that were received and are not wanted now: they are delivered once more, in turns
    /// of their own, before any byte that comes after them and before the end of file, once reading goes
    /// on; also to a protocol that was set meanwhile.
    ///
    /// So a protocol can stop in the middle of what it was given: after it has paused reading, or when
    /// another one is to take over. One that goes on reading is given them in the next turn; so this is no
    /// way to wait for more, since nothing new is read before they are consumed. A protocol that gives back
    /// all that it is given a thousand times in a row, and does not pause, loses its connection. What one
    /// method gives back is in the order of its calls, and before what waits already. They may be cut
    /// anew. On a transport that is closing they are dropped, and so they are after the end of file was
    /// told.
    ///
    /// They are not limited: no more is held than was delivered, unless a protocol adds to it.
    ///
    /// # Examples
    /// ```
    /// use tulipa_transports::{Protocol, Transport, TransportExt};
    ///
    /// /// Takes one line, and leaves the rest to the next protocol.
    /// struct Greeting<P> { line: Vec<u8>, next: Option<P> }
    ///
    /// impl<P: Protocol> Protocol for Greeting<P> {
    ///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
    ///         let Some(end) = data.iter().position(|byte| *byte == b'\n') else {
    ///             return self.line.extend_from_slice(data);
    ///         };
    ///         self.line.extend_from_slice(&data[..end]);
    ///         transport.push_back(data[end + 1..].to_vec());
    ///         if let Some(next) = self.next.take() {
    ///             transport.set_protocol(next);
    ///         }
    ///     }
    /// }
    /// ```
    fn push_back(&self, data: Vec<u8>);

    /// Whether a protocol may go on with the rest of what it was given. Not after it has paused reading,
    /// closed, sent a file, or set another protocol, or has pushed something back, all of which come
    /// first; not while the output has reached its hard limit. A protocol that finds several messages in
    /// what it is given asks between them, and pushes the rest back when the answer is no (P-20).
    fn can_deliver(&self) -> bool {
        self.is_reading()
    }

    /// Takes out what was pushed back and is not delivered again yet.
    fn take_pushed_back(&self) -> Vec<u8>;

    /// From now on takes descriptors that the peer passes, over a Unix socket (SCM_RIGHTS): at most
    /// `most` that nobody has taken. A peer that passes more loses the connection. By default, and with
    /// zero, none are taken: the system closes those that come.
    ///
    /// To miss none, call it in `connection_made`.
    ///
    /// # Errors
    /// `Unsupported`, if this is not a Unix socket.
    fn receive_descriptors(&self, most: usize) -> io::Result<()> {
        let _ = most;
        Err(io::Error::new(io::ErrorKind::Unsupported, "only Unix sockets pass descriptors"))
    }

    /// The descriptors that came and were not taken yet, in order: those that the peer passed along with
    /// bytes that were delivered, or are being delivered. They are closed on exec. What is not taken by the
    /// end of `connection_lost` is closed.
    ///
    /// # Examples
    /// ```
    /// use tulipa_transports::{Protocol, Transport};
    ///
    /// /// Is given files by another process.
    /// struct Files;
    ///
    /// impl Protocol for Files {
    ///     fn connection_made(&mut self, transport: &dyn Transport) {
    ///         if let Err(error) = transport.receive_descriptors(16) {
    ///             transport.abort_with(error.into());
    ///         }
    ///     }
    ///     fn data_received(&mut self, transport: &dyn Transport, _names: &[u8]) {
    ///         for descriptor in transport.take_descriptors() {
    ///             let _file = std::fs::File::from(descriptor);
    ///         }
    ///     }
    /// }
    /// ```
    fn take_descriptors(&self) -> Vec<OwnedFd> {
        Vec::new()
    }
}

/// A transport that takes bytes.
pub trait WriteTransport: BaseTransport {
    /// Takes `data` to be sent, in order, behind all that was written before (X-14).
    ///
    /// Small writes are collected: those of a protocol's method leave when it returns, others before
    /// the loop next waits. A write of 16 KiB or more, or one that takes the pile over the high mark, is
    /// sent at once, together with the pile. The answer is the state afterwards, so that a loop that writes can
    /// see the mark before `pause_writing` is delivered (P-15). Writing nothing does nothing.
    fn write(&self, data: &[u8]) -> WriteState;

    /// As [`write`](WriteTransport::write); a large buffer that has to wait is kept, not copied.
    fn write_vec(&self, data: Vec<u8>) -> WriteState {
        self.write(&data)
    }

    /// As [`write`](WriteTransport::write), with descriptors that the peer is given along with the first
    /// byte, over a Unix socket (SCM_RIGHTS). Ours are closed once they are on their way.
    ///
    /// The peer has to want them: see [`ReadTransport::receive_descriptors`].
    ///
    /// # Errors
    /// [`DescriptorsRefused`], which has them: if this is not a Unix socket, if there is no data for them
    /// to go along with, if there are more than 253, if about a thousand wait already, or if no write
    /// would be taken.
    fn write_with_descriptors(
        &self,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteState, DescriptorsRefused> {
        let _ = data;
        Err(DescriptorsRefused::new(descriptors, Reason::Unsupported))
    }

    /// As one write of all the parts joined (X-16), without joining them.
    fn writelines(&self, parts: &[&[u8]]) -> WriteState;

    /// Ends our direction once all that was written is sent; the peer sees the end of file. Reading
    /// goes on (X-27). Idempotent; does nothing on a closing transport.
    ///
    /// When the peer has ended its direction too, the transport closes by itself (X-28).
    ///
    /// Over TLS neither direction can be ended alone: it does nothing but log a warning, and [`close`]
    /// says goodbye.
    ///
    /// [`close`]: BaseTransport::close
    fn write_eof(&self);

    /// Whether [`write_eof`](WriteTransport::write_eof) is possible.
    fn can_write_eof(&self) -> bool;

    /// A future that is done when all that was written so far and since is sent: at the next moment
    /// at which nothing waits. It fails if the connection is lost first.
    fn drained(&self) -> Future<()>;

    /// Sends a file behind what was written, without having it in memory: where it can, the system
    /// copies; else blocks are read by a worker (N-49). Gives how many bytes were sent: fewer than were
    /// asked for if the file has no more (N-52).
    ///
    /// Meanwhile nothing is delivered, writes are refused, and the protocol is not told of the marks
    /// (N-51); so two ends that send each other more than the system holds wait for each other. Closing
    /// waits for the file; `abort` does not. If the future is cancelled, or fails, what was sent is
    /// sent: where the file's position is then says how much, and so does [`SendFileError::sent`].
    /// Dropping the future does not stop it.
    ///
    /// At most 256 KiB are sent in one turn of the loop. Copying waits for the disk where a part of the
    /// file is in no cache.
    ///
    /// # Errors
    /// The future fails with an `io::Error` around a [`SendFileError`]: if the offset and the count make
    /// no sense (N-50), the transport is closing, has ended its direction, or sends a file already, or
    /// is of a kind that sends none; if the file cannot be read; if the connection is lost.
    ///
    /// # Panics
    /// A kind of transport that sends no files panics outside of a loop.
    fn send_file(&self, file: SendFile) -> Future<u64> {
        drop(file);
        let future = futures::current().create_future();
        let error = io::Error::new(io::ErrorKind::Unsupported, "this transport sends no files");
        // It is new, hence pending.
        let _ = future.set_exception(SendFileError::wrap(0, error.into()));
        future
    }

    /// How much was sent so far of the file that is [being sent](WriteTransport::send_file); `None` if none
    /// is.
    fn file_bytes_sent(&self) -> Option<u64> {
        None
    }

    /// Sets the water marks. Whether writing is paused is decided anew at once (X-22).
    ///
    /// # Errors
    /// If the low mark is above the high one.
    fn set_write_buffer_limits(&self, limits: WriteBufferLimits) -> Result<(), InvalidLimits>;

    /// The water marks.
    fn get_write_buffer_limits(&self) -> WriteBufferLimits;

    /// Sets the hard limit of the output, and what happens beyond it.
    fn set_write_buffer_cap(&self, cap: WriteBufferCap);

    /// How much was written and not yet sent.
    fn get_write_buffer_size(&self) -> Bytes;

    /// How many writes were dropped because they came after the end (X-19).
    fn dropped_writes(&self) -> u64;

    /// Drops the output and ends the connection: `connection_lost(None)` follows in a turn of its
    /// own (X-4). After `close` it cuts the sending short.
    fn abort(&self);

    /// As [`abort`](WriteTransport::abort), with the reason that `connection_lost` is to be given.
    fn abort_with(&self, reason: Exception);
}

/// A stream of bytes in both directions.
pub trait Transport: ReadTransport + WriteTransport {
    /// An owned handle of this transport. It keeps nothing alive: the loop owns the connection, and
    /// after its end the handle still answers what it can (X-1, X-8).
    fn handle(&self) -> Rc<dyn Transport>;

    /// From now on reads and sends no faster than all of these allow, those that were given before
    /// included. What waits counts as output: the water marks, `drained` and a close are as with a peer that
    /// is slow, but what a bandwidth takes is not counted as time of a close. Files are sent at that speed
    /// too. The end of file and errors are noticed when reading goes on. `start_tls` takes it along to the
    /// new transport, where it counts what is not encrypted. By default, for a kind that cannot, nothing.
    ///
    /// It has nothing to do with [`pause_reading`](ReadTransport::pause_reading): neither undoes the other.
    fn limit_bandwidth(&self, read: &[Bandwidth], write: &[Bandwidth]) {
        let _ = (read, write);
    }

    /// Calls `function` with the protocol; see [`TransportExt::with_protocol`].
    ///
    /// # Errors
    /// As there, the type excepted.
    fn with_boxed_protocol(
        &self,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) -> Result<(), ProtocolUnavailable>;

    /// Has another transport go on over this one, which answers nothing any more from now on: for layers
    /// of ours. Closing this one may take so long at its end.
    ///
    /// # Errors
    /// If this is no stream of ours in both directions, or one that has ended a direction.
    #[cfg(feature = "tls")]
    #[doc(hidden)]
    fn go_below(&self, linger: std::time::Duration) -> io::Result<crate::tls::Below> {
        let _ = linger;
        Err(io::Error::new(io::ErrorKind::Unsupported, "this transport cannot be upgraded"))
    }

    /// What goes around the transport that will go on over this one, as it does around this one. To be asked
    /// before.
    #[cfg(feature = "tls")]
    #[doc(hidden)]
    fn dress(&self) -> Option<crate::tls::Dress> {
        None
    }

    /// The transport that this one became by `start_tls`, once it is there.
    #[doc(hidden)]
    fn upgraded(&self) -> Option<Rc<dyn Transport>> {
        None
    }

    /// Closes it, or what it became, or is about to become.
    #[doc(hidden)]
    fn close_all(&self) {
        self.close();
    }

    /// Says which transport is over this one.
    #[cfg(feature = "tls")]
    #[doc(hidden)]
    fn set_upper(&self, upper: crate::tls::UpperLink) {
        drop(upper);
    }
}

/// The generic methods of every [`Transport`].
pub trait TransportExt: Transport {
    /// Replaces the protocol. The new one is not told `connection_made`; what was handed over
    /// already stays with the old one; the one that is there at the end is told `connection_lost`
    /// (P-21). If the output is over its mark, the new one is told `pause_writing` as well, so that
    /// each sees pauses and resumes alternate. A [`Buffered`](crate::Buffered) one may follow one that
    /// is not, and the reverse.
    ///
    /// Called from inside the old protocol, it takes effect when its method returns.
    fn set_protocol(&self, protocol: impl Protocol) {
        self.set_boxed_protocol(Box::new(protocol));
    }

    /// Writes `line` and CR LF behind it. A line with a CR or LF in it would be several to the peer: it is
    /// [refused](WriteRefusal::NotALine), so that nobody's text can pass for a line of its own.
    fn send_line(&self, line: &[u8]) -> WriteState {
        match memchr::memchr2(b'\r', b'\n', line) {
            None => self.writelines(&[line, b"\r\n"]),
            Some(_) => {
                log::debug!(target: "tulipa", "a line with a line end in it was not sent");
                WriteState::Refused(WriteRefusal::NotALine)
            }
        }
    }

    /// Calls `function` with the protocol, which must be a `P` (or a `Buffered<P>`, or have a `P` inside, as
    /// those in [`wrappers`](crate::wrappers) have), from outside of it. What that causes is delivered
    /// and sent as after any method of the protocol.
    ///
    /// # Errors
    /// [`ProtocolUnavailable`] while the protocol runs, if it is another type, or after the end.
    ///
    /// # Examples
    /// ```
    /// # use tulipa_transports::{Protocol, Transport, TransportExt};
    /// struct Counter { received: usize }
    /// # impl Protocol for Counter {
    /// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    /// # }
    /// fn report(transport: &dyn Transport) {
    ///     let received = transport.with_protocol(|counter: &mut Counter, _| counter.received);
    ///     println!("{received:?}");
    /// }
    /// ```
    fn with_protocol<P: Any, R>(
        &self,
        function: impl FnOnce(&mut P, &dyn Transport) -> R,
    ) -> Result<R, ProtocolUnavailable> {
        let mut function = Some(function);
        let mut result = Err(ProtocolUnavailable::OtherType { expected: type_name::<P>() });
        self.with_boxed_protocol(&mut |protocol, transport| {
            find(protocol, transport, &mut |protocol: &mut P, transport| {
                if let Some(function) = function.take() {
                    result = Ok(function(protocol, transport));
                }
            });
        })?;
        result
    }
}

impl<T: Transport + ?Sized> TransportExt for T {}

/// Calls `function` with the protocol if it is a `P`, else with the `P` that it is around, if there is one.
fn find<P: Any>(
    protocol: &mut dyn Protocol,
    transport: &dyn Transport,
    function: &mut dyn FnMut(&mut P, &dyn Transport),
) {
    let any: &mut dyn Any = protocol;
    if let Some(protocol) = any.downcast_mut::<P>() {
        return function(protocol, transport);
    }
    if let Some(outer) = any.downcast_mut::<crate::Buffered<P>>() {
        return function(&mut outer.0, transport);
    }
    protocol.with_inner(transport, &mut |inner, transport| find(inner, transport, function));
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteState {
    /// Taken; the output that waits is not above the high mark.
    Taken,
    /// Taken; the output that waits is above the high mark, so stop until `resume_writing`.
    OverHighMark,
    /// Not taken, not even in part.
    Refused(WriteRefusal),
}

impl WriteState {
    /// Whether the data was taken.
    pub fn is_taken(self) -> bool {
        !matches!(self, WriteState::Refused(_))
    }

    /// The refusal as an error, for `?`.
    ///
    /// # Errors
    /// Why the data was not taken.
    pub fn into_result(self) -> Result<(), WriteRefusal> {
        match self {
            WriteState::Taken | WriteState::OverHighMark => Ok(()),
            WriteState::Refused(refusal) => Err(refusal),
        }
    }
}

/// Why a write was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteRefusal {
    /// The transport is closed, and what was written before is sent already (X-19).
    Closed,
    /// `write_eof` was called before (X-18).
    AfterEof,
    /// It only reads: the read end of a pipe.
    ReadOnly,
    /// The output has reached its hard limit.
    OverCap,
    /// A file is being sent (X-18).
    SendingFile,
    /// What was to be a line has a CR or LF in it.
    NotALine,
    /// The connection was upgraded, and this is its transport of before: there is a new one (N-54).
    Upgraded,
}

impl fmt::Display for WriteRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WriteRefusal::Closed => "the transport is closed",
            WriteRefusal::AfterEof => "write after write_eof",
            WriteRefusal::ReadOnly => "the transport only reads",
            WriteRefusal::SendingFile => "a file is being sent",
            WriteRefusal::NotALine => "a line has a line end in it",
            WriteRefusal::Upgraded => "the connection has another transport by now",
            WriteRefusal::OverCap => "the output that waits has reached its hard limit",
        })
    }
}

impl Error for WriteRefusal {}

/// Why [`TransportExt::with_protocol`] could not reach the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolUnavailable {
    /// One of its methods is running.
    Running,
    /// It is of another type.
    OtherType {
        /// The type that was asked for.
        expected: &'static str,
    },
    /// The connection is over, and the protocol dropped.
    Gone,
}

impl fmt::Display for ProtocolUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolUnavailable::Running => f.write_str("the protocol is running"),
            ProtocolUnavailable::OtherType { expected } => {
                write!(f, "the protocol is not a {expected}")
            }
            ProtocolUnavailable::Gone => f.write_str("the connection is over"),
        }
    }
}

impl Error for ProtocolUnavailable {}
