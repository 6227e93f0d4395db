//! Sessions as clients lead them: replies for each order and argument, limits, splitting, cost.

use proptest::prelude::*;

use super::*;
use crate::work::counted;
use tulipa::protocols::{LineHandler, LineMode, LineReceiver, LongLine};
use tulipa::testing::RecordingTransport;
use tulipa::{Bytes, Protocol, ReadTransport, Transport};

/// What came of a session: replies (one string for all lines of each), mails, and whether it is over.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) replies: Vec<String>,
    pub(super) mails: Vec<Mail>,
    pub(super) next: Next,
}

impl Outcome {
    /// The reply codes, in their order.
    pub(super) fn codes(&self) -> Vec<u16> {
        self.replies.iter().map(|reply| reply[..3].parse().unwrap()).collect()
    }
}

/// A session that is fed lines, as a client's connection does it.
struct Fed {
    session: Session,
    output: Vec<u8>,
    mails: Vec<Mail>,
}

impl Fed {
    fn new(settings: &Settings) -> LineReceiver<Self> {
        let session = Session::new(Rc::new(settings.clone()));
        LineReceiver::new(Self { session, output: Vec::new(), mails: Vec::new() })
    }

    fn receive(&mut self, transport: &dyn Transport, line: Line<'_>) {
        let mails = &mut self.mails;
        let next = self.session.receive(line, &mut self.output, |mail| {
            mails.push(mail);
            Ok(mails.len() as u64)
        });
        if next == Next::Close {
            transport.close();
        }
    }
}

impl LineHandler for Fed {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.receive(transport, Line::Whole(line));
        LineMode::Lines
    }

    fn line_too_long(&mut self, transport: &dyn Transport) -> LongLine {
        self.receive(transport, Line::TooLong);
        LongLine::Skip
    }

    fn max_length(&self) -> Bytes {
        Bytes(self.session.line_limit())
    }
}

/// Feeds `pieces` to a new session. Mails are numbered from 1.
pub(super) fn feed(settings: &Settings, pieces: &[&[u8]]) -> Outcome {
    let mut receiver = Fed::new(settings);
    let transport = RecordingTransport::new();
    for piece in pieces {
        if transport.can_deliver() {
            receiver.data_received(&transport, piece);
        }
    }
    let Fed { session, output, mails } = receiver.into_handler();
    let next = session.next();
    let output = String::from_utf8(output).unwrap();
    let mut replies = Vec::new();
    let mut reply = String::new();
    for line in output.split_terminator("\r\n") {
        reply += line;
        match line.as_bytes()[3] {
            b'-' => reply.push('\n'),
            b' ' => replies.push(std::mem::take(&mut reply)),
            other => panic!("{other:?} after a code"),
        }
    }
    Outcome { replies, mails, next }
}

/// Feeds everything at once, with the default settings.
pub(super) fn feed_whole(input: &[u8]) -> Outcome {
    feed(&Settings::default(), &[input])
}

/// Feeds command lines.
fn say(settings: &Settings, lines: &[&str]) -> Outcome {
    feed(settings, &[(lines.join("\r\n") + "\r\n").as_bytes()])
}

#[test]
fn r15_a_session_catches_mails_one_after_the_other() {
    let outcome = feed_whole(
        b"ehlo [127.0.0.1]\r\nmail from:<A@b.c> size=10 body=8bitmime\r\nrcpt to:<d@e>\r\n\
          RCPT TO:<\"f g\"@[IPv6:::1]>  \r\nDATA\r\nS: \xff\0\r\n\r\n.\x2e\r\n..x\r\n.y\r\n\r\n.\r\n\
          MAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n.\r\nNOOP x\r\nQUIT\r\nNOOP\r\n",
    );
    assert_eq!(
        outcome.codes(),
        [250, 250, 250, 250, 354, 250, 250, 250, 354, 250, 250, 221],
        "{outcome:?}"
    );
    assert_eq!(outcome.next, Next::Close);
    let [first, second] = &outcome.mails[..] else { panic!("{:?}", outcome.mails) };
    assert_eq!(&*first.client, "[127.0.0.1]");
    assert_eq!(first.sender.as_ref().unwrap().as_str(), "A@b.c");
    let recipients: Vec<&str> = first.recipients.iter().map(Address::as_str).collect();
    assert_eq!(recipients, ["d@e", "\"f g\"@[IPv6:::1]"]);
    assert_eq!(first.content, b"S: \xff\0\r\n\r\n.\r\n.x\r\ny\r\n\r\n");
    assert_eq!((&second.sender, second.content.len()), (&None, 0));
    assert_eq!(outcome.replies[5], "250 2.0.0 caught as message 1");
}

