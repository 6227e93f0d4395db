//! The coroutines of this thread, each with its *wait set*: what it waits for right now.
//!
//! A coroutine is a task, or a [branch](super::branch) of one: a part of its body that can be
//! cancelled apart. Every pending wait on something of ours stands here, so that a cancellation can
//! be given to all of it, and reaches the `.await` as an error.
//!
//! Invariants: an id whose slot was freed finds nothing. The table is borrowed only inside of the
//! small functions of this file, which call nothing and drop nothing foreign.

use super::cell::AnyTask;
use super::{CancelMessage, WakeTarget};
use crate::future::{AnyFuture, CallbackToken};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;

thread_local! {
    static TABLE: RefCell<Table> = const { RefCell::new(Table { slots: Vec::new(), free: Vec::new() }) };
}

/// Names a coroutine of this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoroutineId {
    slot: u32,
    generation: NonZeroU32,
}

impl CoroutineId {
    /// An id that finds nothing.
    pub(crate) const NOBODY: Self = Self { slot: u32::MAX, generation: NonZeroU32::MIN };
}

/// A cancellation that no wait has taken yet: the next one that is polled does.
#[derive(Clone)]
pub(crate) struct CancelRequest(pub(crate) CancelMessage);

/// What a coroutine may wait for.
#[derive(Clone)]
pub(crate) enum Waited {
    Future(Rc<dyn AnyFuture>),
    Branch(CoroutineId),
    /// Its own next turn, which comes by itself.
    Turn,
}

/// What drives a coroutine, and is told when it has to go on.
pub(crate) enum Driven {
    /// Between the making of the id and that of the task.
    Reserved,
    Task(Rc<dyn AnyTask>),
    Branch(Option<WakeTarget>),
}

struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: NonZeroU32,
    coroutine: Option<Coroutine>,
}

struct Coroutine {
    driven: Driven,
    waits: WaitSet,
    request: Option<CancelRequest>,
}

/// The usual single wait is kept inline. Tokens grow, so that a map keeps the order of coming.
enum WaitSet {
    Empty,
    One(CallbackToken, Waited),
    Many(BTreeMap<CallbackToken, Waited>),
}

/// What has to be dropped when the table is not borrowed.
#[must_use]
#[expect(dead_code, reason = "dropped for its destructors")]
pub(crate) struct Removed(Driven, WaitSet);

/// Enters a coroutine that waits for nothing.
pub(crate) fn insert(driven: Driven) -> Option<CoroutineId> {
    with(|table| {
        let coroutine = Coroutine { driven, waits: WaitSet::Empty, request: None };
        if let Some(slot) = table.free.pop() {
            let place = &mut table.slots[slot as usize];
            place.coroutine = Some(coroutine);
            return Some(CoroutineId { slot, generation: place.generation });
        }
        let slot = u32::try_from(table.slots.len()).ok().filter(|slot| *slot != u32::MAX)?;
        table.slots.push(Slot { generation: NonZeroU32::MIN, coroutine: Some(coroutine) });
        Some(CoroutineId { slot, generation: NonZeroU32::MIN })
    })
    .flatten()
}

/// Sets what drives a coroutine, and hands out what did before.
pub(crate) fn set_driven(id: CoroutineId, driven: Driven) -> Option<Driven> {
    find(id, |coroutine| std::mem::replace(&mut coroutine.driven, driven))
}

/// Takes a coroutine out.
pub(crate) fn remove(id: CoroutineId) -> Option<Removed> {
    with(|table| {
        let place = table.slots.get_mut(id.slot as usize)?;
        if place.generation != id.generation {
            return None;
        }
        let coroutine = place.coroutine.take()?;
        // A slot whose generations are used up is used no more.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            table.free.push(id.slot);
        }
        Some(Removed(coroutine.driven, coroutine.waits))
    })
    .flatten()
}

/// The task with this id, while it is not done.
pub(crate) fn task(id: CoroutineId) -> Option<Rc<dyn AnyTask>> {
    find(id, |coroutine| match &coroutine.driven {
        Driven::Task(task) => Some(task.clone()),
        Driven::Branch(_) | Driven::Reserved => None,
    })
    .flatten()
}

/// All tasks that are not done, in no order.
pub(crate) fn tasks() -> Vec<Rc<dyn AnyTask>> {
    with(|table| {
        let coroutines = table.slots.iter().filter_map(|slot| slot.coroutine.as_ref());
        coroutines
            .filter_map(|coroutine| match &coroutine.driven {
                Driven::Task(task) => Some(task.clone()),
                Driven::Branch(_) | Driven::Reserved => None,
            })
            .collect()
    })
    .unwrap_or_default()
}

