//! What the tests share: a factory that notes what it is told, and does what it is asked to meanwhile.

#[path = "../real_time/mod.rs"]
mod real_time;
#[path = "../slot/mod.rs"]
mod slot;

pub(crate) use real_time::run_until;
pub(crate) use slot::Slot;

use eventloop::TestLoop;
use futures::Exception;
use std::collections::HashMap;
use std::rc::Rc;
use tulipa_transports::{
    Address, ClientFactory, Connector, Factory, NetworkLoop, Protocol, SharedFactory, Transport,
};

/// What happened, in order.
#[derive(Clone)]
pub(crate) struct Trace(Slot<Vec<String>>);

impl Trace {
    pub(crate) fn new() -> Self {
        Self(Slot::new())
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.update(|all| all.push(what.into()));
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.get().len()
    }

    pub(crate) fn has(&self, what: &str) -> bool {
        self.count(what) > 0
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.get().iter().filter(|one| *one == what).count()
    }
}

type Hook = Box<dyn FnMut(Option<&Connector>)>;

/// Notes what it is told, and what its protocols are.
pub(crate) struct Noting {
    pub(crate) trace: Trace,
    hooks: HashMap<&'static str, Hook>,
    pub(crate) refuse: bool,
    /// That nobody forgets to drop it.
    pub(crate) alive: Rc<()>,
}

impl Noting {
    pub(crate) fn new(trace: &Trace) -> Self {
        let (trace, alive) = (trace.clone(), Rc::new(()));
        Self { trace, hooks: HashMap::new(), refuse: false, alive }
    }

    /// Does this when the method of that name is called.
    pub(crate) fn on(mut self, method: &'static str, hook: impl FnMut() + 'static) -> Self {
        let mut hook = hook;
        self.hooks.insert(method, Box::new(move |_| hook()));
        self
    }

    /// As `on`, for the methods that are given a connector.
    pub(crate) fn then(
        mut self,
        method: &'static str,
        mut hook: impl FnMut(&Connector) + 'static,
    ) -> Self {
        let hook = move |connector: Option<&Connector>| hook(connector.expect("a connector"));
        self.hooks.insert(method, Box::new(hook));
        self
    }

    pub(crate) fn refusing(mut self) -> Self {
        self.refuse = true;
        self
    }

    fn run(&mut self, method: &'static str, connector: Option<&Connector>) {
        if let Some(hook) = self.hooks.get_mut(method) {
            hook(connector);
        }
    }
}

impl Factory for Noting {
    type Protocol = Option<Guest>;

    fn start_factory(&mut self) {
        self.trace.note("start");
        self.run("start", None);
    }

    fn build_protocol(&mut self, peer: &Address) -> Option<Guest> {
        self.trace.note(match peer {
            Address::Ip(peer) => format!("build {}", peer.ip()),
            other => format!("build {other:?}"),
        });
        self.run("build", None);
        (!self.refuse).then(|| Guest(self.trace.clone()))
    }

    fn stop_factory(&mut self) {
        self.trace.note("stop");
        self.run("stop", None);
    }
}

impl ClientFactory for Noting {
    fn started_connecting(&mut self, connector: &Connector) {
        self.trace.note("connecting");
        self.run("connecting", Some(connector));
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: Exception) {
        self.trace.note(match reason.is_cancelled() {
            true => "failed cancelled".to_owned(),
            false => format!("failed {:?}", reason.io_kind()),
        });
        self.run("failed", Some(connector));
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: Option<Exception>) {
        self.trace.note(match reason {
            Some(reason) => format!("lost {reason}"),
            None => "lost".to_owned(),
        });
        self.run("lost", Some(connector));
    }
}

/// Notes its beginning and its end.
pub(crate) struct Guest(pub(crate) Trace);

impl Protocol for Guest {
    fn connection_made(&mut self, _: &dyn Transport) {
        self.0.note("guest made");
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.0.note("guest lost");
    }
}

/// Says nothing.
pub(crate) struct Quiet;

impl Protocol for Quiet {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

/// Collects what the exception handler is told.
pub(crate) fn collect_errors(event_loop: &TestLoop) -> Trace {
    let trace = Trace::new();
    let errors = trace.clone();
    event_loop.set_exception_handler(Some(Rc::new(move |_, context| {
        errors.note(context.message.to_string());
    })));
    trace
}

/// A server on a free port of this machine.
pub(crate) fn serve(
    event_loop: &TestLoop,
    factory: impl Factory,
) -> Result<(tulipa_transports::Server, u16), Exception> {
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result()?;
    let port = server.addresses()[0].port().expect("a TCP server has a port");
    Ok((server, port))
}

/// As often as it is asked, so that many can use one.
pub(crate) fn shared(factory: Noting) -> SharedFactory<Noting> {
    SharedFactory::new(factory)
}
