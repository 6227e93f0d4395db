//! Signals: what the process receives, handed to each loop that has a handler for it.
//!
//! In signal context only a bit is set and the loop is woken; the handler runs later, as an ordinary
//! callback (G-1). `signal-hook` chains to whatever handler the host program had installed. Once no
//! loop of the process handles a signal any more, it does what it did before (G-3).

use crate::SignalError;
use crate::cross_thread::Signaller;
use crate::repeating::RepeatingCallback;
use indexmap::IndexMap;
use signal_hook::SigId;
use signal_hook::consts::FORBIDDEN;
use signal_hook::low_level::{self, emulate_default_handler};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The handlers of one loop, by signal.
#[derive(Default)]
pub(crate) struct SignalHandlers {
    handlers: IndexMap<i32, Handler>,
    /// Which of them have arrived: bit `n - 1` for signal `n`.
    arrived: Arc<AtomicU64>,
}

struct Handler {
    callback: Rc<RepeatingCallback>,
    _registration: Registration,
}

impl SignalHandlers {
    pub(crate) fn len(&self) -> usize {
        self.handlers.len()
    }

    /// The callback that is set for `signal`.
    pub(crate) fn get(&self, signal: i32) -> Option<&Rc<RepeatingCallback>> {
        self.handlers.get(&signal).map(|handler| &handler.callback)
    }

    /// Starts to listen to `signal`, or puts `callback` in the place of the one that does; that one
    /// comes back, to be emptied where its destructor may run.
    pub(crate) fn insert(
        &mut self,
        signal: i32,
        callback: Rc<RepeatingCallback>,
        signaller: Signaller,
    ) -> Result<Option<Rc<RepeatingCallback>>, SignalError> {
        if let Some(handler) = self.handlers.get_mut(&signal) {
            return Ok(Some(std::mem::replace(&mut handler.callback, callback)));
        }
        let registration = Registration::new(signal, self.arrived.clone(), signaller)?;
        self.handlers.insert(signal, Handler { callback, _registration: registration });
        Ok(None)
    }

    pub(crate) fn remove(&mut self, signal: i32) -> Option<Rc<RepeatingCallback>> {
        let Handler { callback, .. } = self.handlers.shift_remove(&signal)?;
        // What arrived for this handler, until it was unregistered above, is not for one that is
        // added later.
        self.arrived.fetch_and(!bit(signal), Ordering::AcqRel);
        Some(callback)
    }

    /// Stops to listen to anything; the callbacks come back, to be emptied where destructors may run.
    pub(crate) fn into_callbacks(self) -> impl Iterator<Item = Rc<RepeatingCallback>> {
        self.handlers.into_values().map(|handler| handler.callback)
    }

    /// The callbacks of the signals that arrived since the last call, lowest number first.
    pub(crate) fn take_arrived(&self) -> Vec<Rc<RepeatingCallback>> {
        let arrived = self.arrived.swap(0, Ordering::AcqRel);
        (1..=HIGHEST)
            .filter(|signal| arrived & bit(*signal) != 0)
            .filter_map(|signal| self.get(signal).cloned())
            .collect()
    }
}

const HIGHEST: i32 = 64;

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// One loop listens to one signal, until this is dropped.
struct Registration {
    signal: i32,
    id: SigId,
}

