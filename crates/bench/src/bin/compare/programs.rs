//! The programs that are measured: built, if cargo runs this, and found.

use std::env;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;
use tulipa::Exception;
use tulipa_bench::server::Program;

/// Our example programs that are measured as what users would write.
const EXAMPLES: &[&str] = &["echo_server", "http_hello", "tls_echo", "udp_echo"];

/// Where the programs are.
pub(crate) struct Programs {
    /// The folder of this program.
    folder: PathBuf,
}

impl Programs {
    /// Builds what is measured. Without cargo, what lies beside this program is taken as it is.
    ///
    /// # Errors
    /// If that does not succeed, or something is not there.
    pub(crate) fn build() -> Result<Self, Exception> {
        if cfg!(debug_assertions) {
            return Err(Error::other("built without optimisation: run it with --release").into());
        }
        if let Some(cargo) = env::var_os("CARGO") {
            let cargo = Path::new(&cargo);
            build(cargo, &["--package", "tulipa-bench", "--bins"])?;
            let examples = EXAMPLES.iter().flat_map(|&example| ["--example", example]);
            let arguments: Vec<_> =
                ["--package", "tulipa-examples"].into_iter().chain(examples).collect();
            build(cargo, &arguments)?;
        }
        let program = env::current_exe()?;
        let folder = program.parent().expect("a file lies in a folder").to_owned();
        let programs = Self { folder };
        let needed = EXAMPLES.iter().map(|example| programs.example_path(example));
        for path in needed.chain([programs.folder.join("peer")]) {
            if !path.exists() {
                let message = format!("{} is not there: run this by cargo", path.display());
                return Err(Error::new(ErrorKind::NotFound, message).into());
            }
        }
        Ok(programs)
    }

    /// The folder into which cargo builds.
    pub(crate) fn target(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// A peer of the program `peer`.
    pub(crate) fn peer<const N: usize>(&self, arguments: [&str; N]) -> Program {
        Program::new(self.folder.join("peer")).with(arguments)
    }

    /// One of our examples.
    pub(crate) fn example<const N: usize>(&self, name: &str, arguments: [&str; N]) -> Program {
        Program::new(self.example_path(name)).with(arguments)
    }

    fn example_path(&self, name: &str) -> PathBuf {
        self.folder.join("examples").join(name)
    }
}

fn build(cargo: &Path, arguments: &[&str]) -> Result<(), Exception> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--manifest-path", manifest]).args(arguments);
    match command.status()?.success() {
        true => Ok(()),
        false => Err(Error::other(format!("{command:?} failed")).into()),
    }
}
