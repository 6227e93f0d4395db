//! Server and clients in memory, on a clock that steps by itself.

use super::*;
use std::cell::RefCell;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::protocols::LineReceiver;
use tulipa::testing::{MemoryLoop, MemoryOptions, MemoryPair};
use tulipa::{
    Address, Backoff, Bytes, ClientEvent, Eof, Factory, Jitter, Protocol, ReconnectOptions,
    ReconnectingClient, TestLoop, TokenBucket, Transport,
};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `count` lines come at once, one more each second.
fn pace(count: u32) -> TokenBucket {
    TokenBucket::new(1, secs(1)).unwrap().burst(count)
}

/// A server whose clients are in memory.
struct Place {
    event_loop: TestLoop,
    server: Rc<RefCell<IrcServer>>,
}

impl Place {
    fn new(settings: ServerSettings) -> Self {
        let event_loop = TestLoop::new();
        let mut server = IrcServer::new(&***event_loop, settings);
        server.start_factory();
        Self { event_loop, server: Rc::new(RefCell::new(server)) }
    }

    /// Somebody connects, and says who it is.
    fn visit(&self, nick: &str) -> Visitor {
        let visitor = self.connect();
        self.say(&visitor, &format!("NICK {nick}\r\nUSER {nick} 0 * :x\r\nJOIN #t\r\n"));
        visitor.heard();
        visitor
    }

    fn connect(&self) -> Visitor {
        let session = self.server.borrow_mut().build_protocol(&Address::Unnamed);
        let heard = Rc::new(RefCell::new(Vec::new()));
        let ear = Ear(heard.clone());
        let pair = self.event_loop.memory_pair(session, ear, MemoryOptions::default());
        self.event_loop.run_ready_now();
        Visitor { pair, heard }
    }

    fn say(&self, visitor: &Visitor, text: &str) {
        visitor.pair.right.write(text.as_bytes());
        self.event_loop.run_ready_now();
    }

    fn end(self, visitors: impl IntoIterator<Item = Visitor>) {
        for visitor in visitors {
            visitor.pair.right.abort();
        }
        self.event_loop.run_ready_now();
        self.server.borrow_mut().stop_factory();
        self.event_loop.run_ready_now();
        assert!(self.server.borrow().is_empty());
    }
}

struct Visitor {
    pair: MemoryPair,
    heard: Rc<RefCell<Vec<u8>>>,
}

impl Visitor {
    fn heard(&self) -> String {
        String::from_utf8(self.heard.take()).unwrap()
    }
}

/// Hears, and closes when the other side does.
struct Ear(Rc<RefCell<Vec<u8>>>);

impl Protocol for Ear {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        self.0.borrow_mut().extend_from_slice(data);
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        Eof::Close
    }
}

#[test]
fn who_is_silent_is_asked_and_then_missed() {
    let place = Place::new(ServerSettings::default());
    let (ann, bob) = (place.visit("ann"), place.visit("bob"));
    ann.heard();
    place.event_loop.advance(secs(60));
    assert_eq!(ann.heard(), "PING :irc.tulipa.example\r\n");
    assert_eq!(bob.heard(), "PING :irc.tulipa.example\r\n");
    place.say(&ann, "PONG :irc.tulipa.example\r\n");
    place.event_loop.advance(secs(60));
    assert_eq!(bob.heard(), "ERROR :Closing link: localhost (Ping timeout: 120 seconds)\r\n");
    assert!(bob.pair.right.is_closing());
    let heard = ann.heard();
    assert!(heard.contains(":bob!bob@localhost QUIT :Ping timeout: 120 seconds\r\n"), "{heard}");
    place.end([ann, bob]);
}

#[test]
fn who_does_not_say_who_it_is_has_to_go() {
    let place = Place::new(ServerSettings::default());
    let nobody = place.connect();
    for _ in 0..6 {
        place.event_loop.advance(secs(10));
        place.say(&nobody, "PING x\r\n");
    }
    assert!(nobody.heard().ends_with("(Registration timeout)\r\n"));
    assert!(nobody.pair.right.is_closing());
    place.end([nobody]);
}

#[test]
fn who_talks_too_fast_is_listened_to_at_the_pace() {
    let settings = ServerSettings { pace: pace(5), ..ServerSettings::default() };
    let place = Place::new(settings);
    let (ann, bob) = (place.visit("ann"), place.visit("bob"));
    place.event_loop.advance(secs(10));
    ann.heard();
    let flood: String = (0..30).map(|number| format!("PRIVMSG #t :{number}\r\n")).collect();
    place.say(&bob, &flood);
    let count = |heard: String| heard.matches("PRIVMSG").count();
    let at_once = count(ann.heard());
    assert!((4..=6).contains(&at_once), "{at_once}");
    place.event_loop.advance(secs(10));
    let in_ten_seconds = count(ann.heard());
    assert!((9..=11).contains(&in_ten_seconds), "{in_ten_seconds}");
    place.event_loop.advance(secs(30));
    assert_eq!(at_once + in_ten_seconds + count(ann.heard()), 30);
    // One who is not listened to can leave.
    place.say(&bob, &flood);
    place.end([ann, bob]);
}