#[test]
fn r15_ehlo_announces_what_there_is_and_helo_nothing() {
    let outcome = say(&Settings::default(), &["EHLO a", "HELO a"]);
    assert_eq!(
        outcome.replies,
        [
            "250-localhost\n250-SIZE 26214400\n250-8BITMIME\n250-PIPELINING\n\
             250-ENHANCEDSTATUSCODES\n250 HELP",
            "250 localhost"
        ]
    );
    let mut output = Vec::new();
    Session::new(Rc::default()).greet(&mut output);
    assert_eq!(output, b"220 localhost ESMTP mailcatcher\r\n");
}

#[test]
fn r15_every_reply_but_few_has_an_enhanced_code_of_its_class() {
    let lines =
        ["EHLO a", "MAIL FROM:<a@b>", "X", "RCPT TO:<a>", "RCPT TO:<a@b>", "DATA", ".", "HELP"];
    for reply in say(&Settings::default(), &lines).replies.iter().skip(1) {
        let class = &reply[..1];
        let enhanced = reply[4..].starts_with(&format!("{class}."));
        assert!(enhanced || reply.starts_with("354"), "{reply}");
    }
}

/// The last line of each row gets the code; the lines before it are all in order.
#[test]
fn r15_each_wrong_order_and_bad_argument_has_its_code() {
    let hello = "EHLO me";
    let mail = "MAIL FROM:<a@b>";
    let rcpt = "RCPT TO:<c@d>";
    let rows: &[(&[&str], u16)] = &[
        // Orders, the right ones too.
        (&[mail], 503),
        (&[rcpt], 503),
        (&["DATA"], 503),
        (&["RSET"], 250),
        (&["NOOP"], 250),
        (&["HELP"], 214),
        (&["VRFY a"], 252),
        (&["QUIT"], 221),
        (&[hello, rcpt], 503),
        (&[hello, "DATA"], 503),
        (&[hello, mail, mail], 503),
        (&[hello, mail, "DATA"], 554),
        (&[hello, mail, rcpt, mail], 503),
        (&[hello, mail, rcpt, "RSET", rcpt], 503),
        (&[hello, mail, rcpt, "RSET", "DATA"], 503),
        (&[hello, mail, rcpt, hello, rcpt], 503),
        (&[hello, mail, rcpt, "HELO me", mail], 250),
        (&[hello, mail, rcpt, "RSET", mail], 250),
        (&[hello, mail, rcpt, "NOOP", rcpt], 250),
        (&[hello, mail, rcpt, "DATA", ".", rcpt], 503),
        (&[hello, mail, rcpt, "DATA", ".", "DATA"], 503),
        (&[hello, mail, rcpt, "DATA", ".", mail], 250),
        (&[hello, mail, rcpt, "DATA", "QUIT", "."], 250),
        // Commands.
        (&[""], 500),
        (&[" "], 500),
        (&["X"], 500),
        (&["EHLOX a"], 500),
        (&[" EHLO a"], 500),
        (&["MAIL\tFROM:<a@b>"], 500),
        (&["NOOP\nNOOP"], 500),
        (&["NOOP\rNOOP"], 500),
        (&["\0"], 500),
        (&["EXPN a"], 502),
        (&["TURN"], 502),
        (&["AUTH PLAIN"], 502),
        (&["STARTTLS"], 502),
        (&["BDAT 5"], 502),
        // Arguments.
        (&["EHLO"], 501),
        (&["HELO"], 501),
        (&["EHLO "], 501),
        (&["EHLO a b"], 501),
        (&["EHLO  a"], 501),
        (&["EHLO <a>"], 501),
        (&["EHLO [1.2.3]"], 501),
        (&["VRFY"], 501),
        (&["RSET x"], 501),
        (&["DATA x"], 501),
        (&["QUIT x"], 501),
        (&["quit \t "], 221),
        (&[hello, "MAIL"], 501),
        (&[hello, "MAIL a@b"], 501),
        (&[hello, "MAIL TO:<a@b>"], 501),
        (&[hello, "MAIL FROM"], 501),
        (&[hello, "MAIL FROM:"], 501),
        (&[hello, "MAIL FROM:a@b"], 501),
        (&[hello, "MAIL FROM: <a@b>"], 501),
        (&[hello, "MAIL  FROM:<a@b>"], 501),
        (&[hello, "MAIL FROM:<a@b"], 501),
        (&[hello, "MAIL FROM:<a>"], 501),
        (&[hello, "MAIL FROM:<a\x01@b>"], 501),
        (&[hello, "MAIL FROM:<a\0@b>"], 501),
        (&[hello, "MAIL FROM:<a\x7f@b>"], 501),
        (&[hello, "MAIL FROM:<ä@b>"], 501),
        (&[hello, "MAIL FROM:<@x:a@b>"], 250),
        (&[hello, mail, "RCPT"], 501),
        (&[hello, mail, "RCPT TO:"], 501),
        (&[hello, mail, "RCPT TO:<>"], 501),
        (&[hello, mail, "RCPT FROM:<a@b>"], 501),
        (&[hello, mail, "RCPT TO:<a@b\x1b>"], 501),
        (&[hello, mail, "RCPT TO:<@x,@y:a@b>"], 250),
        // Parameters.
        (&[hello, "MAIL FROM:<a@b>SIZE=1"], 501),
        (&[hello, "MAIL FROM:<a@b>  SIZE=1"], 501),
        (&[hello, "MAIL FROM:<a@b> =1"], 501),
        (&[hello, "MAIL FROM:<a@b> -X=1"], 501),
        (&[hello, "MAIL FROM:<a@b> X=1=2"], 501),
        (&[hello, "MAIL FROM:<a@b> SIZE"], 501),
        (&[hello, "MAIL FROM:<a@b> SIZE="], 501),
        (&[hello, "MAIL FROM:<a@b> SIZE=-1"], 501),
        (&[hello, "MAIL FROM:<a@b> SIZE=1k"], 501),
        (&[hello, "MAIL FROM:<a@b> SIZE=1 SIZE=1"], 501),
        (&[hello, "MAIL FROM:<a@b> SIZE=123456789012345678901"], 501),
        (&[hello, "MAIL FROM:<a@b> SIZE=99999999999999999999"], 552),
        (&[hello, "MAIL FROM:<a@b> SIZE=26214401"], 552),
        (&[hello, "MAIL FROM:<a@b> SIZE=26214400"], 250),
        (&[hello, "MAIL FROM:<a@b> SIZE=0 BODY=7bit"], 250),
        (&[hello, "MAIL FROM:<a@b> BODY"], 501),
        (&[hello, "MAIL FROM:<a@b> BODY=BINARYMIME"], 504),
        (&[hello, "MAIL FROM:<a@b> SMTPUTF8"], 555),
        (&[hello, "MAIL FROM:<a@b> AUTH=<>"], 555),
        (&[hello, "MAIL FROM:<a@b> X-Y=1"], 555),
        (&[hello, "MAIL FROM:<a@b> X_Y=1"], 501),
        (&["HELO me", "MAIL FROM:<a@b> SIZE=1"], 555),
        (&["HELO me", mail, "RCPT TO:<a@b>"], 250),
        (&[hello, mail, "RCPT TO:<a@b> NOTIFY=NEVER"], 555),
        (&[hello, mail, "RCPT TO:<a@b> ="], 501),
    ];
    for (lines, code) in rows {
        let outcome = say(&Settings::default(), lines);
        let codes = outcome.codes();
        assert_eq!(codes.last(), Some(code), "{lines:?} gave {:?}", outcome.replies);
        let before = &codes[..codes.len() - 1];
        assert!(before.iter().all(|code| *code < 400), "{lines:?} gave {:?}", outcome.replies);
    }
    assert_eq!(rows.len(), 95);
}

