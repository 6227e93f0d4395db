//! What costs no allocation, counted.

use allocation_counter::measure;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::cell::Cell;
use std::net::{TcpStream, UdpSocket};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tulipa::{
    AbstractEventLoop, Address, Server, StreamReader, StreamWriter, prelude::*, start_server,
};

/// Runs `round` until everything that grows once has grown, then counts its allocations.
fn in_steady_state(mut round: impl FnMut()) -> u64 {
    (0..200).for_each(|_| round());
    measure(&mut round).count_total
}

fn run_ready(event_loop: &EventLoop) {
    event_loop.run_ready().expect("an idle, open loop");
}

#[test]
fn l4_a_callback_of_up_to_four_words_costs_no_allocation() {
    let event_loop = EventLoop::new().unwrap();
    let count = Rc::new(Cell::new(0));
    let allocations = in_steady_state(|| {
        for words in 0..100usize {
            let (count, one, two, three) = (count.clone(), words, words, words);
            event_loop.call_soon(move || count.set(count.get() + one + two + three));
        }
        run_ready(&event_loop);
    });
    assert_eq!(allocations, 0);

    let allocations = in_steady_state(|| {
        let (count, ballast) = (count.clone(), [1usize; 4]);
        event_loop.call_soon(move || count.set(count.get() + ballast.iter().sum::<usize>()));
        run_ready(&event_loop);
    });
    assert_eq!(allocations, 1, "five words are boxed: the counter counts");
}

#[test]
fn h18_arming_and_firing_timers_costs_no_allocation() {
    let event_loop = EventLoop::new().unwrap();
    let fired = Rc::new(Cell::new(0));
    let allocations = in_steady_state(|| {
        for _ in 0..50 {
            let fired = fired.clone();
            event_loop.call_later(Duration::ZERO, move || fired.set(fired.get() + 1));
        }
        run_ready(&event_loop);
    });
    assert_eq!(allocations, 0);
    assert_eq!(fired.get(), 201 * 50);
}

#[test]
fn h18_arming_and_cancelling_timers_costs_no_allocation() {
    let event_loop = EventLoop::new().unwrap();
    let allocations = in_steady_state(|| {
        for _ in 0..50 {
            event_loop.call_later(Duration::from_secs(60), || {}).cancel();
        }
        run_ready(&event_loop);
    });
    assert_eq!(allocations, 0);
}

#[test]
fn h18_moving_a_deadline_costs_no_allocation() {
    let event_loop = EventLoop::new().unwrap();
    let timers: Vec<_> =
        (0..50).map(|_| event_loop.call_later(Duration::from_secs(60), || {})).collect();
    let allocations = in_steady_state(|| {
        for timer in &timers {
            timer.reschedule(event_loop.time() + Duration::from_secs(60));
        }
        run_ready(&event_loop);
    });
    assert_eq!(allocations, 0);
}

#[test]
fn h18_a_scope_adds_no_allocation_to_callbacks_and_timers() {
    let event_loop = EventLoop::new().unwrap();
    let scope = event_loop.create_scope();
    let ran = Rc::new(Cell::new(0));
    let allocations = in_steady_state(|| {
        for _ in 0..50 {
            let (soon, later, never) = (ran.clone(), ran.clone(), ran.clone());
            scope.call_soon(move || soon.set(soon.get() + 1));
            scope.call_later(Duration::ZERO, move || later.set(later.get() + 1));
            scope.call_soon(move || never.set(0)).cancel();
        }
        run_ready(&event_loop);
    });
    assert_eq!((allocations, ran.get()), (0, 201 * 100));
}

#[test]
fn l31_a_small_call_from_a_thread_costs_no_allocation() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.threadsafe_handle();
    let allocations = in_steady_state(|| {
        for _ in 0..50 {
            handle.call_soon_threadsafe(|| {}).expect("the loop is open");
        }
        run_ready(&event_loop);
    });
    assert_eq!(allocations, 0);
}

#[test]
fn f9_a_future_with_one_callback_costs_one_allocation() {
    let event_loop = EventLoop::new().unwrap();
    let sum = Rc::new(Cell::new(0));
    let allocations = in_steady_state(|| {
        let (sum, future) = (sum.clone(), event_loop.create_future::<u32>());
        future.add_done_callback(move |future| sum.set(sum.get() + future.result().unwrap()));
        future.set_result(1).expect("it is pending");
        run_ready(&event_loop);
    });
    assert_eq!(allocations, 1);
    assert_eq!(sum.get(), 201);
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        transport.write(data);
    }
}

impl DatagramProtocol for Echo {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        sender: &Address,
    ) {
        transport.sendto(data, Some(sender));
    }
}

/// Sends `request` from outside, lets the loop work until as much has come back, and compares.
fn exchange(event_loop: &EventLoop, peer: &impl AsFd, request: &[u8]) {
    send(peer, request, SendFlags::NOSIGNAL).unwrap();
    let (mut reply, mut count, mut longest) = ([0; 1024], 0, None);
    while count < request.len() {
        AbstractEventLoop::run_once(&***event_loop, longest).expect("an idle, open loop");
        // The request was waited for. Of the answer the loop is not told when it comes.
        longest = Some(Duration::ZERO);
        match recv(peer, &mut reply[count..], RecvFlags::DONTWAIT) {
            Ok((_, more)) => count += more,
            Err(error) => assert_eq!(error, Errno::AGAIN),
        }
    }
    assert_eq!(&reply[..count], request);
}

