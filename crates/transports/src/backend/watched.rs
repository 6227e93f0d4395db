//! What back ends have in common whose descriptor the loop watches.

use super::Backend;
use crate::stream_transport::StreamTransport;
use eventloop::{Interest, Source};
use std::io;
use std::rc::Rc;

/// See [`Backend::attach`].
pub(crate) fn attach<B: Backend>(connection: &Rc<StreamTransport<B>>) -> io::Result<()>
where
    StreamTransport<B>: Source,
{
    let key = connection.event_loop().watch(connection.clone(), Interest::NONE)?;
    connection.set_key(Some(key));
    Ok(())
}

/// See [`Backend::flush_later`].
pub(crate) fn flush_later<B: Backend>(connection: &Rc<StreamTransport<B>>) {
    if let Some(key) = connection.key() {
        connection.event_loop().flush_later(key);
    }
}

/// See [`Backend::detach`].
pub(crate) fn detach<B: Backend>(connection: &Rc<StreamTransport<B>>) {
    if let Some(key) = connection.key() {
        connection.set_key(None);
        // The caller holds a count of its own, so this is not the last one.
        drop(connection.event_loop().unwatch(key));
    }
}
