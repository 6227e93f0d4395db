//! SIGINT while a coroutine is run as the main one (T-85). It concerns the main thread of a process, so
//! each of these starts one and presses Ctrl-C; how far it has come is what it says.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

const SIGINT: i32 = 2;

struct Program {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Program {
    fn start(scenario: &str) -> Self {
        // A test that runs in the background may find the signal ignored, which children inherit.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT").arg(env!("CARGO_BIN_EXE_interruptible"));
        command.arg(scenario).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut program = Self { child, said };
        program.expect("ready");
        program
    }

    /// The next thing it says; nothing if it has ended.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn expect(&mut self, word: &str) {
        assert_eq!(self.hear(), word);
    }

    fn interrupt(&mut self) {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::INT).unwrap();
    }

    /// What it still says, and how it ends.
    fn end(mut self) -> (Vec<String>, ExitStatus) {
        let words = std::iter::from_fn(|| Some(self.hear()).filter(|word| !word.is_empty()));
        let words = words.collect();
        (words, self.child.wait().unwrap())
    }

    fn check_end(self, words: &[&str], status: i32) {
        let (said, ended) = self.end();
        assert_eq!(
            (said, ended.code()),
            (words.iter().map(|&it| it.into()).collect(), Some(status))
        );
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended, or its test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn t85_sigint_cancels_the_main_coroutine_which_cleans_up() {
    let mut program = Program::start("cancelled");
    program.interrupt();
    program.check_end(&["cleaned up", "interrupted"], 130);
}

#[test]
fn t85_a_program_may_die_of_the_signal_afterwards() {
    let mut program = Program::start("dies");
    program.interrupt();
    let (said, ended) = program.end();
    assert_eq!((said, ended.signal()), (vec!["cleaned up".into()], Some(SIGINT)));
}

#[test]
fn t85_a_main_coroutine_that_takes_no_notice_gives_its_result() {
    let mut program = Program::start("swallows");
    program.interrupt();
    program.check_end(&["cleaned up", "ok"], 0);
}

#[test]
fn t85_a_second_sigint_ends_the_run_at_once() {
    let mut program = Program::start("stubborn");
    program.interrupt();
    program.expect("cleaning up");
    program.interrupt();
    // And nobody waits for the other task, which would not end either.
    program.check_end(&["interrupted"], 130);
}

#[test]
fn t85_a_sigint_during_the_shutdown_ends_it_at_once() {
    for scenario in ["slow-shutdown", "slow-job"] {
        let mut program = Program::start(scenario);
        program.interrupt();
        program.check_end(&["interrupted"], 130);
    }
}

#[test]
fn t85_a_third_sigint_that_finds_the_loop_stuck_kills() {
    let mut program = Program::start("stuck");
    program.interrupt();
    // A round trip, so that the signals do not become one.
    program.child.stdin.take().unwrap().write_all(b".").unwrap();
    program.expect("going on");
    while program.child.try_wait().unwrap().is_none() {
        program.interrupt();
    }
    let (said, ended) = program.end();
    assert_eq!((said, ended.signal()), (vec![], Some(SIGINT)));
}

#[test]
fn t85_a_cancellation_that_somebody_else_asked_for_too_stays_one() {
    let mut program = Program::start("cancelled-by-two");
    program.interrupt();
    program.check_end(&["error: cancelled: interrupted by SIGINT"], 1);
}

#[test]
fn t85_a_handler_of_the_programs_own_is_left_alone() {
    for scenario in ["own-handler", "handled-before"] {
        let mut program = Program::start(scenario);
        for _ in 0..4 {
            program.interrupt();
            program.expect("handled");
        }
        program.check_end(&["ok"], 0);
    }
}

#[test]
fn t85_on_another_thread_or_switched_off_sigint_does_what_it_did() {
    for scenario in ["another-thread", "switched-off"] {
        let mut program = Program::start(scenario);
        program.interrupt();
        let (said, ended) = program.end();
        assert_eq!((said, ended.signal()), (vec![], Some(SIGINT)), "{scenario}");
    }
}

#[test]
fn t85_each_run_of_a_runner_can_be_interrupted() {
    let mut program = Program::start("twice");
    program.interrupt();
    program.expect("cleaned up");
    program.expect("interrupted once");
    program.expect("ready");
    program.interrupt();
    program.check_end(&["cleaned up", "interrupted once", "ok"], 0);
}

#[test]
fn t85_after_the_run_sigint_does_again_what_it_did_before() {
    let mut program = Program::start("restored");
    program.interrupt();
    let (said, ended) = program.end();
    assert_eq!((said, ended.signal()), (vec![], Some(SIGINT)));
}
