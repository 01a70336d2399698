use openagentmesh::{agent, agents};

struct Desk;

#[agent]
impl Desk {
    /// Opens a ticket.
    #[agent]
    async fn open(&self) -> u64 {
        1
    }
}

fn main() {
    let _ = agents![Desk::open];
}
