//! A connection as a server uses it: order, splitting, limits of output, ends, cost.

use proptest::prelude::*;

use super::*;
use crate::work::counted;

/// What came of some input: the calls of `serve`, what was sent, and what to do next.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) calls: Vec<String>,
    pub(super) output: String,
    pub(super) next: Next,
}

impl Outcome {
    /// The status codes sent, in their order.
    pub(super) fn statuses(&self) -> Vec<&str> {
        let after = self.output.split("HTTP/1.1 ").skip(1).map(|reply| &reply[..3]);
        after.filter(|code| code.bytes().all(|byte| byte.is_ascii_digit())).collect()
    }
}

/// Feeds `pieces` to a new connection that echoes each body, and goes on whenever it is full.
pub(super) fn feed(limits: Limits, pieces: &[&[u8]]) -> Outcome {
    let mut connection = Connection::new(Rc::new(limits));
    let mut outcome = Outcome { calls: Vec::new(), output: String::new(), next: Next::Continue };
    for piece in pieces {
        let mut data = *piece;
        loop {
            let mut output = Vec::new();
            outcome.next = connection.receive(data, &mut output, |request, reply| {
                let body = String::from_utf8_lossy(request.body());
                outcome.calls.push(format!("{} {} [{body}]", request.method(), request.path()));
                reply.send(Status::OK, &[], request.body());
            });
            outcome.output += std::str::from_utf8(&output).unwrap();
            if outcome.next != Next::Full {
                break;
            }
            data = b"";
        }
    }
    outcome
}

/// Feeds everything at once, with the default limits.
pub(super) fn feed_whole(input: &[u8]) -> Outcome {
    feed(Limits::default(), &[input])
}

#[test]
fn r15_pipelined_requests_are_answered_in_their_order() {
    let outcome = feed_whole(
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
          POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
          POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n\
          HEAD /4 HTTP/1.1\r\nHost: a\r\n\r\n\
          GET /5?q HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n\
          GET /6 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(
        outcome.calls,
        ["GET /1 []", "POST /2 [abc]", "POST /3 [de]", "HEAD /4 []", "GET /5 []"]
    );
    assert_eq!(outcome.next, Next::Close);
    assert_eq!(outcome.output.matches("Connection: close").count(), 1);
    assert!(outcome.output.ends_with("Connection: close\r\nContent-Length: 0\r\n\r\n"));
}

#[test]
fn r15_http_1_0_closes_unless_asked_to_keep() {
    let outcome = feed_whole(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(outcome.next, Next::Close);
    let outcome = feed_whole(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_eq!(outcome.next, Next::Continue);
    assert!(outcome.output.contains("Connection: keep-alive\r\n"));
    let outcome = feed_whole(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(outcome.next, Next::Continue);
    assert!(!outcome.output.contains("Connection:"));
}

#[test]
fn r15_a_client_that_expects_it_is_told_to_continue() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
    let waiting = format!("{head}Content-Length: 2\r\n\r\n");
    assert_eq!(feed_whole(waiting.as_bytes()).output, "HTTP/1.1 100 Continue\r\n\r\n");
    let outcome = feed_whole(format!("{waiting}ab").as_bytes());
    assert_eq!(outcome.statuses(), ["100", "200"]);
    assert_eq!(outcome.calls, ["POST / [ab]"]);
    let too_much = format!("{head}Content-Length: 9999999\r\n\r\n");
    assert_eq!(feed_whole(too_much.as_bytes()).statuses(), ["413"]);
    let nothing = format!("{head}Content-Length: 0\r\n\r\n");
    assert_eq!(feed_whole(nothing.as_bytes()).statuses(), ["200"]);
}

#[test]
fn r4_a_full_output_stops_the_serving_until_it_was_taken() {
    let limits = Limits { output: 100, ..Limits::default() };
    let mut connection = Connection::new(Rc::new(limits));
    let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5);
    let mut turns = 0;
    let mut served = 0;
    let mut data = &requests[..];
    loop {
        let mut output = Vec::new();
        let next = connection.receive(data, &mut output, |_, reply| {
            served += 1;
            reply.send(Status::OK, &[], &[b'x'; 64]);
        });
        assert!(output.len() < 210, "one reply may overshoot");
        turns += 1;
        data = b"";
        if next == Next::Continue {
            break;
        }
        assert_eq!(next, Next::Full);
        assert!(!connection.is_idle());
    }
    assert_eq!((turns, served), (5, 5));
    assert!(connection.is_idle());
}

#[test]
fn r15_a_handler_that_says_nothing_becomes_a_500() {
    let mut connection = Connection::new(Rc::default());
    let mut output = Vec::new();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(connection.receive(request, &mut output, |_, _| {}), Next::Continue);
    assert!(output.starts_with(b"HTTP/1.1 500 "));
}

#[test]
fn r14_shutting_down_ends_idle_connections_and_lets_requests_finish() {
    let serve = |_: &Request<'_>, reply: Reply<'_>| reply.send(Status::OK, &[], b"");
    let mut output = Vec::new();
    assert_eq!(Connection::new(Rc::default()).shut_down(), Next::Close);

    let mut busy = Connection::new(Rc::default());
    let half = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na";
    assert_eq!(busy.receive(half, &mut output, serve), Next::Continue);
    assert!(!busy.is_idle());
    assert_eq!(busy.shut_down(), Next::Continue);
    assert_eq!(busy.receive(b"b", &mut output, serve), Next::Close);
    assert!(String::from_utf8(output).unwrap().contains("Connection: close"));
    assert_eq!(busy.shut_down(), Next::Close);
}

#[test]
fn r4_half_a_request_times_out_with_408_and_none_without_a_word() {
    let mut output = Vec::new();
    assert_eq!(Connection::new(Rc::default()).time_out(&mut output), Next::Close);
    assert!(output.is_empty());
    let mut slow = Connection::new(Rc::default());
    assert_eq!(slow.receive(b"GET /", &mut output, |_, _| {}), Next::Continue);
    assert_eq!(slow.time_out(&mut output), Next::Close);
    assert!(output.starts_with(b"HTTP/1.1 408 "));
    assert_eq!(slow.receive(b" HTTP/1.1\r\n\r\n", &mut output, |_, _| {}), Next::Close);
}

/// Inputs of all sorts: good ones, bad ones, and both in a row.
pub(super) fn corpus() -> Vec<Vec<u8>> {
    let good = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = b"PUT /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
        Transfer-Encoding: chunked\r\n\r\n3;x=\"\\\"y\"\r\nabc\r\n1\r\nd\r\n0\r\nT: v\r\n\r\n";
    let mut inputs: Vec<Vec<u8>> = vec![
        [&good[..], length, chunked, b"\r\n", good].concat(),
        [&chunked[..], b"GET / HTTP/1.1\nHost: a\r\n\r\n", good].concat(),
        [&good[..], b"\r\n\r\n", good].concat(),
        [&length[..], b"GET /", &vec![b'x'; 9000][..], b" HTTP/1.1\r\n\r\n"].concat(),
        [&good[..], b"GET / HTTP/1.1\r\nA: ", &vec![b'x'; 40_000][..], b"\r\n\r\n"].concat(),
    ];
    for chunk in
        ["zz\r\n", "3\r\nabcd\r\n", "3 \r\nabc\r\n", "-1\r\n", "3;\r\nabc", "0\r\nbad\r\n\r\n"]
    {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
        inputs.push(format!("{head}{chunk}").into_bytes());
    }
    inputs
}

#[test]
fn r15_one_byte_at_a_time_is_the_same_as_all_at_once() {
    for input in corpus() {
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(feed(Limits::default(), &bytes), feed_whole(&input));
    }
}

/// Cuts `input` at `cuts`, which are taken modulo its length.
pub(super) fn cut<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &input[ends[0]..ends[1]]).collect()
}

