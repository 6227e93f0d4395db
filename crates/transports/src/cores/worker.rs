//! One core: a thread, a loop, a server.

use super::options::Plan;
use super::pin::pin;
use super::report::{Command, News};
use super::{Core, Cores};
use crate::server::{Bound, serve_bound};
use crate::{Server, ShutdownReport};
use eventloop::{AbstractEventLoop, Runner};
use futures::channels::mailbox;
use futures::{Exception, Instant, all_tasks, catch, current_task, sleep};
use std::sync::Arc;
use std::time::Duration;

/// How long the last tasks and jobs of a core may take to end, once the deadline is over.
const LAST: Duration = Duration::from_millis(150);
/// How often it is looked whether the tasks have ended.
const LOOK: Duration = Duration::from_millis(5);

/// What one core's thread does, from its begin to its end, which it tells in any case.
pub(super) fn work(plan: Arc<Plan>, cores: Cores, index: usize, bound: Vec<Bound>) {
    let news = cores.shared.news.clone();
    let outcome = catch(|| run(plan, cores, index, bound)).flatten();
    // Without a coordinator there is nobody to be told.
    let _ = news.send(News::Ended { core: index, outcome });
}

fn run(
    plan: Arc<Plan>,
    cores: Cores,
    index: usize,
    bound: Vec<Bound>,
) -> Result<ShutdownReport, Exception> {
    if plan.pin
        && let Err(error) = pin(index)
    {
        log::warn!(target: "tulipa", "core {index} cannot be kept on one processor: {error}");
    }
    let settings = plan.clone();
    let mut runner = Runner::builder()
        .loop_factory(move || settings.loop_builder().build())
        .handle_sigint(false)
        .shutdown_timeout(LAST)
        .executor_shutdown_timeout(LAST)
        .build();
    let outcome = runner.run(serve(plan, cores.clone(), index, bound));
    // What it is given from now on, nobody would serve.
    cores.set_intake(index, None);
    let closed = runner.close();
    outcome.and_then(|report| closed.map(|()| report))
}

/// Serves until it is told to end.
async fn serve(
    plan: Arc<Plan>,
    cores: Cores,
    index: usize,
    bound: Vec<Bound>,
) -> Result<ShutdownReport, Exception> {
    let (commands, mut inbox) = mailbox::unbounded();
    let own = commands.clone();
    let event_loop = eventloop::current();
    let news = cores.shared.news.clone();
    let ended = cores.shared.ended.clone();
    let core = Core { index, cores };
    let factory = (plan.start)(core)?;
    let server = serve_bound(&*event_loop, factory, &plan.common, bound)?;
    // Without a coordinator nobody would ever command.
    let told = news.send(News::Started { core: index, intake: server.intake(), commands });
    if told.is_err() || ended.done() {
        return Err(Exception::msg("there is no coordinator"));
    }

    let mut deadline = Instant::NEVER;
    let report = loop {
        match inbox.recv().await? {
            Some(Command::Serve) => {
                server.start_serving()?;
                // As above.
                let _ = news.send(News::Serving { core: index });
            }
            Some(Command::ShutDown(within)) => {
                deadline = deadline.min(event_loop.time() + within);
                shut_down(&server, within, own.clone());
            }
            Some(Command::Done(report)) => break report?,
            None => return Err(Exception::msg("the core has lost its own mailbox")),
        }
    };
    end_tasks(&*event_loop, deadline).await?;
    Ok(report)
}

/// Begins a shutdown. If there are several, the first that is over is the one that counts.
fn shut_down(server: &Server, within: Duration, own: mailbox::Sender<Command>) {
    server.shutdown(within).add_done_callback(move |report| {
        // If it is not received, an earlier one was.
        let _ = own.send(Command::Done(report.result()));
    });
}

/// Cancels the tasks that are left, and gives them what is left of the time; the runner does the rest.
async fn end_tasks(event_loop: &dyn AbstractEventLoop, deadline: Instant) -> Result<(), Exception> {
    let this = current_task();
    let left = || {
        let tasks = all_tasks(event_loop).into_iter();
        tasks.filter(|task| Some(task) != this.as_ref() && !task.done()).collect::<Vec<_>>()
    };
    left().iter().for_each(|task| {
        task.cancel();
    });
    while !left().is_empty() && event_loop.time() < deadline {
        sleep(LOOK).await?;
    }
    Ok(())
}