#[test]
fn who_does_not_read_is_disconnected_and_holds_up_nobody() {
    let settings =
        ServerSettings { send_queue: Bytes::kib(8), pace: pace(1000), ..ServerSettings::default() };
    let place = Place::new(settings);
    let (ann, deaf) = (place.visit("ann"), place.visit("deaf"));
    deaf.pair.right.pause_reading();
    deaf.pair.set_capacity(Bytes(100));
    ann.heard();
    for _ in 0..40 {
        place.say(&ann, &format!("PRIVMSG #t :{}\r\n", "x".repeat(400)));
    }
    assert!(ann.heard().contains(":deaf!deaf@localhost QUIT :Send queue exceeded\r\n"));
    deaf.pair.right.resume_reading();
    place.event_loop.run_ready_now();
    place.end([ann, deaf]);
}

#[test]
fn who_finds_no_place_is_told() {
    let settings = ServerSettings { places: 2, ..ServerSettings::default() };
    let place = Place::new(settings);
    let (ann, bob) = (place.visit("ann"), place.visit("bob"));
    let third = place.connect();
    assert_eq!(third.heard(), "ERROR :Closing link: there is no place for one more\r\n");
    assert!(third.pair.right.is_closing());
    bob.pair.right.abort();
    place.event_loop.run_ready_now();
    let fourth = place.visit("eve");
    place.end([ann, third, fourth]);
}

#[test]
fn one_address_has_so_many_places_and_no_more() {
    let settings = ServerSettings { places_per_peer: 1, ..ServerSettings::default() };
    let event_loop = EventLoop::new().unwrap();
    let server = IrcServer::new(&**event_loop, settings);
    let server = event_loop.create_server(server, ("127.0.0.1", 0)).result().unwrap();
    let port = server.addresses()[0].port().unwrap();
    let hear = |stream: TcpStream| {
        stream.shutdown(Shutdown::Write).unwrap();
        let heard =
            event_loop.run_in_executor(None, move || std::io::read_to_string(stream).unwrap());
        event_loop.run_until_complete(&heard).unwrap()
    };
    let mut first = TcpStream::connect(("127.0.0.1", port)).unwrap();
    first.write_all(b"NICK a\nUSER a 0 * :a\n").unwrap();
    let second = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert!(hear(second).contains("no place"));
    assert!(hear(first).contains("Welcome, a!a@127.0.0.1"));
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let place = Place::new(ServerSettings::default());
    let ann = place.visit("ann");
    place.say(&ann, &format!("PRIVMSG #t :{}\r\nPING x\r\n", "x".repeat(5000)));
    assert_eq!(
        ann.heard(),
        ":irc.tulipa.example 417 ann :Input line was too long\r\n\
         :irc.tulipa.example PONG irc.tulipa.example :x\r\n"
    );
    place.end([ann]);
}

#[test]
fn lines_that_are_too_long_keep_to_the_pace_as_well() {
    let settings = ServerSettings { pace: pace(5), ..ServerSettings::default() };
    let place = Place::new(settings);
    let ann = place.visit("ann");
    place.event_loop.advance(secs(10));
    ann.heard();
    place.say(&ann, &format!("{}\n", "x".repeat(600)).repeat(30));
    assert_eq!(ann.heard().matches(" 417 ").count(), 5);
    place.event_loop.advance(secs(10));
    assert_eq!(ann.heard().matches(" 417 ").count(), 10);
    place.event_loop.advance(secs(20));
    assert_eq!(ann.heard().matches(" 417 ").count(), 15);
    place.end([ann]);
}

#[test]
fn the_server_says_goodbye() {
    let place = Place::new(ServerSettings::default());
    let (ann, bob) = (place.visit("ann"), place.visit("bob"));
    ann.heard();
    for visitor in [&ann, &bob] {
        visitor.pair.request_shutdown_of_left();
    }
    place.event_loop.run_ready_now();
    assert_eq!(bob.heard(), "ERROR :The server shuts down\r\n");
    assert!(ann.heard().ends_with("ERROR :The server shuts down\r\n"));
    place.end([ann, bob]);
}

/// A client that stays connected, through memory.
struct Stubborn {
    client: Client,
    connection: ReconnectingClient,
    seen: Rc<RefCell<Vec<String>>>,
    pairs: Rc<RefCell<Vec<MemoryPair>>>,
}

