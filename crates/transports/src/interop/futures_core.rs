//! `Stream` of `futures-core`.

use crate::streams::Lines;
use futures::Exception;
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

impl Stream for Lines<'_> {
    type Item = Result<Vec<u8>, Exception>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_line(context).map(Result::transpose)
    }
}