fn connect(server: &Server) -> TcpStream {
    let port = server.addresses()[0].port().expect("an address with a port");
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

#[test]
fn x15_a_request_and_its_reply_cost_no_allocation() {
    let event_loop = EventLoop::new().unwrap();
    let server = event_loop.create_server(|| Echo, ("127.0.0.1", 0)).result().unwrap();
    let peer = connect(&server);
    assert_eq!(in_steady_state(|| exchange(&event_loop, &peer, b"hello")), 0);
}

#[test]
fn x15_sixteen_replies_of_one_turn_cost_no_allocation() {
    struct EchoEach;
    impl Protocol for EchoEach {
        fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
            for request in data.chunks(64) {
                transport.write(request);
            }
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let server = event_loop.create_server(|| EchoEach, ("127.0.0.1", 0)).result().unwrap();
    let peer = connect(&server);
    assert_eq!(in_steady_state(|| exchange(&event_loop, &peer, &[7; 16 * 64])), 0);
}

#[test]
fn p18_a_datagram_and_its_answer_cost_no_allocation() {
    let event_loop = EventLoop::new().unwrap();
    let opening = event_loop.create_datagram_endpoint(|| Echo, ("127.0.0.1", 0));
    let endpoint = event_loop.run_until_complete(&opening).unwrap();
    let address = endpoint.extra_info().sockname.expect("it is bound");
    let peer = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    peer.connect(("127.0.0.1", address.port().expect("a port of UDP"))).unwrap();
    assert_eq!(in_steady_state(|| exchange(&event_loop, &peer, b"hello")), 0);
}

#[test]
fn y7_y17_a_coroutine_that_reads_and_writes_costs_one_allocation_for_each_wait() {
    let event_loop = EventLoop::new().unwrap();
    let starting = event_loop.create_task(start_server(
        async |mut reader: StreamReader, writer: StreamWriter| {
            loop {
                let count = {
                    let data = reader.fill_buf().await?;
                    if data.is_empty() {
                        return Ok::<(), Exception>(());
                    }
                    writer.write(data);
                    data.len()
                };
                reader.consume(count);
                writer.drain().await?;
            }
        },
        ("127.0.0.1", 0),
    ));
    let server = event_loop.run_until_complete(starting.as_future()).unwrap();
    let peer = connect(&server);
    assert_eq!(in_steady_state(|| exchange(&event_loop, &peer, b"hello")), 1);
}

/// Spawns what `coroutine` makes, runs it to its end, and counts the allocations of that.
fn of_a_task<F>(event_loop: &EventLoop, coroutine: impl Fn() -> F) -> u64
where
    F: Future<Output = Result<(), Exception>> + 'static,
{
    in_steady_state(|| {
        let task = event_loop.create_task(coroutine());
        while !task.done() {
            run_ready(event_loop);
        }
        task.take().expect("it succeeds");
    })
}

#[test]
fn t1_a_task_costs_one_allocation_whatever_it_awaits_of_itself() {
    let event_loop = EventLoop::new().unwrap();
    assert_eq!(of_a_task(&event_loop, || async { Ok(()) }), 1);
    let yields = of_a_task(&event_loop, || async {
        for _ in 0..10 {
            tulipa::yield_now().await?;
        }
        Ok(())
    });
    assert_eq!(yields, 1);
    let ballast = of_a_task(&event_loop, || async {
        let ballast = [7u64; 100];
        tulipa::yield_now().await?;
        assert_eq!(ballast.iter().sum::<u64>(), 700);
        Ok(())
    });
    assert_eq!(ballast, 1, "the coroutine lies in its task");
}

#[test]
fn t2_awaiting_tasks_and_futures_costs_no_more_than_making_them() {
    let event_loop = EventLoop::new().unwrap();
    let children = of_a_task(&event_loop, || async {
        for number in 0..10 {
            assert_eq!(tulipa::spawn(async move { number }).await?, number);
        }
        Ok(())
    });
    assert_eq!(children, 1 + 10);
    let handle = event_loop.handle();
    let futures = of_a_task(&event_loop, || {
        let handle = handle.clone();
        async move {
            for _ in 0..10 {
                let future = handle.create_future::<u32>();
                let resolved = future.clone();
                handle.call_soon(move || resolved.set_result(7).expect("it is pending"));
                assert_eq!(future.await?, 7);
            }
            Ok(())
        }
    });
    assert_eq!(futures, 1 + 10);
}

#[test]
fn i11_keeping_a_waker_costs_one_allocation_a_task() {
    let event_loop = EventLoop::new().unwrap();
    let allocations = of_a_task(&event_loop, || {
        let mut polls = 0;
        std::future::poll_fn(move |context| {
            polls += 1;
            let kept = context.waker().clone();
            match polls {
                10 => Poll::Ready(Ok(())),
                _ => {
                    kept.wake();
                    Poll::Pending
                }
            }
        })
    });
    assert_eq!(allocations, 1 + 1);
}
