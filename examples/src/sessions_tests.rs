//! The sessions of the servers here, cut and broken off as no test of theirs would think of (W-16).

use crate::http::{Reply, Request, Status};
use crate::http_protocol::HttpProtocol;
use crate::mail::{Smtp, Store, StoreLimits};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tulipa::Bytes;
use tulipa::protocols::LineReceiver;
use tulipa::testing::Chunking;

#[test]
fn w16_an_smtp_session_is_the_same_however_it_is_cut() {
    let mail = "MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n\
                Subject: tulips\r\n\r\n..one\r\n.two\r\n.\n\r\n.\r\n";
    let session =
        format!("EHLO client\r\n{mail}NOOP\r\nRSET\r\nWHAT\r\nHELO\r\n{mail}QUIT\r\nNOOP\r\n");
    let check = Chunking::new(|_| {
        let store = Rc::new(RefCell::new(Store::new(StoreLimits::default())));
        LineReceiver::new(Smtp::new(Rc::default(), store, Duration::from_secs(60)))
    });
    check.input(session).runs(100).check();
}

#[test]
fn w16_http_requests_get_the_same_replies_however_they_are_cut() {
    let whole = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n\
                 POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\ntulip\
                 POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nros\r\n1;x=y\r\ne\r\n0\r\nTrailer: z\r\n\r\n";
    for ending in ["GET /d HTTP/1.0\r\n\r\nGET /never", "GARBAGE\r\n\r\n", "GET / HTTP/1.1\r\n"] {
        let check = Chunking::new(|notes| {
            HttpProtocol::new(Rc::default(), move |request: &Request<'_>, reply: Reply<'_>| {
                notes.note(format!("{} {:?}", request.path(), request.body()));
                reply.send(Status::OK, &[], request.body());
            })
        });
        let check = check.invariant(|run| assert!(run.most_held() <= Bytes::kib(64)));
        check.input(whole).input(ending).runs(100).check();
    }
}
