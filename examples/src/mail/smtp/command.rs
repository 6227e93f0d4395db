//! Command lines, taken apart: the verb, its argument, its parameters. No state is known here.
//!
//! Verbs and keywords count in any case, and white space at the end of a line is tolerated, as RFC 5321,
//! sections 2.4 and 4.1.1, want it. Everything else is as the grammar has it.

use super::super::address::Address;
use super::reply::Reply;

/// One command that is well-formed in itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Hello {
        extended: bool,
        name: &'a [u8],
    },
    Mail {
        sender: Option<Address>,
        parameters: MailParameters,
    },
    Recipient {
        address: Address,
    },
    Data,
    Reset,
    Noop,
    Verify,
    Help,
    Quit,
    StartTls,
    /// A web browser, led here by a page: its body could contain commands.
    Http,
}

/// What follows the sender in MAIL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MailParameters {
    /// There were some.
    pub(super) any: bool,
    /// The announced size; 0 when it was not announced.
    pub(super) size: u64,
}

impl<'a> Command<'a> {
    /// Parses a line, without its CR LF.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Reply> {
        if memchr::memchr2(b'\r', b'\n', line).is_some() {
            return Err(Reply::BareLineEnd);
        }
        let line = without_white_space_at_end(line);
        let (verb, argument) = match memchr::memchr(b' ', line) {
            Some(space) => (&line[..space], Some(&line[space + 1..])),
            None => (line, None),
        };
        match verb.to_ascii_uppercase().as_slice() {
            b"EHLO" => hello(true, argument),
            b"HELO" => hello(false, argument),
            b"MAIL" => mail(argument),
            b"RCPT" => recipient(argument),
            b"DATA" => alone(Command::Data, argument),
            b"RSET" => alone(Command::Reset, argument),
            b"QUIT" => alone(Command::Quit, argument),
            b"STARTTLS" => alone(Command::StartTls, argument),
            b"NOOP" => Ok(Command::Noop),
            b"HELP" => Ok(Command::Help),
            b"VRFY" if argument.is_some() => Ok(Command::Verify),
            b"VRFY" => Err(Reply::BadArgument("say whom")),
            b"EXPN" | b"TURN" | b"ETRN" | b"ATRN" | b"SEND" | b"SOML" | b"SAML" | b"AUTH"
            | b"BDAT" | b"BURL" => Err(Reply::NotImplemented),
            b"GET" | b"HEAD" | b"POST" | b"PUT" | b"DELETE" | b"CONNECT" | b"OPTIONS"
            | b"TRACE" | b"PATCH" => Ok(Command::Http),
            _ => Err(Reply::UnknownCommand),
        }
    }
}

fn without_white_space_at_end(mut line: &[u8]) -> &[u8] {
    while let [before @ .., b' ' | b'\t'] = line {
        line = before;
    }
    line
}

fn alone<'a>(command: Command<'a>, argument: Option<&[u8]>) -> Result<Command<'a>, Reply> {
    match argument {
        None => Ok(command),
        Some(_) => Err(Reply::BadArgument("this command has no argument")),
    }
}

fn hello(extended: bool, argument: Option<&[u8]>) -> Result<Command<'_>, Reply> {
    match argument {
        Some(name) => Ok(Command::Hello { extended, name }),
        None => Err(Reply::BadArgument("say who you are")),
    }
}

fn mail(argument: Option<&[u8]>) -> Result<Command<'_>, Reply> {
    let path =
        after_keyword(argument, b"FROM:").ok_or(Reply::BadArgument("it is MAIL FROM:<address>"))?;
    let (sender, rest) = Address::parse_path(path)?;
    Ok(Command::Mail { sender, parameters: mail_parameters(rest)? })
}

fn recipient(argument: Option<&[u8]>) -> Result<Command<'_>, Reply> {
    let path =
        after_keyword(argument, b"TO:").ok_or(Reply::BadArgument("it is RCPT TO:<address>"))?;
    let (address, rest) = Address::parse_path(path)?;
    let address = address.ok_or(Reply::BadArgument("nobody cannot be a recipient"))?;
    match parameters(rest)?.next() {
        None => Ok(Command::Recipient { address }),
        Some(parameter) => parameter.and(Err(Reply::UnknownParameter)),
    }
}

fn after_keyword<'a>(argument: Option<&'a [u8]>, keyword: &[u8]) -> Option<&'a [u8]> {
    let (start, path) = argument?.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then_some(path)
}

fn mail_parameters(rest: &[u8]) -> Result<MailParameters, Reply> {
    let mut found = MailParameters::default();
    let (mut size_seen, mut body_seen) = (false, false);
    let mut unknown = false;
    for parameter in parameters(rest)? {
        let (keyword, value) = parameter?;
        found.any = true;
        let twice = if keyword.eq_ignore_ascii_case(b"SIZE") {
            found.size = size(value)?;
            std::mem::replace(&mut size_seen, true)
        } else if keyword.eq_ignore_ascii_case(b"BODY") {
            check_body(value)?;
            std::mem::replace(&mut body_seen, true)
        } else {
            unknown = true;
            false
        };
        if twice {
            return Err(Reply::BadArgument("a parameter comes once"));
        }
    }
    if unknown { Err(Reply::UnknownParameter) } else { Ok(found) }
}

fn size(value: Option<&[u8]>) -> Result<u64, Reply> {
    // RFC 1870, 3: one to twenty digits, some of which do not fit 64 bits: too large in any case.
    match value {
        Some(digits) if digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit) => {
            Ok(digits.iter().fold(0_u64, |size, digit| {
                size.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
            }))
        }
        _ => Err(Reply::BadArgument("SIZE is a number")),
    }
}

fn check_body(value: Option<&[u8]>) -> Result<(), Reply> {
    match value {
        Some(body) if body.eq_ignore_ascii_case(b"7BIT") => Ok(()),
        Some(body) if body.eq_ignore_ascii_case(b"8BITMIME") => Ok(()),
        Some(_) => Err(Reply::ParameterNotImplemented),
        None => Err(Reply::BadArgument("BODY is 7BIT or 8BITMIME")),
    }
}

type Parameter<'a> = (&'a [u8], Option<&'a [u8]>);

/// `*( SP keyword [ "=" value ] )`
fn parameters(rest: &[u8]) -> Result<impl Iterator<Item = Result<Parameter<'_>, Reply>>, Reply> {
    let words = match rest.split_first() {
        None => None,
        Some((b' ', words)) => Some(words),
        Some(_) => return Err(Reply::BadArgument("a space stands before a parameter")),
    };
    Ok(words.into_iter().flat_map(|words| words.split(|byte| *byte == b' ')).map(parameter))
}

fn parameter(word: &[u8]) -> Result<Parameter<'_>, Reply> {
    let (keyword, value) = match memchr::memchr(b'=', word) {
        Some(equals) => (&word[..equals], Some(&word[equals + 1..])),
        None => (word, None),
    };
    let good_keyword = keyword.first().is_some_and(u8::is_ascii_alphanumeric)
        && keyword.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let good_value = value.is_none_or(|value| {
        !value.is_empty() && value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'=')
    });
    if good_keyword && good_value {
        Ok((keyword, value))
    } else {
        Err(Reply::BadArgument("a parameter is KEYWORD or KEYWORD=value"))
    }
}
