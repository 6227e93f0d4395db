//! Ends of mails that are none: what smuggling is tried with.

use super::tests::feed_whole;
use super::*;

/// What is no end of a mail, though some servers take it for one.
pub(in crate::mail) const ENDS: [&str; 19] = [
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\r",
    "\n.\r",
    "\r.\n",
    "\r\n.\r\r\n",
    "\r\r\n.\r\r\n",
    "\r\n.\n\r\n",
    "\r\n.\0\r\n",
    "\r\n\0.\r\n",
    "\r\n. \r\n",
    "\r\n .\r\n",
    "\n\n.\r\n",
    "\r\n\r.\r\n",
    "\r\n\n.\r\n",
    "\n\r.\n\r",
];

const BEGIN: &str = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";

#[test]
fn r15_only_cr_lf_dot_cr_lf_ends_a_mail() {
    let smuggled = "MAIL FROM:<evil@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nsmuggled\r\n.\r\n";
    for end in ENDS {
        // The smuggled commands must be taken for text, whatever becomes of the whole.
        let input = format!("{BEGIN}text{end}{smuggled}");
        let outcome = feed_whole(input.as_bytes());
        let has_bare = end.replace("\r\n", "").contains(['\r', '\n']);
        let last = if has_bare { 554 } else { 250 };
        assert_eq!(outcome.codes(), [250, 250, 250, 354, last], "{end:?}");
        assert_eq!(outcome.mails.len(), usize::from(!has_bare), "{end:?}");
        for mail in &outcome.mails {
            let content = String::from_utf8_lossy(&mail.content);
            assert!(content.contains("MAIL FROM:<evil@b>\r\n"), "{end:?} gave {content:?}");
        }
    }
}

#[test]
fn r15_a_line_end_alone_makes_a_mail_refused_and_the_session_goes_on() {
    for text in ["a\nb", "a\rb", "\n", "\r", "a\r\r", "\na", "..\n."] {
        let outcome = feed_whole(format!("{BEGIN}ok\r\n{text}\r\nok\r\n.\r\nNOOP\r\n").as_bytes());
        assert_eq!(outcome.codes(), [250, 250, 250, 354, 554, 250], "{text:?}");
        assert!(outcome.mails.is_empty());
    }
}

#[test]
fn r15_a_line_end_alone_ends_no_command() {
    for line in ["NOOP\nQUIT", "NOOP\rQUIT", "QUIT\n", "QUIT\r", "\nQUIT", "\rQUIT", "QUIT\n\n"] {
        let outcome = feed_whole(format!("{line}\r\nNOOP\r\n").as_bytes());
        assert_eq!(outcome.codes(), [500, 250], "{line:?}");
    }
    assert!(feed_whole(b"QUIT\n").codes().is_empty());
    let injected = b"EHLO a\r\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\r\nRCPT TO:<c@d>\r\n";
    assert_eq!(feed_whole(injected).codes(), [250, 500, 503]);
}

#[test]
fn r15_a_browser_is_sent_away_at_its_first_line() {
    let request = "POST / HTTP/1.1\r\nHost: localhost:1025\r\n\r\nEHLO a\r\nMAIL FROM:<a@b>\r\n";
    let outcome = feed_whole(request.as_bytes());
    assert_eq!((outcome.codes(), outcome.next), (vec![421], Next::Close));
}

#[test]
fn r15_content_after_a_refused_data_is_not_a_mail() {
    let outcome = feed_whole(b"EHLO a\r\nDATA\r\nSubject: x\r\n\r\n.\r\n");
    assert_eq!(outcome.codes(), [250, 503, 500, 500, 500]);
    assert!(outcome.mails.is_empty());
}
