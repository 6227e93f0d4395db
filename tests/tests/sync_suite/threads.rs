//! A mailbox and real threads, on a loop that really sleeps.

use eventloop::EventLoop;
use eventloop::prelude::*;
use futures::channels::mailbox;
use std::num::NonZeroUsize;
use std::thread;

#[test]
fn a_mailbox_wakes_a_loop_that_sleeps() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, mut receiver) = mailbox::unbounded();
    let (answers, mut answered) = mailbox::unbounded::<u32>();
    // Each item is sent when the one before has been received: nearly always the loop sleeps.
    let (done, acknowledged) = std::sync::mpsc::channel();
    let worker = thread::spawn(move || {
        for item in 0..200u32 {
            sender.send(item).unwrap();
            assert_eq!(acknowledged.recv(), Ok(item));
        }
        answers.send(200).unwrap();
    });
    let task = event_loop.create_task(async move {
        let mut expected = 0..;
        while let Some(item) = receiver.recv().await? {
            assert_eq!(Some(item), expected.next());
            done.send(item)?;
        }
        answered.recv().await
    });
    assert_eq!(event_loop.run_until_complete(task.as_future()).unwrap(), Some(200));
    worker.join().unwrap();
}

#[test]
fn a_mailbox_gives_every_item_of_many_threads_once() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, mut receiver) = mailbox::bounded(NonZeroUsize::new(7).unwrap());
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let sender = sender.clone();
            thread::spawn(move || {
                for number in 0..500 {
                    let mut item = (worker, number);
                    while let Err(refused) = sender.try_send(item) {
                        assert!(refused.is_full());
                        item = refused.into_item();
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    drop(sender);
    let task = event_loop.create_task(async move {
        let mut next = [0; 4];
        while let Some((worker, number)) = receiver.recv().await? {
            let next: &mut i32 = &mut next[worker];
            assert_eq!(number, *next);
            *next += 1;
        }
        Ok(next)
    });
    let next = event_loop.run_until_complete(task.as_future()).unwrap();
    assert_eq!(next, [500; 4]);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}
