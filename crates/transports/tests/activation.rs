//! Sockets that a service manager passed: a shell plays the manager, this program the service.

use eventloop::EventLoop;
use rustix::io::{FdFlags, fcntl_getfd};
use std::cell::Cell;
use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::rc::Rc;
use tulipa_transports::{NetworkLoop, Protocol, Transport, listen_fds};

const NAME: &str = "n32_sockets_that_were_passed_are_served_once_and_not_inherited";
/// In the environment of the service.
const SERVICE: &str = "TULIPA_TEST_SERVICE";

#[test]
fn n32_sockets_that_were_passed_are_served_once_and_not_inherited() {
    match env::var(SERVICE).as_deref() {
        Ok("2") => return serve(),
        Ok("3") => return keep_ours(),
        Ok(_) => return find_none(),
        Err(_) => {}
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(&path).unwrap();
    let address = tcp.local_addr().unwrap();
    let service = start(2, tcp.into(), unix.into());
    let mut clients = (TcpStream::connect(address).unwrap(), UnixStream::connect(&path).unwrap());
    assert_eq!(echo(&mut clients.0, b"tulip"), b"tulip");
    assert_eq!(echo(&mut clients.1, b"rose"), b"rose");
    drop(clients);
    let output = service.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(path.exists(), "the file is the manager's");

    // Some that were promised are not there, or are others.
    let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    for count in [200, 3] {
        let output = start(count, null(), null()).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Starts this test as a service, with two descriptors, which are told to be `count`.
fn start(count: u32, first: OwnedFd, second: OwnedFd) -> std::process::Child {
    let script = r#"export LISTEN_PID=$$; exec "$0" "$@" 3<&0 4<&1 5<&- 1>&2 </dev/null"#;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).arg(env::current_exe().unwrap()).args(["--exact", NAME]);
    command.env(SERVICE, count.to_string()).env("LISTEN_FDS", count.to_string());
    if count == 2 {
        command.env("LISTEN_FDNAMES", "web:admin");
    }
    command.stdin(first).stdout(second).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn echo(stream: &mut (impl Read + Write), data: &[u8]) -> Vec<u8> {
    stream.write_all(data).unwrap();
    let mut answer = vec![0; data.len()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

struct Echo {
    event_loop: eventloop::LoopHandle,
    left: Rc<Cell<usize>>,
}

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        transport.write(data);
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<futures::Exception>) {
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            self.event_loop.stop();
        }
    }
}

/// The service: two clients, one of each kind.
fn serve() {
    let mut passed = listen_fds().unwrap();
    assert_eq!(passed.len(), 2);
    assert!(listen_fds().unwrap().is_empty(), "they are given once");
    for socket in &passed {
        assert!(fcntl_getfd(socket).unwrap().contains(FdFlags::CLOEXEC));
    }
    let (admin, web) = (passed.pop().unwrap(), passed.pop().unwrap());
    assert_eq!((web.name(), admin.name()), (Some("web"), Some("admin")));
    assert!(
        web.address().unwrap().port().is_some() && admin.address().unwrap().as_path().is_some()
    );
    let event_loop = EventLoop::new().unwrap();
    let left = Rc::new(Cell::new(2));
    let factory = || {
        let (event_loop, left) = (event_loop.handle(), left.clone());
        move || Echo { event_loop: event_loop.clone(), left: left.clone() }
    };
    let web = web.into_server_options().unwrap();
    let web = event_loop.create_server(factory(), web).result().unwrap();
    let admin = admin.into_unix_server_options().unwrap();
    let admin = event_loop.create_unix_server(factory(), admin).result().unwrap();
    event_loop.run_forever().unwrap();
    web.close();
    admin.close();
}

/// The service that is promised more than it was given.
fn find_none() {
    let error = listen_fds().unwrap_err();
    assert!(error.to_string().contains("which LISTEN_FDS counts"), "{error}");
    // Nothing was taken, and nothing closed.
    assert!(std::fs::File::open("/proc/self/fd/4").is_ok());
}

/// The service that has opened what has the number of one that it was promised.
fn keep_ours() {
    let ours: Vec<_> = std::iter::repeat_with(|| std::fs::File::open("/dev/zero").unwrap())
        .take_while(|file| file.as_raw_fd() <= 5)
        .collect();
    assert!(ours.iter().any(|file| file.as_raw_fd() == 5));
    let error = listen_fds().map(std::mem::forget).unwrap_err();
    assert!(error.to_string().contains("descriptor 5"), "{error}");
    for mut file in ours {
        file.read_exact(&mut [0; 9]).unwrap();
    }
}

#[test]
fn n32_without_a_manager_there_are_none() {
    if env::var_os(SERVICE).is_none() && env::var_os("LISTEN_FDS").is_none() {
        assert!(listen_fds().unwrap().is_empty());
    }
}
