//! The links on a page: where `a` and `area` elements point to, and where a redirection does.
//!
//! Input is any text, HTML or not; the work is linear in its length.

use crate::http_client::Response;
use memchr::memmem;

/// The links of a page, as they are written there, each as often as it is there.
pub fn links(response: &Response) -> Vec<String> {
    let is_html = match &response.content_type {
        Some(media_type) => media_type == "text/html" || media_type == "application/xhtml+xml",
        None => true,
    };
    match (&response.location, response.code) {
        (Some(location), 300..400) => vec![location.clone()],
        (_, 200..300) if is_html => links_of_html(&response.body),
        _ => Vec::new(),
    }
}

fn links_of_html(html: &[u8]) -> Vec<String> {
    let mut links = Vec::new();
    let mut rest = html;
    while let Some(start) = memchr::memchr(b'<', rest) {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix(b"!--") {
            rest = behind(comment, b"-->");
            continue;
        }
        let name = word(&mut rest, |byte| byte.is_ascii_alphanumeric());
        let is_link = name.eq_ignore_ascii_case(b"a") || name.eq_ignore_ascii_case(b"area");
        while let Some((attribute, value)) = next_attribute(&mut rest) {
            if is_link && attribute.eq_ignore_ascii_case(b"href") {
                links.push(unescaped(&String::from_utf8_lossy(value)));
            }
        }
        // What stands in these is no HTML.
        if name.eq_ignore_ascii_case(b"script") || name.eq_ignore_ascii_case(b"style") {
            rest = behind_end_tag(rest, name);
        }
    }
    links
}

/// The next attribute of a tag and its value; `None` at the end of the tag.
fn next_attribute<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    word(rest, |byte| byte.is_ascii_whitespace() || byte == b'/');
    if rest.first().is_none_or(|byte| *byte == b'>') {
        return None;
    }
    // A name has at least one byte, be it a stray `=`, so that this always goes on.
    let start = *rest;
    *rest = &rest[1..];
    let more = word(rest, |byte| !byte.is_ascii_whitespace() && !b"/>=".contains(&byte));
    let name = &start[..=more.len()];
    let mut value = rest.trim_ascii_start();
    let Some(after) = value.strip_prefix(b"=") else { return Some((name, b"")) };
    value = after.trim_ascii_start();
    let quote = value.first().copied().filter(|byte| b"\"'".contains(byte));
    let text = match quote {
        Some(quote) => {
            value = &value[1..];
            let text = word(&mut value, |byte| byte != quote);
            value = value.get(1..).unwrap_or_default();
            text
        }
        None => word(&mut value, |byte| !byte.is_ascii_whitespace() && byte != b'>'),
    };
    *rest = value;
    Some((name, text))
}

/// Takes off what belongs.
fn word<'a>(rest: &mut &'a [u8], belongs: impl Fn(u8) -> bool) -> &'a [u8] {
    let end = rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    *rest = behind;
    word
}

/// What stands behind `end`; nothing if that does not come.
fn behind<'a>(text: &'a [u8], end: &[u8]) -> &'a [u8] {
    memmem::find(text, end).map_or(&[], |at| &text[at + end.len()..])
}

fn behind_end_tag<'a>(text: &'a [u8], name: &[u8]) -> &'a [u8] {
    let mut rest = text;
    loop {
        rest = behind(rest, b"</");
        match rest.get(..name.len()) {
            None => return &[],
            Some(tag) if tag.eq_ignore_ascii_case(name) => return rest,
            Some(_) => {}
        }
    }
}

/// The text without the escapes that addresses have in HTML.
fn unescaped(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    let text = text.replace("&#39;", "'").replace("&#38;", "&").replace("&#x26;", "&");
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_are_found_where_they_are_and_nowhere_else() {
        for (html, links) in [
            ("<a href=b>c</a>", vec!["b"]),
            ("<A\n HREF = 'b c' ><area x y=1 href=\"d&amp;e\"/>", vec!["b c", "d&e"]),
            ("<a title='<a href=no>' href=yes>", vec!["yes"]),
            ("<!-- <a href=no> --><a href=yes>", vec!["yes"]),
            ("<script>'<a href=no>' </ </scripT><a href=yes>", vec!["yes"]),
            ("<link href=no><abbr href=no><a data-href=no>", vec![]),
            ("<a href=/yes/>", vec!["/yes/"]),
            ("<a href", vec![""]),
            ("<a href='no end", vec!["no end"]),
            ("<!-- <a href=no>", vec![]),
            ("< a href=no>", vec![]),
        ] {
            assert_eq!(links_of_html(html.as_bytes()), links, "{html}");
        }
    }

    #[test]
    fn only_pages_and_redirections_have_links() {
        let html = Response { code: 200, body: b"<a href=b>".to_vec(), ..Response::default() };
        assert_eq!(links(&html), ["b"]);
        let text = Response { content_type: Some("text/plain".to_owned()), ..html.clone() };
        assert!(links(&text).is_empty());
        assert!(links(&Response { code: 404, ..html.clone() }).is_empty());
        let moved = Response { code: 301, location: Some("c".to_owned()), ..html };
        assert_eq!(links(&moved), ["c"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(html in "[<>a/='\" !-]{0,60}|(<a href=|<!--|-->|</script|<script|'|\"|>| ){0,20}") {
            links_of_html(html.as_bytes());
        }
    }
}
