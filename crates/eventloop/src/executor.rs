//! [`ThreadPoolExecutor`]: threads for calls that block.
//!
//! Invariant: a job in the queue is run by a thread of the pool, or dropped (which cancels its future)
//! when the pool is shut down without waiting. No job is dropped or run while the lock is held.

use futures::concurrent::{Executor, Job, Refused};
use futures::{catch, catch_silently};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A bounded pool of threads with a bounded queue (E-1, E-10).
///
/// Threads are started when a job finds none idle, and end when they have been idle for a while, or
/// when the pool is shut down or its last handle dropped (after the jobs that were taken by then: the
/// process does not wait for them at exit, E-13). Clones are handles to the same pool.
///
/// # Examples
/// ```
/// use tulipa_eventloop::{EventLoop, ThreadPoolExecutor, ThreadPoolOptions, prelude::*};
/// let pool = ThreadPoolExecutor::new(ThreadPoolOptions { max_threads: 2, ..Default::default() });
/// let event_loop = EventLoop::new()?;
/// let answer = event_loop.run_in_executor(Some(&pool), || 6 * 7);
/// assert_eq!(event_loop.run_until_complete(&answer)?, 42);
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct ThreadPoolExecutor {
    handle: Arc<PoolHandle>,
}

/// The limits of a [`ThreadPoolExecutor`].
#[derive(Clone, Debug)]
pub struct ThreadPoolOptions {
    /// Threads at most; one is the least. Default: the number of cores and four, at most 32.
    pub max_threads: usize,
    /// Jobs that may wait for a thread; more are refused. Cancelled ones make room when it is needed.
    /// Default: 10,000.
    pub max_queue: usize,
    /// How long a thread waits for the next job before it ends. Default: 10 s.
    pub idle_timeout: Duration,
    /// The name of its threads. Default: `tulipa-executor`.
    pub thread_name: String,
}

impl Default for ThreadPoolOptions {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            max_threads: (cores + 4).min(32),
            max_queue: 10_000,
            idle_timeout: Duration::from_secs(10),
            thread_name: "tulipa-executor".to_owned(),
        }
    }
}

/// Ends the pool when the last handle is gone.
struct PoolHandle {
    pool: Arc<Pool>,
}

struct Pool {
    options: ThreadPoolOptions,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Where in a full queue to look next for jobs that were cancelled.
    look_from: usize,
    threads: usize,
    idle: usize,
    /// `Some` once shut down: who wants to know when the last thread has ended.
    shut_down: Option<Vec<WhenEnded>>,
}

type WhenEnded = Box<dyn FnOnce() + Send>;

/// As many jobs are asked whether they were cancelled when another finds the queue full.
const LOOKED_AT: usize = 100;

impl ThreadPoolExecutor {
    /// A pool without threads yet.
    pub fn new(mut options: ThreadPoolOptions) -> Self {
        options.max_threads = options.max_threads.max(1);
        options.thread_name.retain(|letter| letter != '\0');
        let pool = Pool { options, state: Mutex::default(), work: Condvar::new() };
        Self { handle: Arc::new(PoolHandle { pool: Arc::new(pool) }) }
    }

    /// How many threads there are now.
    pub fn threads(&self) -> usize {
        self.pool().lock().threads
    }

    /// How many jobs wait for a thread; some of them may have been cancelled.
    pub fn queue_len(&self) -> usize {
        self.pool().lock().queue.len()
    }

    /// Takes no more jobs from now on, and calls `when_ended` once all that were taken are done and
    /// the last thread ends: in that thread, or here if there is none. If it panics, that is logged.
    pub fn shutdown(&self, when_ended: impl FnOnce() + Send + 'static) {
        self.pool().shut_down(Some(Box::new(when_ended)));
    }

