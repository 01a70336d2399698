//! `oam completions`, with real shells.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::{Stream, stream};
use openagentmesh::{agent, agents};

use crate::support::{CommandOutput, ConfiguredServer, Sandbox, TestMesh};

/// The commands of a shell that print one candidate on each line: completes `LINE`, whose last word is `WORD`.
const COMPLETE_IN_BASH: &str = r#"
source "$SCRIPT"
complete -p oam >/dev/null || exit 1
COMP_LINE=$LINE
COMP_POINT=${#LINE}
_oam_complete oam "$WORD" ''
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Far more than the time that a completion takes, and less than a connection to a silent server.
const SILENT_LIMIT: Duration = Duration::from_secs(20);

/// The time that the mesh has to answer on a busy machine.
const MESH_TIMEOUT: &str = "30s";

/// Names of files that a shell would take for something else.
const HOSTILE: [&str; 6] = [
    "hostile/a b.txt",
    "hostile/b'c\"d.txt",
    "hostile/c$(touch owned)`touch owned`.txt",
    "hostile/d;touch owned;*?[x]{a,b}~!#&|<>.txt",
    "hostile/e\\\\f.txt",
    "hostile/zoë=ä:1.txt",
];

/// Names that no shell can show, or that `oam` would take for an option.
const UNUSABLE: [&str; 4] = [
    "hostile/g\nh.txt",
    "hostile/\u{1b}[2J.txt",
    "hostile/\u{202e}txt.exe",
    "-rf",
];

/// Echoes a message back.
#[agent(channel = "text", tags = ["plain"])]
async fn echo(message: String) -> String {
    message
}

/// Counts to a number.
#[agent(channel = "text.long", tags = ["plain", "numbers"])]
fn counter(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Publishes without an end.
#[agent]
fn ticker() -> impl Stream<Item = u32> {
    stream::pending()
}

async fn start_mesh() -> TestMesh {
    let mesh = TestMesh::start(agents![echo, counter, ticker]).await;
    for key in ["limits.retries", "limits.timeout", "owner=ada"] {
        mesh.client.kv().put(key, "1").await.unwrap();
    }
    for name in HOSTILE.iter().chain(&UNUSABLE) {
        mesh.client.workspace().put(name, "abc").await.unwrap();
    }
    mesh
}

/// Writes the script of a shell into the working directory. Returns its path.
fn write_script(sandbox: &Sandbox, shell: &str) -> String {
    let script = sandbox.oam(&["completions", shell]);
    assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{script:?}");
    let path = sandbox.work().join(format!("completions.{shell}"));
    std::fs::write(&path, script.stdout).unwrap();
    path.to_str().unwrap().to_owned()
}

fn is_installed(shell: &str) -> bool {
    let version = Command::new(shell)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// The candidates for a line in bash, which replaces `word` at its end.
fn in_bash(sandbox: &Sandbox, line: &str, word: &str) -> Vec<String> {
    in_bash_within(sandbox, line, word, MESH_TIMEOUT)
}

/// As [`in_bash`], with another time for the mesh.
fn in_bash_within(sandbox: &Sandbox, line: &str, word: &str, timeout: &str) -> Vec<String> {
    let mut bash = sandbox.program("bash");
    bash.args(["--norc", "--noprofile", "-c", COMPLETE_IN_BASH])
        .env("SCRIPT", write_script(sandbox, "bash"))
        .env("LINE", line)
        .env("WORD", word)
        .env("OAM_COMPLETE_TIMEOUT", timeout);
    let output: CommandOutput = bash.output().unwrap().into();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{line}");
    let lines = output.stdout.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_on_the_mesh_is_completed() {
    let mesh = start_mesh().await;
    // The mesh is selected on the line, before and after the command, in both forms.
    let before = format!("oam --url {} ", mesh.url);
    for (words, word, expected) in [
        ("agent call ", "", &["text.echo"][..]),
        ("agent stream ", "", &["text.long.counter"]),
        ("agent subscribe ", "", &["ticker"]),
        (
            "agent contract te",
            "te",
            &["text.echo", "text.long.counter"],
        ),
        ("conform host text.e", "text.e", &["text.echo"]),
        (
            "kv get limits.",
            "limits.",
            &["limits.retries", "limits.timeout"],
        ),
        // bash replaces the part after the `=`.
        ("kv get owner=", "", &["ada"]),
        ("kv create ", "", &[]),
        ("mesh catalog --tag ", "", &["numbers", "plain"]),
        ("mesh catalog --channel=", "", &["text", "text.long"]),
        (
            "mesh listen mesh.agent.t",
            "mesh.agent.t",
            &[
                "mesh.agent.text.echo",
                "mesh.agent.text.long.counter",
                "mesh.agent.ticker.events",
            ],
        ),
        (
            "workspace get hostile/a",
            "hostile/a",
            &["hostile/a\\ b.txt"],
        ),
        (
            "workspace get 'hostile/a ",
            "hostile/a ",
            &["hostile/a b.txt"],
        ),
    ] {
        let found = in_bash(&mesh.sandbox, &format!("{before}{words}"), word);
        let found: Vec<_> = found.iter().filter(|name| !name.starts_with('-')).collect();
        assert_eq!(found, expected, "{words}");
    }
    let after = format!("oam agent call --url={} te", mesh.url);
    assert_eq!(in_bash(&mesh.sandbox, &after, "te"), ["text.echo"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_and_option_are_completed_without_a_mesh() {
    let sandbox = Sandbox::new();
    let url = "--url nats://127.0.0.1:1";
    assert_eq!(in_bash(&sandbox, "oam wor", "wor"), ["workspace"]);
    assert_eq!(
        in_bash(&sandbox, &format!("oam {url} agent call --time"), "--time"),
        ["--timeout"]
    );
    assert_eq!(in_bash(&sandbox, "oam completions fi", "fi"), ["fish"]);
    let agents = in_bash(&sandbox, &format!("oam {url} agent call te"), "te");
    assert!(agents.is_empty(), "{agents:?}");
    for (name, url) in [
        ("shop", "nats://127.0.0.1:1"),
        ("test", "nats://127.0.0.1:2"),
    ] {
        let added = sandbox.oam(&["context", "add", name, url]);
        assert_eq!(added.code, 0, "{added:?}");
    }
    assert_eq!(in_bash(&sandbox, "oam --context s", "s"), ["shop"]);
    assert_eq!(in_bash(&sandbox, "oam context use t", "t"), ["test"]);
    std::fs::write(sandbox.work().join("a file.creds"), "").unwrap();
    assert_eq!(in_bash(&sandbox, "oam --creds a", "a"), ["a\\ file.creds"]);
}

/// The shell that completes a name must read the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_name_is_one_word_of_the_shell() {
    let mesh = start_mesh().await;
    let line = format!("oam --url {} workspace get hostile/", mesh.url);
    let found = in_bash(&mesh.sandbox, &line, "hostile/");
    assert_eq!(found.len(), HOSTILE.len(), "{found:?}");
    for word in found {
        let mut bash = mesh.sandbox.program("bash");
        bash.args(["--norc", "-c", &format!("printf '%s\\n' {word}")]);
        let read: CommandOutput = bash.output().unwrap().into();
        assert_eq!((read.code, read.stderr.as_str()), (0, ""), "{word}");
        assert!(
            HOSTILE.contains(&read.stdout.trim_end()),
            "{word}: {read:?}"
        );
    }
    assert!(!mesh.sandbox.work().join("owned").exists());
    let line = format!("oam --url {} workspace get -", mesh.url);
    let found = in_bash(&mesh.sandbox, &line, "-");
    assert!(!found.contains(&"-rf".to_owned()), "{found:?}");
}

/// The words of a completed line, in a bash that reads a terminal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_in_a_terminal_is_completed_by_tab() {
    let mesh = start_mesh().await;
    let script = write_script(&mesh.sandbox, "bash");
    let typed = format!("oam --url {} workspace get hostile/a\t", mesh.url);
    let mut bash = mesh.sandbox.program("bash");
    bash.args(["--norc", "--noprofile", "-i"])
        .env("PS1", "ready> ")
        .env("OAM_COMPLETE_TIMEOUT", MESH_TIMEOUT)
        .env("SCRIPT", script);
    let mut terminal = crate::support::Dialogue::start(bash);
    terminal.type_text("source \"$SCRIPT\"; echo sourc''ed\n");
    terminal.wait_for("sourced");
    terminal.type_text(&typed);
    terminal.wait_for("b.txt");
    // Ctrl-A goes to the start of the line.
    terminal.type_text("\u{1}printf '<%s>' \n");
    terminal.wait_for("<hostile/a b.txt>");
    terminal.type_text("exit\n");
    terminal.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_mesh_has_no_names() {
    let server = ConfiguredServer::start(
        true,
        "authorization { users: [ { user: ann, password: pw }, \
         { user: bob, password: pw, permissions: { publish: { deny: \">\" } } } ] }",
    )
    .await;
    let url = server.url_of("ann");
    let mesh = openagentmesh::AgentMesh::connect(&url).await.unwrap();
    mesh.register(agents![echo]).await.unwrap();
    let sandbox = Sandbox::new();
    let line = |url: &str| format!("oam agent call --url {url} te");
    assert_eq!(in_bash(&sandbox, &line(&url), "te"), ["text.echo"]);
    for url in [server.url_of("bob"), format!("nats://{}", server.address)] {
        let found = in_bash_within(&sandbox, &line(&url), "te", "1s");
        assert!(found.is_empty(), "{url}: {found:?}");
    }
}

/// A server that accepts connections and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_server_has_no_names_within_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    let sandbox = Sandbox::new();
    for arguments in [
        &["agent", "call", ""][..],
        &["kv", "get", ""],
        &["workspace", "get", ""],
    ] {
        let words = [&["--", "oam", "--url", &url], arguments].concat();
        let mut command = sandbox.command(&words);
        command.env("OAM_COMPLETE", "zsh");
        let started = Instant::now();
        let output: CommandOutput = command.output().unwrap().into();
        assert!(started.elapsed() < SILENT_LIMIT, "{arguments:?}");
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
        let names = output.stdout.lines().filter(|line| !line.starts_with('-'));
        assert_eq!(names.count(), 0, "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidate_has_a_description_where_the_shell_shows_one() {
    let mesh = start_mesh().await;
    for (shell, expected) in [
        ("zsh", "text.echo\tEchoes a message back.\n"),
        ("fish", "text.echo\tEchoes a message back.\n"),
        ("powershell", "text.echo\tEchoes a message back.\n"),
        ("elvish", "text.echo\n"),
    ] {
        let words = ["--", "oam", "--url", &mesh.url, "agent", "call", "te"];
        let mut command = mesh.sandbox.command(&words);
        command
            .env("OAM_COMPLETE", shell)
            .env("OAM_COMPLETE_TIMEOUT", MESH_TIMEOUT);
        let output: CommandOutput = command.output().unwrap().into();
        assert_eq!(output.stdout, expected, "{shell}");
    }
    let words = ["--", "oam", "--url", &mesh.url, "workspace", "get"];
    let mut command = mesh.sandbox.command(&words);
    command
        .env("OAM_COMPLETE", "powershell")
        .env("OAM_COMPLETE_INDEX", "5")
        .env("OAM_COMPLETE_TIMEOUT", MESH_TIMEOUT);
    let output: CommandOutput = command.output().unwrap().into();
    assert!(
        output.stdout.contains("'hostile/b''c\"d.txt'\n"),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_shell_completes_names_where_it_is_installed() {
    let mesh = start_mesh().await;
    if is_installed("fish") {
        let script = write_script(&mesh.sandbox, "fish");
        let line = format!("oam --url {} agent call te", mesh.url);
        let mut fish = mesh.sandbox.program("fish");
        fish.args(["--no-config", "-c", "source $SCRIPT; complete -C $LINE"])
            .env("SCRIPT", script)
            .env("LINE", line)
            .env("OAM_COMPLETE_TIMEOUT", MESH_TIMEOUT);
        let output: CommandOutput = fish.output().unwrap().into();
        assert_eq!(
            output.stdout, "text.echo\tEchoes a message back.\n",
            "{output:?}"
        );
    }
    if is_installed("zsh") {
        let script = write_script(&mesh.sandbox, "zsh");
        let mut zsh = mesh.sandbox.program("zsh");
        zsh.args(["-f", "-n", &script]);
        let output: CommandOutput = zsh.output().unwrap().into();
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    }
}

#[test]
fn script_is_part_of_the_json_document() {
    let output = Sandbox::new().oam(&["completions", "bash", "--json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let document: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(document["shell"], "bash");
    let script = document["script"].as_str().unwrap();
    assert!(script.contains("complete -F _oam_complete oam"));
}
