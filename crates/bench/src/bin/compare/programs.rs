//! The programs that are measured: built, if cargo runs this, and found. What is not Rust is taken if its
//! libraries are on the machine.

use std::env;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;
use tulipa::Exception;
use tulipa_bench::record::Machine;
use tulipa_bench::server::Program;

/// Our example programs that are measured as what users would write.
const EXAMPLES: &[&str] = &["echo_server", "http_hello", "tls_echo", "udp_echo"];

/// The folder of what is not Rust.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// Where the programs are.
pub(crate) struct Programs {
    /// The folder of this program.
    folder: PathBuf,
    /// The Python in which uvloop is looked for.
    python: PathBuf,
}

impl Programs {
    /// Builds what is measured. Without cargo, what lies beside this program is taken as it is.
    ///
    /// # Errors
    /// If that does not succeed, or something is not there.
    pub(crate) fn build(python: PathBuf) -> Result<Self, Exception> {
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
        let programs = Self { folder, python };
        let needed = EXAMPLES.iter().map(|example| programs.example_path(example));
        for path in needed.chain(["peer", "micro"].map(|name| programs.folder.join(name))) {
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

    /// The program `micro`.
    pub(crate) fn micro<const N: usize>(&self, arguments: [&str; N]) -> Program {
        Program::new(self.folder.join("micro")).with(arguments)
    }

    /// One of our examples.
    pub(crate) fn example<const N: usize>(&self, name: &str, arguments: [&str; N]) -> Program {
        Program::new(self.example_path(name)).with(arguments)
    }

    /// A C program in `peers/`, compiled with libuv; or why not.
    pub(crate) fn on_libuv(&self, source: &str) -> Result<Program, String> {
        self.compiled(source, &["-luv", "-lpthread"])
    }

    /// A C program in `peers/`, compiled with these libraries besides C's own; or why not.
    pub(crate) fn compiled(&self, source: &str, libraries: &[&str]) -> Result<Program, String> {
        let source = Path::new(PEERS).join(source);
        let folder = self.folder.join("peers");
        let program = folder.join(source.file_stem().expect("it is a file's name"));
        if is_older(&program, &source) {
            std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
            let mut compiler = Command::new("cc");
            compiler.args(["-O2", "-o"]).args([&program, &source]).args(libraries);
            said(&mut compiler).map_err(|why| {
                let first = why.lines().next().unwrap_or_default();
                format!("it could not be compiled: {first}")
            })?;
        }
        Ok(Program::new(program))
    }

    /// A Python program in `peers/`, told to use asyncio's own event loop; or why not.
    pub(crate) fn on_asyncio(&self, source: &str) -> Result<Program, String> {
        said(Command::new(&self.python).arg("--version"))?;
        Ok(self.on_python(source).with(["asyncio"]))
    }

    /// A Python program in `peers/`, told to use uvloop; or why not.
    pub(crate) fn on_uvloop(&self, source: &str) -> Result<Program, String> {
        said(Command::new(&self.python).args(["-c", "import uvloop"]))
            .map_err(|_| format!("{} has no uvloop", self.python.display()))?;
        Ok(self.on_python(source).with(["uvloop"]))
    }

    /// The versions of what is not Rust, as far as it is there.
    pub(crate) fn versions(&self) -> Machine {
        let peers = [
            ("libuv", self.on_libuv("uv_echo.c")),
            ("asyncio", self.on_asyncio("echo_asyncio.py")),
            ("uvloop", self.on_uvloop("echo_asyncio.py")),
        ];
        let version =
            |program: Result<Program, String>| said(&mut program?.with(["--version"]).plain());
        let known =
            peers.into_iter().filter_map(|(name, program)| Some((name, version(program).ok()?)));
        known.map(|(name, version)| (name.to_owned(), version)).collect()
    }

    fn on_python(&self, source: &str) -> Program {
        Program::new(&self.python).with([Path::new(PEERS).join(source)])
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

fn is_older(program: &Path, source: &Path) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified());
    match (changed(program), changed(source)) {
        (Ok(program), Ok(source)) => program < source,
        _ => true,
    }
}

/// What a command that succeeds says, without the end of the line; or what it complains of.
pub(crate) fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}
