//! The site as a browser and a program see it.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::http::{Connection, Limits, Next};
use crate::mail::{Line, Mail, Session, Settings, StoreLimits};

/// A store with these mails, received by SMTP as they would be, a second apart.
fn store_of(mails: &[(&str, &str, &str)]) -> Store {
    let mut store = Store::new(StoreLimits { mails: 3, ..StoreLimits::default() });
    let mut seconds = 1_700_000_000;
    for (sender, recipient, content) in mails {
        let content = content.replace('\n', "\r\n");
        let lines = format!(
            "EHLO me\r\nMAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n{content}\r\n."
        );
        let mut session = Session::new(Rc::new(Settings::default()));
        for line in lines.split("\r\n") {
            let line = Line::Whole(line.as_bytes());
            let _ = session.receive(line, &mut Vec::new(), |mail: Mail| {
                seconds += 1;
                store.add(mail, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            });
        }
    }
    store
}

/// Sends one request through a connection; gives the whole reply, head and body.
fn ask(store: &mut Store, line: &str) -> (String, String) {
    ask_as(store, line, "localhost:8025")
}

fn ask_as(store: &mut Store, line: &str, host: &str) -> (String, String) {
    let site = Site { host_names: vec!["mail.test".to_owned()] };
    let mut connection = Connection::new(Rc::new(Limits::default()));
    let mut output = Vec::new();
    let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let next = connection.receive(request.as_bytes(), &mut output, |request, reply| {
        site.respond(store, request).send(reply);
    });
    assert_eq!(next, Next::Continue);
    let output = String::from_utf8(output).unwrap();
    let (head, body) = output.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn json(store: &mut Store, line: &str) -> serde_json::Value {
    serde_json::from_str(&ask(store, line).1).unwrap()
}

fn two_mails() -> Store {
    store_of(&[
        ("a@b", "c@d", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nFrom: x@y\n\nHello"),
        ("", "e@f", "no header"),
    ])
}

#[test]
fn the_list_names_the_newest_first() {
    let mut store = two_mails();
    let (head, _) = ask(&mut store, "GET /api/messages");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"), "{head}");
    assert!(head.contains("\r\nMails-Dropped: 0\r\n"));
    assert_eq!(
        json(&mut store, "GET /api/messages"),
        serde_json::json!([
            {"id": 2, "subject": "", "sender": null, "recipients": ["e@f"], "size": 11,
             "received": "2023-11-14T22:13:22Z"},
            {"id": 1, "subject": "Grüße", "sender": "a@b", "recipients": ["c@d"], "size": 58,
             "received": "2023-11-14T22:13:21Z"},
        ])
    );
}

#[test]
fn one_mail_is_told_in_json_and_given_as_it_came() {
    let mut store = two_mails();
    assert_eq!(
        json(&mut store, "GET /api/messages/1"),
        serde_json::json!({
            "id": 1, "subject": "Grüße", "sender": "a@b", "recipients": ["c@d"], "size": 58,
            "received": "2023-11-14T22:13:21Z", "client": "me",
            "headers": [{"name": "Subject", "value": "Grüße"}, {"name": "From", "value": "x@y"}],
            "text": "Hello\r\n", "html": null, "truncated": false, "attachments": [],
        })
    );
    let (head, body) = ask(&mut store, "GET /api/messages/1.eml");
    assert!(head.contains("\r\nContent-Type: message/rfc822\r\n"));
    assert!(head.contains("\r\nContent-Disposition: attachment; filename=\"message-1.eml\"\r\n"));
    assert_eq!(body, "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: x@y\r\n\r\nHello\r\n");
}

#[test]
fn mails_are_deleted_one_by_one_or_all_at_once() {
    let mut store = two_mails();
    assert!(ask(&mut store, "DELETE /api/messages/1").0.starts_with("HTTP/1.1 204 "));
    assert!(ask(&mut store, "DELETE /api/messages/1").0.starts_with("HTTP/1.1 404 "));
    assert!(ask(&mut store, "GET /api/messages/1").0.starts_with("HTTP/1.1 404 "));
    assert_eq!(store.len(), 1);
    assert!(ask(&mut store, "DELETE /api/messages").0.starts_with("HTTP/1.1 204 "));
    assert_eq!(json(&mut store, "GET /api/messages"), serde_json::json!([]));
}

#[test]
fn what_there_is_not_is_a_404_in_json() {
    let mut store = two_mails();
    for path in [
        "/x",
        "/api",
        "/api/messages/",
        "/api/messages/3",
        "/api/messages/3.eml",
        "/messages/3",
        "/api/messages/x",
        "/api/messages/-1",
        "/api/messages/+1",
        "/api/messages/01",
        "/api/messages/0",
        "/api/messages/1/",
        "/api/messages/1.eml/",
        "/api/messages/1.txt",
        "/api/messages/99999999999999999999",
        "/messages/",
        "/messages/1.eml",
        "//",
        "/messages/%31",
    ] {
        let (head, body) = ask(&mut store, &format!("GET {path}"));
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(body["error"].is_string(), "{path}");
    }
    assert!(ask(&mut store, "OPTIONS *").0.starts_with("HTTP/1.1 404 "));
    assert!(ask(&mut store, "GET /?x=y").0.starts_with("HTTP/1.1 200 "));
}

#[test]
fn other_methods_are_a_405_that_says_which_ones_there_are() {
    let mut store = two_mails();
    for (line, allowed) in [
        ("POST /", "GET, HEAD"),
        ("DELETE /", "GET, HEAD"),
        ("DELETE /messages/1", "GET, HEAD"),
        ("DELETE /api/messages/1.eml", "GET, HEAD"),
        ("POST /api/messages", "GET, HEAD, DELETE"),
        ("PUT /api/messages/1", "GET, HEAD, DELETE"),
        ("delete /api/messages", "GET, HEAD, DELETE"),
        ("OPTIONS /api/messages", "GET, HEAD, DELETE"),
    ] {
        let (head, _) = ask(&mut store, line);
        assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{line}: {head}");
        assert!(head.contains(&format!("\r\nAllow: {allowed}\r\n")), "{line}: {head}");
    }
    assert_eq!(store.len(), 2);
}

#[test]
fn head_is_get_without_the_body() {
    let mut store = two_mails();
    for path in ["/", "/style.css", "/messages/1", "/api/messages", "/api/messages/1.eml"] {
        let (get, body) = ask(&mut store, &format!("GET {path}"));
        assert_eq!(ask(&mut store, &format!("HEAD {path}")), (get.clone(), String::new()));
        assert!(get.ends_with(&format!("Content-Length: {}", body.len())), "{get}");
    }
}

#[test]
fn the_page_shows_the_list_and_one_mail() {
    let mut store = two_mails();
    let (head, list) = ask(&mut store, "GET /");
    assert!(head.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"));
    let newest = list.find("<a href=\"/messages/2\">(no subject)</a>").unwrap();
    let oldest = list.find("<a href=\"/messages/1\">Grüße</a>").unwrap();
    assert!(newest < oldest && list.contains("2 caught."), "{list}");
    let (_, page) = ask(&mut store, "GET /messages/1");
    for part in
        ["<pre>\nHello\r\n</pre>", "<tr><th>From<td>a@b\n", "<tr><th>From<td>x@y\n", "1.eml"]
    {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let (_, style) = ask(&mut store, "GET /style.css");
    assert!(style.starts_with("body {"));
}

#[test]
fn the_page_says_how_many_mails_were_dropped() {
    let mut store = store_of(&[("", "a@b", "x"); 5]);
    assert!(ask(&mut store, "GET /").1.contains("3 caught, 2 older ones dropped"));
    assert!(ask(&mut store, "HEAD /api/messages").0.contains("\r\nMails-Dropped: 2\r\n"));
}

#[test]
fn nothing_from_a_mail_becomes_markup() {
    let evil = "<script>alert('\"&1')</script>";
    let content = format!(
        "Subject: {evil}\nX-{evil}: {evil}\nContent-Type: multipart/mixed; boundary=b\n\n\
         --b\n\n</pre>{evil}\u{1b}\u{0}\n--b\nContent-Type: text/html\n\n{evil}\n\
         --b\nContent-Type: x/{evil}; name=\"{evil}\"\n\n{evil}\n--b--"
    );
    let quoted = "\"<script>&'\\\"\"@a";
    let mut store = store_of(&[(quoted, quoted, &content)]);
    for path in ["/", "/messages/1"] {
        let (head, page) = ask(&mut store, &format!("GET {path}"));
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("</pre></") && !page.contains('\u{1b}') && !page.contains('\0'));
        assert!(page.contains("&lt;script&gt;alert(&#39;&quot;&amp;1&#39;)&lt;/script&gt;"));
        assert!(page.contains("&quot;&lt;script&gt;&amp;&#39;\\&quot;&quot;@a"));
        for field in
            ["Content-Security-Policy: default-src 'none';", "X-Content-Type-Options: nosniff"]
        {
            assert!(head.contains(field), "{head}");
        }
    }
}

#[test]
fn the_page_itself_has_no_script_and_no_style_inside() {
    let (_, page) = ask(&mut two_mails(), "GET /messages/2");
    for forbidden in
        ["<script", "<style", " style=", "javascript:", " onclick", " onload", "http:", "https:"]
    {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn strange_host_names_are_refused() {
    let mut store = two_mails();
    for (host, status) in [
        ("localhost", "200"),
        ("LOCALHOST:1", "200"),
        ("127.0.0.1:8025", "200"),
        ("192.168.1.2", "200"),
        ("[::1]:8025", "200"),
        ("[::1]", "200"),
        ("mail.test:8025", "200"),
        ("mail.test.", "200"),
        ("evil.example", "421"),
        ("localhost.evil.example:8025", "421"),
        ("127.0.0.1.evil.example", "421"),
        ("[localhost]", "421"),
        ("::1", "421"),
        ("", "421"),
    ] {
        let (head, _) = ask_as(&mut store, "GET /", host);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {head}");
    }
}

#[test]
fn mails_that_are_not_text_are_listed_and_shown() {
    let mut store = Store::default();
    let content = b"Subject: \xff\xfe\x80\r\n\r\n\xff\xc0\x80".to_vec();
    let mail = Mail { client: "x".into(), sender: None, recipients: Vec::new(), content };
    store.add(mail, SystemTime::UNIX_EPOCH - Duration::from_secs(9)).unwrap();
    for path in ["/", "/messages/1", "/api/messages", "/api/messages/1"] {
        assert!(ask(&mut store, &format!("GET {path}")).0.starts_with("HTTP/1.1 200 "), "{path}");
    }
}
