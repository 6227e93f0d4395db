//! A [`LoopingCall`] against the plainest model of its grid: random intervals, calls that take their
//! time, by blocking the loop or by waiting, clocks that jump, stops and resets.

use eventloop::{Clock, TestLoop};
use futures::{FirstCall, Instant, LateCalls, LoopingCall, OnFailure, sleep};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How a call spends its time, in milliseconds.
#[derive(Clone, Copy, Debug)]
enum Call {
    Blocks(u64),
    Waits(u64),
    /// Blocks for the first, resets, and blocks for the second.
    Resets(u64, u64),
}

/// What happens outside, in this order.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Time passes, and timers fire as they are due.
    Passes(u64),
    /// The clock jumps: whatever was due meanwhile is late.
    Jumps(u64),
    Reset,
    Stop,
    Start(FirstCall),
}

#[derive(Clone, Debug)]
struct Plan {
    interval: u64,
    late: LateCalls,
    calls: Vec<Call>,
    events: Vec<Event>,
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let first = || prop_oneof![Just(FirstCall::Now), Just(FirstCall::AfterInterval)];
    let call = prop_oneof![
        4 => Just(Call::Blocks(0)),
        2 => (0_u64..350).prop_map(Call::Blocks),
        2 => (0_u64..350).prop_map(Call::Waits),
        1 => (0_u64..250, 0_u64..250).prop_map(|(before, after)| Call::Resets(before, after)),
    ];
    let event = prop_oneof![
        4 => (0_u64..400).prop_map(Event::Passes),
        2 => (0_u64..600).prop_map(Event::Jumps),
        1 => Just(Event::Reset),
        1 => Just(Event::Stop),
        2 => first().prop_map(Event::Start),
    ];
    let late = prop_oneof![Just(LateCalls::KeepGrid), Just(LateCalls::MoveGrid)];
    (
        prop_oneof![1_u64..5, 50_u64..200],
        late,
        prop::collection::vec(call, 1..12),
        prop::collection::vec(event, 1..25),
    )
        .prop_map(|(interval, late, calls, events)| Plan { interval, late, calls, events })
}

/// Time of the call, and how many intervals it was told.
type Calls = Vec<(u64, u64)>;

/// The real thing.
fn observed(plan: &Plan) -> (Calls, usize) {
    let event_loop = TestLoop::new();
    let calls = Rc::new(RefCell::new(Calls::new()));
    let (notes, clock) = (calls.clone(), event_loop.clock().clone());
    let mut script = plan.calls.clone().into_iter().cycle();
    let block = move |clock: &eventloop::TestClock, time| {
        clock.set(clock.now() + Duration::from_millis(time));
    };
    let call = LoopingCall::with_count(&***event_loop, OnFailure::Stop, move |call, count| {
        notes.borrow_mut().push((millis(clock.now()), count));
        let rest = match script.next().unwrap() {
            Call::Waits(time) => time,
            Call::Blocks(time) => {
                block(&clock, time);
                0
            }
            Call::Resets(before, after) => {
                block(&clock, before);
                call.reset().unwrap();
                block(&clock, after);
                0
            }
        };
        async move {
            match rest {
                0 => Ok(()),
                rest => sleep(Duration::from_millis(rest)).await,
            }
        }
    });
    let call = call.late_calls(plan.late);
    let mut runs = Vec::new();
    for event in &plan.events {
        match *event {
            Event::Passes(time) => event_loop.advance(Duration::from_millis(time)),
            Event::Jumps(time) => {
                let clock = event_loop.clock();
                clock.set(clock.now() + Duration::from_millis(time));
                event_loop.run_ready_now();
            }
            Event::Reset => drop(call.reset()),
            Event::Stop => drop(call.stop()),
            Event::Start(first) => {
                runs.extend(call.start(Duration::from_millis(plan.interval), first));
                event_loop.run_ready_now();
            }
        }
    }
    drop(call.stop());
    event_loop.run_until_idle();
    assert!(runs.iter().all(|over| over.result().is_ok()), "each run that was begun has ended");
    let calls = calls.take();
    (calls, runs.len())
}

fn millis(time: Instant) -> u64 {
    time.as_nanos() / 1_000_000
}

/// The model: whole milliseconds, one step of time after the other, no timers.
struct Model<'a> {
    plan: &'a Plan,
    now: u64,
    calls: Calls,
    run: Option<Run>,
    runs: usize,
}

struct Run {
    grid: u64,
    /// The last line that was called for, counted from `grid`.
    line: u64,
    next: Next,
}

/// What is to come.
enum Next {
    CallAt(u64),
    /// A call that waits ends then; what comes after it.
    EndAt(u64, After),
}

enum After {
    GoOn,
    Stop,
    StartedAgain(u64, FirstCall),
}

