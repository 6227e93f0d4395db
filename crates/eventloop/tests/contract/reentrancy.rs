//! Everything, from inside of everything: one table of what a callback can be, times what it may do.

use crate::common::raw::{WakerFate, with_told_waker};
use crate::common::{OnDrop, SECOND, Trace, for_each_loop, record_reports, socket_pair};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{CloseError, EventLoop, IterationHook, LoopHandle, RunError};

/// Where user code runs on a loop.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    CallSoon,
    Timer,
    Reader,
    Writer,
    SignalHandler,
    ExceptionHandler,
    DoneCallback,
    Hook,
    PostedCall,
    ExecutorCompletion,
    Destructor,
}

const PLACES: [Place; 11] = [
    Place::CallSoon,
    Place::Timer,
    Place::Reader,
    Place::Writer,
    Place::SignalHandler,
    Place::ExceptionHandler,
    Place::DoneCallback,
    Place::Hook,
    Place::PostedCall,
    Place::ExecutorCompletion,
    Place::Destructor,
];

/// What it does there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Stop,
    Close,
    Run,
    CancelItself,
    CancelOthers,
    AddReader,
    RemoveReader,
    ReplaceReader,
    AddWriter,
    RemoveWriter,
    ReplaceWriter,
    OwnDescriptor,
    CallSoon,
    CallLater,
    SetExceptionHandler,
    DropLastHandle,
    Panic,
}

const DEEDS: [Deed; 17] = [
    Deed::Stop,
    Deed::Close,
    Deed::Run,
    Deed::CancelItself,
    Deed::CancelOthers,
    Deed::AddReader,
    Deed::RemoveReader,
    Deed::ReplaceReader,
    Deed::AddWriter,
    Deed::RemoveWriter,
    Deed::ReplaceWriter,
    Deed::OwnDescriptor,
    Deed::CallSoon,
    Deed::CallLater,
    Deed::SetExceptionHandler,
    Deed::DropLastHandle,
    Deed::Panic,
];

/// A signal of this file's own.
const SIGNAL: i32 = 60;

/// What a deed may work on.
struct Stage {
    /// The only one that is left to the code under test, once the loop is set up.
    last: RefCell<Option<LoopHandle>>,
    trace: Trace,
    /// Ready to read and to write, watched for both by other callbacks.
    others: (Rc<UnixStream>, UnixStream),
    /// The place's own descriptor, ready for both, watched where the place is a reader or writer.
    own: (Rc<UnixStream>, UnixStream),
    soon: RefCell<Option<futures::Handle>>,
    timer: RefCell<Option<futures::TimerHandle>>,
    own_soon: RefCell<Option<futures::Handle>>,
    own_timer: RefCell<Option<futures::TimerHandle>>,
    done: Cell<bool>,
}

impl Stage {
    fn new(event_loop: &EventLoop) -> Rc<Self> {
        let (others, own) = (socket_pair(), socket_pair());
        (&others.1).write_all(b"x").unwrap();
        (&own.1).write_all(b"x").unwrap();
        Rc::new(Self {
            last: RefCell::new(Some(event_loop.handle())),
            trace: Trace::new(),
            others,
            own,
            soon: RefCell::default(),
            timer: RefCell::default(),
            own_soon: RefCell::default(),
            own_timer: RefCell::default(),
            done: Cell::new(false),
        })
    }

    fn handle(&self) -> LoopHandle {
        self.last.borrow().clone().expect("it is dropped by the last deed only")
    }

