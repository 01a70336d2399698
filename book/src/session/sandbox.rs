//! The directory, the environment and the network of a page.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::pages;

/// Starts `cargo run --example NAME` as the program that is built already, and Cargo for all else.
const CARGO: &str = r#"#!/bin/sh
if [ "$1" = run ] && { [ "$2" = --example ] || [ "$3" = --example ]; }; then
    while [ "$1" != --example ]; do shift; done
    name=$2
    shift 2
    if [ "$1" = -- ]; then shift; fi
    exec "$BOOK_EXAMPLES/$name" "$@"
fi
exec "$BOOK_CARGO" "$@"
"#;

/// The address of this repository, which a page that installs gets from this machine.
const ADDRESS: &str = "https://github.com/openagentmesh/openagentmesh-rs";

/// Settings of this machine by which programs reach the network.
const NETWORK_VARIABLES: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_FIND_LINKS",
    "CARGO_HTTP_CAINFO",
];

/// The programs that pages use, prepared by `cargo xtask book --test`.
pub(crate) struct Programs {
    /// The folder of `oam`; `examples` in it has the built examples.
    pub(crate) rust: PathBuf,
    /// The virtual environment with the wheel of the Python package.
    pub(crate) python: PathBuf,
    /// The folder with `node_modules`.
    pub(crate) node: PathBuf,
}

impl Programs {
    /// The programs in the target directory.
    pub(crate) fn find() -> Self {
        let target = target();
        Self {
            rust: target.join("debug"),
            python: target.join("python").join("book"),
            node: target.join("book").join("node"),
        }
    }
}

/// The target directory of Cargo.
pub(crate) fn target() -> PathBuf {
    let set = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    pages::repository().join(set.unwrap_or_else(|| "target".into()))
}

/// The surroundings of one page. They are removed when dropped.
pub(super) struct Sandbox {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, OsString)>,
}

impl Sandbox {
    /// The surroundings of a page. A page that installs packages has none of `programs`: it installs its own.
    pub(super) fn new(programs: &Programs, installs: bool) -> Result<Self, String> {
        let fail = |error: std::io::Error| format!("cannot prepare the directory: {error}");
        let folder = tempfile::Builder::new()
            .prefix("book-")
            .tempdir()
            .map_err(fail)?;
        let root = folder.path();
        for name in ["home", "page", "bin", "tmp"] {
            fs::create_dir(root.join(name)).map_err(fail)?;
        }
        let page = root.join("page");
        link(
            &pages::repository().join("examples"),
            &page.join("examples"),
        )
        .map_err(fail)?;
        let modules = programs.node.join("node_modules");
        if modules.exists() {
            link(&modules, &page.join("node_modules")).map_err(fail)?;
        }
        let cargo = root.join("bin").join("cargo");
        fs::write(&cargo, CARGO).map_err(fail)?;
        make_executable(&cargo).map_err(fail)?;
        let mut environment = environment(programs, root, installs)?;
        if installs {
            environment.extend(for_installation(root));
        }
        Ok(Self {
            folder,
            environment,
        })
    }

    /// The directory in which the commands of the page run.
    pub(super) fn page(&self) -> PathBuf {
        self.folder.path().join("page")
    }

    /// Gives a command the environment of the page.
    pub(super) fn prepare(&self, command: &mut Command) {
        command.env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.page());
    }
}

fn environment(
    programs: &Programs,
    root: &Path,
    installs: bool,
) -> Result<Vec<(&'static str, OsString)>, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let own = match installs {
        true => vec![root.join("bin"), root.join("installed").join("bin")],
        false => vec![
            root.join("bin"),
            programs.rust.clone(),
            programs.python.join("bin"),
        ],
    };
    let path = env::join_paths(own.into_iter().chain(env::split_paths(&path)))
        .map_err(|error| format!("PATH: {error}"))?;
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let of_home = |name: &str, folder: &str| {
        env::var_os(name).unwrap_or_else(|| home.join(folder).into_os_string())
    };
    let mut environment = vec![
        ("PATH", path),
        ("HOME", root.join("home").into_os_string()),
        ("TMPDIR", root.join("tmp").into_os_string()),
        ("CARGO_HOME", of_home("CARGO_HOME", ".cargo")),
        ("RUSTUP_HOME", of_home("RUSTUP_HOME", ".rustup")),
        (
            "BOOK_EXAMPLES",
            programs.rust.join("examples").into_os_string(),
        ),
        ("BOOK_CARGO", cargo()?.into_os_string()),
        ("LANG", "C.UTF-8".into()),
        ("TERM", "dumb".into()),
        ("NO_COLOR", "1".into()),
        ("PYTHONUNBUFFERED", "1".into()),
    ];
    if let Some(server) = env::var_os("OAM_NATS_SERVER") {
        environment.push(("OAM_NATS_SERVER", server));
    }
    Ok(environment)
}

/// The path of Cargo. The program of this name in the sandbox would find itself.
fn cargo() -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates = env::split_paths(&path).map(|folder| folder.join("cargo"));
    let found = candidates.find(|cargo| cargo.is_file());
    found.ok_or_else(|| "cargo not found: PATH has no folder with it".to_owned())
}

/// The settings for a page that installs this repository: from the local commit, into the directory of the page, and
/// without the optimisations, which take minutes.
fn for_installation(root: &Path) -> Vec<(&'static str, OsString)> {
    let local = format!("url.file://{}.insteadOf", pages::repository().display());
    let network = NETWORK_VARIABLES
        .iter()
        .filter_map(|name| Some((*name, env::var_os(name)?)));
    let settings = [
        ("GIT_CONFIG_COUNT", "1".into()),
        ("GIT_CONFIG_KEY_0", local.into()),
        ("GIT_CONFIG_VALUE_0", ADDRESS.into()),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1".into()),
        ("CARGO_NET_GIT_FETCH_WITH_CLI", "true".into()),
        (
            "CARGO_INSTALL_ROOT",
            root.join("installed").into_os_string(),
        ),
        (
            "CARGO_TARGET_DIR",
            target().join("book").join("user").into_os_string(),
        ),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0".into()),
        ("CARGO_PROFILE_RELEASE_LTO", "off".into()),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16".into()),
        ("CARGO_PROFILE_DEV_DEBUG", "0".into()),
    ];
    network.chain(settings).collect()
}

/// Runs `command` alone on a loopback of its own, so that all pages may use the same ports; its processes end with it.
/// `None` where the system does not allow that.
pub(super) fn isolated(command: &[OsString]) -> Option<Command> {
    // The first process of the namespace reaps those that have lost their parents.
    const START: &str = r#"ip link set lo up && "$@"; exit $?"#;
    const OPTIONS: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let unshare = |more: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(more);
        unshare.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        unshare.args(["bash", "-c", START, "bash"]);
        unshare
    };
    let works = |more: &&&[&str]| {
        let mut test = unshare(more);
        test.arg("true").stdout(Stdio::null()).stderr(Stdio::null());
        test.status().is_ok_and(|status| status.success())
    };
    let options = OPTIONS.iter().find(works)?;
    let mut isolated = unshare(options);
    isolated.args(command);
    Some(isolated)
}

#[cfg(unix)]
fn link(original: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(original, link)
}

#[cfg(unix)]
fn make_executable(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::Error::other(
        "the pages are run on Linux and macOS",
    ))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
