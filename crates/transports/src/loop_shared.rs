//! [`LoopShared`]: what all transports of one loop have in common: the buffer that is read into, spare
//! output buffers, the budget of all output together, the count of open connections.

use crate::limits::Bytes;
use crate::report_limit::ReportLimit;
use crate::server::ServerCore;
use crate::stream_machine::Output;
use eventloop::{AbstractEventLoop, AbstractEventLoopExt};
use futures::Future;
use indexmap::IndexMap;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// What all transports of one loop share. It is kept by the loop itself; the circle is broken when
/// the loop closes and drops what it keeps.
pub(crate) struct LoopShared {
    event_loop: Rc<dyn AbstractEventLoop>,
    /// Taken out while it is in use.
    read_buffer: Cell<Option<Box<[u8]>>>,
    /// More of them, for where one transport reads from another.
    more_read_buffers: RefCell<Vec<Box<[u8]>>>,
    /// Empty, for the next who writes. Nearly always one is enough, as output leaves at the end of a turn.
    spare_output: Cell<Option<Box<Output>>>,
    #[expect(clippy::vec_box, reason = "the box is what is kept: a transport holds one in a word")]
    more_spare_outputs: RefCell<Vec<Box<Output>>>,
    /// All output of all transports, in bytes.
    output_total: Cell<usize>,
    output_budget: Cell<usize>,
    /// The transports whose output waits for the peer, by their address in memory.
    waiting: RefCell<IndexMap<usize, Weak<dyn Waiting>>>,
    connections: Cell<usize>,
    /// The servers that other threads may give connections to.
    servers: RefCell<IndexMap<u64, Weak<ServerCore>>>,
    next_server: Cell<u64>,
    /// Of what is said of connections that exceed their budgets.
    budget_reports: ReportLimit,
}

/// To whom a transport belongs. One word in each connection instead of two.
pub(crate) struct Owner {
    pub(crate) shared: Rc<LoopShared>,
    /// The server that accepted it; clients have none. The circle through the server's listeners is
    /// broken when these are closed.
    pub(crate) server: Option<Rc<ServerCore>>,
}

impl Owner {
    /// That of all transports of `event_loop` that belong to no server.
    pub(crate) fn of<L: AbstractEventLoop + ?Sized>(event_loop: &L) -> Rc<Self> {
        let shared = LoopShared::of(event_loop);
        event_loop.local(|| Self { shared, server: None })
    }
}

/// A transport whose output waits for the peer.
pub(crate) trait Waiting {
    /// How much waits.
    fn output_size(&self) -> usize;

    /// Ends the connection: it holds most of what the loop holds, and that is too much.
    fn cut(self: Rc<Self>);
}

/// One read takes at most this much. Large enough that a call is worth its cost, small enough to
/// stay in the cache.
const READ_BUFFER: usize = 64 * 1024;
/// So many are kept: transports over transports are rarely deeper.
const MOST_READ_BUFFERS: usize = 3;
const MOST_SPARE_OUTPUTS: usize = 32;
const OUTPUT_BUDGET: Bytes = Bytes::mib(256);

impl LoopShared {
    /// Those of `event_loop`, made at first use.
    pub(crate) fn of<L: AbstractEventLoop + ?Sized>(event_loop: &L) -> Rc<Self> {
        event_loop.local(|| Self {
            event_loop: event_loop.to_event_loop(),
            read_buffer: Cell::default(),
            more_read_buffers: RefCell::default(),
            spare_output: Cell::default(),
            more_spare_outputs: RefCell::default(),
            output_total: Cell::new(0),
            output_budget: Cell::new(OUTPUT_BUDGET.0),
            waiting: RefCell::default(),
            connections: Cell::new(0),
            servers: RefCell::default(),
            next_server: Cell::new(0),
            budget_reports: ReportLimit::default(),
        })
    }

    pub(crate) fn event_loop(&self) -> &Rc<dyn AbstractEventLoop> {
        &self.event_loop
    }

    /// The buffer to read into. To be given back.
    #[inline]
    pub(crate) fn take_read_buffer(&self) -> Box<[u8]> {
        self.read_buffer.take().unwrap_or_else(|| self.another_read_buffer())
    }

