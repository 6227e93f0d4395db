//! Threads that answer one kind of question, each question once for all who ask it.
//!
//! Invariant: an inquiry is in the table while an attempt at it is queued or runs, and every attempt in
//! the queue has a thread that will come to it, unless all threads hang. No foreign code runs, and
//! nothing of others is dropped, while the lock is held.

mod inquiry;

use super::ThreadedResolverOptions;
use futures::{Exception, catch, concurrent};
use inquiry::{Counted, Inquiry};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

pub(super) struct Pool<Q, A: 'static> {
    options: ThreadedResolverOptions,
    work: Box<Work<Q, A>>,
    state: Mutex<State<Q, A>>,
    queued: Condvar,
    /// How many callers have neither an answer nor given up. They count for themselves.
    waiting: Arc<AtomicUsize>,
}

struct State<Q, A: 'static> {
    inquiries: HashMap<Q, Inquiry<A>>,
    /// The questions to be attempted, each once at most.
    queue: VecDeque<Q>,
    threads: usize,
    idle: usize,
    /// Nobody is left who could ask.
    ending: bool,
}

type Work<Q, A> = dyn Fn(&Q) -> io::Result<A> + Send + Sync;
type Callers<A> = Vec<concurrent::Future<A>>;

impl<Q: Clone + Eq + Hash + Send + 'static, A: Clone + Send + 'static> Pool<Q, A> {
    pub(super) fn new(
        options: ThreadedResolverOptions,
        work: impl Fn(&Q) -> io::Result<A> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = State {
            inquiries: HashMap::new(),
            queue: VecDeque::new(),
            threads: 0,
            idle: 0,
            ending: false,
        };
        Arc::new(Self {
            options,
            work: Box::new(work),
            state: Mutex::new(state),
            queued: Condvar::new(),
            waiting: Arc::default(),
        })
    }

    pub(super) fn threads(&self) -> usize {
        self.lock().threads
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A future of the answer; cancelling it gives up.
    pub(super) fn ask(self: &Arc<Self>, question: &Q) -> Result<concurrent::Future<A>, Exception> {
        let waiting = self.waiting();
        if waiting >= self.options.max_waiting {
            let message = format!("{waiting} callers wait for the resolver already");
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message).into());
        }
        let caller = concurrent::Future::new();
        let counted = Counted::new(&self.waiting);
        let mut state = self.lock();
        let mut gone = Vec::new(); // dropped last, when the lock is free
        if state.queue.len() / 2 >= self.options.max_waiting {
            // That is at least one that nobody wants for each that somebody does.
            gone = state.take_unwanted();
        }
        let inquiry = state.inquiries.entry(question.clone()).or_insert_with(Inquiry::new);
        gone.extend(inquiry.add(&caller, counted));
        let asked = if inquiry.wants_attempt() {
            inquiry.queue_attempt();
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
        match state.inquiries.get(question)?.running() {
            0 => Some(format!(
                "all {} threads of the resolver wait for answers to other questions",
                state.threads
            )),
            1 => None,
            several => Some(format!("{several} threads of the resolver wait for it")),
        }
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
        let question = state.queue.pop_back();
        let orphaned = question.and_then(|question| state.inquiries.remove(&question));
        drop(state);
        drop(orphaned);
        let message = format!("no thread can be started for the resolver: {error}");
        Err(io::Error::new(error.kind(), message).into())
    }

    fn work_until_idle(&self) {
        let mut state = self.lock();
        loop {
            if let Some(question) = state.queue.pop_front() {
                let unwanted = state.begin_attempt(&question);
                drop(state);
                match unwanted {
                    Some(callers) => drop(callers),
                    None => self.attempt(&question),
                }
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
        let outcome = catch(|| (self.work)(question)).and_then(|answer| Ok(answer?));
        let is_certain = match &outcome {
            Ok(_) => true,
            Err(failure) => failure.io_kind() == Some(io::ErrorKind::NotFound),
        };
        let callers = self.lock().end_attempt(question, is_certain);
        for caller in callers {
            // If it was cancelled, nobody wants it.
            let _ = caller.set_outcome(outcome.clone());
        }
    }
}

impl<Q: Eq + Hash, A: Send + 'static> State<Q, A> {
    /// The attempt that was taken out of the queue begins; unless all callers have given up: then they
    /// are given back.
    fn begin_attempt(&mut self, question: &Q) -> Option<Callers<A>> {
        let inquiry = self.inquiries.get_mut(question)?;
        if inquiry.is_wanted() {
            inquiry.begin_attempt();
            return None;
        }
        Some(self.drop_attempt(question))
    }

    /// An attempt has ended; gives back the callers that are to be told. Of a failure that is not
    /// certain they are told only if no other attempt is under way, which may do better.
    fn end_attempt(&mut self, question: &Q, is_certain: bool) -> Callers<A> {
        let Some(inquiry) = self.inquiries.get_mut(question) else { return Vec::new() };
        inquiry.end_attempt();
        if inquiry.has_attempts() {
            return if is_certain { inquiry.take_callers() } else { Vec::new() };
        }
        self.inquiries.remove(question).map_or_else(Vec::new, |mut it| it.take_callers())
    }

    /// An attempt is taken out of the queue and not made.
    fn drop_attempt(&mut self, question: &Q) -> Callers<A> {
        let Some(inquiry) = self.inquiries.get_mut(question) else { return Vec::new() };
        inquiry.unqueue_attempt();
        let callers = inquiry.take_callers();
        if !inquiry.has_attempts() {
            self.inquiries.remove(question);
        }
        callers
    }

    /// Takes the attempts out of the queue that nobody wants, with the callers who have given up.
    fn take_unwanted(&mut self) -> Callers<A> {
        let is_wanted = |question: &Q| self.inquiries.get(question).is_some_and(Inquiry::is_wanted);
        let (wanted, unwanted): (VecDeque<Q>, VecDeque<Q>) =
            self.queue.drain(..).partition(is_wanted);
        self.queue = wanted;
        unwanted.iter().flat_map(|question| self.drop_attempt(question)).collect()
    }
}

#[cfg(test)]
mod tests;
