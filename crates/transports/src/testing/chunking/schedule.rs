//! [`Schedule`]: how the input of one run is cut, and all else that happens to it. Plain data.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// A run of fewer pieces than this shows as much, and takes less time.
const MOST_CUTS: usize = 2000;
/// How much of a piece is shown.
const SHOWN: usize = 40;

/// How the input of a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The peer ends its direction.
    Eof,
    /// The connection is reset.
    Reset,
    /// It does not: the peer waits.
    Open,
}

/// What happens to the input of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// How much of the input is sent.
    until: usize,
    /// Where it is cut, and what happens there; each place is before `until`.
    pub(super) cuts: BTreeMap<usize, Gap>,
    ending: Ending,
    /// The end comes right behind the last piece, whatever is under way.
    sudden: bool,
    /// How much may be on the way in each direction.
    capacity: Option<usize>,
    /// The high mark of the protocol's output.
    high_mark: Option<usize>,
}

/// What happens between two pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) wait: Wait,
    /// Whether the peer reads replies from here on.
    pub(super) peer_reads: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// All that is ready is done.
    Settled,
    /// The loop turns once.
    Turn,
    /// Time passes.
    Time(Duration),
}

impl Gap {
    const PLAIN: Gap = Gap { wait: Wait::Settled, peer_reads: true };
}

impl Schedule {
    /// All in one piece.
    pub(super) fn whole(until: usize, ending: Ending) -> Self {
        Self::cut(until, ending, BTreeMap::new())
    }

    /// Cut at these places, with nothing else.
    pub(super) fn cut_at(until: usize, places: impl IntoIterator<Item = usize>) -> Self {
        let cuts = places.into_iter().map(|at| (at, Gap::PLAIN)).collect();
        Self::cut(until, Ending::Eof, cuts)
    }

    fn cut(until: usize, ending: Ending, cuts: BTreeMap<usize, Gap>) -> Self {
        Self { until, cuts, ending, sudden: false, capacity: None, high_mark: None }
    }

    /// Any way to send so much.
    pub(super) fn random(random: &mut fastrand::Rng, until: usize, delays: Duration) -> Self {
        let ending = match random.u8(..8) {
            0 => Ending::Open,
            1 => Ending::Reset,
            _ => Ending::Eof,
        };
        let mut schedule = Self::whole(until, ending);
        schedule.sudden = random.u8(..8) == 0;
        schedule.capacity = (random.u8(..4) == 0).then(|| random.usize(1..=64));
        schedule.high_mark = (random.u8(..4) == 0).then(|| random.usize(..64));
        let peer_is_slow = random.u8(..4) == 0;
        let longest = [2, 8, 64, 1024, usize::MAX][random.usize(..5)];
        let longest = longest.clamp(until.div_ceil(MOST_CUTS).max(1) * 2, until.max(2));
        let mut left = delays;
        let mut at = random.usize(1..=longest);
        while at < until {
            let wait = match random.u8(..8) {
                0..4 => Wait::Settled,
                4..7 => Wait::Turn,
                _ => {
                    let time = left.mul_f64(random.f64() / 2.0);
                    left -= time;
                    Wait::Time(time)
                }
            };
            let peer_reads = !peer_is_slow || random.bool();
            schedule.cuts.insert(at, Gap { wait, peer_reads });
            at += random.usize(1..=longest);
        }
        schedule
    }

    pub(super) fn until(&self) -> usize {
        self.until
    }

    pub(super) fn ending(&self) -> Ending {
        self.ending
    }

    pub(super) fn is_sudden(&self) -> bool {
        self.sudden
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(super) fn high_mark(&self) -> Option<usize> {
        self.high_mark
    }

    /// Whether the protocol can do only one thing: not where the end overtakes what it does.
    pub(super) fn has_certain_outcome(&self) -> bool {
        !self.sudden
    }

    /// Has the end of file come when all was handled.
    pub(super) fn end_in_order(&mut self) {
        (self.ending, self.sudden) = (Ending::Eof, false);
    }

    /// Has the peer read all that there is, at any time.
    pub(super) fn read_at_once(&mut self) {
        (self.capacity, self.high_mark) = (None, None);
        self.cuts.values_mut().for_each(|gap| gap.peer_reads = true);
    }

    /// Has all be done between two pieces, and no time pass.
    pub(super) fn settle_everywhere(&mut self) {
        self.cuts.values_mut().for_each(|gap| gap.wait = Wait::Settled);
    }

    /// Ends the input earlier.
    pub(super) fn truncate(&mut self, until: usize) {
        self.until = until;
        self.cuts.retain(|at, _| *at < until);
    }

    /// The pieces as literals, and whatever else is not as usual.
    pub(super) fn describe(&self, input: &[u8], borders: &[usize]) -> String {
        let mut text = String::new();
        let mut begin = 0;
        let places = self.cuts.keys().chain(borders.iter().filter(|at| **at < self.until));
        let mut places: Vec<usize> = places.copied().collect();
        places.sort_unstable();
        places.dedup();
        for at in places.into_iter().chain([self.until]) {
            if begin > 0 {
                let gap = self.cuts.get(&begin).filter(|_| !borders.contains(&begin));
                text.push_str(&describe_gap(gap.copied()));
            }
            text.push_str(&literal(&input[begin..at]));
            begin = at;
        }
        if self.until < input.len() {
            write!(text, " (broken off at {} of {} bytes)", self.until, input.len()).ok();
        }
        let sudden = if self.sudden { " at once" } else { "" };
        match self.ending {
            Ending::Eof => write!(text, ", then the end of file{sudden}").ok(),
            Ending::Reset => write!(text, ", then a reset{sudden}").ok(),
            Ending::Open => write!(text, ", then nothing").ok(),
        };
        if let Some(capacity) = self.capacity {
            write!(text, "; at most {capacity} bytes on the way").ok();
        }
        if let Some(mark) = self.high_mark {
            write!(text, "; high mark {mark}").ok();
        }
        text
    }
}

/// A bar for a cut. `None` is where one part of the input ends.
fn describe_gap(gap: Option<Gap>) -> String {
    let Some(gap) = gap else { return " || ".to_owned() };
    let wait = match gap.wait {
        Wait::Settled => String::new(),
        Wait::Turn => " (a turn later)".to_owned(),
        Wait::Time(time) => format!(" ({time:?} later)"),
    };
    let reads = if gap.peer_reads { "" } else { " (the peer does not read)" };
    format!(" |{wait}{reads} ")
}

/// Bytes as a literal; of many only the beginning and the end.
pub(super) fn literal(data: &[u8]) -> String {
    if data.len() <= SHOWN {
        return format!("b\"{}\"", data.escape_ascii());
    }
    let (begin, end) = (&data[..SHOWN / 2], &data[data.len() - SHOWN / 4..]);
    format!("b\"{}…{}\" ({} bytes)", begin.escape_ascii(), end.escape_ascii(), data.len())
}
