//! Mail, caught: received by SMTP, kept for a while, shown over HTTP.
//!
//! [`Session`] speaks SMTP and hands out whole [`Mail`]s, [`Store`] keeps the newest of them, [`Site`]
//! answers HTTP requests about what is kept; [`Directory`] keeps mails in files. None of them knows a socket, a loop or the time.

mod address;
mod contents;
mod directory;
mod protocol;
mod site;
mod smtp;
mod store;

pub use address::{Address, AddressError};
pub use directory::{Directory, DirectoryError};
pub use protocol::Smtp;
pub use site::Site;
pub use smtp::{Line, Mail, Next, NotKept, Session, Settings};
pub use store::{CaughtMail, Store, StoreLimits};
