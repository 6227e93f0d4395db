//! Prepares this process to be measured and makes it another program. What is set here survives that: the cores,
//! the schedule, the limit of descriptors, and that it is killed when its parent ends.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use std::ffi::OsString;
use std::io::Error;
use std::os::unix::process::CommandExt;
use std::process::Command;
use tulipa::Exception;
use tulipa_bench::pin;
use tulipa_bench::process::{raise_descriptor_limit, run_in_real_time};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A core to run on.
    #[arg(long = "core", required = true)]
    cores: Vec<usize>,
    /// Go before the other work of the machine, if that is allowed.
    #[arg(long)]
    real_time: bool,
    /// The process that started this one.
    #[arg(long)]
    parent: i32,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub(crate) fn launch(arguments: &Arguments) -> Result<(), Exception> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.as_raw_pid() != arguments.parent) {
        return Err(Error::other("who started this has ended already").into());
    }
    pin(&arguments.cores);
    raise_descriptor_limit();
    if arguments.real_time {
        run_in_real_time();
    }
    let (program, rest) = arguments.command.split_first().expect("it is required");
    Err(Command::new(program).args(rest).exec().into())
}
