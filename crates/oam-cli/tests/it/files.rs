//! The files that commands leave, against the tables of the README and of the page "Files".

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Running, Sandbox};

const PAGE: &str = include_str!("../../../../docs/reference/files.md");
const README: &str = include_str!("../../../../README.md");

/// The rows whose files the commands of this test do not make: an installation, and the tests of the crate
/// `openagentmesh-local` make them.
const INSTALLED: &str = "~/.agentmesh/bin/";

/// The files in the first column of the table.
fn rows() -> Vec<&'static str> {
    let rows = PAGE.lines().filter_map(|line| {
        let (file, _) = line.strip_prefix("| `")?.split_once("` |")?;
        (!file.starts_with(INSTALLED)).then_some(file)
    });
    rows.collect()
}

/// Whether `file` is one of a row: `<…>` is a part of a name, and `**` all that follows.
fn is_of(row: &str, file: &str) -> bool {
    match (row.split_once('<'), row.strip_suffix("**")) {
        (Some((before, after)), _) => {
            let Some(rest) = file.strip_prefix(before) else {
                return false;
            };
            let (_, after) = after.split_once('>').unwrap();
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            length.is_some_and(|length| length > 0 && is_of(after, &rest[length..]))
        }
        (None, Some(before)) => file.starts_with(before),
        (None, None) => row == file,
    }
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.unwrap());
    entries
        // A server may remove a file at any time.
        .filter_map(|entry| Some((entry.path(), entry.file_type().ok()?)))
        .flat_map(|(path, kind)| match kind.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// The files in the home and in the working directory, as the table names them.
struct Files<'s> {
    sandbox: &'s Sandbox,
    /// The rows that had a file.
    seen: BTreeSet<&'static str>,
}

impl Files<'_> {
    /// Asserts that each file is in the table. Returns their names.
    fn check(&mut self, when: &str) -> Vec<String> {
        let home = self.sandbox.home().canonicalize().unwrap();
        let work = self.sandbox.work().canonicalize().unwrap();
        let in_home = files(&home).into_iter().map(|file| {
            let file = file.strip_prefix(&home).unwrap();
            format!("~/{}", file.to_str().unwrap())
        });
        let in_work = files(&work).into_iter().map(|file| {
            let file = file.strip_prefix(&work).unwrap().to_str().unwrap();
            file.replacen("mesh-data/", "DIR/", 1)
        });
        let found: Vec<String> = in_home.chain(in_work).collect();
        let rows = rows();
        for file in &found {
            let of: Vec<_> = rows.iter().filter(|row| is_of(row, file)).collect();
            assert!(!of.is_empty(), "{when}: not in the table: {file}");
            self.seen.extend(of);
        }
        found
    }

    fn oam(&mut self, arguments: &[&str]) -> Vec<String> {
        let output = self.sandbox.oam(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
        self.check(&arguments.join(" "))
    }

    /// Asserts that only files are left that a user removes.
    fn assert_at_rest(&mut self, when: &str, with_data: bool) {
        for file in self.check(when) {
            let is_left = file.ends_with("/.lock")
                || with_data && (file.starts_with("DIR/") || file.contains("/kept/"));
            assert!(is_left, "{when}: {file}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_is_in_the_table_and_every_row_has_a_file() {
    let sandbox = Sandbox::new();
    let mut files = Files {
        sandbox: &sandbox,
        seen: BTreeSet::new(),
    };
    files.oam(&["demo"]);
    files.assert_at_rest("after demo", false);

    files.oam(&["mesh", "up", "--port", "0"]);
    files.oam(&["kv", "put", "a", "1"]);
    let url = sandbox.url().unwrap();
    files.oam(&["mesh", "connect", &url]);
    files.oam(&["mesh", "down"]);
    files.assert_at_rest("after down", false);

    let up = ["mesh", "up", "--port", "0", "--data", "mesh-data"];
    files.oam(&up);
    files.oam(&["kv", "put", "a", "1"]);
    files.oam(&["mesh", "list"]);
    files.oam(&["mesh", "down"]);
    files.assert_at_rest("after down with data", true);
    files.oam(&["mesh", "down", "--purge"]);
    files.assert_at_rest("after down --purge", false);

    // A killed server: the next command that lists meshes removes its files.
    files.oam(&["mesh", "up", "--port", "0"]);
    let listed = sandbox.oam(&["mesh", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let pid = listed[0]["pids"][0].to_string();
    let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
    files.oam(&["mesh", "down"]);
    files.assert_at_rest("after a crash and down", false);

    // A killed owner: the watchdog removes the files.
    let foreground = ["mesh", "up", "--port", "0", "--foreground"];
    let mut owner = Running::start(sandbox.command(&foreground));
    owner.line().await.unwrap();
    files.check("in the foreground");
    owner.signal("-KILL");
    owner.end().await;
    let run = sandbox.home().join(".agentmesh/run");
    for _ in 0..600 {
        if self::files(&run).len() <= 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Only `oam mesh down` removes the file of an owner that was killed.
    files.oam(&["mesh", "down"]);
    files.assert_at_rest("after a killed owner", false);

    files.oam(&["mesh", "up", "--port", "0", "--auth"]);
    files.oam(&["auth", "user", "add", "NAME", "--role", "observer"]);
    let member = [
        "--cluster",
        "mesh",
        "--server-name",
        "n1",
        "--route",
        "n2:6222",
    ];
    files.oam(&[&["auth", "server-conf"], &member[..]].concat());
    files.oam(&["mesh", "down"]);
    files.oam(&["context", "add", "a", "nats://127.0.0.1:1"]);

    let unseen: Vec<_> = rows()
        .into_iter()
        .filter(|row| !files.seen.contains(row))
        .collect();
    assert_eq!(unseen, Vec::<&str>::new(), "rows without a file");
}

#[test]
fn readme_has_the_directories_of_the_page() {
    let (_, section) = README.split_once("\n## Files\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    for row in rows().into_iter().chain([INSTALLED]) {
        let directory = match row.strip_prefix("~/.agentmesh/") {
            Some(rest) => format!("~/.agentmesh/{}", rest.split('/').next().unwrap()),
            None => row.split('/').next().unwrap().to_owned(),
        };
        assert!(section.contains(&format!("`{directory}`")), "{row}");
    }
}
