//! `oam man`.

use std::process::{Command, Stdio};

use crate::support::{CommandOutput, Sandbox};

#[test]
fn page_goes_to_stdout_without_a_directory() {
    let sandbox = Sandbox::new();
    let page = sandbox.oam(&["man"]);
    assert_eq!((page.code, page.stderr.as_str()), (0, ""), "{page:?}");
    assert_page(&page.stdout, "oam");
    assert!(page.stdout.contains("Exit codes"), "{page:?}");
    let json = sandbox.oam(&["man", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["page"], page.stdout);
}

#[test]
fn page_of_each_command_is_written_into_the_directory() {
    let sandbox = Sandbox::new();
    let written = sandbox.oam(&["man", "new/pages", "--json"]);
    assert_eq!(written.code, 0, "{written:?}");
    let written: serde_json::Value = serde_json::from_str(&written.stdout).unwrap();
    assert_eq!(written["directory"], "new/pages");
    let directory = sandbox.work().join("new/pages");
    let pages = written["pages"].as_array().unwrap();
    let files = std::fs::read_dir(&directory).unwrap().count();
    assert_eq!(files, pages.len());
    for name in [
        "oam.1",
        "oam-agent.1",
        "oam-agent-call.1",
        "oam-self-uninstall.1",
    ] {
        assert!(pages.contains(&name.into()), "{name}: {pages:?}");
    }
    for page in pages {
        let file = page.as_str().unwrap();
        let text = std::fs::read_to_string(directory.join(file)).unwrap();
        assert_page(&text, file.trim_end_matches(".1"));
        assert_rendered(&sandbox, &directory.join(file).to_string_lossy());
    }
    let people = sandbox.oam(&["man", "new/pages"]);
    let count = format!("wrote {files} pages into new/pages\n");
    assert_eq!(people.stdout, count, "{people:?}");
}

#[test]
fn directory_that_cannot_be_made_is_an_error() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.work().join("file"), "").unwrap();
    let output = sandbox.oam(&["man", "file/pages"]);
    output.assert_failure(&["man"], 1, &["cannot create file/pages"]);
}

/// The sections that each page has.
fn assert_page(text: &str, name: &str) {
    let title = text.lines().find(|line| line.starts_with(".TH "));
    assert!(
        title.is_some_and(|title| title.contains("OpenAgentMesh")),
        "{name}: {text}"
    );
    for section in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"] {
        assert!(
            text.lines().any(|line| line == section),
            "{name} {section}: {text}"
        );
    }
    assert!(text.contains(&name.replace('-', "\\-")), "{name}: {text}");
}

/// Renders the page with `man`, where it is installed.
fn assert_rendered(sandbox: &Sandbox, path: &str) {
    let is_installed = Command::new("man")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !is_installed.is_ok_and(|status| status.success()) {
        return;
    }
    let mut man = sandbox.program("man");
    man.args(["--warnings", "-l", path])
        .env("MANPAGER", "cat")
        .env("MANWIDTH", "80");
    let output: CommandOutput = man.output().unwrap().into();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{path}");
    assert!(output.stdout.contains("SYNOPSIS"), "{path}: {output:?}");
}
