//! One grammar, strictly: what smuggling is tried with, and what else is refused.

use super::tests::{feed, feed_whole};
use super::*;

/// Each is followed by a good request, which must never be served: the connection is over.
fn assert_refused(input: &str, status: &str) {
    let input = format!("{input}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let outcome = feed_whole(input.as_bytes());
    assert_eq!(outcome.statuses(), [status], "{input:?} gave {outcome:?}");
    assert!(outcome.calls.is_empty(), "{input:?} was served");
    assert_eq!(outcome.next, Next::Close);
}

#[test]
fn r15_line_ends_and_white_space_are_not_guessed() {
    for input in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\tfolded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nKönig: b\r\n\r\n",
    ] {
        assert_refused(input, "400");
    }
}

#[test]
fn r15_the_body_has_exactly_one_length() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (fields, status) in [
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", "400"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "400"),
        ("Content-Length: 5\r\nContent-Length: 5", "400"),
        ("Content-Length: 5\r\ncontent-length: 6", "400"),
        ("Content-Length: 5, 5", "400"),
        ("Content-Length: 5,", "400"),
        ("Content-Length: +5", "400"),
        ("Content-Length: -5", "400"),
        ("Content-Length: 0x5", "400"),
        ("Content-Length: 5 5", "400"),
        ("Content-Length: 5.0", "400"),
        ("Content-Length: 5e1", "400"),
        ("Content-Length: \"5\"", "400"),
        ("Content-Length: \u{663}", "400"),
        ("Content-Length:", "400"),
        ("Content-Length: 1048577", "413"),
        ("Content-Length: 18446744073709551616", "413"),
        ("Content-Length: 18446744073709551617", "413"),
        ("Content-Length: 99999999999999999999999999999999999999", "413"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "400"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "400"),
        ("Transfer-Encoding: chunked, chunked", "501"),
        ("Transfer-Encoding: gzip, chunked", "501"),
        ("Transfer-Encoding: chunked, gzip", "501"),
        ("Transfer-Encoding: identity", "501"),
        ("Transfer-Encoding: xchunked", "501"),
        ("Transfer-Encoding: chunked;q=1", "501"),
        ("Transfer-Encoding: \"chunked\"", "501"),
        ("Transfer-Encoding:", "501"),
        ("Transfer-Encoding: \x0bchunked", "400"),
        ("Transfer-Encoding : chunked", "400"),
        (" Transfer-Encoding: chunked", "400"),
        ("Transfer-Encoding:\r\n chunked", "400"),
        ("X: y\rTransfer-Encoding: chunked", "400"),
        ("X: y\nTransfer-Encoding: chunked", "400"),
        ("Expect: 200-ok", "417"),
        ("Expect: 100-continue\r\nExpect: 100-continue", "400"),
    ] {
        assert_refused(&format!("{post}{fields}\r\n\r\n"), status);
    }
    assert_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400");
}

#[test]
fn r15_chunks_are_exactly_as_the_grammar_has_them() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long_line = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(1022));
    let many = format!("{}0\r\n\r\n", format!("1;{}\r\na\r\n", "x".repeat(1000)).repeat(17));
    let long_trailers = format!("0\r\n{}\r\n", "A: 89012345678\r\n".repeat(256));
    for (chunks, status) in [
        ("\r\n", "400"),
        ("5\nhello\r\n0\r\n\r\n", "400"),
        ("5\r\nhello\n0\r\n\r\n", "400"),
        ("5\r\nhello0\r\n\r\n", "400"),
        ("4\r\nhello\r\n0\r\n\r\n", "400"),
        ("5\r\nhello\r\r\n0\r\n\r\n", "400"),
        ("5\r\nhelloX\n0\r\n\r\n", "400"),
        ("5\r\nhello\rX0\r\n\r\n", "400"),
        ("5\r\nhello\r\n0\n\n", "400"),
        ("5\r\nhello\r\n0\r\n\n", "400"),
        ("0\r\n\r\r\n", "400"),
        ("-5\r\nhello\r\n0\r\n\r\n", "400"),
        ("+5\r\nhello\r\n0\r\n\r\n", "400"),
        ("0x5\r\nhello\r\n0\r\n\r\n", "400"),
        ("5 \r\nhello\r\n0\r\n\r\n", "400"),
        (" 5\r\nhello\r\n0\r\n\r\n", "400"),
        ("5h\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a=\r\nhello\r\n0\r\n\r\n", "400"),
        ("5 ;a\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a=\"b\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a\nb\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a\rb\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a=\"\x01\"\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a=\"\x7f\"\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a=\"\r\"\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a=\"\\\x01\"\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a=\"\\\"\r\nhello\r\n0\r\n\r\n", "400"),
        ("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", "400"),
        ("0\r\nA: b\r\r\n\r\n", "400"),
        ("5;\0\r\nhello\r\n0\r\n\r\n", "400"),
        ("100001\r\n", "413"),
        ("ffffffffffffffff\r\n", "413"),
        ("10000000000000001\r\n", "413"),
        ("fffffffffffffffffffffffffffffffffff1\r\n", "413"),
        ("0\r\nno colon\r\n\r\n", "400"),
        ("0\r\n folded: x\r\n\r\n", "400"),
        ("0\r\nA: b\n\r\n", "400"),
        (&long_line, "400"),
        (&many, "400"),
        (&long_trailers, "400"),
    ] {
        assert_refused(&format!("{head}{chunks}"), status);
    }
}

