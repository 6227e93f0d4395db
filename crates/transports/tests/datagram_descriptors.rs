//! Datagram endpoints leave no descriptor behind, however they end or fail, and do without when there
//! are none. One test in a process of its own, because it counts.

use eventloop::TestLoop;
use futures::Exception;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::net::UdpSocket;
use std::rc::Rc;
use tulipa_transports::{
    Address, DatagramOptions, DatagramProtocol, DatagramTransport, NetworkLoop, SendState,
};

struct Quiet;

impl DatagramProtocol for Quiet {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, data: &[u8], _: &Address) {
        assert!(data != b"panic", "as asked");
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn open(
    event_loop: &TestLoop,
    options: impl Into<DatagramOptions>,
) -> Result<Rc<dyn DatagramTransport>, Exception> {
    let opening = event_loop.create_datagram_endpoint(|| Quiet, options);
    event_loop.run_until_complete(&opening)
}

#[test]
fn r6_r7_endpoints_leave_no_descriptor_behind_and_do_without_when_there_are_none() {
    let event_loop = TestLoop::new();
    event_loop.set_exception_handler(Some(Rc::new(|_, _| {})));
    open(&event_loop, ("localhost", 0)).unwrap().close(); // what is made at first use is made now
    event_loop.run_ready_now();
    let before = descriptors();

    for ending in 0..4 {
        let transport = open(&event_loop, ("127.0.0.1", 0)).unwrap();
        assert_eq!(descriptors(), before + 1);
        match ending {
            0 => transport.close(),
            1 => transport.abort(),
            2 => transport.abort_with(Exception::msg("enough")),
            _ => {
                let own = transport.extra_info().sockname;
                assert_eq!(transport.sendto(b"panic", own.as_ref()), SendState::Sent);
            }
        }
        let over = transport.wait_closed();
        event_loop.run_until_complete(&over).unwrap();
        assert_eq!(descriptors(), before, "ending {ending}");
    }

    // Refused, called off, cancelled.
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    assert!(open(&event_loop, address).is_err());
    assert!(open(&event_loop, DatagramOptions::from(address).remote_addr(("::1", 1))).is_err());
    let nothing = event_loop.create_datagram_endpoint(|| None::<Quiet>, ("127.0.0.1", 0));
    assert!(nothing.result().is_err());
    let cancelled = event_loop.create_datagram_endpoint(|| Quiet, ("127.0.0.1", 0));
    cancelled.cancel();
    let looking_up = event_loop.create_datagram_endpoint(|| Quiet, ("localhost", 0));
    looking_up.cancel();
    event_loop.run_until_idle();
    drop(taken);
    assert_eq!(descriptors(), before);

    // None left: an error that says so, and nothing is kept.
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), ..limits }).unwrap();
    let mut all = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }
    let error = open(&event_loop, ("127.0.0.1", 0)).err().expect("there are none");
    assert!(error.to_string().contains("127.0.0.1:0"), "{error}");
    assert_eq!(event_loop.open_connections(), 0);
    drop(all);
    open(&event_loop, ("127.0.0.1", 0)).unwrap().close();
    event_loop.run_ready_now();
    setrlimit(Resource::Nofile, limits).unwrap();
    assert_eq!(descriptors(), before);
}
