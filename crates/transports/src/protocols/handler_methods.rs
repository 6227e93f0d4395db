//! What every receiver has because it has a handler: one place to add to when
//! [`Protocol`](crate::Protocol) gets another method.

/// The ways to the field `handler`, of type `H`.
macro_rules! handler_access {
    () => {
        /// The handler.
        pub fn handler(&self) -> &H {
            &self.handler
        }

        /// The handler, to be changed.
        pub fn handler_mut(&mut self) -> &mut H {
            &mut self.handler
        }

        /// The receiver's handler alone.
        pub fn into_handler(self) -> H {
            self.handler
        }
    };
}

/// The methods of `Protocol` that go to the field `handler` as they are.
macro_rules! pass_on_to_handler {
    () => {
        fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
            self.handler.connection_lost(transport, reason);
        }

        fn pause_writing(&mut self, transport: &dyn Transport) {
            self.handler.pause_writing(transport);
        }

        fn resume_writing(&mut self, transport: &dyn Transport) {
            self.handler.resume_writing(transport);
        }

        fn shutdown_requested(&mut self, transport: &dyn Transport) {
            self.handler.shutdown_requested(transport);
        }
    };
}

pub(super) use {handler_access, pass_on_to_handler};
