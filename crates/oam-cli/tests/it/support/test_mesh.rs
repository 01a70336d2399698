//! A mesh of one test.

use openagentmesh::{Agent, AgentMesh};
use openagentmesh_local::LocalServer;
use serde_json::json;

use super::output::{ByteOutput, CommandOutput};
use super::running::Running;
use super::sandbox::Sandbox;
use super::terminal::Terminal;

/// A mesh whose agents the test process serves, and a sandbox for commands on that mesh.
pub(crate) struct TestMesh {
    pub(crate) sandbox: Sandbox,
    pub(crate) client: AgentMesh,
    pub(crate) url: String,
    pub(crate) server: LocalServer,
}

impl TestMesh {
    pub(crate) async fn start(agents: impl IntoIterator<Item = Agent>) -> Self {
        let server = LocalServer::start().await.unwrap();
        let client = AgentMesh::connect(server.url()).await.unwrap();
        client
            .register(agents.into_iter().collect::<Vec<_>>())
            .await
            .unwrap();
        Self {
            sandbox: Sandbox::new(),
            client,
            url: server.url().to_owned(),
            server,
        }
    }

    /// Lists an agent that no process serves.
    pub(crate) async fn list_without_host(&self, name: &str) {
        self.client.create_buckets().await.unwrap();
        let jetstream = async_nats::jetstream::new(async_nats::connect(&self.url).await.unwrap());
        let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
        let entry = json!({
            "name": name, "description": "", "version": "1.0.0", "tags": [],
            "invocable": true, "streaming": false,
        });
        catalog
            .put("catalog", json!([entry]).to_string().into())
            .await
            .unwrap();
    }

    /// Runs a command with an empty stdin. Blocks the thread of the test; the agents run on the
    /// other threads of the runtime.
    pub(crate) fn oam(&self, arguments: &[&str]) -> CommandOutput {
        self.oam_with_stdin(arguments, "")
    }

    pub(crate) fn oam_with_stdin(&self, arguments: &[&str], input: &str) -> CommandOutput {
        self.sandbox
            .oam_with_stdin(&self.with_url(arguments), input)
    }

    /// As [`TestMesh::oam_with_stdin`], with binary input and output.
    pub(crate) fn oam_with_bytes(&self, arguments: &[&str], input: &[u8]) -> ByteOutput {
        self.sandbox
            .oam_with_bytes(&self.with_url(arguments), input)
    }

    /// Runs a command with stdout and stderr in a terminal and an empty stdin. Returns the exit
    /// code and the text in the terminal.
    pub(crate) fn oam_in_terminal(&self, arguments: &[&str]) -> (i32, String) {
        Terminal::open().run(self.sandbox.command(&self.with_url(arguments)))
    }

    /// As [`TestMesh::oam_in_terminal`], with the width of the terminal.
    pub(crate) fn oam_in_terminal_of(&self, columns: u16, arguments: &[&str]) -> (i32, String) {
        Terminal::with_columns(columns).run(self.sandbox.command(&self.with_url(arguments)))
    }

    /// Starts a command that the test interacts with while it runs.
    pub(crate) fn start_oam(&self, arguments: &[&str]) -> Running {
        Running::start(self.sandbox.command(&self.with_url(arguments)))
    }

    fn with_url<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [arguments, &["--url", &self.url]].concat()
    }
}