    /// Does it, once; checks at once what can be checked at once.
    fn act(&self, deed: Deed) {
        if self.done.replace(true) {
            return;
        }
        self.trace.note("acted");
        let event_loop = self.handle();
        let watched = &self.others.0;
        match deed {
            Deed::Stop => event_loop.stop(),
            Deed::Close => assert_eq!(event_loop.close(), Err(CloseError)),
            Deed::Run => {
                assert!(matches!(event_loop.run_forever(), Err(RunError::AlreadyRunning)));
                let refused = event_loop.run_once(Some(Duration::ZERO));
                assert!(matches!(refused, Err(RunError::AlreadyRunning)));
                let future = event_loop.create_future::<()>();
                future.set_result(()).unwrap();
                assert!(event_loop.run_until_complete(&future).is_err());
            }
            Deed::CancelItself => {
                let (soon, timer) = (self.own_soon.take(), self.own_timer.take());
                // A running callback is not cancelled; one that was cancelled (its destructor runs
                // now) is not there any more.
                assert!(soon.is_none_or(|own| !own.cancel()));
                assert!(timer.is_none_or(|own| !own.cancel()));
                event_loop.remove_signal_handler(SIGNAL);
            }
            Deed::CancelOthers => {
                for _ in 0..2 {
                    self.soon.borrow().iter().for_each(|handle| _ = handle.cancel());
                    self.timer.borrow().iter().for_each(|handle| _ = handle.cancel());
                }
            }
            Deed::AddReader | Deed::AddWriter => {
                let (fresh, peer) = socket_pair();
                drop(peer); // a hang-up: ready in both directions
                let (removing, fd, seen) = (event_loop.clone(), fresh.clone(), self.trace.clone());
                let added = move || {
                    seen.note("added");
                    removing.remove_reader(&fd).unwrap();
                    removing.remove_writer(&fd).unwrap();
                };
                match deed {
                    Deed::AddReader => event_loop.add_reader(fresh, added).unwrap(),
                    _ => event_loop.add_writer(fresh, added).unwrap(),
                }
            }
            Deed::RemoveReader => {
                assert!(event_loop.remove_reader(watched).unwrap());
                assert!(!event_loop.remove_reader(watched).unwrap());
            }
            Deed::RemoveWriter => {
                assert!(event_loop.remove_writer(watched).unwrap());
                assert!(!event_loop.remove_writer(watched).unwrap());
            }
            Deed::ReplaceReader => {
                event_loop.add_reader(watched.clone(), self.trace.mark("replaced")).unwrap();
            }
            Deed::ReplaceWriter => {
                event_loop.add_writer(watched.clone(), self.trace.mark("replaced")).unwrap();
            }
            Deed::OwnDescriptor => {
                let own = &self.own.0;
                event_loop.add_writer(own.clone(), || panic!("replaced")).unwrap();
                event_loop.add_reader(own.clone(), || panic!("removed")).unwrap();
                event_loop.add_reader(own.clone(), || panic!("removed")).unwrap();
                assert!(event_loop.remove_reader(own).unwrap());
                event_loop.add_writer(own.clone(), self.trace.mark("added")).unwrap();
                assert!(!event_loop.remove_reader(own).unwrap());
            }
            Deed::CallSoon => drop(event_loop.call_soon(self.trace.mark("added"))),
            Deed::CallLater => {
                event_loop.call_later(Duration::ZERO, self.trace.mark("added"));
                event_loop.call_later(SECOND, || panic!("cancelled")).cancel();
            }
            Deed::SetExceptionHandler => {
                let trace = self.trace.clone();
                event_loop.set_exception_handler(Some(Rc::new(move |_, _| trace.note("added"))));
                event_loop.call_soon(|| panic!("for the new handler"));
            }
            Deed::DropLastHandle => {
                drop(event_loop);
                drop(self.last.take());
            }
            Deed::Panic => panic!("the deed's words"),
        }
    }
}

/// What the hook does when its turn comes.
type Hooked = Rc<RefCell<Option<Box<dyn Fn()>>>>;

struct ActingHook(Hooked);

impl IterationHook for ActingHook {
    fn after_poll(&self, _: usize) {
        let act = self.0.take();
        if let Some(act) = act {
            act();
        }
    }
}

