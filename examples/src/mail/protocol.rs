//! [`Smtp`]: carries lines between a transport and an SMTP [`Session`].

use super::{Directory, Line, Mail, Next, NotKept, Session, Settings, Store};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tulipa::prelude::*;
use tulipa::protocols::{LineHandler, LineMode, LineReceiver, LongLine};
use tulipa::tls::{Early, StartTls, TlsRole, TlsServerConfig};
use tulipa::{Bytes, IdleTimeout, Transport, current};

/// A client's session, for a [`LineReceiver`]: mails go into the store; where there is a directory, first
/// into a file, and only then is the client told.
///
/// A client that does not read its replies is not read from either, nor one whose mail is being kept: what
/// it has sent already waits in its transport.
///
/// One that says STARTTLS has to wait for the answer (RFC 3207). What comes behind the command in clear, be it a
/// handshake that was begun too early, may as well have been put there by somebody on the way: it ends the
/// connection.
pub struct Smtp {
    session: Session,
    store: Rc<RefCell<Store>>,
    output: Vec<u8>,
    idle: IdleTimeout,
    idle_limit: Duration,
    directory: Option<Arc<Directory>>,
    /// For STARTTLS.
    tls: Option<TlsServerConfig>,
    /// The client does not read.
    is_paused: bool,
}

impl Smtp {
    /// A session that nobody has spoken in yet, and that ends when no line was completed for
    /// `idle_limit`.
    pub fn new(settings: Rc<Settings>, store: Rc<RefCell<Store>>, idle_limit: Duration) -> Self {
        Self {
            session: Session::new(settings),
            store,
            output: Vec::new(),
            idle: IdleTimeout::default(),
            idle_limit,
            directory: None,
            tls: None,
            is_paused: false,
        }
    }

    /// Has each mail kept in a file as well.
    #[must_use]
    pub fn keeping_files(mut self, directory: Option<Arc<Directory>>) -> Self {
        self.directory = directory;
        self
    }

    /// How the connection is encrypted when the client says STARTTLS; for settings that offer it.
    #[must_use]
    pub fn encrypting(mut self, tls: Option<TlsServerConfig>) -> Self {
        self.tls = tls;
        self
    }

    fn reply(&mut self, transport: &dyn Transport, next: Next) {
        if !self.output.is_empty() {
            transport.write(&self.output);
            self.output.clear();
        }
        match next {
            Next::Continue | Next::Wait => self.review_reading(transport),
            Next::StartTls => self.start_tls(transport),
            Next::Close => transport.close(),
        }
    }

    /// What came behind the command is in the receiver's hands, which gives it back.
    fn start_tls(&mut self, transport: &dyn Transport) {
        let Some(config) = self.tls.clone() else { return transport.close() };
        let peer = transport.extra_info().peername;
        let opened = transport.start_tls(TlsRole::Server { config }, Early::Refuse, Vec::new());
        opened.add_done_callback(move |opened| {
            if let Ok(Some(error)) = opened.exception() {
                log::info!("no TLS with {peer:?}: {error}");
            }
        });
    }

    fn review_reading(&self, transport: &dyn Transport) {
        match self.is_paused || self.session.is_delivering() {
            true => transport.pause_reading(),
            false => transport.resume_reading(),
        }
    }

    /// The file of a mail is written, or is not.
    fn delivered(&mut self, transport: &dyn Transport, outcome: Result<u64, NotKept>) {
        let next = self.session.delivered(outcome, &mut self.output);
        self.reply(transport, next);
        self.idle.reset_timeout();
    }

    fn receive(&mut self, transport: &dyn Transport, line: Line<'_>) {
        let keeps = Keeps { store: &self.store, directory: self.directory.as_ref(), transport };
        let next = self.session.receive(line, &mut self.output, |mail| keeps.keep(mail));
        self.reply(transport, next);
        // Sending a line byte by byte does not buy more time.
        self.idle.reset_timeout();
    }

    fn start_idle_timeout(&mut self, transport: &dyn Transport) {
        let expired = |receiver: &mut LineReceiver<Self>, transport: &dyn Transport| {
            receiver.handler_mut().timed_out(transport);
        };
        self.idle.start(transport, self.idle_limit, expired);
    }

    fn timed_out(&mut self, transport: &dyn Transport) {
        let next = self.session.time_out(&mut self.output);
        self.reply(transport, next);
        if next == Next::Wait {
            // It is not the client who takes so long.
            self.start_idle_timeout(transport);
        }
    }
}

