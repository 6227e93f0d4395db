//! STARTTLS, as a session sees it (RFC 3207).

use super::*;

/// A session, its replies' codes, and what it says is next.
struct Talk {
    session: Session,
    mails: usize,
}

impl Talk {
    fn new(encryption: Encryption) -> Self {
        let settings = Settings { encryption, ..Settings::default() };
        Self { session: Session::new(Rc::new(settings)), mails: 0 }
    }

    /// What is answered, and what is next.
    fn say(&mut self, line: &str) -> (String, Next) {
        let (mut output, mails) = (Vec::new(), &mut self.mails);
        let next = self.session.receive(Line::Whole(line.as_bytes()), &mut output, |_| {
            *mails += 1;
            Ok(1)
        });
        (String::from_utf8(output).unwrap(), next)
    }

    fn codes(&mut self, lines: &[&str]) -> Vec<u16> {
        let said = lines.iter().map(|line| self.say(line).0);
        said.filter(|reply| !reply.is_empty()).map(|reply| reply[..3].parse().unwrap()).collect()
    }
}

#[test]
fn n54_starttls_is_announced_where_it_is_known_and_not_twice() {
    let announces = |talk: &mut Talk| talk.say("EHLO a").0.contains("\r\n250-STARTTLS\r\n250 HELP");
    assert!(!announces(&mut Talk::new(Encryption::None)));
    for encryption in [Encryption::Offered, Encryption::Required] {
        let mut talk = Talk::new(encryption);
        assert!(announces(&mut talk));
        let (answer, next) = talk.say("starttls ");
        assert_eq!((&answer[..4], next), ("220 ", Next::StartTls));
        talk.session.handshake_completed();
        assert!(!announces(&mut talk));
        assert_eq!(talk.codes(&["STARTTLS"]), [503], "no TLS inside of TLS");
    }
}

#[test]
fn n54_starttls_has_its_time_and_no_argument() {
    let mut talk = Talk::new(Encryption::Offered);
    let codes = talk.codes(&["STARTTLS", "HELO a", "STARTTLS", "EHLO a", "STARTTLS x"]);
    assert_eq!(codes, [503, 250, 503, 250, 501]);
    assert_eq!(Talk::new(Encryption::None).codes(&["EHLO a", "STARTTLS"]), [250, 502]);
    // In a mail it is a line like any other.
    let mail = ["MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA", "STARTTLS", "."];
    assert_eq!(talk.codes(&mail), [250, 250, 354, 250]);
}

#[test]
fn n54_what_was_said_in_clear_is_forgotten() {
    let mut talk = Talk::new(Encryption::Offered);
    let before = ["EHLO evil", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "STARTTLS"];
    assert_eq!(talk.codes(&before), [250, 250, 250, 220]);
    talk.session.handshake_completed();
    assert_eq!(talk.codes(&["DATA", "RCPT TO:<c@d>", "MAIL FROM:<a@b>"]), [503, 503, 503]);
    let mail = ["EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "."];
    assert_eq!(talk.codes(&mail), [250, 250, 250, 354, 250]);
    assert_eq!(talk.mails, 1);
    // Mistakes are forgotten too.
    let mut talk = Talk::new(Encryption::Offered);
    talk.codes(&["X"; 19]);
    talk.codes(&["EHLO a", "STARTTLS"]);
    talk.session.handshake_completed();
    assert_eq!(talk.codes(&["X", "NOOP"]), [500, 250]);
}

#[test]
fn n54_where_tls_is_required_nothing_of_importance_is_said_in_clear() {
    let mut talk = Talk::new(Encryption::Required);
    let lines = [
        "NOOP",
        "HELO a",
        "RSET",
        "HELP",
        "VRFY a",
        "EHLO a",
        "MAIL FROM:<a@b>",
        "RCPT TO:<a@b>",
        "DATA",
    ];
    assert_eq!(talk.codes(&lines), [250, 530, 530, 530, 530, 250, 530, 530, 530]);
    assert!(talk.say("RSET").0.starts_with("530 5.7.0 "));
    assert_eq!(talk.say("STARTTLS").1, Next::StartTls);
    talk.session.handshake_completed();
    let mail = ["HELO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "."];
    assert_eq!(talk.codes(&mail), [250, 250, 250, 354, 250]);
    assert_eq!(Talk::new(Encryption::Required).say("QUIT").1, Next::Close);
}

#[test]
fn n54_encrypted_from_the_beginning_there_is_no_starttls() {
    let mut talk = Talk::new(Encryption::Required);
    talk.session.handshake_completed();
    assert_eq!(talk.codes(&["EHLO a", "STARTTLS", "MAIL FROM:<a@b>"]), [250, 503, 250]);
}
