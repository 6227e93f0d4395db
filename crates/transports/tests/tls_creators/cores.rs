//! One encrypted server on several cores.

use crate::support::*;
use eventloop::TestLoop;
use std::num::NonZeroUsize;
use std::time::Duration;
use tulipa_transports::{
    Accepting, ConnectOptions, CoresOptions, NetworkLoop, Protocol, ServerOptions, Transport,
    serve_on_cores,
};

struct Echo;
impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        assert!(transport.extra_info().tls.is_some());
        transport.write(data);
    }
}

#[test]
fn x54_all_cores_speak_tls_and_resume_each_others_sessions() {
    let (client, config) = configs();
    for accepting in [Accepting::PortShared, Accepting::HandedOver] {
        let options = CoresOptions::from(ServerOptions::from(("127.0.0.1", 0)).tls(config.clone()))
            .cores(NonZeroUsize::new(2).unwrap())
            .accepting(accepting);
        let cores = serve_on_cores(options, |_| Ok(|| Echo)).take(None).unwrap();
        let address = cores.addresses()[0].as_ip().unwrap();
        let event_loop = TestLoop::new();
        let mut resumed = Vec::new();
        for _ in 0..6 {
            let heard: Slot<Vec<u8>> = Slot::new();
            let hear = heard.clone();
            let hooks = Hooks::new()
                .made(|transport| {
                    transport.write(b"tulip");
                })
                .data(move |_, data| hear.update(|all| all.extend_from_slice(data)));
            let options = ConnectOptions::from(address).tls(client.clone());
            let connecting = event_loop.create_connection(move || hooks, options);
            let transport = event_loop.run_until_complete(&connecting).unwrap();
            run_until(&event_loop, || heard.get() == b"tulip");
            resumed.push(transport.extra_info().tls.unwrap().resumed);
            transport.close();
            event_loop.run_until_complete(&transport.wait_closed()).unwrap();
        }
        assert!(resumed[1..].iter().all(|resumed| *resumed), "{resumed:?}");
        let report = cores.shutdown(Duration::from_secs(5)).take(None).unwrap();
        assert!(report.is_clean());
    }
}