impl Model<'_> {
    fn expected(plan: &Plan) -> (Calls, usize) {
        let mut model = Model { plan, now: 0, calls: Vec::new(), run: None, runs: 0 };
        for event in &plan.events {
            match *event {
                Event::Passes(time) => model.pass(time),
                Event::Jumps(time) => {
                    model.now += time;
                    model.catch_up();
                }
                Event::Reset => model.reset(),
                Event::Stop => model.stop(),
                Event::Start(first) => model.start(first),
            }
        }
        model.stop();
        while let Some(Run { next: Next::EndAt(end, _), .. }) = &model.run {
            model.now = model.now.max(*end);
            model.catch_up();
            model.stop();
        }
        (model.calls, model.runs)
    }

    /// Lets time pass millisecond by millisecond; a call that blocks may take it past the end.
    fn pass(&mut self, time: u64) {
        let end = self.now + time;
        self.catch_up();
        while self.now < end {
            self.now += 1;
            self.catch_up();
        }
    }

    /// Does what is due.
    fn catch_up(&mut self) {
        while let Some(run) = self.run.take() {
            match run.next {
                Next::CallAt(due) if due <= self.now => self.call(run.grid, run.line),
                Next::EndAt(end, after) if end <= self.now => {
                    self.ended(run.grid, run.line, after);
                }
                _ => {
                    self.run = Some(run);
                    return;
                }
            }
        }
    }

    fn call(&mut self, mut grid: u64, line: u64) {
        // The last line that is not in the future, but each call is for a line of its own, the first
        // after the start for the start itself.
        let reached = (self.now - grid) / self.plan.interval;
        let count = reached.saturating_sub(line).max(1);
        self.calls.push((self.now, count));
        let mut line = reached.max(line);
        let number = self.calls.len() - 1;
        match self.plan.calls[number % self.plan.calls.len()] {
            Call::Blocks(time) => self.now += time,
            Call::Resets(before, after) => {
                self.now += before;
                (grid, line) = (self.now, 0);
                self.now += after;
            }
            Call::Waits(0) => {}
            Call::Waits(time) => {
                let next = Next::EndAt(self.now + time, After::GoOn);
                self.run = Some(Run { grid, line, next });
                return;
            }
        }
        self.ended(grid, line, After::GoOn);
    }

    fn ended(&mut self, mut grid: u64, mut line: u64, after: After) {
        let interval = self.plan.interval;
        match after {
            After::Stop => return,
            After::StartedAgain(at, FirstCall::Now) => {
                self.run = Some(Run { grid: at, line: 0, next: Next::CallAt(self.now) });
                return;
            }
            After::StartedAgain(at, FirstCall::AfterInterval) => (grid, line) = (at, 0),
            After::GoOn => {
                if self.plan.late == LateCalls::MoveGrid && self.now >= grid + (line + 1) * interval
                {
                    (grid, line) = (self.now, 0);
                }
            }
        }
        // The first line in the future that was not called for.
        let mut next = line + 1;
        while grid + next * interval <= self.now {
            next += 1;
        }
        self.run = Some(Run { grid, line, next: Next::CallAt(grid + next * interval) });
    }

    fn reset(&mut self) {
        let (now, interval) = (self.now, self.plan.interval);
        let Some(run) = &mut self.run else { return };
        match &mut run.next {
            Next::CallAt(at) => *at = now + interval,
            Next::EndAt(_, After::GoOn) => {}
            Next::EndAt(_, After::StartedAgain(at, first)) => {
                (*at, *first) = (now, FirstCall::AfterInterval);
                return;
            }
            Next::EndAt(_, After::Stop) => return,
        }
        (run.grid, run.line) = (now, 0);
    }

    fn stop(&mut self) {
        match &mut self.run {
            Some(Run { next: Next::EndAt(_, after), .. }) => *after = After::Stop,
            run => *run = None,
        }
    }

    fn start(&mut self, first: FirstCall) {
        match &mut self.run {
            Some(Run { next: Next::EndAt(_, after @ After::Stop), .. }) => {
                *after = After::StartedAgain(self.now, first);
            }
            Some(_) => return,
            None => {
                let at = match first {
                    FirstCall::Now => self.now,
                    FirstCall::AfterInterval => self.now + self.plan.interval,
                };
                self.run = Some(Run { grid: self.now, line: 0, next: Next::CallAt(at) });
            }
        }
        self.runs += 1;
        self.catch_up();
    }
}

proptest! {
    #[test]
    fn w19_w20_w21_w22_w23_a_looping_call_keeps_to_a_plain_grid(plan in any_plan()) {
        prop_assert_eq!(observed(&plan), Model::expected(&plan));
    }
}
