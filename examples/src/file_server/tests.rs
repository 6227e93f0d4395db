use super::*;
use tulipa::testing::{MemoryLoop, MemoryOptions};
use tulipa::{TestLoop, sleep};

fn parse(target: &str) -> Result<PathBuf, Refusal> {
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    Request::parse(head.as_bytes()).map(|request| request.path)
}

#[test]
fn a_target_is_a_file_below_the_folder_or_nothing() {
    assert_eq!(parse("/a.txt"), Ok(PathBuf::from("a.txt")));
    assert_eq!(parse("/a/b%20c?query"), Ok(PathBuf::from("a/b c")));
    for upwards in ["/../a", "/a/../../b", "/%2e%2e/a", "/.hidden", "/a%2fb", "/a//b", "/", "/a%00"]
    {
        assert_eq!(parse(upwards), Err(Refusal::NOT_FOUND), "{upwards}");
    }
    for nonsense in ["a", "http://a/b", "/%", "/%4", "/%zz", "/%ff", "/%+1"] {
        assert_eq!(parse(nonsense), Err(Refusal::BAD), "{nonsense}");
    }
}

#[test]
fn what_might_be_taken_for_the_next_request_is_refused() {
    let with = |fields: &str| {
        Request::parse(format!("GET /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
    };
    assert!(with("").is_ok_and(|request| request.persists));
    assert!(with("Connection: x, Close\r\n").is_ok_and(|request| !request.persists));
    assert!(with("Content-Length: 0\r\n").is_ok());
    assert_eq!(with("Content-Length: 5\r\n"), Err(Refusal::BODY));
    assert_eq!(with("Transfer-Encoding: chunked\r\n"), Err(Refusal::BODY));
    assert_eq!(with("Host: b\r\n"), Err(Refusal::BAD));
    assert_eq!(with(&"X: y\r\n".repeat(100)), Err(Refusal::TOO_LONG));
    assert_eq!(Request::parse(b"POST /a HTTP/1.0\r\n\r\n"), Err(Refusal::METHOD));
}

/// What a client gets that sends this, over a site with the files `a` (100,000 bytes) and `empty`.
fn exchange(requests: &str) -> Vec<u8> {
    let folder = folder_of(&requests.len().to_string());
    std::fs::write(folder.join("a"), vec![b'a'; 100_000]).unwrap();
    std::fs::write(folder.join("empty"), b"").unwrap();
    let event_loop = TestLoop::new();
    let site = Site::new(&folder, Duration::from_secs(60)).unwrap();
    let streams = event_loop.memory_streams(MemoryOptions::default());
    let (reader, writer) = streams.left;
    let talking = event_loop.create_task(async move { talk(&site, reader, writer).await });
    let (mut reader, writer) = streams.right;
    writer.write(requests.as_bytes());
    let reading = event_loop.create_task(async move {
        let answers = reader.read_to_end().await?;
        writer.close();
        Ok(answers)
    });
    let answers = event_loop.run_until_complete(&reading).unwrap();
    event_loop.run_until_complete(&talking).unwrap();
    event_loop.run_ready_now();
    std::fs::remove_dir_all(folder).unwrap();
    answers
}

#[test]
fn requests_are_answered_in_order_even_if_they_come_at_once() {
    let one = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let last = "GET /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = exchange(
        &[one("GET", "/a"), one("HEAD", "/a"), one("GET", "/b"), one("GET", "/a"), last.into()]
            .concat(),
    );
    let body = "a".repeat(100_000);
    let text = String::from_utf8(answers).unwrap();
    let statuses: Vec<&str> = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| answer.split("\r\n").next().unwrap())
        .collect();
    assert_eq!(statuses, ["200 OK", "200 OK", "404 Not Found", "200 OK", "200 OK"]);
    assert_eq!(text.matches(&body).count(), 2);
    assert!(text.ends_with("Connection: close\r\n\r\n"));
}

#[test]
fn a_bad_request_ends_the_connection() {
    let answers = exchange("nonsense\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    let text = String::from_utf8(answers).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 ") && text.matches("HTTP/1.1 ").count() == 1, "{text}");
}

#[test]
fn a_client_that_takes_no_answers_is_not_given_more_and_is_cut_in_the_end() {
    let folder = folder_of("greedy");
    std::fs::write(folder.join("a"), b"tulip").unwrap();
    let event_loop = TestLoop::new();
    let site = Site::new(&folder, Duration::from_secs(60)).unwrap();
    let streams = event_loop.memory_streams(MemoryOptions::default());
    let (reader, writer) = streams.left;
    let server = writer.transport().clone();
    let talking = event_loop.create_task(async move { talk(&site, reader, writer).await });
    let (_reader, writer) = streams.right;
    writer.write("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5000).as_bytes());
    let mut most = 0;
    let waiting = event_loop.create_task(async move {
        for _ in 0..10 {
            sleep(Duration::from_secs(5)).await?;
            most = most.max(server.get_write_buffer_size().0);
        }
        Ok(most)
    });
    let most = event_loop.run_until_complete(&waiting).unwrap();
    assert!((65_536..70_000).contains(&most), "{most}");
    assert!(event_loop.run_until_complete(&talking).unwrap_err().is::<TimeoutError>());
    writer.transport().abort();
    event_loop.run_until_idle();
    std::fs::remove_dir_all(folder).unwrap();
}

fn folder_of(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("file-server-{}", std::process::id()));
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