    /// Takes no more jobs, and drops those that wait: their futures are cancelled. Jobs that run are
    /// left to end.
    pub fn shutdown_now(&self) {
        self.pool().shut_down(None);
        loop {
            let job = self.pool().lock().queue.pop_front();
            let Some(job) = job else { return };
            // One at a time: what one captured may panic when it is dropped, the next all the same.
            contain("dropping a job that did not run", || drop(job));
        }
    }

    fn pool(&self) -> &Arc<Pool> {
        &self.handle.pool
    }
}

impl Executor for ThreadPoolExecutor {
    fn execute(&self, job: Job) -> Result<(), Refused> {
        let pool = self.pool();
        let mut state = pool.lock();
        if state.shut_down.is_some() {
            drop(state);
            return Err(Refused::new(job, "the executor was shut down"));
        }
        let mut cancelled = VecDeque::new(); // dropped last, when the lock is free
        if state.queue.len() >= pool.options.max_queue {
            cancelled = state.take_cancelled();
        }
        if state.queue.len() >= pool.options.max_queue {
            drop(state);
            return Err(Refused::new(job, "the executor's queue is full"));
        }
        state.queue.push_back(job);
        let taken = if state.idle >= state.queue.len() || state.threads >= pool.options.max_threads
        {
            drop(state);
            pool.work.notify_one();
            Ok(())
        } else {
            pool.start_thread(state)
        };
        drop(cancelled);
        taken
    }
}

impl State {
    /// Takes the jobs out of the queue that were cancelled, if one is among the next few of it: a
    /// queue that is full of others must be cheap to find full.
    fn take_cancelled(&mut self) -> VecDeque<Job> {
        let from = if self.look_from < self.queue.len() { self.look_from } else { 0 };
        let end = self.queue.len().min(from + LOOKED_AT);
        self.look_from = end;
        if !self.queue.range(from..end).any(Job::is_cancelled) {
            return VecDeque::new();
        }
        let (cancelled, wanted) = self.queue.drain(..).partition(Job::is_cancelled);
        self.queue = wanted;
        cancelled
    }
}

impl Drop for PoolHandle {
    fn drop(&mut self) {
        self.pool.shut_down(None);
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under this lock, so a poisoned one is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread for the job that is the last in the queue. The lock is kept meanwhile, so
    /// that if this fails, that job is still the last.
    fn start_thread(self: &Arc<Self>, mut state: MutexGuard<'_, State>) -> Result<(), Refused> {
        let pool = self.clone();
        let builder = thread::Builder::new().name(self.options.thread_name.clone());
        let Err(error) = builder.spawn(move || pool.work_until_idle()) else {
            state.threads += 1;
            return Ok(());
        };
        // With other threads around, the job waits for one of them.
        let refused = if state.threads == 0 { state.queue.pop_back() } else { None };
        drop(state);
        match refused {
            Some(job) => Err(Refused::new(job, format!("no thread can be started: {error}"))),
            None => Ok(()),
        }
    }

    fn work_until_idle(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job.run();
                state = self.lock();
                continue;
            }
            if state.shut_down.is_some() {
                break;
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, self.options.idle_timeout);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        self.tell_if_ended(state);
    }

    fn shut_down(&self, when_ended: Option<WhenEnded>) {
        let mut state = self.lock();
        state.shut_down.get_or_insert_default().extend(when_ended);
        self.work.notify_all();
        self.tell_if_ended(state);
    }

    fn tell_if_ended(&self, mut state: MutexGuard<'_, State>) {
        if state.threads > 0 {
            return;
        }
        let told = state.shut_down.as_mut().map(std::mem::take);
        drop(state);
        for when_ended in told.into_iter().flatten() {
            contain("telling of the end of an executor", when_ended);
        }
    }
}

/// Runs user code whose panic must keep neither a thread nor others from going on.
fn contain(doing: &str, user_code: impl FnOnce()) {
    if let Err(panic) = catch(user_code) {
        catch_silently(|| log::error!(target: "tulipa", "{doing} {panic}"));
        catch_silently(|| drop(panic));
    }
}
