//! [`IrcServer`]: the factory of a server's sessions; they carry lines between their users and the
//! [`Network`].

use super::message::text;
use super::{Limits, Network, Output, Pace, UserId};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::protocols::{LineHandler, LineMode, LineReceiver, LongLine};
use tulipa::{
    Address, Bytes, Factory, FirstCall, Instant, LoopingCall, OnFailure, TimerHandle, Transport,
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
    /// How many of them from one address.
    pub places_per_peer: usize,
    /// After how much silence a user is asked whether it is there; after twice as much it is not.
    pub silence: Duration,
    /// How fast users may talk.
    pub pace: Pace,
    /// How much a user may be behind in reading before it is disconnected.
    pub send_queue: Bytes,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            name: "irc.tulipa.example".to_owned(),
            limits: Limits::default(),
            places: 1000,
            places_per_peer: 50,
            silence: Duration::from_secs(60),
            pace: Pace::new(Duration::from_millis(500), 20),
            send_queue: Bytes::kib(256),
        }
    }
}

/// Makes the sessions of a server, and sees to it that those who are gone are missed.
pub struct IrcServer {
    hall: Rc<Hall>,
    patrol: LoopingCall,
}

impl IrcServer {
    /// Nobody is there yet.
    pub fn new(event_loop: &dyn AbstractEventLoop, settings: ServerSettings) -> Self {
        let network = Network::new(settings.name.clone(), settings.limits.clone());
        let hall = Rc::new(Hall {
            event_loop: event_loop.to_event_loop(),
            settings,
            network: RefCell::new(network),
            links: RefCell::default(),
            guests: RefCell::default(),
        });
        let patrolled = hall.clone();
        let patrol = LoopingCall::new(event_loop, OnFailure::GoOn, move |_| patrolled.patrol());
        Self { hall, patrol }
    }

    /// Whether nobody is there, not even on the way out.
    pub fn is_empty(&self) -> bool {
        self.hall.guests.borrow().is_empty()
            && self.hall.links.borrow().is_empty()
            && self.hall.network.borrow().user_count() == 0
    }
}

impl Factory for IrcServer {
    type Protocol = Option<LineReceiver<Session>>;

    fn start_factory(&mut self) {
        let interval = self.hall.settings.silence / 4;
        // It does not run: it is started once, and stopped below. What it does is all there is to it.
        let _ = self.patrol.start(interval, FirstCall::AfterInterval);
    }

    fn build_protocol(&mut self, peer: &Address) -> Option<LineReceiver<Session>> {
        let host = host(peer);
        let Some(place) = Place::take(&self.hall, &host) else {
            log::info!("no place for one more from {host}");
            return None;
        };
        let session = Session {
            id: self.hall.network.borrow_mut().connect(host),
            pace: self.hall.settings.pace.clone(),
            quiet: None,
            hall: self.hall.clone(),
            _place: place,
        };
        // Clients end their lines with CR LF, people with LF.
        Some(LineReceiver::new(session).delimiter(b"\n"))
    }

    fn stop_factory(&mut self) {
        // As above.
        let _ = self.patrol.stop();
    }
}

/// What stands behind the `@`: an address that does not begin with a colon.
fn host(peer: &Address) -> String {
    match peer.as_ip().map(|peer| peer.ip().to_string()) {
        Some(ip) if ip.starts_with(':') => format!("0{ip}"),
        Some(ip) => ip,
        None => "localhost".to_owned(),
    }
}

/// What all sessions share.
struct Hall {
    event_loop: Rc<dyn AbstractEventLoop>,
    settings: ServerSettings,
    network: RefCell<Network>,
    /// Whom to write to.
    links: RefCell<IndexMap<UserId, Link>>,
    /// How many there are from each host.
    guests: RefCell<IndexMap<String, usize>>,
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

/// A place for one guest, given back when this is dropped.
struct Place {
    hall: Rc<Hall>,
    host: String,
}

impl Place {
    fn take(hall: &Rc<Hall>, host: &str) -> Option<Self> {
        let mut guests = hall.guests.borrow_mut();
        let all: usize = guests.values().sum();
        let near = guests.get(host).copied().unwrap_or(0);
        if all >= hall.settings.places || near >= hall.settings.places_per_peer {
            return None;
        }
        guests.insert(host.to_owned(), near + 1);
        Some(Self { hall: hall.clone(), host: host.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = self.hall.guests.borrow_mut();
        if let Some(near) = guests.get_mut(&self.host) {
            *near -= 1;
            if *near == 0 {
                guests.swap_remove(&self.host);
            }
        }
    }
}

/// A user's connection.
pub struct Session {
    hall: Rc<Hall>,
    id: UserId,
    pace: Pace,
    /// Until when it is not listened to.
    quiet: Option<TimerHandle>,
    _place: Place,
}

impl Session {
    /// Whoever talks too fast is not listened to for a while: what it says waits with itself.
    fn keep_the_pace(&mut self, transport: &dyn Transport, now: Instant) {
        let Some(quiet) = self.pace.line(now) else { return };
        transport.pause_reading();
        let transport = transport.handle();
        self.quiet =
            Some(self.hall.event_loop.call_later(quiet, move || transport.resume_reading()));
    }
}

impl LineHandler for Session {
    fn connection_made(&mut self, transport: &dyn Transport) {
        let now = self.hall.event_loop.time();
        let transport = transport.handle();
        let link = Link { transport, since: now, heard: now, is_asked: false };
        self.hall.links.borrow_mut().insert(self.id, link);
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        let now = self.hall.event_loop.time();
        if let Some(link) = self.hall.links.borrow_mut().get_mut(&self.id) {
            (link.heard, link.is_asked) = (now, false);
        }
        let output = self.hall.network.borrow_mut().receive(self.id, &text(line));
        self.hall.carry_out(output);
        self.keep_the_pace(transport, now);
        LineMode::Lines
    }

    fn max_length(&self) -> Bytes {
        Bytes(511) // with the CR
    }

    fn line_too_long(&mut self, _: &dyn Transport) -> LongLine {
        let output = self.hall.network.borrow_mut().receive_too_much(self.id);
        self.hall.carry_out(output);
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

impl Drop for Session {
    /// One that was never connected, because the loop had no place for it, is nobody.
    fn drop(&mut self) {
        self.hall.leave(self.id, "Connection closed");
    }
}
