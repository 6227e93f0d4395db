//! Who awaits whom: [`CallGraph`], [`capture_call_graph`] and [`format_task_tree`].
//!
//! Nothing is kept for this while tasks run: the graph is read off from the wait sets of the
//! tasks when somebody asks (T-89), and from the futures that stand for others.

use super::{Task, TaskRef, TaskState, all_tasks, owner};
use crate::current::try_current;
use crate::future::AnyFuture;
use crate::{Future, Scheduler, SchedulerId};
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// What a task waits for.
#[derive(Clone, Debug)]
pub enum Awaited {
    /// Another task.
    Task(TaskRef),
    /// A future that is no task.
    Future(AwaitedFuture),
    /// Its own next turn, which comes by itself.
    Turn,
    /// Something that is not Tulipa's, which tells nothing about itself.
    Foreign,
}

/// A future in a [`CallGraph`], as it was when that was made.
#[derive(Clone, Debug)]
pub struct AwaitedFuture {
    /// Its type, state and the place that made it, for people.
    pub description: String,
    /// Where it was made.
    pub created_at: &'static Location<'static>,
}

/// Who awaits whom. Each task and future is there once, so that one on which many wait has many ways
/// to it, and a cycle is one.
///
/// `Display` draws it as a tree, from those who are awaited by nobody down to what they wait for.
#[derive(Clone, Debug, Default)]
pub struct CallGraph {
    /// The tasks and futures. In that of [`capture_call_graph`] the first is the task itself.
    pub nodes: Vec<CallGraphNode>,
}

/// A task or future in a [`CallGraph`].
#[derive(Clone, Debug)]
pub struct CallGraphNode {
    /// What it is.
    pub awaited: Awaited,
    /// What it waits for, by number. For a future: what it stands for, as that of
    /// [`gather`](crate::gather()) does for its children.
    pub waits_on: Vec<usize>,
    /// Who waits for it, by number.
    pub awaited_by: Vec<usize>,
}

/// What `task` waits for, and who waits for it, directly or through others (T-89).
///
/// # Examples
/// ```
/// # use tulipa_futures::{SchedulerExt, capture_call_graph, current_task};
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// let inner = event_loop.spawn(async {
///     let graph = capture_call_graph(&current_task().unwrap());
///     graph.nodes[0].awaited_by.len()
/// });
/// event_loop.create_task(async {
///     assert_eq!(inner.await?, 1);
///     Ok(())
/// });
/// # }
/// ```
pub fn capture_call_graph(task: &TaskRef) -> CallGraph {
    let mut tasks = vec![task.clone()];
    let others = owner::tasks_of(task.scheduler_id()).into_iter().map(TaskRef::new);
    tasks.extend(others.filter(|other| other != task));
    let graph = CallGraph::of(tasks);
    let mut kept = graph.reachable(0, |node| &node.waits_on);
    kept.extend(graph.reachable(0, |node| &node.awaited_by).into_iter().skip(1));
    graph.restricted_to(&kept)
}

/// The tasks of `scheduler` that have not ended, with state, place and what they wait for, as a tree
/// (T-90). asyncio's `pstree`.
///
/// Whoever is awaited by nobody stands at the left; below it, what it waits for. What was drawn
/// already, because several wait for it, is only named; tasks that wait for each other in a circle,
/// and so for ever, are pointed out. `scheduler` must be of this thread.
///
/// # Examples
/// ```
/// # use tulipa_futures::{SchedulerExt, TaskBuilder, format_task_tree, sleep};
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// let nap = TaskBuilder::new()
///     .name("nap")
///     .create_task(event_loop, sleep(std::time::Duration::from_secs(1)));
/// TaskBuilder::new().name("main").create_task(event_loop, nap);
/// println!("{}", format_task_tree(event_loop));
/// // main (waiting, spawned at src/main.rs:9:30)
/// // └── nap (waiting, spawned at src/main.rs:8:6)
/// //     └── Future<()>(pending, created at …)
/// # }
/// ```
pub fn format_task_tree(scheduler: &dyn Scheduler) -> String {
    CallGraph::of(all_tasks(scheduler)).to_string()
}

/// Prints the [tree](format_task_tree) of the tasks of the loop that is running on this thread, to the
/// standard error output.
pub fn print_task_tree() {
    match try_current() {
        Some(scheduler) => eprint!("{}", format_task_tree(&*scheduler)),
        None => eprintln!("no event loop is running on this thread"),
    }
}

impl TaskRef {
    /// What it waits for right now, in the order in which it began to: several things, if it waits
    /// for the first of them or for all. A task that is not waiting waits for nothing.
    pub fn waits_on(&self) -> Vec<Awaited> {
        match self.state() {
            TaskState::Waiting | TaskState::Queued => {}
            TaskState::Running | TaskState::Finished | TaskState::Cancelled => return Vec::new(),
        }
        self.links().iter().map(Link::to_awaited).collect()
    }

