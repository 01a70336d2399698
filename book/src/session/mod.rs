//! Runs what a page shows: its shell blocks in terminals, and its Python blocks as programs, in the order of the page.
//!
//! Each page has a directory and, where the system allows it, a network of its own (`sandbox`). `terminal` is a shell,
//! `expected` compares its output with that of the page.

mod expected;
pub(crate) mod sandbox;
mod terminal;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::{env, fs, thread};

use openagentmesh_local::{NATS_SERVER_VARIABLE, NatsServerSearch};

use self::sandbox::{Programs, Sandbox};
use self::terminal::Terminal;
use crate::blocks::{self, Block};
use crate::pages::Page;

/// The pages that run at the same time.
const MAX_PAGES: usize = 4;

/// The comment of a page that needs the network of the machine, to install packages.
const NEEDS_NETWORK: &str = "<!-- session: network -->";

/// Whether the page has blocks that a session runs.
fn is_session(page: &Page) -> bool {
    let runs = |block: &Block| is_run(block) || block.attribute("file").is_some();
    !page.is_decision() && blocks::of(&page.text).iter().any(runs)
}

/// The shell blocks of a page that no session would run.
pub(crate) fn unrun(pages: &[Page]) -> Vec<String> {
    let mut unrun = Vec::new();
    for page in pages.iter().filter(|page| !page.is_decision()) {
        let lines: Vec<&str> = page.text.lines().collect();
        for block in blocks::of(&page.text) {
            let at = format!("docs/{}:{}", page.path, block.line);
            let is_shell = matches!(block.language.as_str(), "sh" | "bash" | "shell");
            if is_shell && block.attribute("file").is_none() {
                unrun.push(format!("{at}: a shell block is `console`, with its output"));
            }
            let before = lines[..block.line - 1].last().unwrap_or(&"");
            if block.is("untested") && !before.trim().starts_with("<!-- untested: ") {
                unrun.push(format!("{at}: an untested block has its reason above it"));
            }
        }
    }
    unrun
}

fn is_run(block: &Block) -> bool {
    matches!(block.language.as_str(), "console" | "python") && !block.is("untested")
}

/// Runs all pages, or those whose paths contain one of `names`. Returns the problems.
pub(crate) fn run_all(pages: &[Page], names: &[String]) -> Result<Vec<String>, String> {
    let is_named = |page: &&Page| {
        names.is_empty() || names.iter().any(|name| page.path.contains(name.as_str()))
    };
    let selected: Vec<&Page> = pages
        .iter()
        .filter(is_named)
        .filter(|page| is_session(page))
        .collect();
    if selected.is_empty() {
        return Err("no page with a session has that name".to_owned());
    }
    let can_isolate = sandbox::isolated(&["true".into()]).is_some();
    let needs_network = |page: &&&Page| !can_isolate || page.text.contains(NEEDS_NETWORK);
    let (shared, isolated): (Vec<&Page>, Vec<&Page>) =
        selected.into_iter().partition(|page| needs_network(&page));
    let server = nats_server()?;
    let problems = Mutex::new(Vec::new());
    let queue = Mutex::new(isolated.into_iter());
    thread::scope(|scope| {
        for _ in 0..MAX_PAGES {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(page) = next else { return };
                    run_apart(page, &server, true, &problems);
                }
            });
        }
        // They share the ports of the machine.
        scope.spawn(|| {
            for page in shared {
                run_apart(page, &server, false, &problems);
            }
        });
    });
    problems
        .into_inner()
        .map_err(|_| "a page could not be run".to_owned())
}

/// The `nats-server` of this machine. The pages have an empty home, and would install one each.
fn nats_server() -> Result<PathBuf, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let search = NatsServerSearch::new();
    let server = runtime.block_on(search.find_or_install());
    let server = server.map_err(|error| error.to_string())?;
    Ok(server.path().to_owned())
}

/// Runs a page in a process of its own.
fn run_apart(page: &Page, server: &Path, is_isolated: bool, problems: &Mutex<Vec<String>>) {
    let program = env::current_exe().unwrap_or_default().into_os_string();
    let arguments = ["session".into(), page.path.clone().into()];
    let command: Vec<OsString> = [program].into_iter().chain(arguments).collect();
    let mut process = match is_isolated.then(|| sandbox::isolated(&command)).flatten() {
        Some(isolated) => isolated,
        None => {
            let mut plain = Command::new(&command[0]);
            plain.args(&command[1..]);
            plain
        }
    };
    let outcome = process.env(NATS_SERVER_VARIABLE, server).output();
    let problem = match outcome {
        Ok(output) if output.status.success() => {
            println!("{}: ok", page.path);
            return;
        }
        Ok(output) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            text(&output.stdout) + &text(&output.stderr)
        }
        Err(error) => format!("cannot be run: {error}"),
    };
    println!("{}: failed", page.path);
    if let Ok(mut problems) = problems.lock() {
        problems.push(format!("docs/{}: {}", page.path, problem.trim_end()));
    }
}

