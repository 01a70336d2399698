//! Files that all processes on the mesh share: `cargo run --example shared_files`. Files of any
//! size are put and read as bytes, from and to disk, or through a reader.

use openagentmesh::{AgentMesh, BoxError, ErrorCode};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mesh = AgentMesh::from_env().await?;
    let files = mesh.workspace();

    files
        .put("notes/milk.txt", "buy milk\nand bread\n")
        .content_type("text/plain")
        .metadata("author", "ops")
        .await?;
    let notes = files.get("notes/milk.txt").await?;
    println!("{} bytes of notes", notes.len());

    // Through a reader: chunks are fetched only as fast as they are read.
    let reader = files.get("notes/milk.txt").reader().await?;
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        println!("- {line}");
    }

    // From disk and back. A download replaces the file on disk only when it is complete.
    let directory = std::env::temp_dir().join(format!("shared-files-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    let (original, copy) = (directory.join("original"), directory.join("copy"));
    std::fs::write(&original, vec![7; 1_000_000])?;
    let put = files.put_file("data/sevens", &original);
    put.on_progress(|progress| {
        if Some(progress.bytes) == progress.total {
            println!("all {} bytes are stored", progress.bytes);
        }
    })
    .await?;
    files.get("data/sevens").to_file(&copy).await?;
    println!("the copy has {} bytes", std::fs::metadata(&copy)?.len());
    std::fs::remove_dir_all(&directory)?;

    for file in files.list("").await? {
        let kind = file.content_type.as_deref().unwrap_or("unknown type");
        println!("{}: {} bytes of {kind}", file.name, file.size);
    }
    files.delete_prefix("notes/").await?;
    files.delete("data/sevens").await?;
    match files.get("data/sevens").await {
        Err(error) if error.code() == &ErrorCode::NotFound => println!("data/sevens is deleted"),
        other => drop(other?),
    }
    mesh.shutdown().await?;
    Ok(())
}