/// Has `deed` done at `place`, with the others standing behind it in the same batch.
fn arrange(event_loop: &EventLoop, stage: &Rc<Stage>, place: Place, deed: Deed, hook: &Hooked) {
    let acting = stage.clone();
    let act = move || acting.act(deed);
    let own = stage.own.0.clone();
    match place {
        Place::CallSoon => *stage.own_soon.borrow_mut() = Some(event_loop.call_soon(act)),
        Place::Timer => {
            *stage.own_timer.borrow_mut() = Some(event_loop.call_later(Duration::ZERO, act));
        }
        Place::Reader => event_loop.add_reader(own, act).unwrap(),
        Place::Writer => event_loop.add_writer(own, act).unwrap(),
        Place::SignalHandler => {
            event_loop.add_signal_handler(SIGNAL, act).unwrap();
            signal_hook::low_level::raise(SIGNAL).unwrap();
        }
        Place::ExceptionHandler => {
            event_loop.set_exception_handler(Some(Rc::new(move |_, context| {
                assert!(context.to_string().contains("for the handler"));
                act();
            })));
            event_loop.call_soon(|| panic!("for the handler"));
        }
        Place::DoneCallback => {
            let future = event_loop.create_future::<()>();
            future.add_done_callback(move |_| act());
            future.set_result(()).unwrap();
        }
        Place::Hook => *hook.borrow_mut() = Some(Box::new(act)),
        Place::PostedCall => {
            // What is posted must be `Send`: it finds its way back through the loop's storage.
            let local = event_loop.local(|| RefCell::new(None::<Box<dyn FnOnce()>>));
            *local.borrow_mut() = Some(Box::new(act));
            let posted = move || {
                let event_loop = tulipa_eventloop::current();
                let local = event_loop.local(|| RefCell::new(None::<Box<dyn FnOnce()>>));
                drop(event_loop);
                let act = local.take().unwrap();
                act();
            };
            event_loop.threadsafe_handle().call_soon_threadsafe(posted).unwrap();
        }
        Place::ExecutorCompletion => {
            let job = event_loop.run_in_executor(None, || 5);
            job.add_done_callback(move |job| {
                assert_eq!(job.result().unwrap(), 5);
                act();
            });
        }
        Place::Destructor => {
            let value = OnDrop::new(act);
            let cancelled = event_loop.call_later(SECOND, move || value.keep());
            event_loop.call_soon(move || assert!(cancelled.cancel()));
        }
    }
}

fn check(place: Place, deed: Deed, make: impl Fn(ActingHook) -> EventLoop) {
    let hook = Hooked::default();
    let event_loop = make(ActingHook(hook.clone()));
    let stage = Stage::new(&event_loop);
    let reports = record_reports(&**event_loop);
    arrange(&event_loop, &stage, place, deed, &hook);
    // The others, behind it where that is possible.
    *stage.soon.borrow_mut() = Some(event_loop.call_soon(stage.trace.mark("soon")));
    *stage.timer.borrow_mut() =
        Some(event_loop.call_later(Duration::ZERO, stage.trace.mark("timer")));
    event_loop.add_reader(stage.others.0.clone(), stage.trace.mark("reader")).unwrap();
    event_loop.add_writer(stage.others.0.clone(), stage.trace.mark("writer")).unwrap();

    for round in 0.. {
        let acted = stage.done.get();
        // A job of an executor is waited for; all else is there at once.
        let wait =
            if place == Place::ExecutorCompletion && !acted { SECOND } else { Duration::ZERO };
        event_loop.run_once(Some(wait)).unwrap();
        if acted && round >= 3 {
            break;
        }
        assert!(round < 100_000, "it never came to it");
    }
    (0..3).for_each(|_| event_loop.run_ready().unwrap());

    // One deed, and the loop as good as ever.
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for what in stage.trace.take() {
        *count.entry(what).or_default() += 1;
    }
    let times = |what: &str| count.get(what).copied().unwrap_or(0);
    assert_eq!(times("acted"), 1);
    // (Before its turn came, others may have run: what is cancelled then is cancelled too late.)
    if deed != Deed::CancelOthers {
        assert_eq!((times("soon"), times("timer")), (1, 1));
    } else {
        assert!(times("soon") <= 1 && times("timer") <= 1);
    }
    match deed {
        Deed::AddReader | Deed::AddWriter => assert_eq!(times("added"), 1),
        Deed::CallSoon | Deed::CallLater | Deed::SetExceptionHandler => {
            assert_eq!(times("added"), 1, "{count:?}");
        }
        Deed::OwnDescriptor => assert!(times("added") >= 1),
        Deed::ReplaceReader | Deed::ReplaceWriter => assert!(times("replaced") >= 1),
        _ => {}
    }
    if deed == Deed::Panic {
        // In the exception handler it goes to the default one, which logs it.
        let reported = u32::from(place != Place::ExceptionHandler);
        assert_eq!(reports.count() as u32, reported, "{:?}", reports.take());
    } else {
        assert_eq!(reports.count(), 0, "{:?}", reports.take());
    }
    assert!(!event_loop.is_running() && !event_loop.is_closed());
    let (alive, handle) = (Rc::new(Cell::new(false)), event_loop.handle());
    let ran = alive.clone();
    event_loop.call_soon(move || {
        ran.set(true);
        handle.stop();
    });
    event_loop.run_forever().unwrap();
    assert!(alive.get());
    event_loop.set_exception_handler(None);
    event_loop.close().unwrap();
    drop((event_loop, hook));
    assert_eq!(Rc::strong_count(&stage), 1, "nothing keeps what the callbacks captured");
}

