//! What goes through a wrapper as it is: one place to add to when [`Protocol`](crate::Protocol) or
//! [`ClientFactory`](crate::ClientFactory) gets another method.

/// The methods of `Protocol` that go to `self.inner()`, if there is one.
macro_rules! pass_on_to_inner {
    () => {
        fn pause_writing(&mut self, transport: &dyn Transport) {
            if let Some(inner) = self.inner() {
                inner.pause_writing(transport);
            }
        }

        fn resume_writing(&mut self, transport: &dyn Transport) {
            if let Some(inner) = self.inner() {
                inner.resume_writing(transport);
            }
        }

        fn shutdown_requested(&mut self, transport: &dyn Transport) {
            match self.inner() {
                Some(inner) => inner.shutdown_requested(transport),
                None => transport.close(),
            }
        }

        fn handshake_completed(&mut self, transport: &dyn Transport) {
            if let Some(inner) = self.inner() {
                inner.handshake_completed(transport);
            }
        }

        fn as_buffered(&mut self) -> Option<&mut dyn BufferedProtocol> {
            self.inner().and_then(|inner| inner.as_buffered())
        }

        fn with_inner(
            &mut self,
            transport: &dyn Transport,
            function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
        ) {
            if let Some(inner) = self.inner() {
                function(inner, transport);
            }
        }
    };
}

/// The methods of `ClientFactory`, which go to the field `factory`.
macro_rules! pass_on_to_factory {
    () => {
        fn started_connecting(&mut self, connector: &Connector) {
            self.factory.started_connecting(connector);
        }

        fn client_connection_failed(&mut self, connector: &Connector, reason: Exception) {
            self.factory.client_connection_failed(connector, reason);
        }

        fn client_connection_lost(&mut self, connector: &Connector, reason: Option<Exception>) {
            self.factory.client_connection_lost(connector, reason);
        }
    };
}

pub(super) use {pass_on_to_factory, pass_on_to_inner};