/// Where a mail goes.
struct Keeps<'a> {
    store: &'a Rc<RefCell<Store>>,
    directory: Option<&'a Arc<Directory>>,
    transport: &'a dyn Transport,
}

impl Keeps<'_> {
    fn keep(&self, mail: Mail) -> Result<u64, NotKept> {
        let received = SystemTime::now();
        let Some(directory) = self.directory.cloned() else {
            return caught(self.store.borrow_mut().add(mail, received));
        };
        let path = directory.new_path(received);
        let mail = self.store.borrow().admit(mail, received, Some(path))?;
        let cost = self.store.borrow_mut().expect(&mail)?;
        let writing = current().run_in_executor(None, move || {
            let kept = directory.keep(&mail);
            kept.map(|()| mail)
        });
        let (store, transport) = (self.store.clone(), self.transport.handle());
        writing.add_done_callback(move |writing| {
            store.borrow_mut().has_come(cost);
            // Without an executor that takes it, nothing was written.
            let kept = writing.take().unwrap_or(Err(NotKept::Failed));
            let outcome = kept.and_then(|mail| caught(store.borrow_mut().keep(mail)));
            // A client that is gone is not told, but the mail is there.
            let _ = transport.with_protocol(|receiver: &mut LineReceiver<Smtp>, transport| {
                receiver.handler_mut().delivered(transport, outcome);
            });
        });
        Err(NotKept::NotYet)
    }
}

fn caught(outcome: Result<u64, NotKept>) -> Result<u64, NotKept> {
    if let Ok(id) = outcome {
        log::info!("caught message {id}");
    }
    outcome
}

impl LineHandler for Smtp {
    fn connection_made(&mut self, transport: &dyn Transport) {
        if transport.extra_info().tls.is_some() {
            self.session.handshake_completed();
        }
        self.session.greet(&mut self.output);
        self.reply(transport, Next::Continue);
        self.start_idle_timeout(transport);
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.receive(transport, Line::Whole(line));
        LineMode::Lines
    }

    fn max_length(&self) -> Bytes {
        Bytes(self.session.line_limit())
    }

    fn line_too_long(&mut self, transport: &dyn Transport) -> LongLine {
        self.receive(transport, Line::TooLong);
        LongLine::Skip
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.is_paused = true;
        self.review_reading(transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.is_paused = false;
        self.review_reading(transport);
    }

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        self.session.handshake_completed();
        self.output = Vec::new();
        self.review_reading(transport);
        // What was armed knows the transport before.
        self.start_idle_timeout(transport);
    }

    fn memory_held(&self) -> Bytes {
        Bytes(self.session.memory() + self.output.capacity())
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        let next = self.session.shut_down(&mut self.output);
        self.reply(transport, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::StoreLimits;
    use tulipa::Protocol;
    use tulipa::TestLoop;
    use tulipa::testing::{MemoryLoop, MemoryOptions};

    struct Client;
    impl Protocol for Client {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    }

    /// Remembers what it was told.
    struct Told(Rc<RefCell<String>>);
    impl Protocol for Told {
        fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
            self.0.borrow_mut().push_str(std::str::from_utf8(data).unwrap());
        }
    }

    struct Scene {
        event_loop: TestLoop,
        place: tempfile::TempDir,
        store: Rc<RefCell<Store>>,
        told: Rc<RefCell<String>>,
        pair: tulipa::testing::MemoryPair,
    }

    fn scene() -> Scene {
        let event_loop = TestLoop::new();
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path().join("mails")).unwrap();
        let store = Rc::new(RefCell::new(Store::new(StoreLimits::default())));
        let idle = Duration::from_secs(10);
        let server =
            Smtp::new(Rc::default(), store.clone(), idle).keeping_files(Some(Arc::new(directory)));
        let server = LineReceiver::new(server);
        let told = Rc::default();
        let client = Told(Rc::clone(&told));
        let pair = event_loop.memory_pair(server, client, MemoryOptions::default());
        event_loop.run_ready_now();
        Scene { event_loop, place, store, told, pair }
    }

    impl Scene {
        fn says(&self, lines: &str) {
            self.pair.right.write(lines.as_bytes());
        }

        /// Until the executor's thread has answered.
        fn run_until(&self, is_so: impl Fn() -> bool) {
            let begin = std::time::Instant::now();
            while !is_so() {
                assert!(begin.elapsed() < Duration::from_secs(20), "{}", self.told.borrow());
                self.event_loop.run_ready_now();
                std::thread::yield_now();
            }
        }

