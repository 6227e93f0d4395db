//! [`IrcServer`]: the factory of a server's sessions; they carry lines between their users and the
//! [`Network`].

use super::message::text;
use super::{Limits, Network, Output, UserId};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::protocols::{LineHandler, LineMode, LineReceiver, LongLine};
use tulipa::wrappers::{ConnectionLimits, LimitedConnection, LimitedFactory};
use tulipa::{
    Address, Bytes, Factory, FirstCall, Instant, LoopingCall, OnFailure, Protocol, TimerHandle,
    TokenBucket, Transport,
};

/// How a server is run.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The server's name.
    pub name: String,
    /// What users can fill.
    pub limits: Limits,
    /// How many users there may be.
    pub places: usize,
    /// How many of them from one address, or one network of IPv6.
    pub places_per_peer: usize,
    /// After how much silence a user is asked whether it is there; after twice as much it is not.
    pub silence: Duration,
    /// How fast users may talk: a token for each line.
    pub pace: TokenBucket,
    /// How much a user may be behind in reading before it is disconnected.
    pub send_queue: Bytes,
}

impl Default for ServerSettings {
    fn default() -> Self {
        let pace = TokenBucket::new(2, Duration::from_secs(1)).expect("two a second is a rate");
        Self {
            name: "irc.tulipa.example".to_owned(),
            limits: Limits::default(),
            places: 1000,
            places_per_peer: 50,
            silence: Duration::from_secs(60),
            pace: pace.burst(20),
            send_queue: Bytes::kib(256),
        }
    }
}

/// Makes the sessions of a server, and sees to it that those who are gone are missed.
pub struct IrcServer {
    hall: Rc<Hall>,
    patrol: LoopingCall,
    places: ConnectionLimits,
    connections: LimitedFactory<Sessions>,
}

/// So many at a time are told that there is no place.
const OVERFLOW: usize = 50;

impl IrcServer {
    /// Nobody is there yet.
    pub fn new(event_loop: &dyn AbstractEventLoop, settings: ServerSettings) -> Self {
        let network = Network::new(settings.name.clone(), settings.limits.clone());
        let hall = Rc::new(Hall {
            event_loop: event_loop.to_event_loop(),
            settings,
            network: RefCell::new(network),
            links: RefCell::default(),
        });
        let patrolled = hall.clone();
        let patrol = LoopingCall::new(event_loop, OnFailure::GoOn, move |_| patrolled.patrol());
        let places = ConnectionLimits::new()
            .total(hall.settings.places)
            .per_peer(hall.settings.places_per_peer)
            .overflow(OVERFLOW, || Full);
        let connections = places.wrap(Sessions { hall: hall.clone() });
        Self { hall, patrol, places, connections }
    }

    /// Whether nobody is there, not even on the way out.
    pub fn is_empty(&self) -> bool {
        self.places.open() == 0
            && self.hall.links.borrow().is_empty()
            && self.hall.network.borrow().user_count() == 0
    }
}

impl Factory for IrcServer {
    type Protocol = LimitedConnection;

    fn start_factory(&mut self) {
        let interval = self.hall.settings.silence / 4;
        // It does not run: it is started once, and stopped below. What it does is all there is to it.
        let _ = self.patrol.start(interval, FirstCall::AfterInterval);
        self.connections.start_factory();
    }

    fn build_protocol(&mut self, peer: &Address) -> LimitedConnection {
        self.connections.build_protocol(peer)
    }

    fn stop_factory(&mut self) {
        self.connections.stop_factory();
        // As above.
        let _ = self.patrol.stop();
    }
}

/// Makes the sessions of those for whom there is a place.
struct Sessions {
    hall: Rc<Hall>,
}

impl Factory for Sessions {
    type Protocol = LineReceiver<Session>;

    fn build_protocol(&mut self, _peer: &Address) -> LineReceiver<Session> {
        // Clients end their lines with CR LF, people with LF.
        LineReceiver::new(Session::new(&self.hall)).delimiter(b"\n")
    }
}

/// What all sessions share.
struct Hall {
    event_loop: Rc<dyn AbstractEventLoop>,
    settings: ServerSettings,
    network: RefCell<Network>,
    /// Whom to write to.
    links: RefCell<IndexMap<UserId, Link>>,
}

struct Link {
    transport: Rc<dyn Transport>,
    since: Instant,
    heard: Instant,
    /// It was asked whether it is there.
    is_asked: bool,
}

impl Hall {
    fn transport(&self, id: UserId) -> Option<Rc<dyn Transport>> {
        let links = self.links.borrow();
        let transport = &links.get(&id)?.transport;
        (!transport.is_closing()).then(|| transport.clone())
    }

