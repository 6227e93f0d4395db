//! This loop inside of somebody else's, and somebody else's behind this interface (I-2).

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::LocalSet;
use tulipa::{RunError, Runner, prelude::*, sleep};
use tulipa_tests::{Host, LocalSetHost};

/// The whole adapter: a task of the host's that runs what is ready here whenever the loop's descriptor
/// is readable or its deadline has come, until `main` has ended.
async fn drive<T: 'static>(event_loop: &EventLoop, main: &tulipa::Task<T>) -> Result<(), RunError> {
    let descriptor = event_loop.as_fd().expect("a loop that is open").try_clone_to_owned();
    let descriptor = descriptor.expect("a descriptor is left");
    #[expect(deprecated, reason = "the descriptor is owned, and stays as it is")]
    let watched = AsyncFd::with_interest(descriptor, Interest::READABLE);
    let watched = watched.expect("an epoll descriptor can be polled");
    while !main.done() {
        let until = event_loop.next_deadline().map(|due| due - event_loop.time());
        let due = async {
            match until {
                Some(until) => tokio::time::sleep(until).await,
                None => std::future::pending().await,
            }
        };
        let ready = tokio::select! {
            ready = watched.readable() => Some(ready.expect("it is watched")),
            () = due => None,
        };
        event_loop.run_ready()?;
        // This host hears of changes only: it may forget the descriptor when nothing is left there.
        if let Some(mut ready) = ready
            && !is_readable(&watched)
        {
            ready.clear_ready();
        }
    }
    Ok(())
}

fn is_readable(descriptor: &impl AsFd) -> bool {
    let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("it is open") == 1
}

fn in_a_local_set<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

#[test]
fn i2_i6_this_loop_runs_as_a_task_of_another_runtime() {
    let event_loop = EventLoop::new().unwrap();
    let main = event_loop.create_task(async {
        let server = tulipa::start_server(
            |mut reader, writer| async move {
                while let Some(line) = reader.lines().next().await? {
                    writer.write(&line);
                    writer.drain().await?;
                }
                Ok::<(), Exception>(())
            },
            ("127.0.0.1", 0),
        )
        .await?;
        let address = server.addresses()[0].to_string();
        let client = tulipa::to_thread(move || -> std::io::Result<String> {
            let mut client = std::net::TcpStream::connect(address)?;
            client.write_all(b"from afar\n")?;
            client.shutdown(std::net::Shutdown::Write)?;
            let mut answer = String::new();
            client.read_to_string(&mut answer)?;
            Ok(answer)
        });
        sleep(Duration::from_millis(5)).await?;
        Ok(client.await??)
    });
    in_a_local_set(async {
        // The host goes on with work of its own meanwhile.
        let ticks = tokio::task::spawn_local(async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            "the host's own"
        });
        drive(&event_loop, &main).await.unwrap();
        assert_eq!(ticks.await.unwrap(), "the host's own");
    });
    assert_eq!(main.take().unwrap(), "from afar\n");
}

#[test]
fn i2_another_runtime_stands_behind_the_interface() {
    let host = LocalSetHost::new();
    let log = Rc::new(RefCell::new(Vec::new()));
    let seen = log.clone();
    let task = host.scheduler().create_task(async move {
        sleep(Duration::from_millis(3)).await?;
        seen.borrow_mut().push("slept by our clock");
        // Something of the runtime below, awaited by a task of ours.
        let below = tokio::task::spawn_local(async {
            tokio::task::yield_now().await;
            "worked by a task of its own"
        });
        let worked = below.await?;
        seen.borrow_mut().push(worked);
        Ok(())
    });
    while !task.done() {
        host.run_until_idle();
    }
    task.take().unwrap();
    assert_eq!(*log.borrow(), ["slept by our clock", "worked by a task of its own"]);
}

#[test]
fn f24_a_future_of_another_loop_is_an_error_in_the_task_that_awaits_it() {
    let other = EventLoop::new().unwrap();
    let foreign = other.create_future::<u32>();
    let outcome = tulipa::run(foreign);
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("belongs to another event loop"), "{error}");
}

#[test]
fn i9_high_level_objects_belong_to_the_loop_that_runs_when_they_are_first_waited_on() {
    let lock = tulipa::Lock::new();
    let contended = lock.clone();
    tulipa::run(async move {
        let guard = contended.acquire().await?;
        let waiting = tulipa::create_task(async move { contended.acquire().await.map(drop) });
        tulipa::yield_now().await?;
        drop(guard);
        waiting.await
    })
    .unwrap();
    // Not contended, it is nobody's; who has to wait must be of the same loop.
    let mut runner = Runner::new();
    let outcome = runner.run(async move {
        let _guard = lock.acquire().await?;
        lock.acquire().await.map(drop)
    });
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("another event loop"), "{error}");
}
