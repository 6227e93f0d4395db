//! What a child gets: exactly what it was given.

use crate::support::*;
use eventloop::TestLoop;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use tulipa_transports::subprocess::*;

/// What a child prints.
fn output_of(event_loop: &TestLoop, options: SubprocessOptions) -> String {
    let (child, log) = start(event_loop, options.stdin(Stdio::Null));
    run_to_end(event_loop, &child);
    assert_eq!(String::from_utf8(log.data(2)).unwrap(), "");
    String::from_utf8(log.data(1)).unwrap()
}

#[test]
fn c1_arguments_reach_the_program_as_they_are() {
    let event_loop = new_loop();
    let echo = SubprocessOptions::from(("printf", ["%s|", "a b", "$HOME", "'\"", ""]));
    assert_eq!(output_of(&event_loop, echo), "a b|$HOME|'\"||");
}

#[test]
fn c1_r11_the_environment_is_what_was_asked_for() {
    let event_loop = new_loop();
    let env = || SubprocessOptions::new("/usr/bin/env");
    let only = env().env("LOST", "1").env_clear().env("KEPT", "2").envs([("MORE", "3")]);
    assert_eq!(output_of(&event_loop, only), "KEPT=2\nMORE=3\n");
    let ours = output_of(&event_loop, env().env("NEW", "1").env_remove("PATH"));
    assert!(ours.contains("NEW=1\n") && !ours.contains("\nPATH=") && !ours.starts_with("PATH="));
    let last = env().env_clear().env("A", "1").env_remove("A").env("A", "2");
    assert_eq!(output_of(&event_loop, last), "A=2\n");
}

#[test]
fn c1_the_directory_is_what_was_asked_for() {
    let event_loop = new_loop();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let pwd = SubprocessOptions::new("pwd").current_dir(&folder);
    assert_eq!(output_of(&event_loop, pwd).trim(), folder.to_str().unwrap());
}

#[test]
fn c15_r11_a_child_has_its_three_streams_and_no_other_descriptor() {
    let event_loop = new_loop();
    let _one_of_ours = UnixStream::pair().unwrap();
    // `ls` opens the folder itself, as 3.
    let listing = SubprocessOptions::new("ls").arg("/proc/self/fd");
    assert_eq!(output_of(&event_loop, listing), "0\n1\n2\n3\n");
}

/// What the kernel tells of a process. Read as text: in a container the session may have begun outside, and
/// is then 0, which no `Pid` can be.
fn group_and_session_of(pid: u32) -> (u32, u32) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may hold anything, so the fields are counted from its end: state, parent, group, session.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut fields = fields.split_ascii_whitespace().skip(2).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}

#[test]
fn c16_a_process_group_and_a_session_are_made_if_asked_for() {
    let event_loop = new_loop();
    let (our_group, our_session) = group_and_session_of(std::process::id());
    let (same, _) = start(&event_loop, "cat");
    assert_eq!(group_and_session_of(same.get_pid()), (our_group, our_session));

    let (leader, _) = start(&event_loop, SubprocessOptions::new("cat").process_group(0));
    assert_eq!(group_and_session_of(leader.get_pid()), (leader.get_pid(), our_session));

    let joins = SubprocessOptions::new("cat").process_group(leader.get_pid());
    let (member, _) = start(&event_loop, joins);
    assert_eq!(group_and_session_of(member.get_pid()), (leader.get_pid(), our_session));

    let (session, _) = start(&event_loop, SubprocessOptions::new("cat").new_session());
    let pid = session.get_pid();
    assert_eq!(group_and_session_of(pid), (pid, pid));

    for child in [same, leader, member, session] {
        child.close();
        run_to_end(&event_loop, &child);
    }
}

#[test]
fn c16_a_signal_for_the_group_reaches_what_the_child_has_started() {
    let event_loop = new_loop();
    let term = rustix::process::Signal::TERM.as_raw();
    let command = || SubprocessOptions::shell("sleep 1000 & echo; wait");
    for options in [command().process_group(0), command().new_session()] {
        let (child, log) = start(&event_loop, options);
        run_until(&event_loop, || log.data(1) == b"\n");
        assert!(child.send_signal_to_group(1000).is_err(), "that is no signal");
        child.send_signal_to_group(term).unwrap();
        // Both held the pipes, so both have ended.
        run_to_end(&event_loop, &child);
        assert_eq!(child.get_returncode(), Some(-term));
        assert!(child.send_signal_to_group(term).is_err(), "the number may be anybody's");
    }
    let (child, _) = start(&event_loop, "cat");
    let error = child.send_signal_to_group(term).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "that group is ours");
    child.close();
    run_to_end(&event_loop, &child);
    assert_eq!(child.get_returncode(), Some(-9));
}

#[test]
fn c16_a_group_that_is_none_is_an_error() {
    let event_loop = new_loop();
    for group in [u32::MAX, i32::MAX as u32] {
        let (recorder, log) = Recorder::new();
        let options = SubprocessOptions::new("cat").process_group(group);
        let failed = event_loop.subprocess_exec(|| recorder, options);
        assert!(failed.exception().unwrap().is_some());
        assert!(log.all().is_empty());
    }
}

#[test]
fn r11_a_child_runs_as_the_user_and_with_the_groups_that_were_asked_for() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: it takes root to become somebody else");
        return;
    }
    let event_loop = new_loop();
    let who = || SubprocessOptions::shell("id -u; id -g; id -G");
    let nobody = who().uid(65534).gid(65533);
    assert_eq!(output_of(&event_loop, nobody), "65534\n65533\n65533\n");
    let grouped = who().uid(65534).gid(65533).groups([1, 2]);
    let printed = output_of(&event_loop, grouped);
    assert!(printed.starts_with("65534\n65533\n"), "{printed}");
    let mut groups: Vec<_> = printed.lines().nth(2).unwrap().split(' ').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["1", "2", "65533"]);
    let no_groups = who().groups([]);
    assert_eq!(output_of(&event_loop, no_groups), "0\n0\n0\n");
}

#[test]
fn c1_streams_may_be_sockets_and_files() {
    let event_loop = new_loop();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let copy = theirs.try_clone().unwrap();
    let options = SubprocessOptions::new("cat")
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .stdout(std::os::fd::OwnedFd::from(copy));
    let (child, log) = start(&event_loop, options);
    assert!(child.get_pipe_transport(0).is_none() && child.get_pipe_transport(1).is_none());
    (&ours).write_all(b"tulip").unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    run_to_end(&event_loop, &child);
    let mut answer = String::new();
    (&ours).read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "tulip", "and nobody else holds the other end");
    assert_eq!(log.events().len(), 4, "{:?}", log.events());
}