#[test]
fn r15_a_bad_command_changes_nothing() {
    let lines =
        ["EHLO a", "MAIL FROM:<a@b>", "MAIL FROM:<x", "EHLO", "X", "RCPT TO:<c@d>", "DATA", "."];
    let outcome = say(&Settings::default(), &lines);
    assert_eq!(outcome.codes(), [250, 250, 501, 501, 500, 250, 354, 250]);
}

#[test]
fn r4_what_is_too_long_is_skipped_and_the_session_goes_on() {
    let settings = Settings {
        command_line: 20,
        text_line: 10,
        recipients: 2,
        message: 25,
        ..Settings::default()
    };
    let lines = ["NOOP 567890123456", "NOOP 5678901234567890", "NOOP 5678901234567"];
    assert_eq!(say(&settings, &lines).codes(), [250, 500, 250]);

    let begin = ["EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"];
    let catch = |content: &[&str]| {
        let outcome = say(&settings, &[&begin[..], content, &[".", "NOOP"]].concat());
        assert_eq!(outcome.codes()[5..], [250]);
        (outcome.codes()[4], outcome.mails.len())
    };
    assert_eq!(catch(&["12345678"]), (250, 1));
    assert_eq!(catch(&["123456789"]), (554, 0));
    assert_eq!(catch(&["12345678", "12345678", "123"]), (250, 1));
    assert_eq!(catch(&["12345678", "12345678", "1234"]), (552, 0));
    assert_eq!(catch(&["..345678", "..345678", "..34"]), (250, 1));
    assert_eq!(catch(&["123456789012", ".", "x"][..1]), (554, 0));

    let lines = [
        "EHLO a",
        "MAIL FROM:<a@b>",
        "RCPT TO:<c@d>",
        "RCPT TO:<c@d>",
        "RCPT TO:<c@d>",
        "DATA",
        ".",
    ];
    let outcome = say(&settings, &lines);
    assert_eq!(outcome.codes(), [250, 250, 250, 250, 452, 354, 250]);
    assert_eq!(outcome.mails[0].recipients.len(), 2);
}

