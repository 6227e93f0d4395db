//! A process of one's own, for tests that count descriptors, set limits, or send signals that kill.

use std::process::{Command, Output};

const MARK: &str = "TULIPA_TEST_CHILD";

/// Runs `$body` in a new process that runs this test only, and fails if it fails there.
macro_rules! in_own_process {
    ($name:literal, $body:expr) => {
        if $crate::common::child::is_child($name) {
            $body();
        } else {
            let output = $crate::common::child::run(module_path!(), $name, &[]);
            $crate::common::child::check(&output, $name);
        }
    };
}
pub(crate) use in_own_process;

/// Whether this process was started for the test `name`.
pub(crate) fn is_child(name: &str) -> bool {
    let child = std::env::var(MARK).is_ok_and(|value| value == name);
    if child {
        eprintln!("in a process of its own: {name}");
    }
    child
}

/// Starts the test `name` of `module` in a new process.
pub(crate) fn run(module: &str, name: &str, environment: &[(&str, &str)]) -> Output {
    let (_crate_name, module) = module.split_once("::").expect("tests are in modules");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "--test-threads=1"]).arg(format!("{module}::{name}"));
    command.env(MARK, name).envs(environment.iter().copied());
    command.output().unwrap()
}

/// Panics with what the process said, if it failed or did not run the test at all.
pub(crate) fn check(output: &Output, name: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    let marked = said.contains(&format!("in a process of its own: {name}"));
    assert!(output.status.success() && marked, "{}\n{said}", output.status);
}
