//! `oam mesh list`, and the mesh of this machine in `oam mesh status`.

use openagentmesh::agents;
use serde_json::{Value, json};

use crate::support::{CommandOutput, Running, Sandbox, TestMesh};

fn parse(output: &CommandOutput) -> Value {
    assert_eq!(output.code, 0, "{output:?}");
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_meshes_are_listed_with_the_selected_one() {
    let sandbox = Sandbox::new();
    let none = sandbox.oam(&["mesh", "list"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert!(none.stderr.contains("no mesh"), "{none:?}");
    assert_eq!(sandbox.oam(&["mesh", "list", "--json"]).stdout, "[]\n");

    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = sandbox.command(&["mesh", "up", "--foreground", "--port", "0"]);
    command.current_dir(elsewhere.path());
    let mut foreground = Running::start(command);
    foreground.line().await.unwrap();
    let up = ["mesh", "up", "--port", "0", "--data", "data"];
    assert_eq!(sandbox.oam(&up).code, 0);

    let listed = parse(&sandbox.oam(&["mesh", "list", "--json"]));
    let [first, second] = listed.as_array().unwrap().as_slice() else {
        panic!("{listed}");
    };
    assert_eq!(first["foreground"], true);
    assert_eq!(first["selected"], false);
    assert_eq!(first["data"], Value::Null);
    let work = sandbox.work().canonicalize().unwrap();
    assert_eq!(second["url"], sandbox.url().unwrap());
    assert_eq!(second["directory"], json!(work));
    assert_eq!(second["data"], json!(work.join("data")));
    assert_eq!(
        (&second["foreground"], &second["selected"]),
        (&json!(false), &json!(true))
    );
    assert!(second["since"].as_str().unwrap().ends_with('Z'));
    assert!(second["pids"][0].is_u64());
    let by_option = [
        "mesh",
        "ls",
        "--json",
        "--url",
        first["url"].as_str().unwrap(),
    ];
    assert_eq!(parse(&sandbox.oam(&by_option))[0]["selected"], true);

    let table = sandbox.oam(&["mesh", "list"]);
    let marked = table.stdout.lines().find(|line| line.starts_with("*"));
    let marked = marked.unwrap_or_else(|| panic!("{table:?}"));
    assert!(marked.contains(&sandbox.url().unwrap()), "{table:?}");
    assert!(table.stdout.contains("temporary"), "{table:?}");

    foreground.signal("-INT");
    foreground.end().await;
    assert_eq!(sandbox.oam(&["mesh", "down"]).code, 0);
    assert_eq!(sandbox.oam(&["mesh", "list", "--json"]).stdout, "[]\n");
}

#[test]
fn status_names_the_source_and_the_files_of_a_local_mesh() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.oam(&["mesh", "up", "--port", "0"]).code, 0);
    let url = sandbox.url().unwrap();
    let file = sandbox.work().canonicalize().unwrap().join(".oam-url");
    let status = parse(&sandbox.oam(&["mesh", "status", "--json"]));
    assert_eq!(
        status["selection"],
        json!({"source": "file", "context": null, "file": file, "credentials": null})
    );
    assert!(status["server"]["ping_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(status["server"]["protocol"], 1);
    assert_eq!(status["client"]["version"], env!("CARGO_PKG_VERSION"));
    let local = &status["local"];
    for path in [&local["logs"][0], &local["data"][0]] {
        assert!(std::path::Path::new(path.as_str().unwrap()).exists());
    }
    assert_eq!(local["data_kept"], false);
    let text = sandbox.oam(&["mesh", "status"]);
    for fragment in [
        file.to_str().unwrap(),
        local["logs"][0].as_str().unwrap(),
        "deleted with the mesh",
        "Ping",
        " ms",
        "oam 0.",
    ] {
        assert!(text.stdout.contains(fragment), "{fragment}: {text:?}");
    }
    let option = parse(&sandbox.oam(&["mesh", "status", "--json", "--url", &url]));
    assert_eq!(option["selection"]["source"], "option");
    let mut command = sandbox.command(&["mesh", "status", "--json"]);
    let output: CommandOutput = command.env("OAM_URL", &url).output().unwrap().into();
    assert_eq!(parse(&output)["selection"]["source"], "oam_url");
    assert_eq!(sandbox.oam(&["mesh", "down"]).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mesh_that_was_not_started_here_has_no_files() {
    let mesh = TestMesh::start(agents![]).await;
    let status = parse(&mesh.oam(&["mesh", "status", "--json"]));
    assert_eq!(status["local"], Value::Null);
    let connected = parse(&mesh.sandbox.oam(&["mesh", "connect", &mesh.url, "--json"]));
    let file = mesh.sandbox.work().canonicalize().unwrap().join(".oam-url");
    assert_eq!(
        connected,
        json!({"url": mesh.url, "file": file, "credentials": null, "replaced_url": null})
    );
    let logs = ["mesh", "logs"];
    let output = mesh.sandbox.oam(&logs);
    output.assert_failure(&logs, 5, &["runs no mesh at", &mesh.url, "oam mesh list"]);
    std::fs::remove_file(file).unwrap();
}
