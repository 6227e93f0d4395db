//! All suites, in the order in which they run.

mod accept;
mod connections;
mod crowd;
mod echo;
mod flood;
mod http;
mod memory;
mod micro;
mod spin;
mod tls;
mod udp;

use crate::programs::Programs;
use crate::suite::Suite;
use tulipa::Exception;

pub(crate) fn all(programs: &Programs) -> Result<Vec<Suite>, Exception> {
    Ok(vec![
        echo::suite(programs),
        http::suite(programs),
        accept::suite(programs),
        udp::suite(programs),
        tls::suite(programs)?,
        connections::suite(programs),
        crowd::suite(programs),
        flood::suite(programs),
        spin::suite(programs),
        memory::suite(programs),
        micro::suite(programs),
        micro::growth(programs),
    ])
}