    /// Does what the network says, and what follows from it.
    fn carry_out(&self, output: Output) {
        let mut outputs = VecDeque::from([output]);
        while let Some(output) = outputs.pop_front() {
            for (to, line) in output.lines {
                let Some(transport) = self.transport(to) else { continue };
                transport.write(line.as_bytes());
                if transport.get_write_buffer_size() > self.settings.send_queue {
                    transport.abort_with(Exception::msg("Send queue exceeded"));
                    outputs.push_back(self.network.borrow_mut().leave(to, "Send queue exceeded"));
                }
            }
            for id in output.close {
                let link = self.links.borrow_mut().swap_remove(&id);
                if let Some(link) = link {
                    link.transport.close();
                }
            }
        }
    }

    fn leave(&self, id: UserId, reason: &str) {
        let output = self.network.borrow_mut().leave(id, reason);
        self.carry_out(output);
    }

    /// Asks the silent whether they are there, and gives up those who do not answer.
    fn patrol(&self) {
        let (now, silence) = (self.event_loop.time(), self.settings.silence);
        let (mut lost, mut asked) = (Vec::new(), Vec::new());
        for (id, link) in &mut *self.links.borrow_mut() {
            let quiet = now.saturating_duration_since(link.heard);
            let is_welcome = self.network.borrow().is_welcome(*id);
            if !is_welcome && now.saturating_duration_since(link.since) >= silence {
                lost.push((*id, "Registration timeout".to_owned()));
            } else if quiet >= 2 * silence {
                lost.push((*id, format!("Ping timeout: {} seconds", quiet.as_secs())));
            } else if quiet >= silence && !link.is_asked {
                link.is_asked = true;
                asked.push(*id);
            }
        }
        for (id, reason) in lost {
            self.leave(id, &reason);
        }
        for id in asked {
            let output = self.network.borrow().ping(id);
            self.carry_out(output);
        }
    }
}

/// Whoever there is no place for.
struct Full;

impl Protocol for Full {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.write(b"ERROR :Closing link: there is no place for one more\r\n");
        transport.close();
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

/// A user's connection.
pub struct Session {
    hall: Rc<Hall>,
    id: UserId,
    pace: TokenBucket,
    /// Until when it is not listened to.
    quiet: Option<TimerHandle>,
}

impl Session {
    /// Nobody yet.
    fn new(hall: &Rc<Hall>) -> Self {
        Self { hall: hall.clone(), id: 0, pace: hall.settings.pace.clone(), quiet: None }
    }

    /// It has said something, so it is there. Whoever talks too fast is not listened to for a while: what
    /// it says waits with itself.
    fn is_heard(&mut self, transport: &dyn Transport) {
        let now = self.hall.event_loop.time();
        if let Some(link) = self.hall.links.borrow_mut().get_mut(&self.id) {
            (link.heard, link.is_asked) = (now, false);
        }
        // It is listened to only while there is a token for one more line.
        let _ = self.pace.take(1, now);
        match self.pace.take(1, now) {
            Ok(()) => self.pace.give_back(1),
            Err(next) => {
                transport.pause_reading();
                let transport = transport.handle();
                let listen = move || transport.resume_reading();
                self.quiet = Some(self.hall.event_loop.call_at(next, listen));
            }
        }
    }
}

impl LineHandler for Session {
    fn connection_made(&mut self, transport: &dyn Transport) {
        let now = self.hall.event_loop.time();
        let host = host(transport.extra_info().peername.as_ref());
        self.id = self.hall.network.borrow_mut().connect(host);
        let transport = transport.handle();
        let link = Link { transport, since: now, heard: now, is_asked: false };
        self.hall.links.borrow_mut().insert(self.id, link);
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        let output = self.hall.network.borrow_mut().receive(self.id, &text(line));
        self.hall.carry_out(output);
        self.is_heard(transport);
        LineMode::Lines
    }

    fn max_length(&self) -> Bytes {
        Bytes(511) // with the CR
    }

    fn line_too_long(&mut self, transport: &dyn Transport) -> LongLine {
        let output = self.hall.network.borrow_mut().receive_too_much(self.id);
        self.hall.carry_out(output);
        self.is_heard(transport);
        LongLine::Skip
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        let reason = reason.map_or("Connection closed".to_owned(), |reason| reason.to_string());
        self.hall.leave(self.id, &text(reason.as_bytes()));
        let link = self.hall.links.borrow_mut().swap_remove(&self.id);
        drop(link);
        if let Some(quiet) = self.quiet.take() {
            quiet.cancel();
        }
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        let farewell = self.hall.network.borrow().farewell();
        transport.write(farewell.as_bytes());
        transport.close();
    }
}

/// What stands behind the `@`: an address that does not begin with a colon.
fn host(peer: Option<&Address>) -> String {
    match peer.and_then(Address::as_ip).map(|peer| peer.ip().to_string()) {
        Some(ip) if ip.starts_with(':') => format!("0{ip}"),
        Some(ip) => ip,
        None => "localhost".to_owned(),
    }
}
