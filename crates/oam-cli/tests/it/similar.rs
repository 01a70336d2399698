//! A name that was not found: the hint is the command with the name that was meant.

use openagentmesh::{AgentMesh, AgentSpec, Error, ErrorCode, agent, agents};

use crate::support::{ConfiguredServer, Sandbox, TestMesh};

/// Echoes a message back.
#[agent(channel = "shop")]
async fn price(sku: String) -> String {
    sku
}

/// Finds nothing.
#[agent]
async fn finder() -> Result<u8, Error> {
    Err(Error::new(ErrorCode::NotFound, "no such article"))
}

/// The hint in stderr.
fn hint(stderr: &str) -> Option<&str> {
    stderr
        .lines()
        .find_map(|line| line.strip_prefix("  hint: "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_name_with_a_typo_has_a_command_that_works() {
    let mesh = TestMesh::start(agents![price]).await;
    let kv = mesh.client.kv();
    kv.put("limits.retries", "3").await.unwrap();
    let files = mesh.client.workspace();
    files.put("reports/2026 q1.txt", "abc").await.unwrap();
    let url = &mesh.url;
    for (typed, hinted) in [
        (
            &["agent", "call", "shop.prise", "\"it's\""][..],
            r#"oam agent call shop.price '"it'\''s"'"#,
        ),
        (
            &["agent", "call", "price", "\"a\""],
            "oam agent call shop.price '\"a\"'",
        ),
        (
            &["agent", "contract", "Shop.price"],
            "oam agent contract shop.price",
        ),
        (&["kv", "get", "limit.retries"], "oam kv get limits.retries"),
        (
            &["kv", "get", "retries", "--json"],
            "oam kv get limits.retries --json",
        ),
        (
            &["kv", "delete", "limits.retry"],
            "oam kv delete limits.retries",
        ),
        (
            &["workspace", "info", "report/2026 q1.txt"],
            "oam workspace info 'reports/2026 q1.txt'",
        ),
        (
            &["workspace", "delete", "2026 q1.txt"],
            "oam workspace delete 'reports/2026 q1.txt'",
        ),
        (
            &["workspace", "get", "reports/2026_q1.txt"],
            "oam workspace get 'reports/2026 q1.txt'",
        ),
    ] {
        let output = mesh.oam(typed);
        assert_eq!(output.code, 5, "{typed:?}: {output:?}");
        if typed.contains(&"--json") {
            let hint = format!("\"hint\":\"{hinted} --url {url}\"");
            assert!(output.stderr.contains(&hint), "{output:?}");
            assert!(
                output.stderr.contains("\"similar\":[\"limits.retries\"]"),
                "{output:?}"
            );
            continue;
        }
        let hinted = format!("{hinted} --url {url}");
        assert_eq!(hint(&output.stderr), Some(hinted.as_str()), "{typed:?}");
        if !typed.contains(&"delete") {
            // The hint is run as it is printed.
            let mut command = mesh.sandbox.program("sh");
            command.args(["-c", &hinted.replacen("oam", env!("CARGO_BIN_EXE_oam"), 1)]);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{hinted}: {output:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_name_without_a_similar_one_has_the_command_that_lists_names() {
    let mesh = TestMesh::start(agents![price, finder]).await;
    for (typed, hinted) in [
        (
            &["agent", "call", "ghost", "1"][..],
            Some("oam mesh catalog lists the agents"),
        ),
        (
            &["kv", "get", "ghost"],
            Some("oam kv list lists the keys with a value"),
        ),
        (
            &["workspace", "info", "ghost"],
            Some("oam workspace list shows the files"),
        ),
        // The agent was found, and answers with the code.
        (&["agent", "call", "finder"], None),
    ] {
        let output = mesh.oam(typed);
        assert_eq!(output.code, 5, "{typed:?}: {output:?}");
        assert_eq!(hint(&output.stderr), hinted, "{typed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistyped_command_and_option_name_the_one_that_was_meant() {
    let mesh = TestMesh::start([]).await;
    for (typed, meant) in [
        (&["agnet", "call"][..], "'agent'"),
        (&["mesh", "catalgo"], "'catalog'"),
        (&["agent", "call", "echo", "--timout", "1"], "'--timeout'"),
        (&["mesh", "catalog", "--jsn"], "'--json'"),
        (
            &["agent", "contract", "echo", "--format", "opanai"],
            "'openai'",
        ),
    ] {
        let output = mesh.oam(typed);
        assert_eq!(output.code, 2, "{typed:?}");
        assert!(output.stderr.contains(meant), "{typed:?}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_in_a_url_is_not_part_of_a_hint() {
    let users = "authorization { users: [ { user: ann, password: pw } ] }";
    let server = ConfiguredServer::start(true, users).await;
    let url = server.url_of("ann");
    let mesh = AgentMesh::connect(&url).await.unwrap();
    mesh.create_buckets().await.unwrap();
    mesh.kv().put("limits", "1").await.unwrap();
    let output = Sandbox::new().oam(&["kv", "get", "limts", "--url", &url]);
    assert!(!output.stderr.contains("pw"), "{output:?}");
    assert_eq!(
        hint(&output.stderr),
        Some("oam kv get limits …"),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_of_an_input_are_printed_once() {
    let spec = AgentSpec::new("strict", "Takes three numbers.");
    let strict = spec.handler(|[a, b, c]: [u8; 3]| async move { a + b + c });
    let mesh = TestMesh::start([strict]).await;
    let output = mesh.oam(&["agent", "call", "strict", "[1, \"x\", true]"]);
    assert_eq!(output.code, 1);
    insta::assert_snapshot!(output.stderr, @r#"
    error[invalid_input]: invalid input for agent 'strict'
      /1: "x" is not of type "integer"
      /2: true is not of type "integer"
      hint: oam agent contract strict shows the input it takes
      page: https://github.com/openagentmesh/openagentmesh-rs/blob/main/docs/reference/errors/invalid_input.md
    "#);
    let output = mesh.oam(&["agent", "call", "strict", "1"]);
    insta::assert_snapshot!(output.stderr, @r#"
    error[invalid_input]: invalid input for agent 'strict': 1 is not of type "array"
      hint: oam agent contract strict shows the input it takes
      page: https://github.com/openagentmesh/openagentmesh-rs/blob/main/docs/reference/errors/invalid_input.md
    "#);
}