#[test]
fn r4_too_many_bad_commands_end_the_session() {
    let outcome = feed_whole(&b"X\r\n".repeat(50));
    assert_eq!(outcome.codes(), [vec![500; 19], vec![421]].concat());
    assert_eq!(outcome.next, Next::Close);
    // A mail in between makes up for them.
    let mail = b"HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n";
    let outcome = feed_whole(&[&b"X\r\n".repeat(19)[..], mail, &b"X\r\n".repeat(19)].concat());
    assert_eq!(outcome.next, Next::Continue);
}

#[test]
fn a_full_store_is_a_452_and_the_session_goes_on() {
    let mut session = Session::new(Rc::default());
    let mut output = Vec::new();
    for line in "HELO a|MAIL FROM:<a@b>|RCPT TO:<a@b>|DATA|.|MAIL FROM:<a@b>".split('|') {
        let line = Line::Whole(line.as_bytes());
        let next = session.receive(line, &mut output, |_| Err(NotKept::NoRoom));
        assert_eq!(next, Next::Continue);
    }
    let output = String::from_utf8(output).unwrap();
    assert!(output.ends_with("452 4.3.1 no room for this mail\r\n250 2.1.0 sender taken\r\n"));
}

#[test]
fn r14_a_session_ends_with_421_and_lets_a_mail_finish() {
    let mut output = Vec::new();
    let mut session = Session::new(Rc::default());
    assert_eq!(session.shut_down(&mut output), Next::Close);
    assert_eq!(session.shut_down(&mut output), Next::Close);
    let noop = Line::Whole(b"NOOP");
    assert_eq!(session.receive(noop, &mut output, |_| Ok(1)), Next::Close);
    assert_eq!(output, b"421 4.3.2 localhost is shutting down\r\n");

    let mut output = Vec::new();
    let mut session = Session::new(Rc::default());
    for line in "HELO a|MAIL FROM:<a@b>|RCPT TO:<a@b>|DATA|x".split('|') {
        let line = Line::Whole(line.as_bytes());
        assert_eq!(session.receive(line, &mut output, |_| Ok(1)), Next::Continue);
    }
    assert_eq!(session.shut_down(&mut output), Next::Continue);
    assert_eq!(session.receive(Line::Whole(b"."), &mut output, |_| Ok(1)), Next::Close);
    assert_eq!(session.receive(noop, &mut output, |_| Ok(1)), Next::Close);
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("caught as message 1\r\n421 4.3.2 "), "{output}");
    assert!(output.ends_with("down\r\n"));

    let mut output = Vec::new();
    assert_eq!(Session::new(Rc::default()).time_out(&mut output), Next::Close);
    assert_eq!(output, b"421 4.4.2 localhost waited too long\r\n");
}

