//! Functions that make one awaitable of others.

mod handles;
mod race;
mod select;
mod staggered_race;
mod wait_for;

pub use race::{Arm, Contestant, Outcomes, Race, contest, race};
pub use staggered_race::{StaggeredRace, staggered_race};
pub use wait_for::wait_for;
