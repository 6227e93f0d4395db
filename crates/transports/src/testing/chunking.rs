//! [`Chunking`]: checks that a protocol does the same however its input is cut (W-16).
//!
//! A stream has no messages: what one peer sends at once comes in any pieces, at any time, or not to
//! its end. So the protocol is run once with the whole input, and then many times with the same input
//! cut, delayed, and broken off, over the real transport in memory; what can be seen of it has to be
//! the same. A failure is made small before it is told.
//!
//! Invariant: a run depends on nothing but its schedule, which depends on nothing but the seed.

mod failure;
mod notes;
mod play;
mod schedule;
mod shrink;

pub use failure::ChunkingFailure;
pub use notes::Notes;
pub use play::ChunkingRun;
pub use schedule::Ending;

use crate::IntoProtocol;
use crate::testing::{MemoryLoop, MemoryOptions, MemoryPair};
use eventloop::{EnteredLoop, TestLoop};
use failure::Problem;
use futures::catch;
use play::Peer;
use schedule::Schedule;
use std::rc::Rc;
use std::time::Duration;

/// So many single cuts are tried one by one, and so long an input byte by byte.
const SINGLE_CUTS: usize = 1024;
const LONGEST_BYTE_BY_BYTE: usize = 16 * 1024;

/// Checks that a protocol does the same however its input is cut.
///
/// The protocol is made anew for every run. First it gets the whole input at once. Then it gets it cut
/// in two, at every place; byte by byte; and as often as [`runs`](Chunking::runs) says in some other way
/// that the seed chooses: cut anywhere, with delays in between, from a peer that reads its replies late,
/// or broken off somewhere by the end of file or by a reset. What is seen of it has to be the same as in
/// one piece: the bytes it writes, whether it closes, and what it notes in its [`Notes`].
///
/// Besides, it may panic in no run, and leave nothing behind on the loop; and every run has to satisfy
/// each [`invariant`](Chunking::invariant). That is all that is asked where the end comes while bytes are
/// on the way, for then it depends on luck what was still answered.
///
/// A failure names the seed, and the smallest cutting found that still fails.
///
/// # Examples
/// ```
/// use tulipa_transports::testing::{Chunking, Notes};
/// use tulipa_transports::{Protocol, Transport};
///
/// /// Notes each line, and answers it.
/// struct Lines { begun: Vec<u8>, notes: Notes }
///
/// impl Protocol for Lines {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
///         self.begun.extend_from_slice(data);
///         while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
///             let line: Vec<u8> = self.begun.drain(..=end).collect();
///             self.notes.note(String::from_utf8_lossy(&line));
///             transport.write(b"ok\n");
///         }
///     }
/// }
///
/// Chunking::new(|notes| Lines { begun: Vec::new(), notes })
///     .input(b"tulip\nrose\n\nlily\n")
///     .check();
/// ```
///
/// One that takes every piece for a line is found out:
/// ```
/// # use tulipa_transports::testing::{Chunking, Notes};
/// # use tulipa_transports::{Protocol, Transport};
/// struct Hasty(Notes);
///
/// impl Protocol for Hasty {
///     fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
///         self.0.note(String::from_utf8_lossy(data));
///     }
/// }
///
/// let failure = Chunking::new(Hasty).input(b"tulip\n").try_check().unwrap_err();
/// assert!(failure.to_string().contains(r#"b"t" | b"u""#));
/// ```
pub struct Chunking {
    connect: Box<Connect>,
    input: Vec<u8>,
    /// Where a part of the input ends: the next one waits until everything before it was handled.
    borders: Vec<usize>,
    seed: u64,
    runs: u32,
    delays: Duration,
    time_to_answer: Duration,
    peer_reads_late: bool,
    breaks_off: bool,
    replies_may_be_lost: bool,
    allow_leftovers: bool,
    invariants: Vec<Box<Invariant>>,
    /// What all of the input gives in one piece, once it is known.
    whole: Option<Rc<ChunkingRun>>,
}

type Connect = dyn FnMut(&TestLoop, Notes, Peer, MemoryOptions) -> MemoryPair;
type Invariant = dyn Fn(&ChunkingRun);

