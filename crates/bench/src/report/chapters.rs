//! How each suite is shown: its words, which figures of it, and in which units.

use super::tables::grouped;

/// One suite in the report.
#[derive(Clone, Copy, Debug)]
pub struct Chapter {
    /// The name that its records have.
    pub suite: &'static str,
    /// Its headline.
    pub title: &'static str,
    /// What was done, and what the names of the cases mean.
    pub text: &'static str,
    /// The tables.
    pub shows: &'static [Show],
    /// Its picture.
    pub chart: Option<Chart>,
}

/// A figure of each peer divided by the baseline's of the same round.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// What is divided.
    pub figure: FigureKind,
    /// The peer that all are held against.
    pub baseline: &'static str,
    /// Which ratios are good.
    pub better: Better,
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub enum Show {
    /// Each peer against the baseline.
    Ratio(Ratio),
    /// A figure as it was measured: the median over the rounds.
    Median(FigureKind),
    /// A figure as it was measured: the least over the rounds, which is the machine's least disturbed.
    Least(FigureKind),
    /// What grows with a size, from cases that are named `curve/size`.
    Growth,
}

/// One picture.
#[derive(Clone, Copy, Debug)]
pub enum Chart {
    /// Each peer against the baseline: all cases at a glance if there are several, and each by itself.
    Ratio(Ratio),
    /// The least figure of each peer, case by case.
    Bars(FigureKind),
    /// Curves over a size, from cases that are named `curve/size`, or that are the size.
    Growth {
        /// What the size is.
        over: &'static str,
    },
}

/// A figure that windows have.
#[derive(Clone, Copy, Debug)]
pub struct FigureKind {
    /// Its name in the records.
    pub metric: &'static str,
    /// Its name for a reader.
    pub name: &'static str,
    /// In what it is shown.
    pub unit: Unit,
}

/// What a figure is shown in.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// As it is written behind a number.
    pub name: &'static str,
    /// How many of what was recorded make one of it.
    pub size: f64,
}

/// The direction in which a ratio is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// What is measured is a cost.
    Lower,
    /// What is measured is done.
    Higher,
}

const NANOSECONDS: Unit = Unit { name: "ns", size: 1.0 };
const MICROSECONDS: Unit = Unit { name: "µs", size: 1e3 };
const MILLISECONDS: Unit = Unit { name: "ms", size: 1e6 };
const THOUSANDS: Unit = Unit { name: "thousand/s", size: 1e3 };
const MEGABYTES: Unit = Unit { name: "MB/s", size: 1e6 };
const BYTES: Unit = Unit { name: "bytes", size: 1.0 };

const fn figure(metric: &'static str, name: &'static str, unit: Unit) -> FigureKind {
    FigureKind { metric, name, unit }
}

const fn cheaper_than(baseline: &'static str) -> Ratio {
    Ratio { figure: CPU, baseline, better: Better::Lower }
}

const fn faster_than(baseline: &'static str) -> Ratio {
    Ratio { figure: RATE, baseline, better: Better::Higher }
}

const CPU: FigureKind = figure("cpu_ns", "CPU time of the server per request", MICROSECONDS);
const RATE: FigureKind = figure("per_second", "Requests a second", THOUSANDS);
const EACH: FigureKind = figure("ns", "CPU time each, wall time with threads", NANOSECONDS);