    /// The tasks that wait for it, directly or through futures that stand for it (T-89).
    pub fn awaited_by(&self) -> Vec<TaskRef> {
        waiters_of(self.scheduler_id(), address(&self.to_any_future()))
    }

    fn links(&self) -> Vec<Link> {
        if self.done() {
            return Vec::new();
        }
        let wait_set = self.header().wait_set();
        let mut links: Vec<_> = wait_set.futures().into_iter().map(Link::Future).collect();
        if wait_set.awaits_turn() {
            links.push(Link::Turn);
        }
        if links.is_empty() && self.state() == TaskState::Waiting {
            links.push(Link::Foreign);
        }
        links
    }
}

impl<T: 'static> Future<T> {
    /// The tasks that wait for it, directly or through futures that stand for it, such as that of
    /// [`gather`](crate::gather()) (T-89). Looks at all tasks of the thread.
    pub fn awaited_by(&self) -> Vec<TaskRef> {
        waiters_of(self.scheduler_id(), self.address())
    }
}

impl<T: 'static> Task<T> {
    /// As [`Future::awaited_by`].
    pub fn awaited_by(&self) -> Vec<TaskRef> {
        self.as_future().awaited_by()
    }
}

/// One thing that a task waits for.
enum Link {
    Future(Rc<dyn AnyFuture>),
    Turn,
    Foreign,
}

impl Link {
    fn to_awaited(&self) -> Awaited {
        match self {
            Link::Turn => Awaited::Turn,
            Link::Foreign => Awaited::Foreign,
            Link::Future(future) => match task_of(&**future) {
                Some(task) => Awaited::Task(task),
                None => Awaited::Future(AwaitedFuture {
                    description: future.describe(),
                    created_at: future.common().created_at(),
                }),
            },
        }
    }
}

/// The task that `future` is, while it has not ended.
fn task_of(future: &dyn AnyFuture) -> Option<TaskRef> {
    let header = future.task()?;
    header.owner().name().find(header.waker().place(), header.number()).map(TaskRef::new)
}

fn address(future: &Rc<dyn AnyFuture>) -> *const () {
    Rc::as_ptr(future).cast()
}

/// The tasks of a scheduler of this thread that wait for the future at `address`.
fn waiters_of(scheduler: SchedulerId, address: *const ()) -> Vec<TaskRef> {
    let tasks = owner::tasks_of(scheduler).into_iter().map(TaskRef::new);
    tasks.filter(|task| waits_for(task, address)).collect()
}

/// Whether `task` waits for the future at `wanted`, with no other task between them.
fn waits_for(task: &TaskRef, wanted: *const ()) -> bool {
    let mut seen = HashMap::new();
    let mut left = task.links();
    while let Some(link) = left.pop() {
        let Link::Future(future) = link else { continue };
        if address(&future) == wanted {
            return true;
        }
        if future.task().is_none() && !seen.contains_key(&address(&future)) {
            left.extend(future.stands_for().into_iter().map(Link::Future));
            seen.insert(address(&future), future); // kept, so that its address stays its own
        }
    }
    false
}

impl CallGraph {
    /// The graph of `tasks` and all that they wait for, with the tasks first.
    fn of(tasks: Vec<TaskRef>) -> Self {
        let mut builder = Builder::default();
        for task in tasks {
            builder.node_of(task.to_any_future());
        }
        builder.finish()
    }

    /// The nodes that can be reached from `start`, which comes first.
    fn reachable(&self, start: usize, ways: fn(&CallGraphNode) -> &Vec<usize>) -> Vec<usize> {
        let mut seen = vec![false; self.nodes.len()];
        let (mut found, mut left) = (Vec::new(), vec![start]);
        while let Some(number) = left.pop() {
            if !std::mem::replace(&mut seen[number], true) {
                found.push(number);
                left.extend(ways(&self.nodes[number]));
            }
        }
        found
    }

    /// The graph of `kept` alone, in that order.
    fn restricted_to(&self, kept: &[usize]) -> Self {
        let mut numbers = HashMap::new();
        let mut order = Vec::new();
        for number in kept {
            numbers.entry(*number).or_insert_with(|| {
                order.push(*number);
                order.len() - 1
            });
        }
        let renumber = |old: &Vec<usize>| {
            old.iter().filter_map(|number| numbers.get(number).copied()).collect()
        };
        let nodes = order.iter().map(|number| {
            let CallGraphNode { awaited, waits_on, awaited_by } = &self.nodes[*number];
            CallGraphNode {
                awaited: awaited.clone(),
                waits_on: renumber(waits_on),
                awaited_by: renumber(awaited_by),
            }
        });
        Self { nodes: nodes.collect() }
    }
}