impl Registration {
    fn new(
        signal: i32,
        arrived: Arc<AtomicU64>,
        signaller: Signaller,
    ) -> Result<Self, SignalError> {
        if !(1..=HIGHEST).contains(&signal) {
            return Err(SignalError::Unknown(signal));
        }
        if FORBIDDEN.contains(&signal) {
            return Err(SignalError::Uncatchable(signal));
        }
        let listeners = listeners(signal);
        restore_when_unheard(signal).map_err(|error| refused(signal, error))?;
        listeners.fetch_add(1, Ordering::AcqRel);
        let action = move || {
            arrived.fetch_or(bit(signal), Ordering::AcqRel);
            signaller.signal();
        };
        match register(signal, action) {
            Ok(id) => Ok(Self { signal, id }),
            Err(error) => {
                listeners.fetch_sub(1, Ordering::AcqRel);
                Err(refused(signal, error))
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        low_level::unregister(self.id);
        listeners(self.signal).fetch_sub(1, Ordering::AcqRel);
    }
}

fn refused(signal: i32, error: io::Error) -> SignalError {
    match error.kind() {
        io::ErrorKind::InvalidInput => SignalError::Unknown(signal),
        _ => SignalError::System(error),
    }
}

#[allow(unsafe_code)]
fn register(signal: i32, action: impl Fn() + Send + Sync + 'static) -> io::Result<SigId> {
    // SAFETY: the action must be async-signal-safe. Those that are registered here touch atomics,
    // write to an eventfd by a bare system call (`Signaller::signal`), or emulate the default action,
    // which signal-hook documents as safe in a handler.
    unsafe { low_level::register(signal, action) }
}

/// How many loops of the process listen to a signal.
fn listeners(signal: i32) -> &'static AtomicUsize {
    static LISTENERS: [AtomicUsize; HIGHEST as usize + 1] =
        [const { AtomicUsize::new(0) }; HIGHEST as usize + 1];
    &LISTENERS[signal as usize]
}

/// What is known of the signals that were ever listened to, a bit each.
struct Known {
    looked_at: u64,
    /// Of these, the ones whose default action is taken while nobody listens.
    emulated: u64,
}

fn known() -> MutexGuard<'static, Known> {
    static KNOWN: Mutex<Known> = Mutex::new(Known { looked_at: 0, emulated: 0 });
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sees to it, once a signal and process, that the default action is taken when the signal arrives
/// and no loop listens: `signal-hook` keeps its own handler installed for ever.
fn restore_when_unheard(signal: i32) -> io::Result<()> {
    let mut known = known();
    if known.looked_at & bit(signal) == 0 {
        if does_default_action(signal) {
            register(signal, move || {
                if listeners(signal).load(Ordering::Acquire) == 0 {
                    // It fails only for signals that cannot be caught.
                    let _ = emulate_default_handler(signal);
                }
            })?;
            known.emulated |= bit(signal);
        }
        known.looked_at |= bit(signal);
    }
    Ok(())
}

/// Whether a signal does what it does by default, as far as can be known: nobody handles or ignores
/// it, and no loop listens to it.
pub(crate) fn takes_default_action(signal: i32) -> bool {
    let known = known();
    match known.looked_at & bit(signal) != 0 {
        true => known.emulated & bit(signal) != 0 && listeners(signal).load(Ordering::Acquire) == 0,
        false => does_default_action(signal),
    }
}

/// Counts the arrivals of a signal, at the moment of the signal, until this is dropped. If too many
/// are not [taken](CountedArrivals::take), the next one does what it does by default.
pub(crate) struct CountedArrivals {
    untaken: Arc<AtomicU32>,
    id: SigId,
}

impl CountedArrivals {
    pub(crate) fn new(signal: i32, untaken_at_most: u32) -> Result<Self, SignalError> {
        // While it may still be found that the signal does its default action.
        restore_when_unheard(signal).map_err(|error| refused(signal, error))?;
        let untaken = Arc::new(AtomicU32::new(0));
        let counter = untaken.clone();
        let action = move || {
            if counter.fetch_add(1, Ordering::AcqRel) >= untaken_at_most {
                // It fails only for signals that cannot be caught.
                let _ = emulate_default_handler(signal);
            }
        };
        let id = register(signal, action).map_err(|error| refused(signal, error))?;
        Ok(Self { untaken, id })
    }

    /// How many came since the last call.
    pub(crate) fn take(&self) -> u32 {
        self.untaken.swap(0, Ordering::AcqRel)
    }
}

impl Drop for CountedArrivals {
    fn drop(&mut self) {
        low_level::unregister(self.id);
    }
}

/// Whether the process neither ignores nor handles a signal. Where the system does not tell, we take
/// it that nobody had touched it.
fn does_default_action(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let masked = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.unwrap_or(0) & bit(signal) != 0
    };
    !masked("SigIgn:") && !masked("SigCgt:")
}