        fn files(&self) -> usize {
            std::fs::read_dir(self.place.path().join("mails")).map_or(0, Iterator::count)
        }

        fn end(self) {
            self.pair.left.abort();
            self.pair.right.abort();
            self.event_loop.run_ready_now();
        }
    }

    const MAIL: &str =
        "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\n";

    #[test]
    fn what_comes_behind_a_mail_waits_until_it_is_on_the_disk() {
        let scene = scene();
        scene.says(&format!("EHLO me\r\n{MAIL}{MAIL}NOOP\r\nQUIT\r\n"));
        scene.run_until(|| scene.pair.right.is_closing());
        let told = scene.told.borrow().clone();
        let ends: Vec<&str> = told.lines().rev().take(4).collect();
        assert_eq!(ends[0], "221 2.0.0 goodbye");
        assert_eq!(ends[1], "250 2.0.0 done");
        assert_eq!(ends[2], "250 2.0.0 caught as message 2");
        assert_eq!((scene.store.borrow().len(), scene.files()), (2, 2));
        scene.end();
    }

    #[test]
    fn a_mail_that_cannot_be_kept_is_answered_so_and_the_next_is_taken() {
        let scene = scene();
        let (mails, away) = (scene.place.path().join("mails"), scene.place.path().join("away"));
        std::fs::rename(&mails, &away).unwrap();
        scene.says(&format!("EHLO me\r\n{MAIL}"));
        let answered = |code: &str| scene.told.borrow().matches(code).count();
        scene.run_until(|| answered("\r\n451 4.3.0 ") == 1);
        // One that is not locked is no better.
        std::fs::create_dir(&mails).unwrap();
        scene.says(MAIL);
        scene.run_until(|| answered("\r\n451 4.3.0 ") == 2);
        assert_eq!((scene.store.borrow().len(), scene.files()), (0, 0));
        std::fs::remove_dir(&mails).unwrap();
        std::fs::rename(&away, &mails).unwrap();
        scene.says(MAIL);
        scene.run_until(|| answered("caught as message 1") == 1);
        assert_eq!(scene.files(), 1);
        scene.end();
    }

    #[test]
    fn a_client_that_leaves_meanwhile_loses_nothing_but_the_answer() {
        let scene = scene();
        scene.says(&format!("EHLO me\r\n{MAIL}"));
        scene.run_until(|| scene.told.borrow().contains("\r\n354 "));
        scene.pair.right.abort();
        scene.pair.left.abort();
        scene.run_until(|| scene.store.borrow().len() == 1);
        assert_eq!(scene.files(), 1);
        scene.end();
    }

    /// Takes jobs and runs none until it is told to.
    #[derive(Default)]
    struct Slow(std::sync::Mutex<Vec<tulipa::concurrent::Job>>);

    impl tulipa::concurrent::Executor for Slow {
        fn execute(&self, job: tulipa::concurrent::Job) -> Result<(), tulipa::concurrent::Refused> {
            self.0.lock().unwrap().push(job);
            Ok(())
        }
    }

    #[test]
    fn r4_mails_that_wait_for_the_disk_count_though_their_clients_are_gone() {
        let event_loop = TestLoop::new();
        let slow = Arc::new(Slow::default());
        event_loop.set_default_executor(slow.clone());
        let place = tempfile::tempdir().unwrap();
        let directory = Some(Arc::new(Directory::open(place.path()).unwrap()));
        let limits = StoreLimits { mails: 10, bytes: 100_000 };
        let store = Rc::new(RefCell::new(Store::new(limits)));
        let mail = MAIL.replace("hello", &"hello\r\n".repeat(4_000));
        let send = || {
            let smtp = Smtp::new(Rc::default(), store.clone(), Duration::from_secs(10));
            let smtp = LineReceiver::new(smtp.keeping_files(directory.clone()));
            let told = Rc::default();
            let client = Told(Rc::clone(&told));
            let pair = event_loop.memory_pair(smtp, client, MemoryOptions::default());
            pair.right.write(format!("EHLO me\r\n{mail}").as_bytes());
            event_loop.run_ready_now();
            pair.right.abort();
            pair.left.abort();
            event_loop.run_ready_now();
            told.take().contains("\r\n452 ")
        };
        let refused: Vec<bool> = (0..6).map(|_| send()).collect();
        assert_eq!(refused, [false, false, false, true, true, true]);
        slow.0.lock().unwrap().drain(..).for_each(tulipa::concurrent::Job::run);
        event_loop.run_ready_now();
        assert_eq!(store.borrow().len(), 3);
        assert!(!send(), "there is room again");
        drop(slow.0.lock().unwrap().pop()); // whoever shuts the executor down
        event_loop.run_ready_now();
        assert_eq!([send(), send(), send(), send()], [false, false, false, true]);
        slow.0.lock().unwrap().clear();
        event_loop.run_ready_now();
    }

