use openagentmesh::{agent, agents};

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    message
}

struct Desk;

#[agent]
impl Desk {
    /// Lists the tickets.
    #[agent]
    async fn list(&self) -> Vec<String> {
        Vec::new()
    }
}

fn main() {
    let _ = agents![echo, Desk::list];
}