/// Notes that the coroutine waits for something.
pub(crate) fn begin_wait(id: CoroutineId, token: CallbackToken, waited: Waited) {
    find(id, |coroutine| coroutine.waits.insert(token, waited));
}

/// Notes that a wait has ended. What was waited for is to be dropped by the caller.
pub(crate) fn end_wait(id: CoroutineId, token: CallbackToken) -> Option<Waited> {
    find(id, |coroutine| coroutine.waits.remove(token)).flatten()
}

/// What the coroutine waits for, in the order of coming.
pub(crate) fn waits(id: CoroutineId) -> Vec<Waited> {
    find(id, |coroutine| match &coroutine.waits {
        WaitSet::Empty => Vec::new(),
        WaitSet::One(_, waited) => vec![waited.clone()],
        WaitSet::Many(map) => map.values().cloned().collect(),
    })
    .unwrap_or_default()
}

/// Whether the coroutine is there and waits for nothing of ours.
pub(crate) fn waits_for_nothing(id: CoroutineId) -> bool {
    find(id, |coroutine| matches!(coroutine.waits, WaitSet::Empty)).unwrap_or(true)
}

/// The cancellation that nobody has taken yet.
#[inline]
pub(crate) fn request(id: CoroutineId) -> Option<CancelRequest> {
    find(id, |coroutine| coroutine.request.clone()).flatten()
}

/// Takes the cancellation: it is delivered, or called off.
#[inline]
pub(crate) fn take_request(id: CoroutineId) -> Option<CancelRequest> {
    find(id, |coroutine| coroutine.request.take()).flatten()
}

/// Cancels all that the coroutine waits for. If nothing of it accepts that, the coroutine's next turn
/// delivers the request, and it is woken for it.
///
/// Calls into other coroutines and wakes, so nothing may be borrowed.
pub(crate) fn cancel(id: CoroutineId, request: CancelRequest) {
    let mut accepted = false;
    for waited in waits(id) {
        match waited {
            Waited::Future(future) => accepted |= future.request_cancel(request.0.clone()),
            Waited::Branch(branch) => {
                cancel(branch, request.clone());
                accepted = true;
            }
            Waited::Turn => {}
        }
    }
    if !accepted {
        set_request(id, request);
        wake(id);
    }
}

/// Has the next wait of the coroutine that is polled end with `request`.
pub(crate) fn set_request(id: CoroutineId, request: CancelRequest) {
    find(id, |coroutine| coroutine.request = Some(request));
}

/// Wakes what drives the coroutine.
pub(crate) fn wake(id: CoroutineId) {
    enum Target {
        Task(Rc<dyn AnyTask>),
        Branch(WakeTarget),
    }
    let target = find(id, |coroutine| match &mut coroutine.driven {
        Driven::Task(task) => Some(Target::Task(task.clone())),
        Driven::Branch(target) => target.take().map(Target::Branch),
        Driven::Reserved => None,
    });
    match target.flatten() {
        Some(Target::Task(task)) => task.schedule_step(),
        Some(Target::Branch(target)) => target.wake(),
        None => {}
    }
}

impl WaitSet {
    fn insert(&mut self, token: CallbackToken, waited: Waited) {
        match self {
            WaitSet::Empty => *self = WaitSet::One(token, waited),
            WaitSet::Many(map) => {
                map.insert(token, waited);
            }
            WaitSet::One(..) => {
                let mut map = BTreeMap::new();
                if let WaitSet::One(first, earlier) = std::mem::replace(self, WaitSet::Empty) {
                    map.insert(first, earlier);
                }
                map.insert(token, waited);
                *self = WaitSet::Many(map);
            }
        }
    }

    fn remove(&mut self, token: CallbackToken) -> Option<Waited> {
        match self {
            WaitSet::One(only, _) if *only == token => {
                match std::mem::replace(self, WaitSet::Empty) {
                    WaitSet::One(_, waited) => Some(waited),
                    WaitSet::Empty | WaitSet::Many(_) => None,
                }
            }
            WaitSet::Many(map) => {
                let removed = map.remove(&token);
                if map.is_empty() {
                    *self = WaitSet::Empty;
                }
                removed
            }
            WaitSet::Empty | WaitSet::One(..) => None,
        }
    }
}

/// Looks at a coroutine, if it is there.
#[inline]
fn find<R>(id: CoroutineId, look: impl FnOnce(&mut Coroutine) -> R) -> Option<R> {
    with(|table| {
        let place = table.slots.get_mut(id.slot as usize)?;
        if place.generation != id.generation {
            return None;
        }
        place.coroutine.as_mut().map(look)
    })
    .flatten()
}

/// Looks at the table; `None` on a thread that is ending.
#[inline]
fn with<R>(look: impl FnOnce(&mut Table) -> R) -> Option<R> {
    TABLE.try_with(|table| look(&mut table.borrow_mut())).ok()
}