/// Runs the blocks of a page.
pub(crate) fn run(page: &Page) -> Result<(), String> {
    let sandbox = Sandbox::new(&Programs::find(), page.text.contains(NEEDS_NETWORK))?;
    let mut terminals = BTreeMap::new();
    let outcome = run_blocks(page, &sandbox, &mut terminals);
    // The last terminal usually has the callers, and the first one the server.
    while let Some((_, terminal)) = terminals.pop_last() {
        drop(terminal);
    }
    stop_mesh(&sandbox);
    outcome
}

fn run_blocks(
    page: &Page,
    sandbox: &Sandbox,
    terminals: &mut BTreeMap<String, Terminal>,
) -> Result<(), String> {
    for (number, block) in blocks::of(&page.text).iter().enumerate() {
        let at = |problem: String| format!("line {}: {problem}", block.line);
        if let Some(file) = block.attribute("file") {
            let file = sandbox.page().join(file);
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder).map_err(|error| at(error.to_string()))?;
            }
            fs::write(&file, block.code()).map_err(|error| at(error.to_string()))?;
        } else if !is_run(block) {
            continue;
        } else if block.language == "python" {
            run_python(sandbox, number, block).map_err(at)?;
        } else {
            let name = block.attribute("terminal").unwrap_or("1").to_owned();
            let terminal = match terminals.entry(name) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(Terminal::open(sandbox, &sandbox.page())?)
                }
            };
            run_console(terminal, block)?;
        }
    }
    terminals.values_mut().try_for_each(Terminal::close)
}

/// Runs the commands of a block.
fn run_console(terminal: &mut Terminal, block: &Block) -> Result<(), String> {
    let mut lines = block
        .lines
        .iter()
        .map(String::as_str)
        .zip(block.line + 1..)
        .peekable();
    let more = output(&mut lines);
    if more.iter().any(|line| !line.trim().is_empty()) {
        terminal.expect_more(more)?;
    }
    while let Some((line, number)) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else {
            let rest = output(&mut lines);
            terminal.interrupt(rest)?;
            continue;
        };
        let mut command = command.to_owned();
        while let Some((line, _)) = lines.next_if(|(line, _)| line.starts_with("> ")) {
            command += "\n";
            command += &line[2..];
        }
        let expected = output(&mut lines);
        terminal.run(number, &command, expected)?;
    }
    Ok(())
}

/// The lines up to the next command.
fn output<'a>(lines: &mut Peekable<impl Iterator<Item = (&'a str, usize)>>) -> Vec<String> {
    let is_output = |(line, _): &(&str, usize)| !line.starts_with("$ ") && *line != "^C";
    let mut output = Vec::new();
    while let Some((line, _)) = lines.next_if(is_output) {
        output.push(line.to_owned());
    }
    output
}

/// Runs a block as a program, which must succeed.
fn run_python(sandbox: &Sandbox, number: usize, block: &Block) -> Result<(), String> {
    let file = format!(".block-{number}.py");
    fs::write(sandbox.page().join(&file), block.code())
        .map_err(|error| format!("cannot write {file}: {error}"))?;
    let mut python = Command::new("timeout");
    sandbox.prepare(&mut python);
    let output = python
        .args(["120", "python", &file])
        .output()
        .map_err(|error| format!("python cannot be run: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// Stops the meshes that the page may have started and left, in its directory or in a folder of it.
fn stop_mesh(sandbox: &Sandbox) {
    let page = sandbox.page();
    let folders = fs::read_dir(&page).into_iter().flatten().flatten();
    let folders = folders.map(|entry| entry.path());
    for folder in folders.chain([page]) {
        if !folder.join(".oam-url").exists() {
            continue;
        }
        // The page may have installed its own in a virtual environment.
        let mut down = Command::new(Programs::find().rust.join("oam"));
        sandbox.prepare(&mut down);
        let _ = down.args(["mesh", "down"]).current_dir(folder).output();
    }
}