    #[test]
    fn neither_the_clock_nor_a_shutdown_cuts_a_mail_that_is_being_kept() {
        let scene = scene();
        scene.says(&format!("EHLO me\r\n{MAIL}"));
        scene.run_until(|| {
            let delivers = |smtp: &mut LineReceiver<Smtp>, _: &dyn Transport| {
                smtp.handler().session.is_delivering()
            };
            let delivering = scene.pair.left.with_protocol(delivers).unwrap_or(false);
            delivering || scene.store.borrow().len() == 1
        });
        if scene.store.borrow().is_empty() {
            let out = |smtp: &mut LineReceiver<Smtp>, transport: &dyn Transport| {
                smtp.handler_mut().timed_out(transport);
            };
            let left = scene.pair.left.clone();
            scene.event_loop.call_soon(move || left.with_protocol(out).unwrap());
            scene.event_loop.run_once(Some(Duration::ZERO)).unwrap();
            assert!(!scene.pair.left.is_closing());
        }
        scene.pair.request_shutdown_of_left();
        scene.run_until(|| scene.pair.right.is_closing());
        let told = scene.told.borrow().clone();
        let caught = told.find("caught as message 1").expect("it is answered first");
        assert!(told[caught..].contains("\r\n421 4.3.2 "), "{told}");
        scene.end();
    }

    #[test]
    fn lines_buy_time_and_single_bytes_do_not() {
        for (sent, stays) in [(&b"NOOP\r\n"[..], true), (b"x", false)] {
            let event_loop = TestLoop::new();
            let limits = StoreLimits { mails: 1, bytes: 1000 };
            let store = Rc::new(RefCell::new(Store::new(limits)));
            let idle = Duration::from_secs(10);
            let server = LineReceiver::new(Smtp::new(Rc::default(), store, idle));
            let pair = event_loop.memory_pair(server, Client, MemoryOptions::default());
            event_loop.run_ready_now();
            for _ in 0..5 {
                pair.right.write(sent);
                event_loop.advance(Duration::from_secs(6));
            }
            assert_eq!(!pair.left.is_closing(), stays);
            pair.left.abort();
            event_loop.run_ready_now();
        }
    }

    #[test]
    fn r15_over_a_connection_only_cr_lf_dot_cr_lf_ends_a_mail() {
        const BEGIN: &str = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
        for end in crate::mail::smtp::smuggling_tests::ENDS {
            let scene = scene();
            let smuggled = BEGIN.replace("EHLO a\r\n", "");
            scene.says(&format!("{BEGIN}text{end}{smuggled}smuggled\r\n.\r\nQUIT\r\n"));
            scene.run_until(|| scene.pair.right.is_closing());
            let told = scene.told.borrow().clone();
            assert_eq!(told.matches("\r\n354 ").count(), 1, "{end:?}: {told}");
            assert!(scene.store.borrow().len() <= 1, "{end:?}");
            scene.end();
        }
    }

    #[test]
    fn r4_what_a_client_sends_behind_a_mail_waits_in_its_transport() {
        let scene = scene();
        let noops = "NOOP\r\n".repeat(1000);
        scene.says(&format!("EHLO me\r\n{MAIL}{noops}QUIT\r\n"));
        scene.run_until(|| scene.told.borrow().contains("\r\n354 "));
        let held = |receiver: &mut LineReceiver<Smtp>, _: &dyn Transport| receiver.memory_held().0;
        if let Ok(held) = scene.pair.left.with_protocol(held) {
            assert!(held < 1000, "{held} bytes");
        }
        scene.run_until(|| scene.pair.right.is_closing());
        assert_eq!(scene.told.borrow().matches("250 2.0.0 done").count(), 1000);
        scene.end();
    }

