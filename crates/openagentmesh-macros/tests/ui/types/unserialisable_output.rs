use openagentmesh::agent;

struct Opaque;

/// Gives what cannot cross the wire.
#[agent]
async fn opaque(_text: String) -> Opaque {
    Opaque
}

/// Gives what cannot cross the wire, if it succeeds.
#[agent]
async fn maybe_opaque() -> Result<Opaque, std::io::Error> {
    Ok(Opaque)
}

fn main() {}
