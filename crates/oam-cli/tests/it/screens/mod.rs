//! The screens of every command, in pseudo-terminals of several widths and in a pipe: snapshots, and the rules that hold for all.
//!
//! `INSTA_UPDATE=always cargo test -p oam-cli --test it screens` renews the snapshots in `tests/it/snapshots`.

mod cases;
mod content;
mod redact;
mod screen;
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

use self::cases::{CASES, Case};
use self::content::{Content, Directory, Meshes};
use self::screen::{Screen, View, section, views_of};
use self::shell::{Programs, Shell};
use crate::support::{Sandbox, commands_and_groups_in_help, commands_in_help};

/// The number of commands that run at a time.
const WORKERS: usize = 4;

/// Runs `work` for each of the `jobs`, several at a time. The results are in the order of the jobs.
fn in_parallel<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(0..jobs.len());
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(index) = next.lock().unwrap().next() else {
                        break;
                    };
                    let result = work(&jobs[index]);
                    results.lock().unwrap().insert(index, result);
                }
            });
        }
    });
    results.into_inner().unwrap().into_values().collect()
}

/// Compares the snapshots, and fails at the end with the names of all that differ.
#[derive(Default)]
struct Snapshots {
    directory: &'static str,
    compared: BTreeSet<String>,
    failed: Vec<String>,
}

impl Snapshots {
    fn of(directory: &'static str) -> Self {
        Self {
            directory,
            ..Self::default()
        }
    }

    fn compare(&mut self, name: &str, text: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(format!("../snapshots/{}", self.directory));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let compared = settings
            .bind(|| catch_unwind(AssertUnwindSafe(|| insta::assert_snapshot!(name, text))));
        if compared.is_err() {
            self.failed.push(name.to_owned());
        }
        self.compared.insert(format!("{name}.snap"));
    }

    fn finish(self) {
        assert!(
            self.failed.is_empty(),
            "the screens of {:?} differ; see the differences above",
            self.failed
        );
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/it/snapshots")
            .join(self.directory);
        let stored = std::fs::read_dir(directory).unwrap();
        let stored = stored.map(|file| file.unwrap().file_name().into_string().unwrap());
        let stale: Vec<String> = stored
            .filter(|name| !self.compared.contains(name))
            .collect();
        assert!(stale.is_empty(), "snapshots without a command: {stale:?}");
    }
}

fn assert_none(problems: &[String]) {
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// The problems of the screens of one line, each with the line and the view.
fn problems(line: &str, is_data: bool, screens: &[Screen]) -> Vec<String> {
    let mut problems = Vec::new();
    for screen in screens {
        let found = screen.problems(is_data);
        let view = screen.view.title();
        problems.extend(
            found
                .into_iter()
                .map(|problem| format!("$ {line}    # {view}: {problem}")),
        );
        let without_colours = screens
            .iter()
            .find(|other| screen.view.is_coloured_form_of(other.view));
        if let Some(other) = without_colours
            && screen.plain(line) != other.plain(line)
        {
            problems.push(format!(
                "$ {line}    # {view}: another text than without colours:\n{}---- without:\n{}",
                screen.plain(line),
                other.plain(line)
            ));
        }
    }
    problems
}

#[test]
fn help_of_every_command_fits_the_terminal() {
    let sandbox = Sandbox::new();
    let commands = commands_and_groups_in_help(&sandbox);
    let shell = Shell {
        programs: &Programs::new(),
        sandbox: &sandbox,
        url: None,
        shop_url: "",
    };
    let screens = in_parallel(&commands, |words| {
        let lines = ["--help", "-h"].map(|option| {
            [&["oam".to_owned()], &words[..], &[option.to_owned()]]
                .concat()
                .join(" ")
        });
        lines.map(|line| {
            let take = |view: &View| Screen::take(*view, shell, &line, None);
            let screens: Vec<Screen> = View::ALL.iter().map(take).collect();
            (line, screens)
        })
    });
    let mut found = Vec::new();
    let mut snapshots = Snapshots::of("help");
    for (words, screens) in commands.iter().zip(screens) {
        for (line, screens) in &screens {
            found.extend(problems(line, false, screens));
        }
        let [(line, screens), _] = &screens;
        snapshots.compare(&name(words), &section(line, None, screens));
    }
    assert_none(&found);
    snapshots.finish();
}

/// The name of a snapshot: that of the command.
fn name(words: &[String]) -> String {
    [&["oam".to_owned()], words].concat().join("-")
}

/// The longest of the `commands` with which the line begins; the program itself, if there is none.
fn command_of<'c>(line: &str, commands: &'c [Vec<String>]) -> &'c [String] {
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let matching = commands.iter().filter(|command| {
        command.len() <= words.len() && command.iter().zip(&words).all(|(a, b)| a == b)
    });
    matching
        .max_by_key(|command| command.len())
        .map_or(&[], Vec::as_slice)
}

#[test]
fn every_command_has_a_screen() {
    let commands = commands_in_help(&Sandbox::new());
    let shown: BTreeSet<&[String]> = CASES
        .iter()
        .map(|case| command_of(case.line, &commands))
        .collect();
    let missing: Vec<String> = commands
        .iter()
        .filter(|command| !shown.contains(&command[..]))
        .map(|command| command.join(" "))
        .collect();
    assert!(
        missing.is_empty(),
        "no screen of {missing:?}: add a line such as case(\"oam {} …\") to CASES in tests/it/screens/cases.rs",
        missing[0]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_of_every_command_fits_the_terminal() {
    let meshes = Meshes::start().await;
    let programs = Programs::new();
    let jobs: Vec<(&Case, Content)> = CASES
        .iter()
        .flat_map(|case| case.on.iter().map(move |content| (case, *content)))
        .collect();
    let screens = in_parallel(&jobs, |(case, content)| {
        screens_of(case, *content, &meshes, &programs)
    });
    let mut found = Vec::new();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let commands = commands_in_help(&Sandbox::new());
    for ((case, content), screens) in jobs.into_iter().zip(screens) {
        found.extend(problems(case.line, case.is_data, &screens));
        let text = texts
            .entry(name(command_of(case.line, &commands)))
            .or_default();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&section(case.line, Some(content), &screens));
    }
    let mut snapshots = Snapshots::of("output");
    for (name, text) in &texts {
        snapshots.compare(name, text);
    }
    assert_none(&found);
    snapshots.finish();
}

fn screens_of(case: &Case, content: Content, meshes: &Meshes, programs: &Programs) -> Vec<Screen> {
    let take = |view: &View| {
        let directory = match meshes.of(content) {
            Some(mesh) => Directory::Mesh(mesh),
            None => Directory::Own(Sandbox::new()),
        };
        let shell = Shell {
            programs,
            sandbox: directory.sandbox(),
            url: meshes.of(content).map(|mesh| mesh.url.as_str()),
            shop_url: meshes.shop_url(),
        };
        if let Some(before) = case.before {
            Screen::take(View::PIPE, shell, before, None);
        }
        let take = || Screen::take(*view, shell, case.line, case.until);
        let mut screen = take();
        // A machine under load may renew the lease of the monitor late.
        for _ in 0..5 {
            let text = screen.plain(case.line);
            if !text.contains("was last renewed") && !text.contains("does not renew") {
                break;
            }
            screen = take();
        }
        screen
    };
    views_of(case).iter().map(take).collect()
}
