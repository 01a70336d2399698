//! The script of the cookbook, with agents of this test in place of the program that serves them.

use std::path::Path;

use futures::{Stream, stream};
use openagentmesh::{AgentMesh, agent, agents};

use crate::support::{CommandOutput, Sandbox};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/script.sh");

/// The test that serves the agents when the script starts this program.
const HOST: &str = "script::host_of_the_script";

/// Adds up prices.
#[agent(channel = "shop")]
async fn total(prices: Vec<u32>) -> u32 {
    prices.iter().sum()
}

/// Streams the menu.
#[agent(channel = "shop")]
fn menu(_course: String) -> impl Stream<Item = &'static str> {
    stream::iter(["tea", "coffee"])
}

/// `PATH` with the directory of `oam` at its front.
fn path_with_oam() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_oam"));
    let directory = program.parent().unwrap().display();
    format!("{directory}:{}", std::env::var("PATH").unwrap())
}

#[test]
fn script_of_the_cookbook_passes() {
    let sandbox = Sandbox::new();
    let program = std::env::current_exe().unwrap();
    let mut command = sandbox.program("sh");
    command
        .arg(SCRIPT)
        .arg(&program)
        .args([HOST, "--exact", "--ignored", "--quiet"]);
    let output: CommandOutput = command
        .env("PATH", path_with_oam())
        .output()
        .unwrap()
        .into();
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stdout.contains("\nall results are as expected\n"),
        "{output:?}"
    );
    assert_eq!(sandbox.url(), None, "the mesh is stopped");
}

/// Serves until SIGTERM. Run by the script only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a program of the script"]
async fn host_of_the_script() {
    if let Ok(mesh) = AgentMesh::from_env().await {
        mesh.serve(agents![total, menu]).await.unwrap();
    }
}
