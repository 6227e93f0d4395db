//! A hyper server on our loop, as real and foreign clients see it.

use super::support::{answer, body_of, connect, get, pattern, port_of, post, run, serve};
use eventloop::to_thread;
use futures::{Exception, join_all, yield_now};
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use std::cell::Cell;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::rc::Rc;
use tulipa::streams::start_server;

type Answer = Response<UnsyncBoxBody<Bytes, hyper::Error>>;

/// What the tests ask for: a greeting, an echo, and what is not there.
async fn site(request: Request<Incoming>) -> Result<Answer, Exception> {
    match request.uri().path() {
        "/hello" => Ok(answer("hello")),
        "/echo" => Ok(Response::new(request.into_body().boxed_unsync())),
        "/length" => {
            let body = request.into_body().collect().await?.to_bytes();
            Ok(answer(body.len().to_string()))
        }
        _ => {
            let mut missing = answer("not here");
            *missing.status_mut() = StatusCode::NOT_FOUND;
            Ok(missing)
        }
    }
}

/// A server of `site`, and how many connections it has had.
async fn start_site() -> Result<(tulipa::Server, Rc<Cell<u32>>), Exception> {
    let connections = Rc::new(Cell::new(0));
    let counted = connections.clone();
    let handler = move |reader, writer| {
        counted.set(counted.get() + 1);
        serve((reader, writer), site)
    };
    Ok((start_server(handler, ("127.0.0.1", 0)).await?, connections))
}

#[test]
fn hyper_answers_hyper_and_keeps_the_connection() {
    run(async {
        let (server, connections) = start_site().await?;
        let mut client = connect(port_of(&server)).await?;
        for _ in 0..100 {
            client.ready().await?;
            let response = client.send_request(get("/hello")).await?;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(body_of(response).await?, "hello");
        }
        let response = client.send_request(get("/elsewhere")).await?;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(body_of(response).await?, "not here");
        assert_eq!(connections.get(), 1);
        server.close();
        Ok(())
    });
}

#[test]
fn megabytes_go_both_ways_at_the_same_time() {
    run(async {
        let (server, _) = start_site().await?;
        let mut client = connect(port_of(&server)).await?;
        let sent = pattern(16 << 20);
        let response = client.send_request(post("/echo", sent.clone())).await?;
        let received = body_of(response).await?;
        assert!(received == sent, "{} of {} bytes came back the same", received.len(), sent.len());
        client.ready().await?;
        let response = client.send_request(post("/length", sent)).await?;
        assert_eq!(body_of(response).await?, (16 << 20).to_string());
        server.close();
        Ok(())
    });
}

/// A body of `count` chunks of 64 KiB, which counts how many were made.
fn counted(
    count: u32,
    made: Rc<Cell<u32>>,
) -> Response<impl Body<Data = Bytes, Error = Infallible>> {
    let chunk = Bytes::from(pattern(65_536));
    let chunks = stream::iter((0..count).map(move |_| {
        made.set(made.get() + 1);
        Ok(Frame::data(chunk.clone()))
    }));
    Response::new(StreamBody::new(chunks))
}

#[test]
fn a_client_that_does_not_read_holds_the_server_up() {
    const CHUNKS: u32 = 1024;
    run(async {
        let made = Rc::new(Cell::new(0));
        let served = made.clone();
        let handler = move |reader, writer| {
            let made = served.clone();
            serve((reader, writer), move |_| {
                let made = made.clone();
                async move { Ok(counted(CHUNKS, made)) }
            })
        };
        let server = start_server(handler, ("127.0.0.1", 0)).await?;
        let mut client = connect(port_of(&server)).await?;
        let mut body = client.send_request(get("/")).await?.into_body();
        // Until the server has made nothing for a long time.
        let (mut before, mut quiet) = (made.get(), 0);
        while quiet < 20_000 {
            yield_now().await?;
            quiet = if made.get() == before { quiet + 1 } else { 0 };
            before = made.get();
        }
        assert!(before < CHUNKS / 2, "{before} of {CHUNKS} chunks were made for nobody");
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        assert_eq!((made.get(), length), (CHUNKS, 65_536 * CHUNKS as usize));
        server.close();
        Ok(())
    });
}

#[test]
fn many_connections_are_served_at_the_same_time() {
    run(async {
        let (server, connections) = start_site().await?;
        let port = port_of(&server);
        let clients = (0..200).map(|number: u32| async move {
            let mut client = connect(port).await?;
            for round in 0..5 {
                let text = format!("client {number}, round {round}");
                client.ready().await?;
                let response = client.send_request(post("/echo", text.clone())).await?;
                assert_eq!(body_of(response).await?, text);
            }
            Ok::<_, Exception>(())
        });
        join_all(clients).await?;
        assert_eq!(connections.get(), 200);
        server.close();
        Ok(())
    });
}

/// Asks from a thread of its own, and goes away with the last byte of the answer.
fn ask_and_leave(port: u16) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.write_all(b"GET /hello HTTP/1.1\r\nhost: tulipa\r\n\r\n")?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"hello") {
        socket.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    Ok(())
}

#[test]
fn a_client_that_goes_away_with_its_answer_is_no_failure() {
    run(async {
        let (server, connections) = start_site().await?;
        let port = port_of(&server);
        to_thread(move || (0..200).try_for_each(|_| ask_and_leave(port))).await??;
        assert_eq!(connections.get(), 200);
        server.close();
        Ok(())
    });
}

/// Runs curl; its output, or `None` where there is no curl.
async fn curl(arguments: Vec<String>) -> Result<Option<String>, Exception> {
    to_thread(move || {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "30", "--noproxy", "*"]);
        match command.args(&arguments).stdin(Stdio::null()).output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Exception::from(error)),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "curl {arguments:?}: {said}");
                Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
            }
        }
    })
    .await?
}

#[test]
fn curl_is_served() {
    let file = std::env::temp_dir().join(format!("tulipa-interop-{}", std::process::id()));
    std::fs::write(&file, pattern(5 << 20)).unwrap();
    let upload = format!("@{}", file.display());
    run(async move {
        let (server, connections) = start_site().await?;
        let at = format!("http://127.0.0.1:{}", port_of(&server));
        let (hello, length) = (format!("{at}/hello"), format!("{at}/length"));
        let Some(said) = curl(vec![hello.clone(), hello.clone(), hello]).await? else {
            eprintln!("skipped: there is no curl on this machine");
            server.close();
            return Ok(());
        };
        assert_eq!((said.as_str(), connections.get()), ("hellohellohello", 1));
        let said = curl(vec!["--data-binary".into(), upload, length]).await?;
        assert_eq!(said.as_deref(), Some("5242880"));
        server.close();
        Ok(())
    });
    std::fs::remove_file(file).unwrap();
}
