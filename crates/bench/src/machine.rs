//! On what and with what was measured: figures without that say little.

use crate::record::Machine;
use std::fs;
use std::process::Command;

/// The crates that are compared with or that stand below what is.
const CRATES: &[&str] =
    &["calloop", "httparse", "hyper", "mio", "monoio", "rustix", "rustls", "smol", "tokio"];

/// The machine, the day, and the versions of what is built into these programs.
pub fn machine() -> Machine {
    let facts = [
        ("cpu", field("/proc/cpuinfo", "model name")),
        ("cores", std::thread::available_parallelism().ok().map(|cores| cores.to_string())),
        ("memory", field("/proc/meminfo", "MemTotal")),
        ("kernel", fs::read_to_string("/proc/sys/kernel/osrelease").ok()),
        ("date", said(Command::new("date").args(["--utc", "+%Y-%m-%d"]))),
        ("rustc", said(Command::new("rustc").arg("--version"))),
        (
            "tulipa",
            said(Command::new("git").args([
                "-C",
                env!("CARGO_MANIFEST_DIR"),
                "describe",
                "--always",
                "--dirty",
            ])),
        ),
    ];
    let known = facts.into_iter().filter_map(|(name, fact)| Some((name, fact?.trim().to_owned())));
    let crates = CRATES.iter().filter_map(|name| Some((*name, locked(LOCK, name)?.to_owned())));
    known.chain(crates).map(|(name, fact)| (name.to_owned(), fact)).collect()
}

/// What a command prints, if it is there and succeeds.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// A field of one of the kernel's files of lines `NAME: VALUE`.
fn field(path: &str, name: &str) -> Option<String> {
    parse_field(&fs::read_to_string(path).ok()?, name).map(str::to_owned)
}

fn parse_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(field, _)| field.trim() == name).map(|(_, value)| value.trim())
}

/// The versions with which this was built.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// The version of a package in a lock file. The highest, should there be several: it is ours.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let value =
        |line: &'a str, key: &str| line.strip_prefix(key)?.trim_matches([' ', '=', '"']).into();
    let versions = lock.split("[[package]]").filter_map(|block| {
        let mut lines = block.lines();
        let name: &str = lines.find_map(|line| value(line, "name"))?;
        let version: &str = lines.find_map(|line| value(line, "version"))?;
        (name == package).then_some(version)
    });
    // They stand in order.
    versions.last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_kernels_files_is_found_by_its_whole_name() {
        let text = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: Some CPU: fast\n";
        assert_eq!(parse_field(text, "model name"), Some("Some CPU: fast"));
        assert_eq!(parse_field(text, "mode"), None);
    }

    #[test]
    fn the_version_of_a_locked_package_is_found() {
        let lock = "version = 4\n\n[[package]]\nname = \"mio\"\nversion = \"0.8.1\"\n\n\
                    [[package]]\nname = \"mio\"\nversion = \"1.2.5\"\nsource = \"x\"\n\n\
                    [[package]]\nname = \"mio-x\"\nversion = \"3.0.0\"\n";
        assert_eq!(locked(lock, "mio"), Some("1.2.5"));
        assert_eq!(locked(lock, "tokio"), None);
    }

    #[test]
    fn the_versions_of_all_peers_are_known() {
        let machine = machine();
        for name in CRATES {
            assert!(machine.contains_key(*name), "{name} is not in {machine:?}");
        }
    }
}
