//! What stands in for `encryption.rs` without the feature `tls`: nothing is encrypted.

use crate::backend::Backend;
use crate::connect::{FactoryOnce, give_protocol};
use crate::loop_shared::Owner;
use crate::stream_transport::{Opened, StreamTransport};
use crate::{Address, Protocol};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

#[derive(Clone, Debug, Default)]
pub(crate) struct ClientEncryption;

impl ClientEncryption {
    pub(crate) fn connects_to_host(&mut self, _: &str) {}

    pub(crate) fn connects_to_address(&mut self, _: IpAddr) {}

    pub(crate) fn check(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn give_protocol<B: Backend>(
        &self,
        connection: &Rc<StreamTransport<B>>,
        factory: FactoryOnce,
        future: &Opened,
    ) {
        give_protocol(connection, factory, future);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ServerEncryption;

impl ServerEncryption {
    pub(crate) fn check(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn give_protocol<B: Backend>(
        &self,
        connection: &Rc<StreamTransport<B>>,
        factory: FactoryOnce,
        future: &Opened,
    ) {
        give_protocol(connection, factory, future);
    }

    pub(crate) fn layer(&self, _: &Rc<Owner>, _: &Address) -> Option<Box<dyn Protocol>> {
        None
    }
}
