//! Threads that answer one kind of question, each question once for all who ask it.
//!
//! Invariant: an inquiry is in the table while attempts at it are queued or running, and every attempt
//! in the queue has a thread that will come to it, unless all threads hang. No foreign code runs, and
//! nothing of others is dropped, while the lock is held.

use super::ThreadedResolverOptions;
use futures::{Exception, catch, concurrent};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

pub(super) struct Pool<Q, A: 'static> {
    options: ThreadedResolverOptions,
    work: Box<dyn Fn(&Q) -> io::Result<A> + Send + Sync>,
    state: Mutex<State<Q, A>>,
    queued: Condvar,
}

struct State<Q, A: 'static> {
    inquiries: HashMap<Q, Inquiry<A>>,
    /// The attempts that have no thread yet.
    queue: VecDeque<Q>,
    /// How many callers the inquiries have, together.
    waiting: usize,
    threads: usize,
    idle: usize,
    /// Nobody is left who could ask.
    ending: bool,
}

/// A question that is being looked up.
struct Inquiry<A: 'static> {
    callers: Vec<concurrent::Future<A>>,
    /// Queued or running.
    attempts: usize,
    /// Somebody has given up since the last attempt began: it may hang, so the next who asks has
    /// another begun.
    in_doubt: bool,
}

/// So many attempts at one question at once: one that hangs whenever it is asked is not to take every
/// thread.
const MOST_ATTEMPTS: usize = 4;

impl<Q: Clone + Eq + Hash + Send + 'static, A: Clone + Send + 'static> Pool<Q, A> {
    pub(super) fn new(
        options: ThreadedResolverOptions,
        work: impl Fn(&Q) -> io::Result<A> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = State {
            inquiries: HashMap::new(),
            queue: VecDeque::new(),
            waiting: 0,
            threads: 0,
            idle: 0,
            ending: false,
        };
        Arc::new(Self {
            options,
            work: Box::new(work),
            state: Mutex::new(state),
            queued: Condvar::new(),
        })
    }

