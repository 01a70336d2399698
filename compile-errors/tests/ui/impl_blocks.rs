use openagentmesh::agent;

struct Desk;

#[agent(version = "1.0.0")]
impl Desk {
    /// Opens.
    #[agent]
    async fn open(&self) -> u64 {
        1
    }
}

struct Drawer;

#[agent]
impl Drawer {
    async fn open(&self) -> u64 {
        1
    }
}

struct Cabinet;

#[agent]
impl Cabinet {
    /// Opens.
    #[agent]
    async fn open(&mut self) -> u64 {
        1
    }
}

struct Shelf<T>(T);

#[agent]
impl<T: Send> Shelf<T> {
    /// Opens.
    #[agent]
    async fn open(&self) -> u64 {
        1
    }
}

struct Box2;

#[agent]
impl Box2 {
    #[agent]
    async fn open(&self) -> u64 {
        1
    }
}

fn main() {}
