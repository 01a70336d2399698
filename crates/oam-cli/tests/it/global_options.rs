//! The options of every command: before and after its name, and where they have no meaning.

use openagentmesh::{agent, agents};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::support::{CommandOutput, Running, Sandbox, Terminal, TestMesh};
use crate::unwritable_output::{COMMANDS, LOCAL_COMMANDS, start_mesh};

/// Echoes a message back, word by word and letter by letter, as often as the caller wants it to be done.
#[agent(tags = ["text", "sample"])]
async fn echo(message: String) -> String {
    message
}

/// The positions of `options`: before the command, within it, and after it.
fn positions<'a>(command: &[&'a str], options: &[&'a str]) -> [Vec<&'a str>; 3] {
    let (group, rest) = command.split_at(1);
    [
        [options, command].concat(),
        [group, options, rest].concat(),
        [command, options].concat(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn global_option_means_the_same_before_and_after_the_command() {
    let mesh = TestMesh::start(agents![echo]).await;
    mesh.client.kv().put("a", "1").await.unwrap();
    let sandbox = &mesh.sandbox;
    for options in [
        &["--json"][..],
        &["--pretty"],
        &["--json", "--pretty"],
        &["-q"],
        &["--quiet"],
        &["--wide"],
        &["-v"],
        &["-vv"],
    ] {
        let options = [options, &["--url", &mesh.url]].concat();
        for command in [
            &["kv", "list"][..],
            &["mesh", "catalog"],
            &["agent", "call", "echo", "\"a\""],
        ] {
            let outputs = positions(command, &options).map(|arguments| sandbox.oam(&arguments));
            for output in &outputs {
                assert_eq!(
                    (output.code, &output.stdout),
                    (0, &outputs[0].stdout),
                    "{command:?} {options:?}: {output:?}"
                );
                assert_eq!(
                    output.stderr.is_empty(),
                    outputs[0].stderr.is_empty(),
                    "{command:?} {options:?}: {output:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pretty_is_the_same_json_over_several_lines() {
    let mesh = TestMesh::start(agents![echo]).await;
    mesh.client.kv().put("a", "1").await.unwrap();
    for command in [
        &["kv", "list"][..],
        &["mesh", "catalog"],
        &["mesh", "status"],
        &["tools"],
        &["agent", "contract", "echo"],
    ] {
        let with = |options: &[&str]| mesh.oam(&[command, options].concat());
        let (line, pretty, both) = (
            with(&["--json"]),
            with(&["--pretty"]),
            with(&["--json", "--pretty"]),
        );
        assert_eq!(line.stdout.lines().count(), 1, "{line:?}");
        assert!(pretty.stdout.lines().count() > 1, "{pretty:?}");
        assert_eq!(
            both.stdout.lines().count(),
            pretty.stdout.lines().count(),
            "{both:?}"
        );
        if command != ["mesh", "status"] {
            let parse =
                |output: &CommandOutput| serde_json::from_str::<Value>(&output.stdout).unwrap();
            assert_eq!(parse(&line), parse(&pretty));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_the_only_output_of_every_command_with_json() {
    // These print content, not a document, or refuse the option.
    const OTHER: [&[&str]; 3] = [
        &["workspace", "get", "f"],
        &["mesh", "catalog", "--compact"],
        &["agent", "contract", "echo", "--text"],
    ];
    let mesh = start_mesh().await;
    for &command in COMMANDS {
        if OTHER.contains(&command) || command.last() == Some(&"text") {
            continue;
        }
        let extra: &[&str] = if command.contains(&"--json") {
            &["-q"]
        } else {
            &["-q", "--json"]
        };
        let arguments = [command, extra, &["--url", &mesh.url]].concat();
        let mut running = Running::start(mesh.sandbox.command(&arguments));
        let first = running.line().await;
        let first = first.unwrap_or_else(|| panic!("no output: {arguments:?}"));
        assert!(
            serde_json::from_str::<Value>(&first).is_ok(),
            "{arguments:?}: {first}"
        );
        // Commands without an end of their own are interrupted. Others have ended, or end by themselves.
        running.signal_if_running("-INT");
        let (status, stderr) = running.end().await;
        assert!(
            matches!(status.code(), Some(0 | 130)),
            "{arguments:?}: {stderr}"
        );
        assert_eq!(stderr, "", "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_command_prints_results_and_errors_only() {
    let mesh = TestMesh::start(agents![echo]).await;
    let quiet = |command: &[&str]| mesh.oam(&[command, &["-q"]].concat());
    for (command, code) in [
        (&["mesh", "catalog", "--tag", "nosuch"][..], 0),
        (&["kv", "list"], 0),
        (&["workspace", "list"], 0),
        (&["agent", "contract", "echo", "--format", "a2a"], 0),
    ] {
        assert_ne!(mesh.oam(command).stderr, "", "{command:?}");
        let output = quiet(command);
        assert_eq!((output.code, &*output.stderr), (code, ""), "{command:?}");
    }
    let failed = quiet(&["kv", "get", "nosuch"]);
    assert_eq!(failed.code, 5);
    assert!(failed.stderr.starts_with("error[not_found]"), "{failed:?}");
    // Hints that only a terminal gets.
    let narrow = |options: &[&str]| {
        let arguments = [&["mesh", "status", "--url", &mesh.url][..], options].concat();
        Terminal::with_columns(40)
            .run(mesh.sandbox.command(&arguments))
            .1
    };
    assert!(narrow(&[]).contains("left out"), "{}", narrow(&[]));
    assert!(!narrow(&["-q"]).contains("left out"), "{}", narrow(&["-q"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wide_table_is_whole_on_a_narrow_terminal() {
    let mesh = TestMesh::start(agents![echo]).await;
    mesh.client
        .kv()
        .put("a.long.key.with.several.segments", "v".repeat(60))
        .await
        .unwrap();
    for command in [&["mesh", "catalog"][..], &["kv", "list"], &["mesh", "init"]] {
        let in_pipe = mesh.oam(command).stdout;
        let on_terminal = |options: &[&str]| {
            let arguments = [command, &["--url", &mesh.url], options].concat();
            let mut command = mesh.sandbox.command(&arguments);
            command.env("NO_COLOR", "1");
            Terminal::with_columns(40).run(command).1
        };
        assert_eq!(on_terminal(&["--wide"]), in_pipe, "{command:?}");
        let narrow = on_terminal(&[]);
        assert!(narrow.lines().all(|line| line.width() <= 40), "{narrow}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verbose_command_logs_to_stderr() {
    let mesh = TestMesh::start(agents![echo]).await;
    let command = ["agent", "call", "echo", "\"a\""];
    let run = |options: &[&str], log: Option<&str>| -> CommandOutput {
        let arguments = [&command[..], options, &["--url", &mesh.url]].concat();
        let mut command = mesh.sandbox.command(&arguments);
        if let Some(log) = log {
            command.env("RUST_LOG", log);
        }
        let output: CommandOutput = command.output().unwrap().into();
        assert_eq!((output.code, &*output.stdout), (0, "\"a\"\n"), "{output:?}");
        output
    };
    let lines = |options, log| run(options, log).stderr.lines().count();
    assert_eq!(lines(&[], None), 0);
    let verbose = run(&["-v"], None).stderr;
    assert!(
        verbose.contains("INFO") && !verbose.contains("DEBUG"),
        "{verbose}"
    );
    let more = run(&["-vv"], None).stderr;
    assert!(more.contains("DEBUG"), "{more}");
    // The variable goes first.
    assert_eq!(lines(&["-vv"], Some("off")), 0);
    let debug = run(&[], Some("openagentmesh=debug")).stderr;
    assert!(debug.contains("DEBUG"), "{debug}");
    // Each event is an object.
    for line in run(&["-vv", "--json"], None).stderr.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(
            event["level"].is_string() && event["fields"].is_object(),
            "{line}"
        );
    }
}

#[test]
fn option_of_the_mesh_is_refused_where_it_has_no_meaning() {
    let sandbox = Sandbox::new();
    let connect = ["mesh", "connect", "nats://127.0.0.1:1"];
    let takes_all = |command: &[&str]| {
        matches!(
            command,
            ["context", "show"] | ["mesh", "list" | "logs", ..] | ["version", ..]
        )
    };
    let takes_creds: [&[&str]; 2] = [&["mesh", "connect"], &["context", "add"]];
    let commands = LOCAL_COMMANDS.iter().copied().chain([&connect[..]]);
    let cases = commands
        .flat_map(|command| ["--url", "--context", "--creds"].map(|option| (command, option)));
    for (command, option) in cases {
        let is_credential = takes_creds.contains(&&command[..command.len().min(2)]);
        if takes_all(command) || (is_credential && option == "--creds") {
            continue;
        }
        for arguments in positions(command, &[option, "nats://127.0.0.1:1"]) {
            let output = sandbox.oam(&arguments);
            let expected = format!("{option} has no meaning for this command");
            output.assert_failure(&arguments, 2, &[&expected]);
            let output = sandbox.oam(&[&["--json"][..], &arguments].concat());
            let error: Value = serde_json::from_str(&output.stderr).unwrap();
            assert_eq!(
                error,
                json!({"error": {"code": "invalid_input", "message": expected, "details": {}, "page": error["error"]["page"]}})
            );
        }
    }
    assert_eq!(sandbox.url(), None, "nothing was started");
}
