//! [`TrafficLog`]: what passes, written down for people.

use super::{ProtocolWrapper, WrappedFactory, wrap};
use crate::{Address, Bytes, DescriptorsRefused, Factory, SendFile, Transport, WriteState};
use futures::{Exception, Future};
use log::Level;
use std::cell::Cell;
use std::fmt::{self, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Logs what passes on each connection: what is received and written, in hexadecimal and as text, and how
/// it ends. It is for finding out what a peer really says; what is secret is in it as well.
///
/// It is bounded: so many bytes of each event are shown, and so many of each connection; of the rest the
/// size is told. By default it goes to the log, with the target `tulipa::traffic` and the level `Debug`;
/// a connection that begins while that is off costs nothing but a call.
///
/// # Examples
/// ```
/// use eventloop::EventLoop;
/// use tulipa_transports::wrappers::TrafficLog;
/// use tulipa_transports::{Bytes, NetworkLoop, Protocol, Transport};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// # }
/// let event_loop = EventLoop::new()?;
/// let logged = TrafficLog::new().show(Bytes(64)).wrap(|| Echo);
/// let server = event_loop.create_server(logged, ("127.0.0.1", 0)).result()?;
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct TrafficLog {
    show: Bytes,
    most: Bytes,
    level: Level,
    sink: Option<Sink>,
    connections: Rc<Cell<u64>>,
}

/// What takes the events in place of the log.
type Sink = Rc<dyn Fn(&str)>;

impl Default for TrafficLog {
    fn default() -> Self {
        Self::new()
    }
}

impl TrafficLog {
    /// Shows 256 bytes of each event, and 64 KiB of each connection.
    pub fn new() -> Self {
        Self {
            show: Bytes(256),
            most: Bytes::kib(64),
            level: Level::Debug,
            sink: None,
            connections: Rc::default(),
        }
    }

    /// How many bytes of each event are shown.
    #[must_use]
    pub fn show(mut self, most: Bytes) -> Self {
        self.show = most;
        self
    }

    /// How many bytes of each connection are shown.
    #[must_use]
    pub fn show_of_connection(mut self, most: Bytes) -> Self {
        self.most = most;
        self
    }

    /// The level at which it is logged.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Gives each event to `sink` instead of the log: a line, and those of the dump below it.
    #[must_use]
    pub fn to(mut self, sink: impl Fn(&str) + 'static) -> Self {
        self.sink = Some(Rc::new(sink));
        self
    }

    /// A factory whose connections are logged.
    pub fn wrap<F: Factory>(&self, factory: F) -> WrappedFactory<LoggedTraffic, F> {
        let settings = self.clone();
        wrap(move || LoggedTraffic::new(settings.clone()), factory)
    }
}

impl fmt::Debug for TrafficLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficLog")
            .field("show", &self.show)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// The log of one connection; see [`TrafficLog`].
pub struct LoggedTraffic {
    settings: TrafficLog,
    number: u64,
    enabled: bool,
    peer: Cell<Option<Address>>,
    shown: Cell<usize>,
    received: Cell<u64>,
    written: Cell<u64>,
}

const BYTES_A_LINE: usize = 16;

impl LoggedTraffic {
    fn new(settings: TrafficLog) -> Self {
        let number = settings.connections.get() + 1;
        settings.connections.set(number);
        let enabled =
            settings.sink.is_some() || log::log_enabled!(target: "tulipa::traffic", settings.level);
        Self {
            settings,
            number,
            enabled,
            peer: Cell::new(None),
            shown: Cell::new(0),
            received: Cell::new(0),
            written: Cell::new(0),
        }
    }

    /// Logs what happened, with the beginning of `parts`.
    fn event(&self, what: fmt::Arguments<'_>, parts: &[&[u8]]) {
        if !self.enabled {
            return;
        }
        let peer = self.peer.take();
        let from = peer.as_ref().map_or_else(String::new, |peer| format!(" {peer}"));
        self.peer.set(peer);
        let mut text = format!("#{}{from} {what}", self.number);
        self.dump(&mut text, parts);
        match &self.settings.sink {
            Some(sink) => sink(&text),
            None => log::log!(target: "tulipa::traffic", self.settings.level, "{text}"),
        }
    }

    fn dump(&self, text: &mut String, parts: &[&[u8]]) {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let left = self.settings.most.0.saturating_sub(self.shown.get());
        let count = total.min(self.settings.show.0).min(left);
        self.shown.set(self.shown.get() + count);
        let bytes: Vec<u8> = parts.iter().copied().flatten().copied().take(count).collect();
        for (number, line) in bytes.chunks(BYTES_A_LINE).enumerate() {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {:04x} ", number * BYTES_A_LINE);
            for place in 0..BYTES_A_LINE {
                let _ = match line.get(place) {
                    Some(byte) => write!(text, " {byte:02x}"),
                    None => write!(text, "   "),
                };
            }
            text.push_str("  ");
            text.extend(line.iter().map(|byte| match byte {
                b' '..=b'~' => char::from(*byte),
                _ => '.',
            }));
        }
        if count < total {
            let _ = write!(text, "\n  and {} more", total - count);
        }
    }

    fn wrote(&self, parts: &[&[u8]], state: WriteState) {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        match state {
            WriteState::Refused(refusal) => {
                self.event(format_args!("{size} bytes not written: {refusal}"), &[]);
            }
            WriteState::Taken | WriteState::OverHighMark => {
                self.written.set(self.written.get() + size as u64);
                self.event(format_args!("written {size} bytes"), parts);
            }
        }
    }
}

impl ProtocolWrapper for LoggedTraffic {
    fn wants_data(&self) -> bool {
        self.enabled
    }

    fn connection_made(&self, lower: &dyn Transport) {
        if self.enabled {
            self.peer.set(lower.extra_info().peername);
            self.event(format_args!("connected"), &[]);
        }
    }

    fn data_received(&self, _lower: &dyn Transport, data: &[u8]) {
        self.received.set(self.received.get() + data.len() as u64);
        self.event(format_args!("received {} bytes", data.len()), &[data]);
    }

    fn eof_received(&self, _lower: &dyn Transport) {
        self.event(format_args!("end of file received"), &[]);
    }

    fn handshake_completed(&self, _lower: &dyn Transport) {
        self.event(format_args!("encrypted from here on"), &[]);
    }

    fn connection_lost(&self, _lower: &dyn Transport, reason: Option<&Exception>) {
        let (received, written) = (self.received.get(), self.written.get());
        let bytes = format!("{received} bytes received, {written} written");
        match reason {
            None => self.event(format_args!("ended; {bytes}"), &[]),
            Some(reason) => self.event(format_args!("lost: {reason}; {bytes}"), &[]),
        }
    }

    fn write(&self, lower: &dyn Transport, parts: &[&[u8]]) -> WriteState {
        let state = lower.writelines(parts);
        if self.enabled {
            self.wrote(parts, state);
        }
        state
    }

    fn write_vec(&self, lower: &dyn Transport, data: Vec<u8>) -> WriteState {
        if self.enabled { self.write(lower, &[&data]) } else { lower.write_vec(data) }
    }

    fn write_with_descriptors(
        &self,
        lower: &dyn Transport,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteState, DescriptorsRefused> {
        let count = descriptors.len();
        let outcome = lower.write_with_descriptors(data, descriptors);
        match &outcome {
            Ok(state) => {
                self.event(format_args!("{count} descriptors go along"), &[]);
                self.wrote(&[data], *state);
            }
            Err(refused) => self.event(format_args!("not written: {refused}"), &[]),
        }
        outcome
    }

    fn send_file(&self, lower: &dyn Transport, file: SendFile) -> Future<u64> {
        self.event(format_args!("sends a file"), &[]);
        lower.send_file(file)
    }

    fn write_eof(&self, lower: &dyn Transport) {
        self.event(format_args!("ends its direction"), &[]);
        lower.write_eof();
    }

    fn close(&self, lower: &dyn Transport) {
        self.event(format_args!("closes"), &[]);
        lower.close();
    }

    fn abort(&self, lower: &dyn Transport, reason: Option<Exception>) {
        match &reason {
            None => self.event(format_args!("aborts"), &[]),
            Some(reason) => self.event(format_args!("aborts: {reason}"), &[]),
        }
        match reason {
            None => lower.abort(),
            Some(reason) => lower.abort_with(reason),
        }
    }
}
