use super::*;
use std::cell::RefCell;
use tulipa::prelude::*;

const LIMITS: Limits = Limits { time: None, grace: Duration::from_secs(60), line: Bytes(64) };

/// Runs a command; how it ended, and its lines.
fn run(command: &'static str, limits: Limits) -> (Ending, Vec<(Output, String)>) {
    let event_loop = EventLoop::new().unwrap();
    let outcome = event_loop.run_coroutine(async move {
        let lines = RefCell::new(Vec::new());
        let say = |output, line: &[u8]| {
            lines.borrow_mut().push((output, String::from_utf8_lossy(line).into_owned()));
        };
        let ending = run_command(command, limits, &say).await?;
        Ok((ending, lines.into_inner()))
    });
    outcome.unwrap()
}

fn stdout(line: &str) -> (Output, String) {
    (Output::Stdout, line.to_owned())
}

#[test]
fn lines_come_one_by_one_and_the_last_needs_no_newline() {
    let (ending, lines) = run("echo one; echo; printf two; exit 3", LIMITS);
    assert_eq!(ending, Ending::Ended(ExitStatus::Exited(3)));
    assert!(!ending.is_good());
    assert_eq!(lines, [stdout("one"), stdout(""), stdout("two")]);
}

#[test]
fn errors_are_told_apart() {
    let (ending, lines) = run("echo no >&2", LIMITS);
    assert!(ending.is_good());
    assert_eq!(lines, [(Output::Stderr, "no".to_owned())]);
}

#[test]
fn a_line_without_end_comes_in_pieces() {
    let (ending, lines) = run("head -c 1000 /dev/zero | tr '\\0' x; echo; echo after", LIMITS);
    assert!(ending.is_good());
    assert_eq!(lines.last().unwrap(), &stdout("after"));
    let pieces: String = lines[..lines.len() - 1].iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(pieces, "x".repeat(1000));
}

#[test]
fn a_command_that_takes_too_long_is_stopped_even_if_it_does_not_want_to() {
    let limits = Limits {
        time: Some(Duration::from_millis(50)),
        grace: Duration::from_millis(50),
        ..LIMITS
    };
    assert_eq!(run("sleep 1000", limits).0, Ending::TookTooLong);
    assert_eq!(run("trap '' TERM; while :; do sleep 0.01; done", limits).0, Ending::TookTooLong);
}

#[test]
fn what_a_command_has_started_is_stopped_with_it() {
    let limits = Limits { time: Some(Duration::from_secs(1)), ..LIMITS };
    let (ending, lines) = run("sleep 1000 & echo $!; wait", limits);
    assert_eq!(ending, Ending::TookTooLong);
    let stat = format!("/proc/{}/stat", lines[0].1);
    let start = std::time::Instant::now();
    // It may be a zombie that waits for its new parent.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(start.elapsed() < Duration::from_secs(10), "{} runs still", lines[0].1);
        std::thread::yield_now();
    }
}
