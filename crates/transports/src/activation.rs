//! [`listen_fds`]: sockets that a service manager opened before it started the program (socket
//! activation), as systemd and others pass them.

mod inherited;

use crate::{Address, ServerOptions, StreamSocket, UnixServerOptions};
use socket2::{Domain, SockRef, Type};
use std::env;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

/// A socket that a service manager passed.
#[derive(Debug)]
pub struct PassedSocket {
    name: Option<String>,
    descriptor: OwnedFd,
}

/// The sockets that a service manager passed to this process (`LISTEN_PID`, `LISTEN_FDS` and
/// `LISTEN_FDNAMES` in the environment), in its order. None, if it passed none, or to another process
/// than this one.
///
/// They are given once: a second call finds none. They are closed on exec from then on, so that children
/// do not inherit them. Call it early, before the program starts any.
///
/// # Errors
/// If the environment makes no sense, or names descriptors that are not open, or that this process has
/// opened itself; none is touched then.
///
/// # Examples
/// A server that listens where it is told to, or on what it was given:
/// ```
/// use eventloop::EventLoop;
/// use tulipa_transports::{NetworkLoop, ServerOptions, listen_fds};
/// # struct Echo;
/// # impl tulipa_transports::Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn tulipa_transports::Transport, data: &[u8]) {
/// #         transport.write(data);
/// #     }
/// # }
/// let event_loop = EventLoop::new()?;
/// let place = match listen_fds()?.into_iter().next() {
///     Some(passed) => passed.into_server_options()?,
///     None => ServerOptions::from(("127.0.0.1", 0)),
/// };
/// let server = event_loop.create_server(|| Echo, place).result()?;
/// # Ok::<(), futures::Exception>(())
/// ```
#[doc(alias = "sd_listen_fds")]
pub fn listen_fds() -> Result<Vec<PassedSocket>, PassedSocketError> {
    let text = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let passed = Passed {
        process: text("LISTEN_PID"),
        count: text("LISTEN_FDS"),
        names: text("LISTEN_FDNAMES"),
    };
    let Some(names) = passed.names_for(std::process::id())? else { return Ok(Vec::new()) };
    let descriptors = inherited::take(FIRST, names.len())?;
    let sockets = names.into_iter().zip(descriptors);
    Ok(sockets.map(|(name, descriptor)| PassedSocket { name, descriptor }).collect())
}

/// The first descriptor that is passed; the others follow.
const FIRST: RawFd = 3;
/// More than any manager passes, and few enough to be looked at.
const MOST: usize = 4096;

/// What the environment says.
struct Passed {
    process: Option<String>,
    count: Option<String>,
    names: Option<String>,
}

impl Passed {
    /// A name, or none, for each descriptor that was passed to `process`; `None` if none was.
    fn names_for(&self, process: u32) -> Result<Option<Vec<Option<String>>>, PassedSocketError> {
        let (Some(to), Some(count)) = (&self.process, &self.count) else { return Ok(None) };
        let to: u32 = number("LISTEN_PID", to)?;
        if to != process {
            return Ok(None);
        }
        let count: usize = number("LISTEN_FDS", count)?;
        if count > MOST {
            let message = format!("LISTEN_FDS is {count}, which is more than {MOST}");
            return Err(PassedSocketError::of_environment(message));
        }
        let Some(names) = self.names.as_ref().filter(|_| count > 0) else {
            return Ok(Some(vec![None; count]));
        };
        let names: Vec<_> = names.split(':').map(|name| Some(name.to_owned())).collect();
        if names.len() != count {
            let message = format!("LISTEN_FDNAMES has {} names for {count} sockets", names.len());
            return Err(PassedSocketError::of_environment(message));
        }
        Ok(Some(names))
    }
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Result<N, PassedSocketError> {
    text.parse().map_err(|_| {
        PassedSocketError::of_environment(format!("{name} is {text:?}, which is no number"))
    })
}

impl PassedSocket {
    /// The name that the manager gave it, if it named them.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where it is bound; `None` if it is no socket, or one of a family that is unknown here.
    pub fn address(&self) -> Option<Address> {
        let address = SockRef::from(&self.descriptor).local_addr().ok()?;
        Address::from_sock_addr(&address)
    }

    /// What it is, whatever that is.
    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }

    /// A TCP server over it, for [`create_server`](crate::NetworkLoop::create_server).
    ///
    /// # Errors
    /// If it is no TCP socket that listens.
    pub fn into_server_options(self) -> Result<ServerOptions, PassedSocketError> {
        self.check("a TCP socket that listens", |socket| Ok(is_tcp(socket)? && listens(socket)?))?;
        Ok(TcpListener::from(self.descriptor).into())
    }

