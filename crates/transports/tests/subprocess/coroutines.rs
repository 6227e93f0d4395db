//! Children for coroutines: `Process`.

use crate::support::*;
use eventloop::{EventLoop, prelude::*};
use futures::{Exception, TimeoutError, gather, timeout};
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tulipa_transports::Bytes;
use tulipa_transports::streams::StreamWriter;
use tulipa_transports::subprocess::*;

/// Runs a coroutine on a loop whose children are watched in the way that this binary tests.
#[track_caller]
fn run<T: 'static>(
    coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
) -> T {
    let event_loop = new_loop();
    let outcome = event_loop.run_coroutine(coroutine).unwrap();
    run_until(&event_loop, || event_loop.open_children() == 0);
    outcome
}

/// The same where time has to pass while a child runs: then a test clock would stand still.
#[track_caller]
fn run_in_real_time<T: 'static>(
    coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
) -> T {
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_child_watcher(crate::WATCHER).unwrap();
    event_loop.run_coroutine(coroutine).unwrap()
}

/// Waits until the system has taken a process away; not by the loop's clock, which would jump.
async fn until_gone(pid: u32) -> Result<(), Exception> {
    while !is_gone(pid) {
        futures::yield_now().await?;
    }
    Ok(())
}

#[test]
fn c10_a_process_has_its_streams_and_its_status() {
    run(async {
        let mut cat = create_subprocess_exec("cat").await?;
        assert!(cat.pid() > 0);
        assert_eq!((cat.returncode(), cat.status()), (None, None));
        let stdin = cat.stdin.take().unwrap();
        stdin.write(b"one\ntwo");
        drop(stdin);
        let mut stdout = cat.stdout.take().unwrap();
        assert_eq!(stdout.readline().await?, b"one\n");
        assert_eq!(stdout.readline().await?, b"two");
        assert_eq!(stdout.readline().await?, b"");
        assert_eq!(cat.wait().await?, ExitStatus::Exited(0));
        assert_eq!(cat.returncode(), Some(0));
        assert_eq!(cat.stderr.take().unwrap().read_to_end().await?, b"");
        assert!(cat.kill().is_err());
        Ok(())
    });
}

#[test]
fn c3_c10_a_process_that_cannot_be_started_is_an_error() {
    run(async {
        let error = create_subprocess_exec("/no/such/program").await.err().unwrap();
        let error: &io::Error = error.downcast_ref().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let zero = SubprocessOptions::new("cat").stream_limit(Bytes(0));
        assert!(create_subprocess_exec(zero).await.is_err());
        assert!(create_subprocess_shell(SubprocessOptions::new("cat")).await.is_err());
        Ok(())
    });
}

#[test]
fn c11_communicate_feeds_and_reads_at_the_same_time() {
    run(async {
        let large: Vec<u8> = (0..3_000_000).map(|index| (index % 251) as u8).collect();
        let mut tee = create_subprocess_shell("tee /dev/stderr").await?;
        let output = tee.communicate(&large).await?;
        assert_eq!(output.status, ExitStatus::Exited(0));
        assert!(output.stdout.unwrap() == large && output.stderr.unwrap() == large);
        Ok(())
    });
}

#[test]
fn c11_what_is_no_pipe_is_none_and_empty_input_closes_it() {
    run(async {
        let joined = SubprocessOptions::shell("cat; echo no >&2").stderr(Stdio::Stdout);
        let output = create_subprocess_exec(joined).await?.communicate(b"").await?;
        assert_eq!((output.stdout, output.stderr), (Some(b"no\n".to_vec()), None));
        let mut quiet = create_subprocess_exec(quiet("exit 4")).await?;
        assert!(quiet.stdin.is_none() && quiet.stdout.is_none() && quiet.stderr.is_none());
        let output = quiet.communicate(b"dropped").await?;
        let expected = ProcessOutput { status: ExitStatus::Exited(4), stdout: None, stderr: None };
        assert_eq!(output, expected);
        Ok(())
    });
}

#[test]
fn c11_a_child_that_does_not_read_its_input_is_no_error() {
    run(async {
        let large = vec![b'x'; 1_000_000];
        for command in ["exit 5", "exec <&-; echo done; exit 5", "head -c 10; exit 5"] {
            let mut child = create_subprocess_shell(command).await?;
            let output = child.communicate(&large).await?;
            assert_eq!(output.status, ExitStatus::Exited(5), "{command}");
        }
        Ok(())
    });
}

#[test]
fn c11_input_that_was_closed_before_is_no_error() {
    run(async {
        let mut child = create_subprocess_exec("cat").await?;
        child.stdin.as_ref().unwrap().close();
        let output = child.communicate(b"too late").await?;
        assert_eq!((output.status, output.stdout), (ExitStatus::Exited(0), Some(Vec::new())));
        Ok(())
    });
}

