//! Who awaits whom.

use futures::{
    Awaited, Future, ReturnWhen, SchedulerExt, Task, TaskBuilder, TaskRef, TaskState, all_tasks,
    as_completed, capture_call_graph, current_task, format_task_tree, gather, join_all, shield,
    sleep, wait, yield_now,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::Host;

fn names(tasks: &[TaskRef]) -> Vec<String> {
    tasks.iter().map(|task| task.name().to_string()).collect()
}

fn named<T: 'static>(
    host: &dyn Host,
    name: &str,
    coroutine: impl std::future::Future<Output = T> + 'static,
) -> Task<T> {
    TaskBuilder::new().name(name).spawn(&*host.scheduler(), coroutine)
}

/// The tree without the places in the source.
fn tree(host: &dyn Host) -> Vec<String> {
    let text = format_task_tree(&*host.scheduler());
    let place = |line: &str| match (line.find(" at "), line.find(')')) {
        (Some(start), _) => {
            let rest = line[start..].find(')').map(|end| &line[start + end..]);
            format!("{}{}", &line[..start], rest.unwrap_or_default())
        }
        (None, _) => line.to_owned(),
    };
    text.lines().map(place).collect()
}

pub(crate) fn t89_a_future_knows_who_waits_for_it(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let awaited = future.clone();
    let direct = named(host, "direct", awaited);
    let awaited = direct.clone();
    named(host, "indirect", async move { awaited.await.unwrap().unwrap() });
    assert!(future.awaited_by().is_empty());
    host.run_until_idle();
    assert_eq!(names(&future.awaited_by()), ["direct"]);
    assert_eq!(names(&direct.awaited_by()), ["indirect"]);
    assert_eq!(names(&direct.to_ref().unwrap().awaited_by()), ["indirect"]);
    future.set_result(7).unwrap();
    host.run_until_idle();
    assert!(future.awaited_by().is_empty() && direct.awaited_by().is_empty());
}

pub(crate) fn t89_the_way_leads_through_what_stands_for_others(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<Future<u32>> = (0..2).map(|_| scheduler.create_future()).collect();
    let both = || futures.clone();
    let (gathered, nested) = (gather(both()), gather([gather(both())]));
    let (waited, shielded) =
        (wait(both(), ReturnWhen::AllCompleted, None), shield(futures[1].clone()));
    let mut completed = as_completed(both(), None);
    let joined = join_all(both());
    named(host, "gather", gathered);
    named(host, "nested", nested);
    named(host, "wait", waited);
    named(host, "shield", shielded);
    named(host, "as_completed", async move { while completed.next().await.is_some() {} });
    named(host, "join", joined);
    host.run_until_idle();
    let all = ["gather", "nested", "wait", "shield", "as_completed", "join"];
    assert_eq!(names(&futures[1].awaited_by()), all);
    assert_eq!(names(&futures[0].awaited_by()).len(), 5);
    futures[1].set_result(7).unwrap();
    host.run_until_idle();
    assert_eq!(
        names(&futures[0].awaited_by()),
        ["gather", "nested", "wait", "as_completed", "join"]
    );
    assert!(futures[1].awaited_by().is_empty());
    futures[0].set_result(7).unwrap();
    host.run_until_idle();
    assert!(all_tasks(&*scheduler).is_empty());
}

pub(crate) fn t89_a_graph_is_captured_as_data(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let line = line!() - 1;
    let inner = named(host, "inner", future.clone());
    let awaited = inner.clone();
    let middle = named(host, "middle", async move { awaited.await.unwrap().unwrap() });
    let awaited = middle.clone();
    named(host, "outer", async move { awaited.await.unwrap() });
    named(host, "beside", sleep(Duration::from_secs(1)));
    scheduler.call_later(Duration::from_millis(1), {
        let (middle, future) = (middle.to_ref().unwrap(), future.clone());
        move || {
            let graph = capture_call_graph(&middle);
            let name = |number: usize| match &graph.nodes[number].awaited {
                Awaited::Task(task) => task.name().to_string(),
                Awaited::Future(future) => future.created_at.line().to_string(),
                other => panic!("{other:?}"),
            };
            assert_eq!((graph.nodes.len(), name(0)), (4, "middle".into()));
            let [inner, outer] = [graph.nodes[0].waits_on[0], graph.nodes[0].awaited_by[0]];
            assert_eq!((name(inner), name(outer)), ("inner".into(), "outer".into()));
            assert_eq!(name(graph.nodes[inner].waits_on[0]), line.to_string());
            assert!(graph.nodes[outer].awaited_by.is_empty());
            assert!(!graph.to_string().contains("beside"), "{graph}");
            future.set_result(7).unwrap();
        }
    });
    host.run_until_idle();
    assert!(middle.done() && all_tasks(&*scheduler).is_empty());
}

