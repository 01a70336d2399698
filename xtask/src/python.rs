//! `cargo xtask python`: builds the wheel of the Python package, installs it into fresh environments, and runs its
//! tests.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::workspace;

/// The variable that names the interpreter; `python3` without it.
const PYTHON_VARIABLE: &str = "PYTHON";

/// The program that builds wheels.
const MATURIN: &str = "maturin>=1.9,<2";

/// The extras of the distribution with the dependencies of its tests and examples.
const TEST_EXTRAS: &str = "test,examples";

/// The NATS client of the programs that take part in a mesh without an SDK.
const NATS_CLIENT: &str = "nats-py>=2.9,<3";

/// A program that a user without Rust may run.
const BARE_PROGRAM: &str = r#"
import asyncio, shutil
assert shutil.which("cargo") is None, "cargo is on PATH"
from openagentmesh import AgentMesh, AgentSpec

async def main() -> None:
    async with AgentMesh.local() as mesh:
        @mesh.agent(AgentSpec(name="echo", description="Echoes a message back."))
        async def echo(req: str) -> str:
            return f"Echo: {req}"
        assert await mesh.call("echo", "hello") == "Echo: hello"

asyncio.run(main())
"#;

/// Runs the command. `--release` builds an optimised wheel. `install` installs the wheel into an environment that is kept,
/// for the bench. All other arguments are those of pytest.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let (release, arguments): (Vec<&str>, Vec<&str>) = arguments
        .iter()
        .partition(|argument| **argument == "--release");
    let folder = workspace::target().join("python");
    let done = build(&folder, !release.is_empty()).and_then(|wheel| match arguments[..] {
        ["install"] => install(&folder, wheel),
        ref tests => check(&folder, &wheel, tests),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("== python failed: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Installs the wheel into the environment of the pages of the book, with the packages of their programs.
pub(crate) fn install_for_book() -> Result<(), String> {
    let folder = workspace::target().join("python");
    let mut wheel = build(&folder, false)?.into_os_string();
    let environment = Environment::open(&folder.join("book"))?;
    let again = ["--force-reinstall", "--no-deps"].map(OsString::from);
    environment.pip(&[&again[..], &[wheel.clone()]].concat())?;
    wheel.push(format!("[{TEST_EXTRAS}]"));
    environment.pip(&[wheel, NATS_CLIENT.into()])
}

/// The folder of the Python package.
fn package() -> PathBuf {
    workspace::root().join("python")
}

/// Builds the wheel.
fn build(folder: &Path, is_release: bool) -> Result<PathBuf, String> {
    let build = Environment::open(&folder.join("build"))?;
    build.pip(&[MATURIN.into()])?;
    let wheels = folder.join("wheels");
    if wheels.exists() {
        fs::remove_dir_all(&wheels).map_err(|error| cannot("remove", &wheels, &error))?;
    }
    let mut maturin = build.command("maturin");
    maturin.args(["build", "--out"]).arg(&wheels);
    maturin.args(["--compatibility", "linux"]);
    match is_release {
        true => maturin.arg("--release"),
        // Of the build of the tests: without it, most of the dependencies are built again.
        false => maturin.args(["--features", "workspace-features"]),
    };
    step("build the wheel", maturin.current_dir(package()))?;
    let wheel = workspace::entries(&wheels)?.pop();
    wheel.ok_or_else(|| "the wheel was not built".to_owned())
}

fn install(folder: &Path, wheel: PathBuf) -> Result<(), String> {
    let environment = Environment::open(&folder.join("installed"))?;
    let again = OsString::from("--force-reinstall");
    environment.pip(&[again, wheel.into_os_string()])
}

/// Installs the wheel into fresh environments, and runs the tests.
fn check(folder: &Path, wheel: &Path, tests: &[&str]) -> Result<(), String> {
    let package = package();

    let fresh = Environment::create(&folder.join("test"))?;
    let mut with_tests = wheel.as_os_str().to_owned();
    with_tests.push(format!("[{TEST_EXTRAS}]"));
    fresh.pip(&[with_tests])?;
    let mut pytest = fresh.command("pytest");
    // Not in the folder of the package, whose sources would be imported instead of the wheel.
    pytest.current_dir(package.join("tests"));
    pytest
        .arg("--rootdir")
        .arg(&package)
        .arg("-c")
        .arg(package.join("pyproject.toml"));
    pytest.args(tests);
    step("test", &mut pytest)?;

    let mut bare = Environment::create(&folder.join("bare"))?;
    bare.path = Some("/usr/bin:/bin".into());
    bare.pip(&[wheel.as_os_str().to_owned()])?;
    let mut program = bare.command("python");
    step(
        "use the wheel without Rust",
        program.args(["-c", BARE_PROGRAM]),
    )?;
    let mut demo = bare.command("oam");
    step("run oam without Rust", demo.arg("demo"))
}

/// A virtual environment.
struct Environment {
    folder: PathBuf,
    /// The value of `PATH`; that of this process if there is none.
    path: Option<OsString>,
}

impl Environment {
    /// An empty environment.
    fn create(folder: &Path) -> Result<Self, String> {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|error| cannot("remove", folder, &error))?;
        }
        Self::open(folder)
    }

    /// An environment that is kept, or a new one.
    fn open(folder: &Path) -> Result<Self, String> {
        let environment = Self {
            folder: folder.to_owned(),
            path: None,
        };
        if !environment.program("python").exists() {
            let python = std::env::var_os(PYTHON_VARIABLE).unwrap_or_else(|| "python3".into());
            let mut command = Command::new(python);
            step(
                "create an environment",
                command.args(["-m", "venv"]).arg(folder),
            )?;
        }
        Ok(environment)
    }

    fn program(&self, name: &str) -> PathBuf {
        let programs = if cfg!(windows) { "Scripts" } else { "bin" };
        self.folder.join(programs).join(name)
    }

    /// A program of the environment.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        // Cargo sets these for this program, and Python reads these of the user.
        for (name, _) in std::env::vars_os() {
            let is_of_cargo =
                |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
            if name.to_str().is_some_and(is_of_cargo) {
                command.env_remove(name);
            }
        }
        command
            .env_remove("PYTHONPATH")
            .env("PYTHONNOUSERSITE", "1");
        command
    }

    fn pip(&self, packages: &[OsString]) -> Result<(), String> {
        let mut command = self.command("python");
        command.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        step("install", command.args(packages))
    }
}

fn step(title: &str, command: &mut Command) -> Result<(), String> {
    eprintln!("\n== python: {title}");
    let status = command.status().map_err(|error| {
        format!(
            "{} cannot be run: {error}; Python 3.10 or later is required",
            command.get_program().to_string_lossy()
        )
    })?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{title}: {status}")),
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}
