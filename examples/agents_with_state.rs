//! Agents that share state: the methods of an `impl` block.
//! `cargo run --example agents_with_state`, and run the printed commands in a second terminal, in
//! any order and repeatedly: all agents work on the same desk.

use std::collections::BTreeMap;

use openagentmesh::{AgentMesh, Error, agent};
use tokio::sync::Mutex;

/// A help desk. Handlers run concurrently, so a mutex protects the tickets.
#[derive(Default)]
struct Desk {
    tickets: Mutex<Tickets>,
}

#[derive(Default)]
struct Tickets {
    last: u32,
    open: BTreeMap<u32, String>,
}

#[agent(channel = "desk")]
impl Desk {
    /// Opens a ticket and returns its number.
    #[agent]
    async fn open(&self, problem: String) -> u32 {
        let mut tickets = self.tickets.lock().await;
        tickets.last += 1;
        let number = tickets.last;
        tickets.open.insert(number, problem);
        number
    }

    /// Lists the open tickets, oldest first.
    #[agent]
    async fn list(&self) -> BTreeMap<u32, String> {
        self.tickets.lock().await.open.clone()
    }

    /// Closes a ticket and returns its problem.
    #[agent]
    async fn close(&self, number: u32) -> Result<String, Error> {
        let closed = self.tickets.lock().await.open.remove(&number);
        closed.ok_or_else(|| Error::new("no_ticket", format!("ticket {number} is not open")))
    }
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("serving a help desk on {}; try:", mesh.url());
    println!("  oam agent call desk.open '\"The printer is on fire\"'");
    println!("  oam agent call desk.list");
    println!("  oam agent call desk.close 1");
    mesh.serve(Desk::agents(Desk::default())).await
}