/// Reads a graph off.
#[derive(Default)]
struct Builder {
    nodes: Vec<CallGraphNode>,
    numbers: HashMap<*const (), usize>,
    /// The nodes whose links are not followed yet.
    left: Vec<(usize, Rc<dyn AnyFuture>)>,
    /// Keeps the addresses from being used again.
    seen: Vec<Rc<dyn AnyFuture>>,
    /// For each node the last one that was linked to it, so that no link is made twice.
    linked_from: Vec<Option<usize>>,
}

impl Builder {
    fn node_of(&mut self, future: Rc<dyn AnyFuture>) -> usize {
        if let Some(known) = self.numbers.get(&address(&future)) {
            return *known;
        }
        let number = self.push(Link::Future(future.clone()).to_awaited());
        self.numbers.insert(address(&future), number);
        self.left.push((number, future.clone()));
        self.seen.push(future);
        number
    }

    fn push(&mut self, awaited: Awaited) -> usize {
        self.nodes.push(CallGraphNode { awaited, waits_on: Vec::new(), awaited_by: Vec::new() });
        self.linked_from.push(None);
        self.nodes.len() - 1
    }

    fn finish(mut self) -> CallGraph {
        while let Some((number, future)) = self.left.pop() {
            let links = match &self.nodes[number].awaited {
                Awaited::Task(task) => task.links(),
                Awaited::Future(_) | Awaited::Turn | Awaited::Foreign => {
                    future.stands_for().into_iter().map(Link::Future).collect()
                }
            };
            for link in links {
                let target = match link {
                    Link::Future(future) => self.node_of(future),
                    Link::Turn | Link::Foreign => self.push(link.to_awaited()),
                };
                if self.linked_from[target].replace(number) != Some(number) {
                    self.nodes[number].waits_on.push(target);
                    self.nodes[target].awaited_by.push(number);
                }
            }
        }
        CallGraph { nodes: self.nodes }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Awaited::Future(future) => f.write_str(&future.description),
            Awaited::Turn => f.write_str("its next turn"),
            Awaited::Foreign => f.write_str("something that is not Tulipa's"),
            Awaited::Task(task) => {
                let (name, state) = (task.name(), task.state());
                write!(f, "{name} ({state}, spawned at {})", task.created_at())
            }
        }
    }
}

impl fmt::Display for CallGraph {
    /// Draws the tree. Long chains use no stack, and are not moved to the right for ever.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut drawing = Drawing { graph: self, drawn: vec![Drawn::Not; self.nodes.len()] };
        let is_root = |number: &usize| self.nodes[*number].awaited_by.is_empty();
        let (roots, others): (Vec<_>, Vec<_>) = (0..self.nodes.len()).partition(is_root);
        // What no root leads to waits for itself.
        for root in roots.into_iter().chain(others) {
            if drawing.drawn[root] == Drawn::Not {
                drawing.draw(root, f)?;
            }
        }
        Ok(())
    }
}

struct Drawing<'a> {
    graph: &'a CallGraph,
    drawn: Vec<Drawn>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawn {
    Not,
    /// It stands above, and what is drawn now stands below it.
    Begun,
    Ended,
}

/// What is to be drawn next.
enum Step {
    Node { number: usize, margin: Rc<str>, corner: &'static str },
    End(usize),
}

/// So deep the tree is indented; deeper levels stand below each other.
const DEEPEST: usize = 60;

impl Drawing<'_> {
    fn draw(&mut self, root: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps = vec![Step::Node { number: root, margin: "".into(), corner: "" }];
        while let Some(step) = steps.pop() {
            let (number, margin, corner) = match step {
                Step::Node { number, margin, corner } => (number, margin, corner),
                Step::End(number) => {
                    self.drawn[number] = Drawn::Ended;
                    continue;
                }
            };
            let node = &self.graph.nodes[number];
            match self.drawn[number] {
                Drawn::Not => writeln!(f, "{margin}{corner}{}", node.awaited)?,
                Drawn::Ended => {
                    writeln!(f, "{margin}{corner}{}: see above", node.awaited)?;
                    continue;
                }
                Drawn::Begun => {
                    writeln!(f, "{margin}{corner}{}: a cycle, it waits for itself", node.awaited)?;
                    continue;
                }
            }
            self.drawn[number] = Drawn::Begun;
            steps.push(Step::End(number));
            let below: Rc<str> = match corner {
                _ if margin.chars().count() >= 4 * DEEPEST => margin,
                "" => margin,
                "├── " => format!("{margin}│   ").into(),
                _ => format!("{margin}    ").into(),
            };
            let mut corner = "└── ";
            for next in node.waits_on.iter().rev() {
                steps.push(Step::Node { number: *next, margin: below.clone(), corner });
                corner = "├── ";
            }
        }
        Ok(())
    }
}