pub(crate) fn t89_a_task_tells_what_it_waits_for(host: &dyn Host) {
    let scheduler = host.scheduler();
    let inner = named(host, "inner", std::future::pending::<()>());
    let (future, awaited) = (scheduler.create_future::<()>(), inner.clone());
    let outer = named(host, "outer", join_all([future.clone(), awaited.into()]));
    let turns = named(host, "turns", async {
        while yield_now().await.is_ok() {}
        assert!(current_task().unwrap().waits_on().is_empty());
    });
    let look = [inner.to_ref().unwrap(), outer.to_ref().unwrap(), turns.to_ref().unwrap()];
    scheduler.call_soon(move || {
        let waits = look.each_ref().map(TaskRef::waits_on);
        assert!(matches!(waits[0][..], [Awaited::Foreign]), "{waits:?}");
        assert!(matches!(waits[2][..], [Awaited::Turn]), "{waits:?}");
        match &waits[1][..] {
            [Awaited::Future(future), Awaited::Task(task)] => {
                assert!(future.description.starts_with("Future<()>(pending"), "{future:?}");
                assert_eq!(&*task.name(), "inner");
            }
            other => panic!("{other:?}"),
        }
        assert!(look.iter().all(TaskRef::cancel));
    });
    host.run_until_idle();
    assert!(inner.cancelled() && outer.done() && turns.done() && future.cancelled());
}

pub(crate) fn t90_the_tasks_of_a_loop_are_drawn_as_a_tree(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let shared = named(host, "shared", future.clone());
    let (left, right) = (shared.clone(), shared.clone());
    let left = named(host, "left", async move { left.as_future().clone().await.unwrap().unwrap() });
    let right =
        named(host, "right", async move { right.as_future().clone().await.unwrap().unwrap() });
    named(host, "main", async move { gather([left, right]).await.unwrap().len() });
    host.run_until_idle();
    assert_eq!(
        tree(host),
        [
            "main (waiting, spawned)",
            "└── Future<alloc::vec::Vec<u32>>(pending, created)",
            "    ├── left (waiting, spawned)",
            "    │   └── shared (waiting, spawned)",
            "    │       └── Future<u32>(pending, created)",
            "    └── right (waiting, spawned)",
            "        └── shared (waiting, spawned): see above",
        ]
    );
    let text = format_task_tree(&*scheduler);
    assert!(text.contains("graph.rs:"), "{text}");
    future.set_result(7).unwrap();
    assert!(tree(host).iter().any(|line| line.contains("shared (queued")));
    host.run_until_idle();
    assert_eq!(format_task_tree(&*scheduler), "");
}

pub(crate) fn t90_a_cycle_is_pointed_out(host: &dyn Host) {
    let scheduler = host.scheduler();
    let second = Rc::new(RefCell::new(None::<Task<()>>));
    let later = second.clone();
    let first = named(host, "first", async move {
        let second = later.take().unwrap();
        let _ = second.await;
    });
    let awaited = first.clone();
    second.replace(Some(named(host, "second", async move {
        let _ = awaited.await;
    })));
    host.run_until_idle();
    assert_eq!(
        tree(host),
        [
            "first (waiting, spawned)",
            "└── second (waiting, spawned)",
            "    └── first (waiting, spawned): a cycle, it waits for itself",
        ]
    );
    assert_eq!(capture_call_graph(&first.to_ref().unwrap()).nodes.len(), 2);
    assert!(all_tasks(&*scheduler).iter().all(|task| task.state() == TaskState::Waiting));
    assert!(first.abort());
    host.run_until_idle();
}

pub(crate) fn t90_long_chains_use_no_stack(host: &dyn Host) {
    let scheduler = host.scheduler();
    let last = scheduler.create_future::<()>();
    let mut chain = scheduler.create_task(last.clone());
    for _ in 0..20_000 {
        chain = scheduler.create_task(chain);
    }
    host.run_until_idle();
    let text = format_task_tree(&*scheduler);
    assert_eq!(text.lines().count(), 20_002);
    let graph = capture_call_graph(&chain.to_ref().unwrap());
    assert_eq!(graph.nodes.len(), 20_002);
    drop(graph);
    last.set_result(()).unwrap();
    host.run_until_idle();
    assert!(chain.result().is_ok());
}

pub(crate) fn t89_a_wide_graph_costs_no_more_than_its_links(host: &dyn Host) {
    let scheduler = host.scheduler();
    let last = scheduler.create_future::<()>();
    let children: Vec<_> = (0..60_000).map(|_| scheduler.create_task(last.clone())).collect();
    let waiting = scheduler.create_task(gather(children));
    host.run_until_idle();
    let graph = capture_call_graph(&waiting.to_ref().unwrap());
    assert_eq!(graph.nodes.len(), 60_003);
    let links: usize = graph.nodes.iter().map(|node| node.waits_on.len()).sum();
    assert_eq!(links, 120_001);
    assert_eq!(format_task_tree(&*scheduler).lines().count(), 120_002);
    drop(graph);
    last.set_result(()).unwrap();
    host.run_until_idle();
}