#[test]
fn r15_what_the_grammar_allows_is_served() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (input, call) in [
        ("GET / HTTP/1.1\r\nHOST:a\r\n\r\n".to_owned(), "GET / []"),
        ("GET / HTTP/1.1\r\nHost: [::1]:80 \t\r\nX:\r\n\r\n".to_owned(), "GET / []"),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "GET / []"),
        ("GET http://A/b?c HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "GET /b []"),
        ("GET http://a?c HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "GET / []"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "OPTIONS * []"),
        (format!("{post}Content-Length: 005\r\n\r\nhello"), "POST / [hello]"),
        (
            format!("{post}Transfer-Encoding: Chunked\r\n\r\n05\r\nhello\r\n000\r\n\r\n"),
            "POST / [hello]",
        ),
        (
            format!(
                "{post}Transfer-Encoding: chunked\r\n\r\nA;a;b=c;d=\"e\\\"\t;f\"\r\n0123456789\r\n0;x\r\nA: b\r\n\r\n"
            ),
            "POST / [0123456789]",
        ),
    ] {
        let outcome = feed_whole(input.as_bytes());
        assert_eq!(outcome.calls, [call], "{input:?} gave {outcome:?}");
        assert_eq!(outcome.next, Next::Continue);
    }
}

#[test]
fn r15_there_is_one_host_and_the_target_agrees() {
    for input in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /ü HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    ] {
        assert_refused(input, "400");
    }
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9"] {
        assert_refused(&format!("GET / {version}\r\nHost: a\r\n\r\n"), "505");
    }
    for version in ["http/1.1", "HTTP/1.10", "HTTP/1", "HTTP/1.", "HTTP/1,1", "HTTP 1.1"] {
        assert_refused(&format!("GET / {version}\r\nHost: a\r\n\r\n"), "400");
    }
}

#[test]
fn r4_everything_has_its_limit() {
    let target = "x".repeat(8 * 1024);
    assert_refused(&format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n"), "414");
    let line = "A: 3456789012\r\n".repeat(99);
    let fits = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n");
    assert_eq!(feed_whole(fits.as_bytes()).statuses(), ["200"]);
    assert_refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{line}B: c\r\n\r\n"), "431");
    let value = "x".repeat(32 * 1024);
    assert_refused(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n"), "431");

    // An endless line is refused at the limit, not at its end, and nothing is kept of it.
    let outcome = feed_whole("A".repeat(8 * 1024).as_bytes());
    assert_eq!((outcome.statuses(), outcome.next), (vec!["414"], Next::Close));
    let endless = format!("GET / HTTP/1.1\r\nX: {value}");
    assert_eq!(feed_whole(endless.as_bytes()).statuses(), ["431"]);

    let limits = Limits { body: 4, ..Limits::default() };
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (body, status) in [
        ("Content-Length: 4\r\n\r\n1234", "200"),
        ("Content-Length: 5\r\n\r\n12345", "413"),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n1\r\n4\r\n0\r\n\r\n", "200"),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n", "413"),
    ] {
        let outcome = feed(limits.clone(), &[format!("{head}{body}").as_bytes()]);
        assert_eq!(outcome.statuses(), [status], "{body:?}");
    }
}

#[test]
fn r4_chunk_lines_and_extensions_are_limited_however_they_come() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let limits = Limits { chunk_line: 10, chunk_extensions: 12, ..Limits::default() };
    for (chunks, status) in [
        ("1;345678\r\na\r\n0\r\n\r\n", "200"),
        ("1;3456789\r\na\r\n0\r\n\r\n", "400"),
        ("1;23456\r\na\r\n1;23456\r\na\r\n0\r\n\r\n", "200"),
        ("1;23456\r\na\r\n1;234567\r\na\r\n0\r\n\r\n", "400"),
    ] {
        let input = format!("{head}{chunks}");
        for size in [1, 5, head.len() + 9, input.len()] {
            let pieces: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
            assert_eq!(feed(limits.clone(), &pieces).statuses(), [status], "{chunks:?} by {size}");
        }
    }
}