    /// A Unix server over it, for [`create_unix_server`](crate::NetworkLoop::create_unix_server). Its file
    /// is the manager's, and stays when the server closes.
    ///
    /// # Errors
    /// If it is no Unix stream socket that listens.
    pub fn into_unix_server_options(self) -> Result<UnixServerOptions, PassedSocketError> {
        self.check("a Unix stream socket that listens", |socket| {
            Ok(is_unix_stream(socket)? && listens(socket)?)
        })?;
        let options = UnixServerOptions::from(UnixListener::from(self.descriptor));
        Ok(options.cleanup_socket(false))
    }

    /// The connection that it is, for managers that accept, and start a program for each.
    ///
    /// # Errors
    /// If it is no stream socket, or one that listens.
    pub fn into_stream_socket(self) -> Result<StreamSocket, PassedSocketError> {
        let wanted = "a connected stream socket";
        self.check(wanted, |socket| Ok(socket.r#type()? == Type::STREAM && !listens(socket)?))?;
        let name = self.shown_name();
        StreamSocket::from_descriptor(self.descriptor).map_err(|error| PassedSocketError {
            message: format!("{name} is not {wanted}"),
            error,
        })
    }

    fn check(
        &self,
        wanted: &str,
        is_right: impl FnOnce(&SockRef<'_>) -> io::Result<bool>,
    ) -> Result<(), PassedSocketError> {
        let error = match is_right(&SockRef::from(&self.descriptor)) {
            Ok(true) => return Ok(()),
            Ok(false) => io::ErrorKind::InvalidInput.into(),
            Err(error) => error,
        };
        let message = format!("{} is not {wanted}", self.shown_name());
        Err(PassedSocketError { message, error })
    }

    fn shown_name(&self) -> String {
        match (&self.name, self.address()) {
            (Some(name), Some(address)) => format!("the socket {name:?} at {address}"),
            (Some(name), None) => format!("the socket {name:?}"),
            (None, Some(address)) => format!("the socket at {address}"),
            (None, None) => "what was passed".to_owned(),
        }
    }
}

impl AsFd for PassedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn is_tcp(socket: &SockRef<'_>) -> io::Result<bool> {
    let domain = socket.domain()?;
    Ok(matches!(domain, Domain::IPV4 | Domain::IPV6) && socket.r#type()? == Type::STREAM)
}

fn is_unix_stream(socket: &SockRef<'_>) -> io::Result<bool> {
    Ok(socket.domain()? == Domain::UNIX && socket.r#type()? == Type::STREAM)
}

fn listens(socket: &SockRef<'_>) -> io::Result<bool> {
    socket.is_listener()
}

/// Why sockets that a service manager passed cannot be used. (`Error::source` is the system's answer.)
#[derive(Debug)]
pub struct PassedSocketError {
    message: String,
    error: io::Error,
}

impl PassedSocketError {
    fn of_environment(message: String) -> Self {
        Self { message, error: io::ErrorKind::InvalidData.into() }
    }
}

impl fmt::Display for PassedSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for PassedSocketError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl From<PassedSocketError> for io::Error {
    fn from(error: PassedSocketError) -> Self {
        io::Error::new(error.error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(process: &str, count: &str, names: Option<&str>) -> Result<usize, String> {
        let passed = Passed {
            process: Some(process.into()),
            count: Some(count.into()),
            names: names.map(Into::into),
        };
        let found = passed.names_for(7).map_err(|error| error.to_string())?;
        Ok(found.map_or(0, |names| names.len()))
    }

    #[test]
    fn n32_sockets_are_ours_if_they_were_passed_to_this_process() {
        let nothing = Passed { process: None, count: None, names: None };
        assert!(nothing.names_for(7).unwrap().is_none());
        assert_eq!(names("7", "2", None), Ok(2));
        assert_eq!(names("7", "0", None), Ok(0));
        assert_eq!(names("7", "0", Some("")), Ok(0), "no names for none");
        assert_eq!(names("8", "2", None), Ok(0));
        assert_eq!(names("8", "nonsense", Some("x")), Ok(0), "it is not for us to judge");
        assert_eq!(names("7", "2", Some("web:admin")), Ok(2));
        assert_eq!(names("7", "2", Some("web:")), Ok(2), "a name may be empty");
    }

    #[test]
    fn n32_an_environment_that_makes_no_sense_is_an_error_that_says_so() {
        for (process, count, given) in [
            ("", "1", None),
            ("-7", "1", None),
            ("7", "one", None),
            ("7", "-1", None),
            ("7", "4097", None),
            ("7", "99999999999999999999", None),
            ("7", "2", Some("web")),
            ("7", "1", Some("web:admin")),
        ] {
            let error = names(process, count, given).unwrap_err();
            assert!(error.starts_with("LISTEN_"), "{error}");
        }
    }
}