#[test]
fn c11_a_child_that_ends_early_while_it_is_fed_loses_none_of_its_output() {
    run(async {
        let large = vec![b'x'; 5_000_000];
        let command = "head -c 1000000; head -c 2000000 >&2; exit 6";
        let mut child = create_subprocess_shell(command).await?;
        let output = child.communicate(&large).await?;
        assert_eq!(output.status, ExitStatus::Exited(6));
        assert_eq!(output.stdout.unwrap().len(), 1_000_000);
        assert_eq!(output.stderr.unwrap().len(), 2_000_000);
        Ok(())
    });
}

#[test]
fn c11_communicate_that_is_cancelled_loses_nothing() {
    run(async {
        let mut child =
            create_subprocess_shell("echo one; echo two >&2; read go; echo three").await?;
        let pid = child.pid();
        // Until the child has written all that it writes before it waits, and we have read it.
        futures::select! {
            output = silent(&mut child) => output.map(|()| unreachable!("it waits for its input")),
            pause = some_turns(pid) => pause,
        }??;
        assert_eq!(child.returncode(), None);
        let output = child.communicate(b"go\n").await?;
        assert_eq!(output.stdout.unwrap(), b"one\nthree\n");
        assert_eq!(output.stderr.unwrap(), b"two\n");
        assert_eq!(output.status, ExitStatus::Exited(0));
        Ok(())
    });
}

/// Lets others run until the child sleeps, then a few turns more.
async fn some_turns(pid: u32) -> Result<(), Exception> {
    let asleep = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.contains(") S ")
    };
    let mut turns = 0;
    while turns < 100 {
        turns = if asleep() { turns + 1 } else { 0 };
        futures::yield_now().await?;
    }
    Ok(())
}

#[test]
fn c10_a_wait_that_times_out_leaves_the_child_alone() {
    run_in_real_time(async {
        let mut cat = create_subprocess_exec("cat").await?;
        let waited = timeout(Duration::from_millis(1), cat.wait()).await;
        assert!(waited.unwrap_err().is::<TimeoutError>());
        assert_eq!(cat.returncode(), None);
        cat.stdin.take().unwrap().write(b"still here");
        let ((), status) = gather!(async { Ok(()) }, cat.wait()).await?;
        assert!(status.success());
        assert_eq!(cat.communicate(b"").await?.stdout.unwrap(), b"still here");
        Ok(())
    });
}

#[test]
fn c10_signals_go_through_the_process() {
    run(async {
        let stubborn = "trap 'echo got it; exit 6' USR1; echo ready; while :; do read x || :; done";
        let stubborn = SubprocessOptions::shell(stubborn).stdin(Stdio::Null);
        let mut child = create_subprocess_exec(stubborn).await?;
        let mut stdout = child.stdout.take().unwrap();
        assert_eq!(stdout.readline().await?, b"ready\n");
        child.send_signal(eventloop::signal::SIGUSR1)?;
        assert_eq!(stdout.readline().await?, b"got it\n");
        assert_eq!(child.wait().await?, ExitStatus::Exited(6));

        let child = create_subprocess_exec("cat").await?;
        child.terminate()?;
        assert_eq!(child.wait().await?, ExitStatus::Signaled(15));
        Ok(())
    });
}

#[test]
fn c9_dropping_a_process_kills_its_child() {
    let pid = run(async {
        let cat = create_subprocess_exec("cat").await?;
        Ok(cat.pid())
    });
    assert!(is_gone(pid));
}

#[test]
fn c9_a_task_that_is_cancelled_in_any_step_leaves_no_child() {
    for turns in 0..6 {
        let event_loop = new_loop();
        let task = event_loop.create_task(async {
            let mut cat = create_subprocess_exec("cat").await?;
            cat.communicate(b"x").await?;
            Ok(())
        });
        for _ in 0..turns {
            event_loop.run_ready().unwrap();
        }
        task.abort();
        run_until(&event_loop, || event_loop.open_children() == 0);
    }
}

#[test]
fn c9_a_process_may_be_let_go_and_is_reaped_all_the_same() {
    let event_loop = new_loop();
    let (pid, input) = event_loop
        .run_coroutine(async {
            let options = SubprocessOptions::new("cat").kill_on_drop(false);
            let mut cat = create_subprocess_exec(options).await?;
            Ok((cat.pid(), cat.stdin.take()))
        })
        .unwrap();
    event_loop.run_ready_now();
    assert!(!is_gone(pid));
    drop(input);
    run_until(&event_loop, || event_loop.open_children() == 0);
    assert!(is_gone(pid));
}

#[test]
fn c13_y6_a_reader_with_a_small_limit_holds_the_child_up() {
    run(async {
        let options = SubprocessOptions::new("yes").stream_limit(Bytes(100)).stdin(Stdio::Null);
        let mut yes = create_subprocess_exec(options).await?;
        let mut stdout = yes.stdout.take().unwrap();
        assert_eq!(stdout.readline().await?, b"y\n");
        some_turns(yes.pid()).await?;
        let buffered = stdout.fill_buf().await?.len();
        assert!(buffered <= 200 + 65_536, "{buffered}");
        let pipe = yes.transport().get_pipe_transport(1).unwrap();
        assert!(!pipe.is_reading(), "it is held up");
        assert_eq!(stdout.readexactly(1_000_000).await?.len(), 1_000_000);
        yes.kill()?;
        assert_eq!(yes.wait().await?, ExitStatus::Signaled(9));
        Ok(())
    });
}