    /// Clients that speak in clear, and may encrypt.
    struct TlsScene {
        event_loop: TestLoop,
        trusting: tulipa::tls::TlsClientConfig,
        server: TlsServerConfig,
        store: Rc<RefCell<Store>>,
        told: Rc<RefCell<String>>,
    }

    fn tls_scene() -> TlsScene {
        let (key, pem) = crate::self_made::self_made(&["localhost".to_owned()]).unwrap();
        let roots = tulipa::tls::Roots::none().pem(&pem).unwrap();
        let limits = StoreLimits::default();
        TlsScene {
            event_loop: TestLoop::new(),
            trusting: tulipa::tls::TlsClientConfig::builder().roots(roots).build().unwrap(),
            server: TlsServerConfig::new(key).unwrap(),
            store: Rc::new(RefCell::new(Store::new(limits))),
            told: Rc::default(),
        }
    }

    impl TlsScene {
        fn connect(&self) -> tulipa::testing::MemoryPair {
            let encryption = crate::mail::Encryption::Required;
            let settings = Rc::new(Settings { encryption, ..Settings::default() });
            let smtp = Smtp::new(settings, self.store.clone(), Duration::from_secs(10));
            let smtp = LineReceiver::new(smtp.encrypting(Some(self.server.clone())));
            let client = Told(self.told.clone());
            let pair = self.event_loop.memory_pair(smtp, client, MemoryOptions::default());
            self.event_loop.run_ready_now();
            pair
        }

        fn as_client(&self) -> TlsRole {
            let server_name = "localhost".to_owned();
            TlsRole::Client { config: self.trusting.clone(), server_name }
        }

        fn run(&self) {
            self.event_loop.run_ready_now();
        }
    }

    #[test]
    fn n54_a_mail_comes_encrypted() {
        let scene = tls_scene();
        let pair = scene.connect();
        pair.right.write(b"EHLO me\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n");
        scene.run();
        let told = scene.told.take();
        assert!(told.contains("\r\n530 5.7.0 ") && told.contains("\r\n220 2.0.0 "), "{told}");
        let opened = pair.right.start_tls(scene.as_client(), Early::Refuse, Vec::new());
        let encrypted = scene.event_loop.run_until_complete(&opened).unwrap();
        encrypted.write(format!("EHLO me\r\n{MAIL}").as_bytes());
        scene.run();
        let told = scene.told.take();
        assert!(
            told.starts_with("250-localhost") && told.contains("caught as message 1"),
            "{told}"
        );
        assert_eq!(scene.store.borrow().len(), 1);
        // The clock goes on for the new transport.
        scene.event_loop.advance(Duration::from_secs(11));
        scene.run();
        assert!(scene.told.take().contains("421 4.4.2 "));
        assert!(encrypted.is_closing());
        scene.event_loop.run_until_idle();
    }

    #[test]
    fn n55_what_follows_starttls_in_clear_ends_the_session() {
        let mail = format!("EHLO me\r\n{MAIL}");
        for behind in [&*mail, "NOOP\r\n", "\r\n", "E"] {
            let scene = tls_scene();
            let pair = scene.connect();
            pair.right.write(format!("EHLO me\r\nSTARTTLS\r\n{behind}").as_bytes());
            scene.run();
            assert!(pair.left.is_closing() && pair.right.is_closing(), "{behind:?}");
            scene.event_loop.run_until_idle();
            assert_eq!(scene.store.borrow().len(), 0, "{behind:?}");
            let told = scene.told.take();
            assert!(!told.contains("250 2."), "{told}");
        }
        // Later, but before the handshake, it is no handshake.
        let scene = tls_scene();
        let pair = scene.connect();
        pair.right.write(b"EHLO me\r\nSTARTTLS\r\n");
        scene.run();
        pair.right.write(mail.as_bytes());
        scene.run();
        assert!(pair.right.is_closing());
        scene.event_loop.run_until_idle();
        assert_eq!(scene.store.borrow().len(), 0);
    }

    #[test]
    fn n55_a_handshake_that_does_not_wait_for_the_answer_is_refused() {
        let scene = tls_scene();
        let pair = scene.connect();
        scene.told.take();
        pair.right.write(b"EHLO me\r\nSTARTTLS\r\n");
        let opened = pair.right.start_tls(scene.as_client(), Early::Refuse, Vec::new());
        scene.event_loop.run_until_complete(&opened).err().expect("it was cut");
        assert!(pair.left.is_closing());
        scene.event_loop.run_until_idle();
    }
}
