//! The file of contexts: its permissions, its owner, and changes by hand and by several commands.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::support::Sandbox;

fn file(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".agentmesh/contexts.toml")
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn add(sandbox: &Sandbox, name: &str) {
    let output = sandbox.oam(&["context", "add", name, "nats://a:1"]);
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn file_and_its_directory_are_private() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.program("sh");
    let script = "umask 0; exec \"$0\" context add a nats://ann:s3cret@a:1";
    command.args(["-c", script, env!("CARGO_BIN_EXE_oam")]);
    assert!(command.status().unwrap().success());
    assert_eq!(mode(&file(&sandbox)), 0o600);
    assert_eq!(mode(file(&sandbox).parent().unwrap()), 0o700);
    set_mode(&file(&sandbox), 0o644);
    add(&sandbox, "b");
    assert_eq!(mode(&file(&sandbox)), 0o600);
    let names = std::fs::read_dir(file(&sandbox).parent().unwrap()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["contexts.lock", "contexts.toml"]);
}

#[test]
fn comments_and_unknown_members_are_kept() {
    let sandbox = Sandbox::new();
    add(&sandbox, "a");
    let text = "# mine\r\nversion = 2 # of the file\r\nselected = \"a\"\r\n\r\n[contexts.a]\r\nurl = \"nats://a:1\" \
                # first\r\ncolour = \"red\"\r\n\r\n[other]\r\nx = 1\r\n";
    std::fs::write(file(&sandbox), format!("\u{feff}{text}")).unwrap();
    add(&sandbox, "b");
    let use_b = sandbox.oam(&["context", "use", "b"]);
    assert_eq!(use_b.code, 0, "{use_b:?}");
    let replace = sandbox.oam(&["context", "add", "a", "nats://c:1", "--replace"]);
    assert_eq!(replace.code, 0, "{replace:?}");
    let changed = std::fs::read_to_string(file(&sandbox)).unwrap();
    for kept in [
        "# mine",
        "version = 2 # of the file",
        "colour = \"red\"",
        "[other]",
        "x = 1",
    ] {
        assert!(changed.contains(kept), "{kept}: {changed}");
    }
    assert!(changed.contains("selected = \"b\""), "{changed}");
    let listed = sandbox.oam(&["context", "list", "--json"]);
    assert!(listed.stdout.contains("nats://c:1"), "{listed:?}");

    for (text, expected) in [
        ("contexts = { a = { url = 'nats://a:1' } }", "inline"),
        ("[contexts]\na.url = 'nats://a:1'\n", "dotted"),
    ] {
        std::fs::write(file(&sandbox), text).unwrap();
        add(&sandbox, "b");
        let listed = sandbox.oam(&["context", "list"]);
        assert_eq!(listed.stdout.lines().count(), 3, "{expected}: {listed:?}");
    }
}

#[test]
fn changes_of_many_commands_at_once_are_all_stored() {
    const COMMANDS: usize = 24;
    let sandbox = Sandbox::new();
    let started: Vec<_> = (0..COMMANDS)
        .map(|number| {
            let name = format!("c{number:02}");
            let mut command = sandbox.command(&["context", "add", &name, "nats://a:1", "--use"]);
            command.spawn().unwrap()
        })
        .collect();
    for command in started {
        let output = command.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let listed = sandbox.oam(&["context", "list"]);
    assert_eq!(listed.stdout.lines().count(), COMMANDS + 1, "{listed:?}");
    assert_eq!(listed.stdout.matches(" * ").count(), 1, "{listed:?}");
}

#[test]
fn link_to_the_file_is_kept() {
    let sandbox = Sandbox::new();
    add(&sandbox, "a");
    let target = sandbox.work().join("dotfiles.toml");
    std::fs::rename(file(&sandbox), &target).unwrap();
    symlink(&target, file(&sandbox)).unwrap();
    add(&sandbox, "b");
    assert!(file(&sandbox).is_symlink());
    let text = std::fs::read_to_string(target).unwrap();
    assert!(text.contains("[contexts.b]"), "{text}");
}

#[test]
fn file_that_others_can_write_is_passed_over_or_refused() {
    let sandbox = Sandbox::new();
    let output = sandbox.oam(&["context", "add", "a", "nats://127.0.0.9:9", "--use"]);
    assert_eq!(output.code, 0, "{output:?}");
    let path = file(&sandbox);
    let refused = |reason: &str| {
        let catalog = sandbox.oam(&["mesh", "catalog"]);
        assert!(!catalog.stderr.contains("127.0.0.9:9"), "{catalog:?}");
        assert_eq!(
            catalog.stderr.matches("passed over").count(),
            1,
            "{catalog:?}"
        );
        assert!(catalog.stderr.contains(reason), "{catalog:?}");
        for command in [
            &["mesh", "catalog", "--context", "a"][..],
            &["context", "list"],
            &["context", "add", "b", "nats://a:1"],
        ] {
            let output = sandbox.oam(command);
            output.assert_failure(command, 2, &[reason, path.to_str().unwrap()]);
        }
    };
    set_mode(&path, 0o666);
    refused("it is writable by all users");
    set_mode(&path, 0o600);
    let directory = path.parent().unwrap();
    set_mode(directory, 0o777);
    refused("its directory is writable by all users");
    set_mode(directory, 0o700);
    assert_eq!(sandbox.oam(&["context", "list"]).code, 0);
    // Only root can give files away.
    if chown(&path, Some(12_345), None).is_ok() {
        refused("owned by another user, 12345");
    }
}

#[test]
fn malformed_file_is_an_error_without_its_secrets() {
    let sandbox = Sandbox::new();
    add(&sandbox, "a");
    std::fs::write(
        file(&sandbox),
        "[contexts.a]\nurl = nats://ann:s3cret@a:1\n",
    )
    .unwrap();
    for command in [
        &["mesh", "catalog"][..],
        &["context", "list"],
        &["context", "add", "b", "nats://a:1"],
    ] {
        let output = sandbox.oam(command);
        output.assert_failure(command, 2, &["contexts.toml: malformed TOML in line 2"]);
        assert!(!output.stderr.contains("s3cret"), "{output:?}");
    }
    let text = "[contexts]\na = 'nats://ann:s3cret@a:1'\nb = { url = 'nats://b:1' }\n";
    std::fs::write(file(&sandbox), text).unwrap();
    let listed = sandbox.oam(&["context", "list"]);
    assert_eq!(listed.stdout.lines().count(), 2, "{listed:?}");
    assert!(listed.stderr.contains("invalid context 'a'"), "{listed:?}");
    assert!(!listed.stderr.contains("s3cret"), "{listed:?}");
    let removed = sandbox.oam(&["context", "remove", "a"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    std::fs::write(file(&sandbox), text).unwrap();
    let replace = ["context", "add", "a", "nats://c:1", "--replace"];
    let replaced = sandbox.oam(&replace);
    assert_eq!(replaced.code, 0, "{replaced:?}");
}
