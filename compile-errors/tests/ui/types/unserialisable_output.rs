use openagentmesh::agent;

struct Opaque;

/// Returns a type that cannot be serialised.
#[agent]
async fn opaque(_text: String) -> Opaque {
    Opaque
}

/// Returns a type that cannot be serialised, or an error.
#[agent]
async fn maybe_opaque() -> Result<Opaque, std::io::Error> {
    Ok(Opaque)
}

fn main() {}