impl Chunking {
    /// Checks the protocols that `make` makes: one for each run, with the notes of that run. What
    /// matters of a protocol besides its replies is what it [notes](Notes::note).
    pub fn new<P: IntoProtocol>(mut make: impl FnMut(Notes) -> P + 'static) -> Self {
        Self {
            connect: Box::new(move |event_loop, notes, peer, options| {
                let protocol = {
                    // As a server makes them, who does so while the loop runs.
                    let _entered = EnteredLoop::new(event_loop.handle().into());
                    make(notes)
                };
                event_loop.memory_pair(protocol, peer, options)
            }),
            input: Vec::new(),
            borders: Vec::new(),
            seed: 0,
            runs: 200,
            delays: Duration::from_millis(100),
            time_to_answer: Duration::ZERO,
            peer_reads_late: true,
            breaks_off: true,
            replies_may_be_lost: false,
            allow_leftovers: false,
            invariants: Vec::new(),
            whole: None,
        }
    }

    /// Adds to the input. What a further call adds is sent when all before it was handled, in every run:
    /// so a dialogue, where the peer waits for replies, is one call for each time that it speaks.
    #[must_use]
    pub fn input(mut self, data: impl AsRef<[u8]>) -> Self {
        if !self.input.is_empty() {
            self.borders.push(self.input.len());
        }
        self.input.extend_from_slice(data.as_ref());
        self
    }

    /// Which random choices are made. By default 0, so that a test does the same every time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many random runs there are, with the seeds from [`seed`](Chunking::seed) on. By default 200.
    #[must_use]
    pub fn runs(mut self, runs: u32) -> Self {
        self.runs = runs;
        self
    }

    /// How much time may pass between the pieces of one run, altogether. By default 100 milliseconds of
    /// the loop's clock: less than any time-out strikes after.
    #[must_use]
    pub fn delays(mut self, longest: Duration) -> Self {
        self.delays = longest;
        self
    }

    /// How much time passes at the end of each part of the input, for a protocol that goes on by itself:
    /// one that pauses reading for a while. By default none: it has to be done when nothing is ready.
    #[must_use]
    pub fn time_to_answer(mut self, time: Duration) -> Self {
        self.time_to_answer = time;
        self
    }

    /// Whether the peer may read late, so that replies wait and the protocol is told to pause writing.
    /// By default so; it has to be off for one that leaves out replies then.
    #[must_use]
    pub fn peer_reads_late(mut self, enabled: bool) -> Self {
        self.peer_reads_late = enabled;
        self
    }

    /// Whether some runs break off before the end of the input. By default so.
    #[must_use]
    pub fn breaks_off(mut self, enabled: bool) -> Self {
        self.breaks_off = enabled;
        self
    }

    /// Does not mind if replies are lost at the end, as they are when a protocol aborts the connection while
    /// they wait. Those that come have to be the same.
    #[must_use]
    pub fn replies_may_be_lost(mut self) -> Self {
        self.replies_may_be_lost = true;
        self
    }

    /// Does not mind what is left on the loop after `connection_lost`: timers, tasks.
    #[must_use]
    pub fn allow_leftovers(mut self) -> Self {
        self.allow_leftovers = true;
        self
    }

    /// Has `check` look at every run, however it was cut or broken off; it panics if something is wrong.
    ///
    /// # Examples
    /// ```
    /// # use tulipa_transports::{testing::Chunking, Bytes, Protocol, Transport};
    /// # struct Echo;
    /// # impl Protocol for Echo {
    /// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
    /// #         transport.write(data);
    /// #     }
    /// # }
    /// Chunking::new(|_| Echo)
    ///     .input(b"tulip")
    ///     .invariant(|run| assert!(run.sent().starts_with(run.replies())))
    ///     .invariant(|run| assert!(run.most_held() <= Bytes(100)))
    ///     .check();
    /// ```
    #[must_use]
    pub fn invariant(mut self, check: impl Fn(&ChunkingRun) + 'static) -> Self {
        self.invariants.push(Box::new(check));
        self
    }

    /// Runs it all.
    ///
    /// # Panics
    /// If the protocol depends on how its input is cut, with the seed, a small way to cut that shows it,
    /// and what differs.
    #[track_caller]
    pub fn check(self) {
        if let Err(failure) = self.try_check() {
            panic!("{failure}");
        }
    }

