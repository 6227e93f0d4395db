//! hyper on tokio, in one thread; a task for each connection.

use crate::on_tokio::runtime;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::net::TcpListener;
use tulipa::Exception;

pub(crate) fn serve(listener: TcpListener, body: Vec<u8>) -> Result<(), Exception> {
    let body = Bytes::from(body);
    runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let body = body.clone();
            let hello = service_fn(move |_: Request<hyper::body::Incoming>| {
                let answer = Response::builder()
                    .header(CONTENT_TYPE, "text/plain")
                    .body(Full::new(body.clone()));
                std::future::ready(answer)
            });
            tokio::task::spawn_local(async move {
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), hello);
                if let Err(error) = served.await {
                    eprintln!("a connection broke: {error}");
                }
            });
        }
    })
}
