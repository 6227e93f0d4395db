//! Descriptors and threads of look-ups and of races between addresses: all of them are given back. A
//! program of its own, since it counts what the whole process has.

use eventloop::TestLoop;
use std::fs::read_dir;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::{
    AddressInfo, AddressQuery, BlockingResolver, ConnectError, ConnectOptions, NetworkLoop,
    Protocol, ResolverLoop, ThreadedResolver, ThreadedResolverOptions, Transport,
};

struct Quiet;
impl Protocol for Quiet {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

/// Every name has these addresses.
struct Always(Vec<SocketAddr>);
impl BlockingResolver for Always {
    fn look_up_addresses(&self, _: &AddressQuery) -> std::io::Result<Vec<AddressInfo>> {
        Ok(self.0.iter().copied().map(AddressInfo::from).collect())
    }
}

fn count(what: &str) -> usize {
    read_dir(format!("/proc/self/{what}")).unwrap().count()
}

#[test]
fn r6_r7_n11_n12_n15_descriptors_and_threads_are_given_back() {
    let threads_before = count("task");
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    open.set_nonblocking(true).unwrap();
    let port = open.local_addr().unwrap().port();
    // Nobody listens at the first two.
    let at = |ip: [u8; 4]| SocketAddr::from((ip, port));
    let addresses = vec![at([127, 0, 0, 9]), at([127, 0, 0, 8]), at([127, 0, 0, 1])];
    let before = {
        let event_loop = TestLoop::new();
        let options =
            ThreadedResolverOptions { idle_timeout: Duration::ZERO, ..Default::default() };
        event_loop.set_resolver(ThreadedResolver::new(Always(addresses), options));
        let before = count("fd");
        for round in 0..200 {
            let options = ConnectOptions::from(("host.example", port));
            let opening = event_loop.create_connection(|| Quiet, options);
            match round % 4 {
                0 => drop(opening.cancel()),
                1 => {
                    event_loop.run_ready_now();
                    if !opening.cancel() {
                        opening.result().unwrap().abort(); // it was faster
                    }
                }
                _ => {
                    let transport: Rc<dyn Transport> =
                        event_loop.run_until_complete(&opening).unwrap();
                    // The losers are closed, and the resolver has none.
                    assert_eq!(count("fd"), before + 1);
                    transport.abort();
                }
            }
            event_loop.run_ready_now();
            while let Ok((peer, _)) = open.accept() {
                drop(peer);
            }
            assert_eq!(event_loop.open_connections(), 0);
        }
        while !event_loop.leftovers().is_empty() {
            event_loop.run_ready_now();
        }
        assert_eq!(count("fd"), before);

        // None is left to connect with: every address says so, and nothing is kept.
        let mut hoard = Vec::new();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let low = rustix::process::Rlimit { current: Some(before as u64 + 8), ..limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, low).unwrap();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            hoard.push(file);
        }
        let opening = event_loop.create_connection(|| Quiet, ("host.example", port));
        let exception = event_loop.run_until_complete(&opening).err().unwrap();
        drop(hoard);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        let error = ConnectError::of(&exception).unwrap();
        let emfile = rustix::io::Errno::MFILE.raw_os_error();
        assert!(error.errors().all(|(_, error)| error.raw_os_error() == Some(emfile)), "{error}");
        assert_eq!(error.errors().count(), 3);
        let opening = event_loop.create_connection(|| Quiet, ("host.example", port));
        event_loop.run_until_complete(&opening).unwrap().abort();
        event_loop.run_ready_now();
        assert_eq!(count("fd"), before);
        before
    };
    assert!(count("fd") < before); // the loop's own
    while count("task") > threads_before {
        std::thread::yield_now();
    }
}
