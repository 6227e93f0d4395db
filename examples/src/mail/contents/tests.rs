//! Mails of all sorts, good, broken and hostile.

use proptest::prelude::*;

use super::*;
use crate::work::counted;

fn of(mail: &str) -> Contents {
    Contents::of(mail.replace('\n', "\r\n").as_bytes())
}

fn text(contents: &Contents) -> &str {
    contents.text.as_ref().map_or("none", |text| &text.text)
}

fn html(contents: &Contents) -> &str {
    contents.html.as_ref().map_or("none", |text| &text.text)
}

#[test]
fn a_plain_mail_is_its_fields_and_its_text() {
    let contents = of("Subject: a\n  folded  \nTo: B <b@c>,\n d@e\nX-Y:z\n\nHello\n\nthere\n");
    let fields: Vec<String> =
        contents.fields.iter().map(|field| format!("{}={}", field.name, field.value)).collect();
    assert_eq!(fields, ["Subject=a  folded", "To=B <b@c>, d@e", "X-Y=z"]);
    assert_eq!(text(&contents), "Hello\r\n\r\nthere\r\n");
    assert_eq!((contents.html, contents.attachments.len()), (None, 0));
}

#[test]
fn encoded_words_are_decoded() {
    let mail = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?4oKs?=\nFrom: =?iso-8859-1?q?J=F6rg?= <j@x>\n\n";
    let contents = of(mail);
    assert_eq!(contents.fields[0].value, "Grüße€");
    assert_eq!(contents.fields[1].value, "Jörg <j@x>");
    assert_eq!(subject(mail.replace('\n', "\r\n").as_bytes()), "Grüße€");
}

#[test]
fn a_multipart_mail_is_taken_apart() {
    let contents = of(concat!(
        "Content-Type: multipart/mixed; boundary=\"out er\"\n\npreamble\n--out er  \n",
        "Content-Type: multipart/alternative; boundary=out\n\n",
        "--out\nContent-Type: text/plain; charset=iso-8859-1\n",
        "Content-Transfer-Encoding: quoted-printable\n\nna=EFve=\n ?\n",
        "--out\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGI+YWJj\nPC9iPg==\n",
        "--out--\nepilogue\n",
        "--out er\nContent-Type: application/pdf; name=\"a.pdf\"\n",
        "Content-Disposition: attachment; filename=\"b.pdf\"\n",
        "Content-Transfer-Encoding: base64\n\nAAECAw==\n",
        "--out er\nContent-Disposition: attachment\n\nhello\n--out er--\nepilogue\n",
    ));
    assert_eq!(text(&contents), "naïve ?");
    assert_eq!(html(&contents), "<b>abc</b>");
    let attachment = |name: Option<&str>, content_type: &str, size| Attachment {
        name: name.map(str::to_owned),
        content_type: content_type.to_owned(),
        size,
    };
    assert_eq!(
        contents.attachments,
        [attachment(Some("b.pdf"), "application/pdf", 4), attachment(None, "text/plain", 5)]
    );
}

#[test]
fn broken_mails_are_shown_as_far_as_they_go() {
    for (mail, shown) in [
        ("", ""),
        ("\n", ""),
        ("\nbody\n", "body\r\n"),
        ("no header at all\n", "no header at all\r\n"),
        ("no header\n\nand more\n", "no header\r\n\r\nand more\r\n"),
        ("Subject: only a header\n", ""),
        ("Content-Type: multipart/mixed\n\nno boundary", "no boundary"),
        ("Content-Type: multipart/mixed; boundary=b\n\nnone", "none"),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\ncut off", "cut off"),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b", "--b"),
        ("Content-Type: multipart/mixed; boundary=b\n\n--bc\n--b\n\nx\n--bc\n--b--", "x\r\n--bc"),
        ("Content-Type: ///;;=\n\nodd", "odd"),
        ("Content-Type: text/plain; charset=nonsense\n\nodd", "odd"),
        ("Content-Transfer-Encoding: base64\n\n!!! not base64", "!!! not base64"),
        ("Content-Transfer-Encoding: quoted-printable\n\n=zz=", "=zz="),
    ] {
        assert_eq!(text(&of(mail)), shown, "{mail:?}");
    }
    let bytes = Contents::of(b"Subject: \xff\xfe\r\n\r\n\xff\0x");
    assert_eq!((text(&bytes), &*bytes.fields[0].value), ("\u{fffd}\0x", "\u{fffd}\u{fffd}"));
}