/// The suites that are known, in the order of the report.
pub const CHAPTERS: &[Chapter] = &[
    Chapter {
        suite: "echo",
        title: "Echo over TCP",
        text: "\
Each connection sends a message, waits until all of it has come back, compares it, and sends the next. A case is
the number of connections and the size of a message.",
        shows: &[Show::Ratio(cheaper_than("epoll"))],
        chart: Some(Chart::Ratio(cheaper_than("epoll"))),
    },
    Chapter {
        suite: "connections",
        title: "Echo over many connections",
        text: "The same with 64 bytes; a case is the number of connections, all of them busy.",
        shows: &[Show::Ratio(cheaper_than("epoll"))],
        chart: Some(Chart::Growth { over: "the number of connections" }),
    },
    Chapter {
        suite: "http",
        title: "HTTP",
        text: "\
Requests for a small page, one at a time on each connection, which stays open. A case is the number of connections
and the size of the page.",
        shows: &[Show::Ratio(faster_than("httparse")), Show::Ratio(cheaper_than("httparse"))],
        chart: None,
    },
    Chapter {
        suite: "accept",
        title: "Connections that come and go",
        text: "\
A connection is made, sends one message, gets it back and is closed. A case is how many do so at a time, and the
size of the message.",
        shows: &[Show::Ratio(faster_than("epoll")), Show::Ratio(cheaper_than("epoll"))],
        chart: None,
    },
    Chapter {
        suite: "udp",
        title: "Datagrams",
        text: "\
64 bytes are sent from many sockets to one, and back. A case is how many of them wait for their answer at a time.",
        shows: &[Show::Ratio(faster_than("epoll")), Show::Ratio(cheaper_than("epoll"))],
        chart: None,
    },
    Chapter {
        suite: "tls",
        title: "Echo over TLS",
        text: "As over TCP, encrypted by rustls on both sides. The baseline is tokio-rustls.",
        shows: &[Show::Ratio(cheaper_than("tokio")), Show::Ratio(faster_than("tokio"))],
        chart: None,
    },
    Chapter {
        suite: "spin",
        title: "Latency of one connection",
        text: "\
One connection, 64 bytes, one message at a time. Most of the time it waits for a server that has to be woken; a
server may also look for a while before it sleeps.",
        shows: &[
            Show::Median(figure("p50_ns", "Half of the answers come within", MICROSECONDS)),
            Show::Median(figure("p99_ns", "99 of 100 answers come within", MICROSECONDS)),
            Show::Median(CPU),
        ],
        chart: None,
    },
    Chapter {
        suite: "crowd",
        title: "One busy connection among idle ones",
        text: "A case is the number of idle connections. The busy one should not notice them.",
        shows: &[Show::Median(CPU)],
        chart: None,
    },
    Chapter {
        suite: "flood",
        title: "A quiet connection beside a flood",
        text: "\
So many connections send as much as they can; one more sends a message now and then and waits for its echo. How
long does it wait? (A server that does little for the others has it easy.)",
        shows: &[
            Show::Median(figure("p99_ns", "99 of 100 answers come within", MILLISECONDS)),
            Show::Median(figure("longest_ns", "The longest wait", MILLISECONDS)),
            Show::Median(figure("flood_bytes_per_second", "What the others get back", MEGABYTES)),
        ],
        chart: None,
    },
    Chapter {
        suite: "memory",
        title: "Memory of a connection",
        text: "\
What each of so many connections adds to the memory of the server; what the kernel needs for it is not in it.",
        shows: &[
            Show::Median(figure("idle_bytes", "Accepted, and silent since", BYTES)),
            Show::Median(figure("echo_bytes", "After one message of 1 KiB and its echo", BYTES)),
        ],
        chart: None,
    },
    Chapter {
        suite: "micro",
        title: "The scheduler",
        text: "\
What one thing costs in a program that does it a million times. Where a library does not have it, what its users
would take instead was measured: a task for a callback, a channel for a call from a thread. Where they have nothing,
the cell is empty.",
        shows: &[Show::Least(EACH)],
        chart: Some(Chart::Bars(EACH)),
    },
    Chapter {
        suite: "growth",
        title: "How cost grows",
        text: "\
What one more costs while so many are there. A figure that stays the same from left to right does not depend on their
number; where few are there, each pays a larger share of what is done for all at once.",
        shows: &[Show::Growth],
        chart: Some(Chart::Growth { over: "the number of those that are pending" }),
    },
];