#[test]
fn c13_c14_a_child_whose_output_nobody_holds_is_told() {
    run(async {
        let mut yes =
            create_subprocess_exec(SubprocessOptions::new("yes").stdin(Stdio::Null)).await?;
        drop(yes.stdout.take());
        let status = yes.wait().await?;
        assert_eq!(status, ExitStatus::Signaled(eventloop::signal::SIGPIPE));
        Ok(())
    });
}

#[test]
fn c14_a_child_whose_output_nobody_reads_waits_until_somebody_does() {
    run_in_real_time(async {
        let zeroes = SubprocessOptions::from(("head", ["-c", "1000000", "/dev/zero"]));
        let mut head = create_subprocess_exec(zeroes.stream_limit(Bytes(100))).await?;
        let waited = timeout(Duration::from_millis(50), head.wait()).await;
        assert!(waited.unwrap_err().is::<TimeoutError>());
        let output = head.communicate(b"").await?;
        assert_eq!((output.stdout.unwrap().len(), output.status.returncode()), (1_000_000, 0));
        Ok(())
    });
}

#[test]
fn c13_a_writer_learns_that_the_child_has_closed_its_input() {
    run(async {
        let mut child = create_subprocess_shell("exec <&-; echo closed; sleep 1000").await?;
        let stdin = child.stdin.take().unwrap();
        assert_eq!(child.stdout.as_mut().unwrap().readline().await?, b"closed\n");
        let error = write_for_ever(&stdin).await.unwrap_err();
        let kind = error.downcast_ref::<io::Error>().unwrap().kind();
        assert!(matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset));
        let pid = child.pid();
        drop(child);
        until_gone(pid).await
    });
}

#[test]
fn c13_drain_waits_while_the_child_does_not_read() {
    run(async {
        let mut child = create_subprocess_exec(("wc", ["-c"])).await?;
        let stdin = child.stdin.take().unwrap();
        for _ in 0..100 {
            stdin.write(&[b'x'; 10_000]);
            stdin.drain().await?;
        }
        stdin.close();
        stdin.wait_closed().await?;
        let output = child.communicate(b"").await?;
        assert_eq!(output.stdout.unwrap().trim_ascii(), b"1000000");
        Ok(())
    });
}

#[test]
fn c8_waiting_does_not_wait_for_a_grandchild() {
    run(async {
        let mut child = create_subprocess_shell("sleep 1000 & echo $!").await?;
        assert_eq!(child.wait().await?, ExitStatus::Exited(0));
        let mut stdout = child.stdout.take().unwrap();
        let grandchild = String::from_utf8(stdout.readline().await?).unwrap();
        let grandchild = rustix::process::Pid::from_raw(grandchild.trim().parse().unwrap());
        rustix::process::kill_process(grandchild.unwrap(), rustix::process::Signal::KILL)?;
        assert_eq!(stdout.read_to_end().await?, b"");
        Ok(())
    });
}

#[test]
fn c9_a_process_that_has_ended_lets_go_of_pipes_that_a_grandchild_holds() {
    let grandchild = run(async {
        let mut child = create_subprocess_shell("sleep 1000 & echo $!").await?;
        child.wait().await?;
        let stdout = child.stdout.as_mut().unwrap();
        let grandchild = String::from_utf8(stdout.readline().await?).unwrap();
        // What was taken out and dropped, and what was not, are closed alike when the process is
        // dropped; `run` waits until nothing is open.
        drop(child.stderr.take());
        Ok(grandchild.trim().parse::<i32>().unwrap())
    });
    let grandchild = rustix::process::Pid::from_raw(grandchild).unwrap();
    rustix::process::kill_process(grandchild, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn c18_a_hundred_processes_are_talked_to_at_the_same_time() {
    run(async {
        let talks = (0..100).map(|number: u32| async move {
            let mut cat = create_subprocess_shell(format!("cat; exit {number}")).await?;
            let output = cat.communicate(number.to_string().repeat(1000)).await?;
            assert_eq!(output.stdout.unwrap(), number.to_string().repeat(1000).into_bytes());
            assert_eq!(output.status, ExitStatus::Exited(number as i32));
            Ok::<_, Exception>(())
        });
        futures::join_all(talks).await?;
        Ok(())
    });
}

/// Communicates, but keeps the input open.
async fn silent(child: &mut Process) -> Result<(), Exception> {
    let stdin = child.stdin.take();
    let outcome = child.communicate(b"").await;
    child.stdin = stdin;
    outcome.map(drop)
}

async fn write_for_ever(writer: &StreamWriter) -> Result<Infallible, Exception> {
    loop {
        writer.write(&[b'x'; 65_536]);
        writer.drain().await?;
        futures::yield_now().await?;
    }
}