#[test]
fn r4_long_texts_are_cut_at_a_character() {
    let contents = of(&format!("\nx{}", "ä".repeat(MOST_TEXT)));
    let text = contents.text.unwrap();
    assert_eq!((text.text.len(), text.cut), (MOST_TEXT - 1, true));
    let subject = subject(format!("Subject: x{}\r\n\r\n", "ä".repeat(MOST_SUBJECT)).as_bytes());
    assert_eq!(subject.len(), MOST_SUBJECT - 1);
}

#[test]
fn r4_deep_and_many_parts_cost_neither_stack_nor_time() {
    let size = 300_000;
    let repeat = |unit: &str| unit.repeat(size / unit.len());
    let numbered = |unit: &dyn Fn(usize) -> String| -> String { (0..3000).map(unit).collect() };
    let mails = [
        // Mails in mails in mails.
        repeat("Content-Type: message/rfc822\r\n\r\n"),
        // Parts in parts, all with one boundary, or each with its own.
        repeat("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"),
        numbered(&|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")),
        // Many parts, each with a boundary that never comes.
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned()
            + &repeat("--b\r\nContent-Type: multipart/mixed; boundary=never\r\n\r\nx\r\n"),
        // Delimiters that nearly are ones.
        "Content-Type: multipart/mixed; boundary=-\r\n\r\n".to_owned() + &repeat("-"),
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned() + &repeat("--b    "),
        // No end of the head.
        repeat("A: b\r\n"),
    ];
    for mail in mails {
        let mut contents = Contents::default();
        let work = counted(|| contents = Contents::of(mail.as_bytes()));
        let most = (MOST_DEPTH + 3) * mail.len();
        assert!(work <= most as u64, "{work} for {} bytes: {:?}", mail.len(), &mail[..60]);
        assert!(contents.attachments.len() <= MOST_PARTS);
    }
}

fn mail_like() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(&b"Content-Type: multipart/mixed; boundary=b\r\n"[..]),
        Just(&b"Content-Type: text/html; charset=\""[..]),
        Just(&b"Content-Transfer-Encoding: base64\r\n"[..]),
        Just(&b"Content-Transfer-Encoding: quoted-printable\r\n"[..]),
        Just(&b"Content-Disposition: attachment; filename*0*=utf-8''%e4"[..]),
        Just(&b"From: \"x\" (c) <a@b>, g: c@d;"[..]),
        Just(&b"Subject: =?utf-8?b?4oKs?= =?x?q?=ff?="[..]),
        Just(&b"Date: Tue, 1 Jan 2030 00:00:00 +0000\r\n"[..]),
        Just(&b"Received: from a (b [1.2.3.4]) by c; "[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\r\n\r\n"[..]),
        Just(&b"\r\n--b\r\n"[..]),
        Just(&b"--b--"[..]),
        Just(&b"=C3=A4=\r\n"[..]),
        Just(&b"\xff\0\n\r"[..]),
    ];
    proptest::collection::vec(word, 0..30).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn r7_no_mail_makes_the_reading_panic(mail in mail_like()) {
        let contents = Contents::of(&mail);
        subject(&mail);
        prop_assert!(contents.attachments.len() <= MOST_PARTS + 1);
    }

    #[test]
    fn r7_no_bytes_make_the_reading_panic(mail in proptest::collection::vec(any::<u8>(), 0..500)) {
        Contents::of(&mail);
        subject(&mail);
    }
}
