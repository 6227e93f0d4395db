//! All suites, in the order in which they run.

mod echo;

use crate::programs::Programs;
use crate::suite::Suite;

pub(crate) fn all(programs: &Programs) -> Vec<Suite> {
    vec![echo::suite(programs)]
}
