//! HTTP/2 by hyper: many requests at a time on one connection, each a task of our executor, none `Send`.

use super::support::{body_of, get, pattern, port_of, post, run};
use futures::{Exception, join_all, spawn, yield_now};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tulipa::interop::{LoopExecutor, LoopTimer};
use tulipa::streams::{Stream, open_connection, start_server};

#[test]
fn one_connection_carries_many_requests_at_a_time() {
    run(async {
        let (at_work, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (working, peak) = (at_work.clone(), most.clone());
        let handler = move |reader, writer| {
            let (working, peak) = (working.clone(), peak.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (working, peak) = (working.clone(), peak.clone());
                async move {
                    working.set(working.get() + 1);
                    peak.set(working.get().max(peak.get()));
                    for _ in 0..10 {
                        yield_now().await?;
                    }
                    working.set(working.get() - 1);
                    Ok::<_, Exception>(Response::new(request.into_body()))
                }
            });
            hyper::server::conn::http2::Builder::new(LoopExecutor::current())
                .timer(LoopTimer::current())
                .keep_alive_interval(Duration::from_secs(10))
                .serve_connection(Stream::from((reader, writer)), service)
        };
        let server = start_server(handler, ("127.0.0.1", 0)).await?;
        let stream = Stream::from(open_connection(("127.0.0.1", port_of(&server))).await?);
        let executor = LoopExecutor::current();
        let (sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await?;
        let connection = spawn(connection);
        let requests = (0..50).map(|number: usize| {
            let mut sender = sender.clone();
            async move {
                let sent = pattern(number * 4_096);
                sender.ready().await?;
                let uri = format!("http://tulipa/{number}");
                let response = sender.send_request(post(&uri, sent.clone())).await?;
                assert!(body_of(response).await? == sent, "request {number}");
                Ok::<_, Exception>(())
            }
        });
        join_all(requests).await?;
        assert!(most.get() > 10, "at most {} at a time", most.get());
        let mut last = sender.clone();
        let response = last.send_request(get("http://tulipa/")).await?;
        assert_eq!(body_of(response).await?, "");
        drop((sender, last));
        connection.await??;
        server.close();
        Ok(())
    });
}