impl Stubborn {
    fn start(place: &Place, nick: &str) -> Self {
        let seen: Rc<RefCell<Vec<String>>> = Rc::default();
        let pairs: Rc<RefCell<Vec<MemoryPair>>> = Rc::default();
        let print = seen.clone();
        let client = Client::new(nick, &["#t".to_owned()], secs(60), move |line| {
            print.borrow_mut().push(line.to_owned());
        });
        let (maker, teller, server, wires) =
            (client.clone(), client.clone(), place.server.clone(), pairs.clone());
        let connect = move |connection: &ReconnectingClient| {
            let event_loop = connection.get_loop();
            let session = server.borrow_mut().build_protocol(&Address::Unnamed);
            let ours = maker.session(connection);
            let pair = event_loop.memory_pair(session, ours, MemoryOptions::default());
            let future = event_loop.create_future();
            future.set_result(pair.right.clone()).unwrap();
            wires.borrow_mut().push(pair);
            future
        };
        let options = ReconnectOptions::from(Backoff::default().jitter(Jitter::None).factor(2.0));
        let options = options.on_event(move |_, event| teller.tell(&event));
        let connection = place.event_loop.create_reconnecting_client(connect, options);
        place.event_loop.run_ready_now();
        Self { client, connection, seen, pairs }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.take()
    }
}

#[test]
fn a_client_comes_back_to_its_channels_and_keeps_its_name() {
    let place = Place::new(ServerSettings::default());
    let ann = place.visit("ann");
    let bob = Stubborn::start(&place, "ann"); // is taken
    assert_eq!(
        bob.seen(),
        ["* connected, you are ann_", "#t * ann_ has come", "#t * here: ann ann_"]
    );
    bob.client.input("/nick bob");
    bob.client.input("/join #other");
    bob.client.input("hello");
    bob.client.input("/part #t");
    place.event_loop.run_ready_now();
    bob.seen();
    bob.pairs.borrow().last().unwrap().reset();
    place.event_loop.run_ready_now();
    assert!(bob.seen()[0].contains("; again in 2.0 s"));
    assert!(ann.heard().contains("bob"));
    bob.client.input("nobody hears this");
    bob.seen();
    place.event_loop.advance(secs(2));
    assert_eq!(
        bob.seen(),
        ["* connected, you are bob", "#other * bob has come", "#other * here: bob"]
    );
    // It was welcome, so the next pause is short again.
    bob.pairs.borrow().last().unwrap().left.close();
    place.event_loop.run_ready_now();
    assert_eq!(bob.seen(), ["* the connection is lost; again in 2.0 s"]);
    place.event_loop.advance(secs(2));
    bob.client.quit("done");
    place.event_loop.run_until_complete(&bob.connection.wait_closed()).unwrap();
    assert!(bob.seen().contains(&"* Closing link: localhost (Quit: done)".to_owned()));
    place.end([ann]);
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    let place = Place::new(ServerSettings { silence: secs(10_000), ..ServerSettings::default() });
    let bob = Stubborn::start(&place, "bob");
    bob.seen();
    place.event_loop.advance(secs(100)); // asked, and answered
    assert_eq!(bob.seen(), [""; 0]);
    bob.pairs.borrow().last().unwrap().set_capacity(Bytes(0));
    place.event_loop.advance(secs(121));
    assert_eq!(bob.seen()[0], "* the connection is lost: the server is silent; again in 2.0 s");
    bob.connection.close();
    place.event_loop.run_ready_now();
    bob.pairs.borrow().last().unwrap().set_capacity(Bytes::kib(64));
    for pair in &*bob.pairs.borrow() {
        pair.left.abort();
    }
    place.end([]);
}

#[test]
fn what_is_typed_waits_until_somebody_can_hear_it() {
    let place = Place::new(ServerSettings::default());
    let ann = place.visit("ann");
    let bob = Stubborn::start(&place, "bob");
    let keyboard = LineReceiver::new(Keyboard::new(bob.client.clone())).delimiter(b"\n");
    let hands =
        place.event_loop.memory_pair(keyboard, Ear(Rc::default()), MemoryOptions::default());
    let typed = |text: &str| {
        hands.right.write(text.as_bytes());
        place.event_loop.run_ready_now();
    };
    typed("one\n");
    bob.pairs.borrow().last().unwrap().reset();
    place.event_loop.run_ready_now();
    typed("two\n/topic three\n/msg ann psst\n/frob\n");
    ann.heard();
    place.event_loop.advance(secs(2));
    let heard = ann.heard();
    let heard: Vec<_> = heard.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(heard, ["#t", ":two", ":three", ":psst"]);
    assert!(bob.seen().iter().any(|line| line.starts_with("* /join #CHANNEL")));
    typed("/quit");
    hands.right.write_eof();
    place.event_loop.run_until_complete(&bob.connection.wait_closed()).unwrap();
    assert!(ann.heard().ends_with("QUIT :Quit: bye\r\n"));
    place.end([ann]);
}

#[test]
fn why_there_is_no_connection_is_told_to_the_last_cause() {
    let event_loop = EventLoop::new().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let attempt = event_loop.create_connection(|| Ear(Rc::default()), nobody);
    let reason = event_loop.run_until_complete(&attempt).err().unwrap();
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let print = seen.clone();
    let client = Client::new("bob", &[], secs(60), move |line| {
        print.borrow_mut().push(line.to_owned());
    });
    client.tell(&ClientEvent::ConnectionFailed { reason, retry_in: Some(secs(2)) });
    let told = &seen.borrow()[0];
    assert!(told.contains(&nobody.to_string()) && told.contains("refused"), "{told}");
}
