use openagentmesh::agent;

/// Is a struct.
#[agent]
struct NotAFunction;

/// Takes anything.
#[agent]
async fn generic<T: Send>(value: T) -> bool {
    drop(value);
    true
}

struct Desk;

impl Desk {
    /// Belongs to a struct.
    #[agent]
    async fn method(&self, n: i64) -> i64 {
        n
    }
}

fn main() {}
