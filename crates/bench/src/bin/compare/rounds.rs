//! Runs a suite: in every round every case, in every case every peer, in random order. What fails is said and left
//! out; the others go on.

use crate::suite::{Case, Method, Peer, Servers, Suite};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use tulipa::Exception;
use tulipa_bench::figure::Figure;
use tulipa_bench::record::{Metrics, Record, Recorder};
use tulipa_bench::server::{Program, Server, lines_of};

/// Measures; each window is recorded when it is over.
///
/// # Errors
/// If nothing can be recorded. A peer that fails is no error.
pub(crate) fn run(suite: &Suite, rounds: u32, recorder: &mut Recorder) -> Result<(), Exception> {
    let mut peers = Vec::new();
    for peer in &suite.peers {
        match &peer.program {
            Ok(program) => peers.push((peer, program)),
            Err(reason) => eprintln!("{}: without {}: {reason}", suite.name, peer.name),
        }
    }
    let mut run =
        Run { suite, recorder, round: 0, servers: HashMap::new(), absent: HashSet::new() };
    for round in 1..=rounds {
        let started = Instant::now();
        run.round = round;
        match &suite.method {
            Method::Windows { servers, cases } => {
                for case in cases {
                    fastrand::shuffle(&mut peers);
                    for (peer, program) in &peers {
                        run.window(case, peer, program, *servers)?;
                    }
                }
            }
            Method::Programs => {
                fastrand::shuffle(&mut peers);
                for (peer, program) in &peers {
                    run.program(peer, program)?;
                }
            }
        }
        let took = started.elapsed().as_secs();
        eprintln!("{}: round {round} of {rounds}, {took} s", suite.name);
    }
    Ok(())
}

struct Run<'a> {
    suite: &'a Suite,
    recorder: &'a mut Recorder,
    round: u32,
    /// Those that stay, by the names of their peers.
    servers: HashMap<&'static str, Server>,
    /// Those that did not start.
    absent: HashSet<&'static str>,
}

impl Run<'_> {
    fn window(
        &mut self,
        case: &Case,
        peer: &Peer,
        program: &Program,
        servers: Servers,
    ) -> Result<(), Exception> {
        let started = Instant::now();
        let Some(mut server) = self.server(peer.name, program) else { return Ok(()) };
        let settled = match servers {
            // What is left to do after its last window is not part of this one.
            Servers::Stay => server.settle(),
            // It may be one that never comes to rest.
            Servers::Fresh => Ok(()),
        };
        let measured = settled.and_then(|()| (case.measure)(&server));
        match (measured, server.check()) {
            (Ok(metrics), Ok(())) => {
                self.record(&case.name, peer.name, metrics)?;
                if servers == Servers::Stay {
                    self.servers.insert(peer.name, server);
                }
            }
            // Whatever state it is in, the next window gets another one.
            (_, Err(error)) | (Err(error), _) => self.failed(&case.name, peer.name, &error),
        }
        rest(started);
        Ok(())
    }

    /// The peer's server, started if there is none. If it does not start, it does not on this machine.
    fn server(&mut self, peer: &'static str, program: &Program) -> Option<Server> {
        if self.absent.contains(peer) {
            return None;
        }
        if let Some(server) = self.servers.remove(peer) {
            return Some(server);
        }
        match Server::start(program) {
            Ok(server) => Some(server),
            Err(error) => {
                eprintln!("{}: from now on without {peer}: {error}", self.suite.name);
                self.absent.insert(peer);
                None
            }
        }
    }

    /// Has a program measure itself.
    fn program(&mut self, peer: &Peer, program: &Program) -> Result<(), Exception> {
        let started = Instant::now();
        match figures(program) {
            Ok(figures) => {
                for Figure { bench, ns_per_op, .. } in figures {
                    self.record(&bench, peer.name, Metrics::from([("ns".to_owned(), ns_per_op)]))?;
                }
            }
            Err(error) => self.failed("all", peer.name, &error),
        }
        rest(started);
        Ok(())
    }

    fn record(&mut self, case: &str, peer: &str, metrics: Metrics) -> Result<(), Exception> {
        let suite = self.suite.name.to_owned();
        let (case, peer, round) = (case.to_owned(), peer.to_owned(), self.round);
        self.recorder.record(&Record { suite, case, peer, round, metrics })
    }

    fn failed(&self, case: &str, peer: &str, error: &Exception) {
        let Self { suite, round, .. } = self;
        eprintln!("FAILED {} {case} {peer}, round {round}: {error}", suite.name);
    }
}

/// Leaves the machine to others for as long as it was used since. They would be in the way of later windows
/// otherwise, or those in theirs.
fn rest(since: Instant) {
    std::thread::sleep(since.elapsed());
}

/// After so long without a figure a program is given up. The slowest takes a minute for one.
const SILENCE: Duration = Duration::from_secs(600);

/// Runs a program to its end and takes what it prints.
fn figures(program: &Program) -> Result<Vec<Figure>, Exception> {
    let lines = lines_of(program, SILENCE)?;
    Ok(lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?)
}
