//! `oam context`: meshes by name, and the sources that go before them.

use std::path::Path;

use openagentmesh::agents;
use serde_json::{Value, json};

use crate::support::{CommandOutput, ConfiguredServer, Sandbox, TestMesh};

/// A command with variables of the environment.
fn oam_with(sandbox: &Sandbox, arguments: &[&str], variables: &[(&str, &str)]) -> CommandOutput {
    let mut command = sandbox.command(arguments);
    command.envs(variables.iter().copied());
    command.output().unwrap().into()
}

fn succeed(sandbox: &Sandbox, arguments: &[&str]) -> CommandOutput {
    let output = sandbox.oam(arguments);
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    output
}

fn json_of(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let output = succeed(sandbox, &[arguments, &["--json"]].concat());
    serde_json::from_str(&output.stdout).unwrap()
}

/// The source of the mesh that a command uses, and its URL.
fn in_use(sandbox: &Sandbox, options: &[&str], variables: &[(&str, &str)]) -> (String, String) {
    let arguments = [&["context", "show", "--json"], options].concat();
    let output = oam_with(sandbox, &arguments, variables);
    assert_eq!(output.code, 0, "{output:?}");
    let shown: Value = serde_json::from_str(&output.stdout).unwrap();
    let text = |member: &str| shown[member].as_str().unwrap().to_owned();
    (text("source"), text("url"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn context_selects_the_mesh_by_option_variable_and_selection() {
    let mesh = TestMesh::start(agents![]).await;
    let sandbox = &mesh.sandbox;
    // Nothing listens there.
    let nowhere = "nats://127.0.0.9:9";
    let added = succeed(sandbox, &["context", "add", "here", &mesh.url]);
    assert_eq!(added.stdout, format!("added context here: {}\n", mesh.url));
    assert_eq!(added.stderr, "");
    succeed(sandbox, &["context", "add", "nowhere", nowhere]);

    succeed(sandbox, &["kv", "put", "a", "1", "--context", "here"]);
    succeed(sandbox, &["--context", "here", "kv", "get", "a"]);
    let get = ["kv", "get", "a"];
    let variable = oam_with(sandbox, &get, &[("OAM_CONTEXT", "here")]);
    assert_eq!((variable.code, &*variable.stdout), (0, "1"), "{variable:?}");

    let used = succeed(sandbox, &["context", "use", "here"]);
    assert_eq!(
        used.stdout,
        format!("selected context here: {}\n", mesh.url)
    );
    assert_eq!(used.stderr, "");
    succeed(sandbox, &get);
    let failed = oam_with(sandbox, &get, &[("OAM_CONTEXT", "nowhere")]);
    assert_eq!(failed.code, 3, "{failed:?}");
    let named = "nats://127.0.0.9:9 (from context nowhere, set by OAM_CONTEXT)";
    assert!(failed.stderr.contains(named), "{failed:?}");
    assert!(!failed.stderr.contains("oam mesh up"), "{failed:?}");
}

#[test]
fn sources_of_the_mesh_have_one_order() {
    let sandbox = Sandbox::new();
    let default = in_use(&sandbox, &[], &[]);
    assert_eq!(default.0, "default");
    for (name, url) in [
        ("a", "nats://a:1"),
        ("b", "nats://b:1"),
        ("c", "nats://c:1"),
    ] {
        succeed(&sandbox, &["context", "add", name, url]);
    }
    succeed(&sandbox, &["context", "use", "a"]);
    let is = |options: &[&str], variables: &[(&str, &str)], source: &str, url: &str| {
        let expected = (source.to_owned(), url.to_owned());
        assert_eq!(in_use(&sandbox, options, variables), expected);
    };
    is(&[], &[], "selected_context", "nats://a:1");
    let file = sandbox.work().join(".oam-url");
    std::fs::write(&file, "nats://file:1\n").unwrap();
    is(&[], &[], "file", "nats://file:1");
    let context = ("OAM_CONTEXT", "b");
    is(&[], &[context], "oam_context", "nats://b:1");
    let url = ("OAM_URL", "nats://variable:1");
    is(&[], &[context, url], "oam_url", "nats://variable:1");
    is(
        &["--context", "c"],
        &[context, url],
        "context",
        "nats://c:1",
    );
    is(
        &["--url", "nats://x:1"],
        &[context, url],
        "option",
        "nats://x:1",
    );
    std::fs::remove_file(file).unwrap();

    for options in [
        &["mesh", "catalog", "--url", "nats://x:1", "--context", "a"][..],
        &["--url", "nats://x:1", "mesh", "catalog", "--context", "a"],
    ] {
        let output = sandbox.oam(options);
        output.assert_failure(options, 2, &["url", "context"]);
    }
}

#[test]
fn selection_that_another_source_precedes_is_reported() {
    let sandbox = Sandbox::new();
    succeed(&sandbox, &["context", "add", "a", "nats://a:1"]);
    let file = sandbox.work().join(".oam-url");
    std::fs::write(&file, "nats://ann:s3cret@file:1\n").unwrap();
    let used = succeed(&sandbox, &["context", "use", "a"]);
    let note = "commands here use the mesh at nats://file:1: ";
    assert!(used.stderr.starts_with(note), "{used:?}");
    assert!(
        used.stderr.contains("--context a goes before .oam-url"),
        "{used:?}"
    );
    std::fs::remove_file(file).unwrap();
    let url = ("OAM_URL", "nats://ann:s3cret@variable:1");
    let used = oam_with(&sandbox, &["context", "use", "a"], &[url]);
    assert!(used.stderr.contains("OAM_URL is set"), "{used:?}");
    assert!(!used.stderr.contains("s3cret"), "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn context_that_precedes_the_url_file_is_reported_by_connect() {
    let mesh = TestMesh::start(agents![]).await;
    let sandbox = &mesh.sandbox;
    succeed(sandbox, &["context", "add", "other", "nats://other:1"]);
    succeed(sandbox, &["context", "add", "same", &mesh.url]);
    let connect = ["mesh", "connect", &mesh.url];
    let other = oam_with(sandbox, &connect, &[("OAM_CONTEXT", "other")]);
    let note = "OAM_CONTEXT is set to other and takes precedence over .oam-url";
    assert!(other.stderr.contains(note), "{other:?}");
    let same = oam_with(sandbox, &connect, &[("OAM_CONTEXT", "same")]);
    assert_eq!((same.code, &*same.stderr), (0, ""), "{same:?}");
    std::fs::remove_file(sandbox.work().join(".oam-url")).unwrap();
}

#[test]
fn unknown_context_names_the_known_ones() {
    let sandbox = Sandbox::new();
    let show = ["context", "show", "x"];
    let expected = "context 'x' not found: no contexts are stored; oam context add x URL adds it";
    sandbox.oam(&show).assert_failure(&show, 5, &[expected]);
    for name in ["b", "a"] {
        succeed(&sandbox, &["context", "add", name, "nats://a:1"]);
    }
    let expected = "context 'x' not found: contexts are a, b; oam context add x URL adds it";
    for command in [
        &["context", "show", "x"][..],
        &["context", "use", "x"],
        &["context", "remove", "x"],
    ] {
        sandbox.oam(command).assert_failure(command, 5, &[expected]);
    }
    let catalog = ["mesh", "catalog", "--context", "x"];
    sandbox
        .oam(&catalog)
        .assert_failure(&catalog, 2, &[expected]);
    let variable = oam_with(&sandbox, &["mesh", "catalog"], &[("OAM_CONTEXT", "x")]);
    variable.assert_failure(&["OAM_CONTEXT"], 2, &[expected]);
    let json = sandbox.oam(&["context", "use", "x", "--json"]);
    let error: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
}

#[test]
fn invalid_name_or_url_is_not_stored() {
    let sandbox = Sandbox::new();
    for (name, url, expected) in [
        ("a b", "nats://a:1", "only letters, digits and - _ ."),
        ("", "nats://a:1", "only letters"),
        ("a/b", "nats://a:1", "only letters"),
        ("a", "ws://a:1", "WebSocket is not supported"),
        ("a", "http://a:1", "unknown scheme"),
        ("a", "", "invalid URL"),
        ("a", "nats://ann:s3cret@", "invalid URL"),
    ] {
        let command = ["context", "add", name, url];
        let output = sandbox.oam(&command);
        output.assert_failure(&command, 2, &[expected]);
        assert!(!output.stderr.contains("s3cret"), "{output:?}");
    }
    let missing = [
        "context",
        "add",
        "a",
        "nats://a:1",
        "--creds",
        "no/dir/a.creds",
    ];
    sandbox
        .oam(&missing)
        .assert_failure(&missing, 2, &["no/dir/a.creds"]);
    assert_eq!(json_of(&sandbox, &["context", "list"]), json!([]));
    let empty = succeed(&sandbox, &["context", "list"]);
    assert_eq!(empty.stdout, "");
    assert!(
        empty.stderr.contains("oam context add NAME URL"),
        "{empty:?}"
    );
}

#[test]
fn known_context_is_replaced_only_on_request() {
    let sandbox = Sandbox::new();
    let add =
        |url: &str, more: &[&str]| sandbox.oam(&[&["context", "add", "a", url], more].concat());
    assert_eq!(
        add("nats://ann:s3cret@a:1", &["--creds", "a.creds"]).code,
        0
    );
    let again = add("nats://b:1", &[]);
    again.assert_failure(&["add"], 1, &["exists: it names nats://a:1", "--replace"]);
    assert!(!again.stderr.contains("s3cret"), "{again:?}");
    let replaced = add(
        "nats://b:1",
        &["--replace", "--use", "--description", "second"],
    );
    assert_eq!(replaced.code, 0, "{replaced:?}");
    assert_eq!(
        replaced.stdout,
        "added and selected context a: nats://b:1\n"
    );
    let expected = json!([{
        "name": "a", "url": "nats://b:1", "login": false, "creds": null, "description": "second", "selected": true,
    }]);
    assert_eq!(json_of(&sandbox, &["context", "list"]), expected);
}

#[test]
fn list_and_show_print_every_member_and_no_login() {
    let sandbox = Sandbox::new();
    let work = sandbox.work().canonicalize().unwrap();
    std::fs::write(work.join("p.creds"), "").unwrap();
    let add = ["context", "add", "prod", "tls://ann:s3cret@prod:1"];
    let more = [
        "--creds",
        "p.creds",
        "--description",
        "the real one",
        "--json",
    ];
    let added = succeed(&sandbox, &[&add[..], &more].concat());
    let mut prod = json!({
        "name": "prod", "url": "tls://prod:1", "login": true, "creds": work.join("p.creds"),
        "description": "the real one", "selected": false,
    });
    let file = sandbox.home().join(".agentmesh/contexts.toml");
    let stdout: Value = serde_json::from_str(&added.stdout).unwrap();
    let mut with_file = prod.clone();
    with_file["file"] = json!(file);
    assert_eq!(stdout, with_file);
    let note: Value = serde_json::from_str(&added.stderr).unwrap();
    let note = note["note"].as_str().unwrap();
    assert!(note.contains(file.to_str().unwrap()), "{note}");
    assert_eq!(json_of(&sandbox, &["context", "show", "prod"]), with_file);

    let dev = succeed(
        &sandbox,
        &[
            "context",
            "add",
            "dev",
            "nats://dev:1",
            "--creds",
            "d.creds",
        ],
    );
    assert!(dev.stderr.contains("d.creds does not exist yet"), "{dev:?}");
    succeed(&sandbox, &["context", "use", "prod"]);
    prod["selected"] = json!(true);
    let listed = json_of(&sandbox, &["context", "ls"]);
    assert_eq!(listed[1], prod);
    assert_eq!(listed[0]["creds"], json!(work.join("d.creds")));

    let table = succeed(&sandbox, &["context", "list"]);
    let rows: Vec<_> = table.stdout.lines().collect();
    assert!(rows[0].starts_with("NAME"), "{table:?}");
    assert!(rows[1].starts_with("dev  "), "{table:?}");
    assert!(
        rows[2].starts_with("prod *  tls://prod:1 (with a login)"),
        "{table:?}"
    );
    let shown = succeed(&sandbox, &["context", "show"]);
    for expected in [
        "prod",
        "tls://prod:1",
        "p.creds",
        "the real one",
        "selected context prod",
    ] {
        assert!(shown.stdout.contains(expected), "{shown:?}");
    }
    let printed = [
        table.stdout,
        shown.stdout,
        shown.stderr,
        added.stdout,
        added.stderr,
    ];
    assert!(!printed.concat().contains("s3cret"), "{printed:?}");
}

#[test]
fn removed_context_is_no_longer_selected() {
    let sandbox = Sandbox::new();
    for name in ["a", "b"] {
        succeed(&sandbox, &["context", "add", name, "nats://a:1"]);
    }
    let used = json_of(&sandbox, &["context", "use", "a"]);
    assert_eq!(used, json!({ "selected": "a", "previous": null }));
    assert_eq!(
        json_of(&sandbox, &["context", "use", "b"]),
        json!({ "selected": "b", "previous": "a" })
    );
    let other = succeed(&sandbox, &["context", "remove", "a"]);
    assert_eq!(
        (&*other.stdout, &*other.stderr),
        ("removed context a\n", "")
    );
    let removed = json_of(&sandbox, &["context", "rm", "b"]);
    assert_eq!(removed, json!({ "removed": "b", "selected": true }));
    assert_eq!(in_use(&sandbox, &[], &[]).0, "default");

    succeed(&sandbox, &["context", "add", "c", "nats://a:1", "--use"]);
    let none = succeed(&sandbox, &["context", "use", "--none"]);
    assert_eq!(none.stdout, "no context is selected\n");
    assert_eq!(in_use(&sandbox, &[], &[]).0, "default");
    assert_eq!(sandbox.oam(&["context", "use"]).code, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_option_replaces_those_of_the_context() {
    let mesh = TestMesh::start(agents![]).await;
    let sandbox = &mesh.sandbox;
    let url = mesh.url.replace("nats://", "nats://ann:s3cret@");
    for (name, url) in [("file", &mesh.url), ("login", &url)] {
        let add = ["context", "add", name, url, "--creds", "own.creds"];
        succeed(sandbox, &add);
    }
    // The error of a file that is missing names it.
    let missing = |arguments: &[&str], variables: &[(&str, &str)], file: &str| {
        let arguments = [&["mesh", "catalog"], arguments].concat();
        let output = oam_with(sandbox, &arguments, variables);
        output.assert_failure(&arguments, 2, &[file]);
        assert!(!output.stderr.contains("s3cret"), "{output:?}");
    };
    let option = ["--context", "file"];
    let variable = ("OAM_CREDS", "variable.creds");
    missing(&option, &[], "own.creds");
    missing(&option, &[variable], "own.creds");
    missing(
        &[&option[..], &["--creds", "x.creds"]].concat(),
        &[variable],
        "x.creds",
    );
    missing(
        &["--context", "login", "--creds", "x.creds"],
        &[],
        "x.creds",
    );
    missing(&[], &[("OAM_CONTEXT", "file")], "own.creds");
    missing(&[], &[("OAM_CONTEXT", "file"), variable], "variable.creds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_or_wrong_login_names_the_context() {
    let server = ConfiguredServer::start(true, "authorization { user: ann, password: pw }").await;
    let sandbox = Sandbox::new();
    let bare = format!("nats://{}", server.address);
    let wrong = format!("nats://ann:wr0ng@{}", server.address);
    for (name, url) in [
        ("bare", &bare),
        ("wrong", &wrong),
        ("right", &server.url_of("ann")),
    ] {
        succeed(&sandbox, &["context", "add", name, url]);
    }
    for (name, expected) in [
        (
            "bare",
            "context bare has none; name a credentials file by OAM_CREDS or with credentials(), or store it with \
             the context: oam context add bare URL --creds FILE --replace",
        ),
        ("wrong", "check the login in the URL of context wrong"),
    ] {
        let command = ["mesh", "catalog", "--context", name];
        let output = sandbox.oam(&command);
        output.assert_failure(&command, 4, &["error[connection_denied]", expected]);
        assert!(!output.stderr.contains("wr0ng"), "{output:?}");
    }
    succeed(&sandbox, &["mesh", "catalog", "--context", "right"]);
}

#[test]
fn option_of_the_mesh_is_refused_where_it_has_no_meaning() {
    let sandbox = Sandbox::new();
    for command in [
        &["context", "list", "--url", "nats://a:1"][..],
        &["context", "use", "a", "--context", "b"],
        &["context", "add", "a", "nats://a:1", "--url", "nats://b:1"],
        &["context", "remove", "a", "--creds", "x"],
        &["context", "show", "a", "--context", "b"],
    ] {
        let output = sandbox.oam(command);
        output.assert_failure(command, 2, &["has no meaning for this command"]);
    }
    assert!(!Path::new(&sandbox.home().join(".agentmesh")).exists());
}