#[test]
fn l1_l12_l24_l38_l39_d11_h4_every_deed_is_safe_at_every_place() {
    crate::common::logged::record();
    let rows = Cell::new(0);
    for batches in [64, 1] {
        for portable in [false, true] {
            for place in PLACES {
                for deed in DEEDS {
                    println!("{place:?} × {deed:?}, batches {batches}, portable {portable}");
                    check(place, deed, |hook| {
                        let driver = match portable {
                            true => tulipa_eventloop::DriverKind::Portable,
                            false => tulipa_eventloop::DriverKind::Default,
                        };
                        let batches = std::num::NonZeroU32::new(batches).unwrap();
                        let builder = EventLoop::builder().driver(driver).hook(hook);
                        builder.batches_between_polls(batches).build().unwrap()
                    });
                    rows.set(rows.get() + 1);
                }
            }
        }
    }
    assert_eq!((PLACES.len(), DEEDS.len(), rows.get()), (11, 17, 4 * 11 * 17));
}

#[test]
fn l24_l28_a_callback_that_owns_its_loop_may_drop_it_at_every_place() {
    crate::common::logged::record();
    for_each_loop(|event_loop| {
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        let handle = event_loop.handle();
        let owner = RefCell::new(Some(event_loop));
        let watched = ours.clone();
        handle.add_reader(ours, move || drop(owner.take())).unwrap();
        handle.run_forever().unwrap();
        assert!(handle.is_closed());
        assert_eq!(Rc::strong_count(&watched), 1);
    });
}

#[test]
fn f15_f17_f22_a_waker_that_completes_the_future_as_it_is_cloned_may_use_it_as_it_is_dropped() {
    for waited_before in [false, true] {
        for_each_loop(|event_loop| {
            let future = event_loop.create_future::<u32>();
            let mut waiting = future.clone();
            let mut poll =
                |waker: &Waker| Pin::new(&mut waiting).poll(&mut Context::from_waker(waker));
            if waited_before {
                assert!(poll(Waker::noop()).is_pending());
            }
            let called = Rc::new(Cell::new(0));
            let count = called.clone();
            let told = move |fate| {
                if fate == WakerFate::Cloned {
                    future.set_result(1).unwrap();
                } else {
                    let count = count.clone();
                    future.add_done_callback(move |_| count.set(count.get() + 1));
                }
            };
            with_told_waker(told, |waker| {
                assert!(matches!(poll(waker), Poll::Ready(Ok(1))));
            });
            event_loop.run_ready().unwrap();
            assert_eq!(called.get(), 2, "the clone and the waker itself were dropped");
        });
    }
}