/// Bytes that look like HTTP often enough to get far, and are often wrong.
fn http_like() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => Just(&b"POST / HTTP/1.1\r\nHost: a\r\n"[..]),
        4 => Just(&b"Transfer-Encoding: chunked\r\n\r\n"[..]),
        3 => Just(&b"Content-Length: 3\r\n\r\nabc"[..]),
        4 => Just(&b"3\r\nabc\r\n"[..]),
        3 => Just(&b"0\r\n\r\n"[..]),
        2 => Just(&b"0\r\nTrailer: x\r\n\r\n"[..]),
        6 => Just(&b"\r\n"[..]),
        1 => Just(&b"\n"[..]),
        1 => Just(&b"\r"[..]),
        1 => Just(&b"Connection: close\r\n"[..]),
        1 => Just(&b"xyz;=\"\0"[..]),
    ];
    proptest::collection::vec(word, 0..30).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn r15_any_split_gives_the_same_requests_and_replies(
        input in http_like(),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let tight = Limits { output: 80, chunk_line: 16, trailers: 20, head: 120, ..Limits::default() };
        for limits in [Limits::default(), tight] {
            let whole = feed(limits.clone(), &[&input]);
            prop_assert_eq!(feed(limits, &cut(&input, &cuts)), whole);
        }
    }

    #[test]
    fn r7_no_bytes_make_a_connection_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        feed_whole(&input);
    }
}

#[test]
fn r15_the_work_is_linear_in_the_input_however_slowly_it_comes() {
    let field = b"Field: 0123456789\r\n";
    let head = [&b"GET / HTTP/1.1\r\nHost: a\r\n"[..], &field.repeat(90), b"\r\n"].concat();
    let chunks = [
        &b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        &b"1;a=b\r\nx\r\n".repeat(2000),
        b"0\r\nA: b\r\n\r\n",
    ]
    .concat();
    let pipelined = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500);
    for input in [head, chunks, pipelined] {
        for size in [1, 7, input.len()] {
            let limits = Limits { output: 50, ..Limits::default() };
            let pieces: Vec<&[u8]> = input.chunks(size).collect();
            let work = counted(|| drop(feed(limits, &pieces)));
            assert!(work <= 4 * input.len() as u64, "{work} for {} bytes", input.len());
        }
    }
}
