//! What happens to descriptors that are received when the process may have no more (N-41). One test in a
//! process of its own.

use eventloop::TestLoop;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::cell::RefCell;
use std::fs::File;
use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use tulipa_transports::{NetworkLoop, Protocol, Transport};

/// Wants up to ten descriptors, and notes what it hears.
struct Taker(Rc<RefCell<Vec<String>>>);

impl Protocol for Taker {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.receive_descriptors(10).unwrap();
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        let came = transport.take_descriptors().len();
        self.0.borrow_mut().push(format!("{} bytes with {came}", data.len()));
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<futures::Exception>) {
        let code = reason.and_then(|reason| {
            reason.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
        });
        self.0.borrow_mut().push(format!("lost by {code:?}"));
    }
}

#[test]
fn n41_r3_descriptors_that_there_is_no_room_for_end_the_connection_and_none_is_kept() {
    let event_loop = TestLoop::new();
    let heard = Rc::new(RefCell::new(Vec::new()));
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let taker = Taker(heard.clone());
    let opening = event_loop.connect_accepted_socket(move || taker, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();

    let (mut read_end, write_end) = std::io::pipe().unwrap();
    let copies = [write_end.as_fd(); 5];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&copies)));
    let data = [IoSlice::new(b"tulip")];
    rustix::net::sendmsg(&peer, &data, &mut control, SendFlags::empty()).unwrap();
    drop(write_end);

    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..limits }).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    taken.truncate(taken.len() - 2); // room for two
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    let lost = format!("lost by {:?}", Some(rustix::io::Errno::MFILE.raw_os_error()));
    assert_eq!(*heard.borrow(), [lost]);
    drop(taken);
    setrlimit(Resource::Nofile, limits).unwrap();
    // All copies are closed, those that came as well, and the socket is.
    assert_eq!(read_end.read(&mut [0; 9]).unwrap(), 0);
    assert_eq!(peer.read(&mut [0; 9]).unwrap(), 0);
}
