//! Making a failing schedule small: each step drops something, and is kept if it still fails in the same
//! way.

use super::failure::Problem;
use super::schedule::Schedule;

/// So many runs are spent on it.
const MOST_RUNS: usize = 400;

/// The smallest schedule found, and what is wrong with it. `examine` plays one.
pub(super) fn shrink(
    schedule: Schedule,
    problem: Problem,
    mut examine: impl FnMut(&Schedule) -> Option<Problem>,
) -> (Schedule, Problem) {
    let mut shrinking = Shrinking { best: (schedule, problem), runs: 0, examine: &mut examine };
    shrinking.simplify(Schedule::end_in_order);
    shrinking.simplify(Schedule::read_at_once);
    shrinking.simplify(Schedule::settle_everywhere);
    shrinking.drop_cuts();
    shrinking.drop_the_end();
    shrinking.drop_cuts();
    shrinking.best
}

struct Shrinking<'a> {
    best: (Schedule, Problem),
    runs: usize,
    examine: &'a mut dyn FnMut(&Schedule) -> Option<Problem>,
}

impl Shrinking<'_> {
    /// Changes the schedule, if it then still fails in the same way.
    fn simplify(&mut self, change: impl FnOnce(&mut Schedule)) -> bool {
        let mut simpler = self.best.0.clone();
        change(&mut simpler);
        if simpler == self.best.0 || self.runs >= MOST_RUNS {
            return false;
        }
        self.runs += 1;
        let problem = (self.examine)(&simpler).filter(|problem| problem.is_like(&self.best.1));
        let fails = problem.is_some();
        if let Some(problem) = problem {
            self.best = (simpler, problem);
        }
        fails
    }

    /// Drops cuts: first all, then halves of them, down to single ones.
    fn drop_cuts(&mut self) {
        let mut size = self.best.0.cuts.len();
        while size > 0 {
            let mut from = 0;
            while from < self.best.0.cuts.len() {
                let places: Vec<usize> =
                    self.best.0.cuts.keys().copied().skip(from).take(size).collect();
                if !self.simplify(|it| it.cuts.retain(|at, _| !places.contains(at))) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    /// Breaks off as early as possible: first right behind the last cut.
    fn drop_the_end(&mut self) {
        let last = self.best.0.cuts.keys().next_back().copied().unwrap_or(0);
        let (mut passes, mut fails) = (last, self.best.0.until());
        while passes < fails {
            let middle = passes + (fails - passes) / 2;
            match self.simplify(|it| it.truncate(middle)) {
                true => fails = middle,
                false => passes = middle + 1,
            }
        }
    }
}
