//! A pipeline that runs whenever a shared value changes: `cargo run --example pipeline`, and put values
//! under `articles.raw.*` in a second terminal. Each stage watches the keys of the one before it.

use openagentmesh::{AgentMesh, Context, KvChange, Result, agent, agents};

/// Writes `articles.clean.*`: the articles without superfluous spaces.
#[agent(channel = "articles")]
async fn clean(ctx: Context) -> Result<()> {
    transform(&ctx, "articles.raw.", "articles.clean.", |text| {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    })
    .await
}

/// Writes `articles.title.*`: the first three words of each clean article.
#[agent(channel = "articles")]
async fn title(ctx: Context) -> Result<()> {
    transform(&ctx, "articles.clean.", "articles.title.", |text| {
        text.split(' ').take(3).collect::<Vec<_>>().join(" ") + " …"
    })
    .await
}

/// Keeps each key with the prefix `to` equal to `stage` of the key with the prefix `from`.
async fn transform(
    ctx: &Context,
    from: &str,
    to: &str,
    stage: impl Fn(&str) -> String,
) -> Result<()> {
    let kv = ctx.mesh().kv();
    // The current values come first, so that a restart misses no change.
    let mut changes = kv.watch(format!("{from}*")).await?;
    while let Some(change) = changes.next().await {
        let change = change?;
        let key = change.key().replacen(from, to, 1);
        match &change {
            KvChange::Put(entry) => {
                let value = stage(entry.text()?);
                // A result that is stored already is not written again.
                kv.modify(key, |_| Ok(value.clone())).await?;
            }
            _ => kv.delete(key).await?,
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!(
        "serving articles.clean and articles.title on {}",
        mesh.url()
    );
    mesh.serve(agents![clean, title]).await
}