/// What is done in each case of the suite `micro`.
const THINGS: &[(&str, &str)] = &[
    ("call_soon chain", "Callback queues the next"),
    ("call_soon burst", "Million callbacks, first time"),
    ("call_soon burst, warm", "Million callbacks, again"),
    ("call_soon, then cancelled", "Callback queued, cancelled"),
    ("timers arm+fire, CPU", "Timer armed, fires in real time"),
    ("timers arm+fire, test clock", "Timer armed, fires on a test clock"),
    ("timers arm+fire, test clock, warm", "The same, again"),
    ("timers arm (then cancelled)", "Timer armed"),
    ("timers cancel", "Timer cancelled"),
    ("timer moved", "Timer moved"),
    ("idle time-out put off", "Idle time-out put off"),
    ("future resolve + callback", "Future and callback, first time"),
    ("future resolve + callback, warm", "Future and callback, again"),
    ("future resolve + callback (task waits on it)", "Task waits for a future"),
    ("future awaited in a row", "Future awaited, one by one"),
    ("task spawn + await", "Task spawned and awaited"),
    ("task yield", "Task yields"),
    ("await ready", "Future awaited that is done"),
    ("threadsafe throughput", "Call from a thread"),
    ("threadsafe round trip", "Thread there and back"),
    ("threadsafe round trip, spinning", "There and back, both spin"),
    ("threadsafe round trip, blocking poster", "There and back, the loop spins"),
];

/// What is done in the curves of the suite `growth`.
const CURVES: &[&str] = &[
    "callback queued and run",
    "timer armed",
    "timer cancelled",
    "timer armed and fired",
    "task spawned and awaited",
    "task yields",
];

/// Where a case stands in its table: who was measured first is left to chance, and not everybody has all of them.
pub(super) fn place(case: &str) -> usize {
    let curve = case.rsplit_once('/').map_or(case, |(curve, _)| curve);
    let mut names = THINGS.iter().map(|(name, _)| *name).chain(CURVES.iter().copied());
    names
        .position(|name| name == case || name == curve && CURVES.contains(&name))
        .unwrap_or(usize::MAX)
}

/// A case as a reader would write it: `100x1024` becomes `100 × 1 KiB`.
pub fn label(case: &str) -> String {
    if let Some((_, thing)) = THINGS.iter().find(|(name, _)| *name == case) {
        return (*thing).to_owned();
    }
    match case.split_once('x').map(|(many, size)| (many.parse::<u64>(), size.parse::<u64>())) {
        Some((Ok(many), Ok(size))) => format!("{} × {}", grouped(many), bytes(size)),
        _ => case.to_owned(),
    }
}

fn bytes(size: u64) -> String {
    match size {
        _ if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        _ if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        _ => format!("{size} B"),
    }
}

/// What a peer is, for a reader who does not know it.
pub(super) fn introduction(peer: &str) -> Option<&'static str> {
    Some(match peer {
        "tulipa" => "as its users write it: the programs in `examples`, with default settings",
        "tulipa-spin" => "the same, looking for 50 µs before it sleeps",
        "epoll" => "written by hand directly on epoll, as little as it takes",
        "epoll-c" => "the same in C: how far the two lie apart tells what a difference means",
        "epoll-spin" => "the same, which never sleeps",
        "recvmmsg" => "the same, with many datagrams in one system call",
        "httparse" => "written by hand on epoll, with httparse for the heads of the requests",
        "mio" => "readiness only; the program keeps its connections itself",
        "tokio" => "its `current_thread` runtime",
        "tokio-readable" => "the same, which takes its buffer only when there is something to read",
        "hyper" => "hyper on tokio's `current_thread` runtime",
        "smol" => "its `LocalExecutor`",
        "calloop" => "callbacks on readiness",
        "monoio" => "io_uring instead of readiness",
        "libuv" => "in C",
        "uvloop" => "libuv under Python's asyncio",
        "asyncio" => "Python's own loop",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_shown_as_one_would_write_them() {
        let shown =
            ["1x64", "1000x102400", "100x1048576", "idle", "9x", "call_soon, next"].map(label);
        let expected =
            ["1 × 64 B", "1,000 × 100 KiB", "100 × 1 MiB", "idle", "9x", "call_soon, next"];
        assert_eq!(shown, expected);
    }
}