    /// As [`check`](Chunking::check), with the failure as a value.
    ///
    /// # Errors
    /// What `check` panics with.
    pub fn try_check(mut self) -> Result<(), ChunkingFailure> {
        let whole = Schedule::whole(self.input.len(), Ending::Eof);
        let run = self.run_in_one_piece(&whole);
        match run.map(|run| run.shows_nothing() && self.invariants.is_empty()) {
            Ok(false) => {}
            Ok(true) => return Err(self.failure(None, whole, Problem::NothingSeen)),
            Err(problem) => return Err(self.failure(None, whole, problem)),
        }
        for schedule in self.systematic() {
            self.examine_or_shrink(None, schedule)?;
        }
        for run in 0..u64::from(self.runs) {
            let seed = self.seed.wrapping_add(run);
            let schedule = self.random_schedule(seed);
            self.examine_or_shrink(Some(seed), schedule)?;
        }
        Ok(())
    }

    /// Cut in two at every place, and cut everywhere.
    fn systematic(&self) -> Vec<Schedule> {
        let length = self.input.len();
        let step = length.div_ceil(SINGLE_CUTS).max(1);
        let in_two = (1..length).step_by(step).map(|at| Schedule::cut_at(length, [at]));
        let everywhere = length <= LONGEST_BYTE_BY_BYTE;
        in_two.chain(everywhere.then(|| Schedule::cut_at(length, 1..length))).collect()
    }

    fn random_schedule(&self, seed: u64) -> Schedule {
        let length = self.input.len();
        let mut random = fastrand::Rng::with_seed(seed);
        let until = match self.breaks_off && random.u8(..) < 100 {
            true => random.usize(..=length),
            false => length,
        };
        let mut schedule = Schedule::random(&mut random, until, self.delays);
        if !self.breaks_off {
            schedule.end_in_order();
        }
        if !self.peer_reads_late {
            schedule.read_at_once();
        }
        schedule
    }

    fn examine_or_shrink(
        &mut self,
        seed: Option<u64>,
        schedule: Schedule,
    ) -> Result<(), ChunkingFailure> {
        let Err(problem) = self.examine(&schedule) else { return Ok(()) };
        let (schedule, problem) = shrink::shrink(schedule, problem, |it| self.examine(it).err());
        Err(self.failure(seed, schedule, problem))
    }

    /// Plays one schedule, and says what is wrong with it.
    fn examine(&mut self, schedule: &Schedule) -> Result<(), Problem> {
        let run = self.play(schedule);
        self.examine_run(&run)?;
        if schedule.has_certain_outcome() {
            let whole = self.run_in_one_piece(schedule)?;
            if let Some(difference) = whole.difference(&run, self.replies_may_be_lost) {
                return Err(Problem::Differs(difference));
            }
        }
        Ok(())
    }

    /// What is asked of every run.
    fn examine_run(&self, run: &ChunkingRun) -> Result<(), Problem> {
        if let Some(panic) = run.panic() {
            return Err(Problem::Panicked(panic.to_owned()));
        }
        if !self.allow_leftovers && !run.leftovers().is_empty() {
            return Err(Problem::LeftBehind(run.leftovers().join(", ")));
        }
        for invariant in &self.invariants {
            catch(|| invariant(run)).map_err(|panic| Problem::Invariant(panic.to_string()))?;
        }
        Ok(())
    }

    /// What the same input gives, up to the same place and with the same end, if it is not cut.
    fn run_in_one_piece(&mut self, schedule: &Schedule) -> Result<Rc<ChunkingRun>, Problem> {
        let whole = Schedule::whole(schedule.until(), schedule.ending());
        let usual = whole.until() == self.input.len() && whole.ending() == Ending::Eof;
        if let Some(run) = self.whole.as_ref().filter(|_| usual) {
            return Ok(run.clone());
        }
        let run = Rc::new(self.play(&whole));
        self.examine_run(&run)?;
        if usual {
            self.whole = Some(run.clone());
        }
        Ok(run)
    }

    fn failure(&self, seed: Option<u64>, schedule: Schedule, problem: Problem) -> ChunkingFailure {
        ChunkingFailure::new(seed, schedule.describe(&self.input, &self.borders), problem)
    }
}

#[cfg(test)]
mod tests;