    pub(super) fn threads(&self) -> usize {
        self.lock().threads
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// A future of the answer; cancelling it gives up.
    pub(super) fn ask(self: &Arc<Self>, question: &Q) -> Result<concurrent::Future<A>, Exception> {
        let mut state = self.lock();
        let mut gone = state.take_gone(question); // dropped last, when the lock is free
        if state.waiting >= self.options.max_waiting {
            let questions: Vec<Q> = state.inquiries.keys().cloned().collect();
            gone.extend(questions.iter().flat_map(|question| state.take_gone(question)));
        }
        if state.waiting >= self.options.max_waiting {
            let message = format!("{} callers wait for the resolver already", state.waiting);
            drop(state);
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message).into());
        }
        let caller = concurrent::Future::new();
        state.waiting += 1;
        let inquiry = state.inquiries.entry(question.clone()).or_insert_with(Inquiry::new);
        inquiry.callers.push(caller.clone());
        let try_again = inquiry.in_doubt && inquiry.attempts < MOST_ATTEMPTS;
        let asked = if inquiry.attempts == 0 || try_again {
            inquiry.attempts += 1;
            inquiry.in_doubt = false;
            state.queue.push_back(question.clone());
            self.find_thread(state)
        } else {
            drop(state);
            Ok(())
        };
        drop(gone);
        asked.map(|()| caller)
    }

    /// Why a question may not have been answered yet.
    pub(super) fn why_late(&self, question: &Q) -> Option<String> {
        let state = self.lock();
        let inquiry = state.inquiries.get(question)?;
        let queued = state.queue.iter().filter(|queued| *queued == question).count();
        if queued == inquiry.attempts {
            return Some(format!(
                "all {} threads of the resolver wait for answers to other questions",
                state.threads
            ));
        }
        let running = inquiry.attempts - queued;
        (running > 1).then(|| format!("{running} threads of the resolver wait for it"))
    }

    /// Lets idle threads go at once.
    pub(super) fn end_idle_threads(&self) {
        self.lock().ending = true;
        self.queued.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<Q, A>> {
        // Nothing foreign runs under this lock, so a poisoned one is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that some thread comes to what was queued last.
    fn find_thread(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<Q, A>>,
    ) -> Result<(), Exception> {
        if state.idle >= state.queue.len() || state.threads >= self.options.max_threads {
            drop(state);
            self.queued.notify_one();
            return Ok(());
        }
        let pool = self.clone();
        let builder = thread::Builder::new().name(self.options.thread_name.clone());
        let Err(error) = builder.spawn(move || pool.work_until_idle()) else {
            state.threads += 1;
            return Ok(());
        };
        if state.threads > 0 {
            return Ok(()); // one of the others will come to it
        }
        let orphaned = state.queue.pop_back().map(|question| state.end_attempt(&question));
        drop(state);
        drop(orphaned);
        let message = format!("no thread can be started for the resolver: {error}");
        Err(io::Error::new(error.kind(), message).into())
    }

    fn work_until_idle(&self) {
        let mut state = self.lock();
        loop {
            if let Some(question) = state.queue.pop_front() {
                drop(state);
                self.attempt(&question);
                state = self.lock();
                continue;
            }
            if state.ending {
                break;
            }
            state.idle += 1;
            let waited = self.queued.wait_timeout(state, self.options.idle_timeout);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    fn attempt(&self, question: &Q) {
        if let Some(unwanted) = self.lock().end_if_unwanted(question) {
            return drop(unwanted);
        }
        let outcome = catch(|| (self.work)(question)).and_then(|answer| Ok(answer?));
        let callers = {
            let mut state = self.lock();
            match &outcome {
                Ok(_) => {
                    let callers = state.take_callers(question);
                    state.end_attempt(question);
                    callers
                }
                // Another attempt is under way, which may do better.
                Err(_) => state.end_attempt(question),
            }
        };
        for caller in callers {
            // If it was cancelled, nobody wants it.
            let _ = caller.set_outcome(outcome.clone());
        }
    }
}

impl<Q: Eq + Hash, A: Clone + Send + 'static> State<Q, A> {
    /// Takes out the callers of a question who have given up.
    fn take_gone(&mut self, question: &Q) -> Vec<concurrent::Future<A>> {
        let Some(inquiry) = self.inquiries.get_mut(question) else { return Vec::new() };
        let gone: Vec<_> = inquiry.callers.extract_if(.., |caller| caller.cancelled()).collect();
        inquiry.in_doubt |= !gone.is_empty();
        self.waiting -= gone.len();
        gone
    }

    fn take_callers(&mut self, question: &Q) -> Vec<concurrent::Future<A>> {
        let Some(inquiry) = self.inquiries.get_mut(question) else { return Vec::new() };
        let callers = std::mem::take(&mut inquiry.callers);
        self.waiting -= callers.len();
        callers
    }

    /// Ends an attempt that has not begun if all callers have given up.
    fn end_if_unwanted(&mut self, question: &Q) -> Option<Vec<concurrent::Future<A>>> {
        let inquiry = self.inquiries.get(question)?;
        if inquiry.callers.iter().any(|caller| !caller.cancelled()) {
            return None;
        }
        let gone = self.take_gone(question);
        self.end_attempt(question);
        Some(gone)
    }

    /// One attempt less. If it was the last, the callers who are left over are given back.
    fn end_attempt(&mut self, question: &Q) -> Vec<concurrent::Future<A>> {
        let Some(inquiry) = self.inquiries.get_mut(question) else { return Vec::new() };
        inquiry.attempts -= 1;
        if inquiry.attempts > 0 {
            inquiry.in_doubt = true; // the others may hang
            return Vec::new();
        }
        let callers = self.take_callers(question);
        self.inquiries.remove(question);
        callers
    }
}

impl<A> Inquiry<A> {
    fn new() -> Self {
        Self { callers: Vec::new(), attempts: 0, in_doubt: false }
    }
}
