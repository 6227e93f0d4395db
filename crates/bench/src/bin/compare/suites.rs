//! All suites, in the order in which they run.

mod accept;
mod connections;
mod echo;
mod http;
mod tls;
mod udp;

use crate::programs::Programs;
use crate::suite::Suite;
use tulipa::Exception;

pub(crate) fn all(programs: &Programs) -> Result<Vec<Suite>, Exception> {
    Ok(vec![
        echo::suite(programs),
        connections::suite(programs),
        accept::suite(programs),
        http::suite(programs),
        udp::suite(programs),
        tls::suite(programs)?,
    ])
}
