//! Sessions over connections in memory: files, clocks, what waits where, and TLS.

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

const MAIL: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\n";

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
    assert!(told.starts_with("250-localhost") && told.contains("caught as message 1"), "{told}");
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
