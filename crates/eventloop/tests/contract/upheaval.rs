//! Callbacks that do everything at once to the queue they run from, over many of its segments.

use crate::common::{for_each_loop, record_reports};
use futures::{Callback, Handle, HandleState};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{EventLoop, LoopHandle, RunError};

/// So many callbacks are scheduled, about.
const MANY: usize = 40_000;

/// What a callback captures. Some panic as they are dropped.
struct Cargo {
    storm: Rc<Storm>,
    explodes: bool,
}

impl Drop for Cargo {
    fn drop(&mut self) {
        let storm = &self.storm;
        storm.alive.set(storm.alive.get() - 1);
        // Destructors may use the loop as well.
        if let Ok(handle) = storm.handle.schedule(Callback::new(|| {})) {
            assert!(handle.cancel());
        }
        if self.explodes && !std::thread::panicking() {
            storm.panics.set(storm.panics.get() + 1);
            panic!("expected, of a destructor");
        }
    }
}

/// What became of a callback.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Waits,
    Ran,
    Cancelled,
}

struct Storm {
    handle: LoopHandle,
    callbacks: RefCell<Vec<(Rc<Handle>, Fate)>>,
    /// Those with numbers below have run or were cancelled.
    next: Cell<usize>,
    alive: Cell<usize>,
    ran: Cell<u64>,
    panics: Cell<u64>,
    seed: Cell<u64>,
}

impl Storm {
    fn new(event_loop: &EventLoop) -> Rc<Self> {
        Rc::new(Self {
            handle: event_loop.handle(),
            callbacks: RefCell::default(),
            next: Cell::new(0),
            alive: Cell::new(0),
            ran: Cell::new(0),
            panics: Cell::new(0),
            seed: Cell::new(0x9e37_79b9_7f4a_7c15),
        })
    }

    /// A number that looks like chance and is the same every time.
    fn chance(&self, below: usize) -> usize {
        let multiplied = self.seed.get().wrapping_mul(6_364_136_223_846_793_005);
        self.seed.set(multiplied.wrapping_add(1_442_695_040_888_963_407));
        (self.seed.get() >> 33) as usize % below
    }

    /// Schedules some callbacks: with captures that lie in the queue, and with boxed ones.
    fn schedule(self: &Rc<Self>, count: usize) {
        for _ in 0..count {
            let number = self.callbacks.borrow().len();
            let cargo = Cargo { storm: self.clone(), explodes: self.chance(300) == 0 };
            self.alive.set(self.alive.get() + 1);
            let handle = match self.chance(4) {
                0 => {
                    let ballast = [number; 9];
                    self.handle.call_soon(move || {
                        let cargo = cargo;
                        cargo.storm.run(number);
                        assert_eq!(ballast, [number; 9]);
                    })
                }
                _ => self.handle.call_soon(move || {
                    let cargo = cargo;
                    cargo.storm.run(number);
                }),
            };
            self.callbacks.borrow_mut().push((Rc::new(handle), Fate::Waits));
        }
    }

    fn run(self: &Rc<Self>, number: usize) {
        self.ran.set(self.ran.get() + 1);
        let total = {
            let mut callbacks = self.callbacks.borrow_mut();
            let between = &callbacks[self.next.get()..number];
            assert!(between.iter().all(|(_, fate)| *fate == Fate::Cancelled), "{number}");
            self.next.set(number + 1);
            let (handle, fate) = &mut callbacks[number];
            assert_eq!(std::mem::replace(fate, Fate::Ran), Fate::Waits);
            assert!(handle.state() != HandleState::Pending && !handle.cancel());
            callbacks.len()
        };
        match self.chance(400) {
            0 if total < MANY => self.schedule(10_000),
            0..200 if total < MANY => self.schedule(self.chance(4)),
            200..300 => (0..self.chance(4)).for_each(|_| self.cancel(self.chance(total))),
            // Those that come next, from where this one lies.
            300 => (number..total.min(number + 300)).for_each(|next| self.cancel(next)),
            301..305 => self.handle.set_debug(!self.handle.get_debug()),
            305 => self.handle.stop(),
            306 => assert!(matches!(self.handle.run_once(None), Err(RunError::AlreadyRunning))),
            307 => assert!(self.handle.close().is_err()),
            308 => {
                self.panics.set(self.panics.get() + 1);
                panic!("expected");
            }
            309 => drop(self.handle.dump()),
            _ => {}
        }
    }

    fn cancel(&self, number: usize) {
        let handle = {
            let (handle, fate) = &mut self.callbacks.borrow_mut()[number];
            let waits = *fate == Fate::Waits;
            assert_eq!(handle.state() == HandleState::Pending, waits);
            if !waits {
                return assert!(!handle.cancel());
            }
            *fate = Fate::Cancelled;
            handle.clone()
        };
        assert!(handle.cancel()); // its destructor is called
        assert!(handle.state() != HandleState::Pending && !handle.cancel());
    }
}

#[test]
fn l1_l4_l7_l8_l9_what_callbacks_do_to_the_queue_they_run_from_disturbs_no_other() {
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        let storm = Storm::new(&event_loop);
        let before = event_loop.stats();
        storm.schedule(3);
        while event_loop.stats().ready > 0 {
            event_loop.run_once(Some(Duration::ZERO)).unwrap();
            // It must not die out early.
            if event_loop.stats().ready == 0 && storm.callbacks.borrow().len() < MANY {
                storm.schedule(600);
            }
        }
        let callbacks = storm.callbacks.take();
        assert!(callbacks.len() >= MANY && callbacks.iter().all(|(_, fate)| *fate != Fate::Waits));
        let ran = callbacks.iter().filter(|(_, fate)| *fate == Fate::Ran).count() as u64;
        let stats = event_loop.stats();
        assert_eq!((storm.alive.get(), storm.ran.get()), (0, ran));
        assert_eq!(stats.callbacks - before.callbacks, ran);
        assert_eq!(stats.panics - before.panics, storm.panics.get());
        assert_eq!(reports.count() as u64, storm.panics.get());
    });
}

#[test]
fn l24_l25_l28_an_owner_dropped_in_the_midst_of_many_segments_leaves_nothing_behind() {
    for_each_loop(|event_loop| {
        let _reports = record_reports(&**event_loop);
        let storm = Storm::new(&event_loop);
        let handle = event_loop.handle();
        let owner = Rc::new(Cell::new(Some(event_loop)));
        storm.schedule(700);
        let held = owner.clone();
        handle.call_soon(move || drop(held.take()));
        storm.schedule(3000);
        while !handle.is_closed() {
            handle.run_once(Some(Duration::ZERO)).unwrap();
        }
        assert!(owner.take().is_none());
        assert_eq!(storm.alive.get(), 0);
        assert!(
            storm.callbacks.take().iter().all(|(handle, _)| handle.state() != HandleState::Pending)
        );
    });
}
