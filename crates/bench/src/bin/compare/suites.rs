//! All suites, in the order in which they run.

mod crowd;
mod echo;
mod flood;
mod memory;
mod spin;

use crate::programs::Programs;
use crate::suite::Suite;

pub(crate) fn all(programs: &Programs) -> Vec<Suite> {
    vec![
        echo::suite(programs),
        crowd::suite(programs),
        flood::suite(programs),
        spin::suite(programs),
        memory::suite(programs),
    ]
}