/// Lines that make sense often enough to get far.
fn smtp_like() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        3 => Just(&b"EHLO a\r\n"[..]),
        5 => Just(&b"MAIL FROM:<a@b>\r\n"[..]),
        5 => Just(&b"RCPT TO:<c@d>\r\n"[..]),
        6 => Just(&b"DATA\r\n"[..]),
        6 => Just(&b".\r\n"[..]),
        3 => Just(&b"..\r\n"[..]),
        3 => Just(&b"text and more text\r\n"[..]),
        2 => Just(&b"\r\n"[..]),
        1 => Just(&b"\r"[..]),
        1 => Just(&b"\n"[..]),
        1 => Just(&b"."[..]),
        1 => Just(&b"\0\xff"[..]),
        1 => Just(&b"RSET\r\n"[..]),
        1 => Just(&b"X\r\n"[..]),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn r15_any_split_gives_the_same_replies_and_mails(
        input in smtp_like(),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let tight = Settings {
            command_line: 18, text_line: 12, recipients: 2, message: 20, bad_commands: 4,
            ..Settings::default()
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &input[ends[0]..ends[1]]).collect();
        let bytes: Vec<&[u8]> = input.chunks(1).chain([&b""[..]]).collect();
        for settings in [Settings::default(), tight] {
            let whole = feed(&settings, &[&input]);
            prop_assert_eq!(&feed(&settings, &pieces), &whole);
            prop_assert_eq!(&feed(&settings, &bytes), &whole);
        }
    }

    #[test]
    fn r7_no_bytes_make_a_session_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        feed_whole(&input);
    }

    #[test]
    fn r15_what_a_client_stuffs_is_unstuffed(lines in proptest::collection::vec("[.a ]{0,4}", 0..10)) {
        let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let stuffed: String = lines
            .iter()
            .map(|line| format!("{}{line}\r\n", if line.starts_with('.') { "." } else { "" }))
            .collect();
        let input = format!("HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n{stuffed}.\r\n");
        let outcome = feed_whole(input.as_bytes());
        prop_assert_eq!(&outcome.mails[0].content, content.as_bytes());
    }
}

#[test]
fn r15_the_work_is_linear_in_the_input_however_slowly_it_comes() {
    let begin = "HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n";
    let long_lines = format!("{begin}{}\r\n.\r\n", "x".repeat(50_000));
    let line_feeds = format!("{begin}{}\r\n.\r\n", "x\n".repeat(50_000));
    let short_lines = format!("{begin}{}.\r\n", ".\n\r\n".repeat(20_000));
    let text = format!("{begin}{}.\r\n", format!("{}\r\n", "x".repeat(70)).repeat(1000));
    let commands = "NOOP\r\n".repeat(10_000);
    for input in [long_lines, line_feeds, short_lines, text, commands] {
        for size in [1, 100, input.len()] {
            let pieces: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
            let work = counted(|| drop(feed(&Settings::default(), &pieces)));
            assert!(work <= 3 * input.len() as u64, "{work} for {} bytes", input.len());
        }
    }
}