    #[cold]
    fn another_read_buffer(&self) -> Box<[u8]> {
        let spare = self.more_read_buffers.borrow_mut().pop();
        spare.unwrap_or_else(|| vec![0; READ_BUFFER].into_boxed_slice())
    }

    #[inline]
    pub(crate) fn give_back_read_buffer(&self, buffer: Box<[u8]>) {
        if let Some(before) = self.read_buffer.replace(Some(buffer)) {
            self.keep_read_buffer(before);
        }
    }

    #[cold]
    fn keep_read_buffer(&self, buffer: Box<[u8]>) {
        let mut spare = self.more_read_buffers.borrow_mut();
        if spare.len() < MOST_READ_BUFFERS - 1 {
            spare.push(buffer);
        }
    }

    /// An empty output buffer, used before if possible.
    #[inline]
    pub(crate) fn take_output(&self) -> Box<Output> {
        self.spare_output.take().unwrap_or_else(|| self.another_output())
    }

    #[cold]
    fn another_output(&self) -> Box<Output> {
        self.more_spare_outputs.borrow_mut().pop().unwrap_or_default()
    }

    #[inline(always)]
    pub(crate) fn give_back_output(&self, mut output: Box<Output>) {
        output.clear();
        if output.is_worth_keeping()
            && let Some(before) = self.spare_output.replace(Some(output))
        {
            self.keep_output(before);
        }
    }

    #[cold]
    fn keep_output(&self, output: Box<Output>) {
        let mut spare = self.more_spare_outputs.borrow_mut();
        if spare.len() < MOST_SPARE_OUTPUTS - 1 {
            spare.push(output);
        }
    }

    /// The one place where output is counted: a transport's has changed from `before` to `after`.
    pub(crate) fn account(&self, before: usize, after: usize) {
        self.output_total.set(self.output_total.get() + after - before);
    }

    pub(crate) fn output_total(&self) -> Bytes {
        Bytes(self.output_total.get())
    }

    pub(crate) fn set_output_budget(&self, budget: Bytes) {
        self.output_budget.set(budget.0);
    }

    pub(crate) fn is_over_budget(&self) -> bool {
        self.output_total.get() >= self.output_budget.get()
    }

    pub(crate) fn add_waiting(&self, address: usize, transport: Weak<dyn Waiting>) {
        self.waiting.borrow_mut().insert(address, transport);
    }

    pub(crate) fn remove_waiting(&self, address: usize) {
        let removed = self.waiting.borrow_mut().swap_remove(&address);
        drop(removed);
    }

    /// Cuts the transport whose output is the largest.
    pub(crate) fn cut_largest(&self) {
        let largest = {
            let waiting = self.waiting.borrow();
            let alive = waiting.values().filter_map(Weak::upgrade);
            alive.max_by_key(|transport| transport.output_size())
        };
        if let Some(transport) = largest {
            transport.cut();
        }
    }

    pub(crate) fn budget_reports(&self) -> &ReportLimit {
        &self.budget_reports
    }

    /// Gives a server the number by which other threads name it.
    pub(crate) fn add_server(&self, server: Weak<ServerCore>) -> u64 {
        let number = self.next_server.get();
        self.next_server.set(number + 1);
        let mut servers = self.servers.borrow_mut();
        servers.retain(|_, server| server.strong_count() > 0);
        servers.insert(number, server);
        number
    }

    pub(crate) fn server(&self, number: u64) -> Option<Rc<ServerCore>> {
        self.servers.borrow().get(&number).and_then(Weak::upgrade)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.get()
    }

    pub(crate) fn connection_began(&self) {
        self.connections.set(self.connections.get() + 1);
    }

    pub(crate) fn connection_ended(&self) {
        self.connections.set(self.connections.get() - 1);
    }
}

/// Puts `future` behind those that wait, and takes out those that do not any more, so that waits that
/// are given up again and again do not pile up.
#[must_use = "what they hold is the user's: to be dropped when nothing is borrowed"]
pub(crate) fn add_waiting<T>(waiting: &mut Vec<Future<T>>, future: &Future<T>) -> Vec<Future<T>> {
    let given_up = waiting.extract_if(.., |future| future.done()).collect();
    waiting.push(future.clone());
    given_up
}
