//! Tests of agents, as a user writes them.

use std::time::Duration;

use openagentmesh::{AgentMesh, AgentSpec, Context, Error, ErrorCode, Result, agent, agents};

/// Prices an article in cents.
#[agent(channel = "shop")]
async fn price(article: String) -> Result<u32> {
    match article.as_str() {
        "tea" => Ok(450),
        _ => Err(Error::new(
            "no_such_article",
            format!("no article '{article}'"),
        )),
    }
}

/// Orders an article, and returns the total in cents.
#[agent(channel = "shop")]
async fn order(ctx: Context, article: String) -> Result<u32> {
    let price = price::call(ctx.mesh(), article).await?;
    let discount = if ctx.header("Customer") == Some("regular") {
        50
    } else {
        0
    };
    Ok(price + 300 - discount)
}

/// The function alone.
#[tokio::test]
async fn tea_is_priced() {
    assert_eq!(price("tea".to_owned()).await.unwrap(), 450);
}

/// A handler with a context, without a server: agents of the test answer its requests.
#[tokio::test]
async fn order_of_a_regular_customer_has_a_discount() {
    let ctx = Context::detached()
        .header("Customer", "regular")
        .answer(agents![price])
        .build();
    assert_eq!(order(ctx, "tea".to_owned()).await.unwrap(), 700);
}

/// A fake in place of an agent of another team.
#[tokio::test]
async fn order_passes_on_the_error_of_the_price() {
    let fake = AgentSpec::new("shop.price", "Fails.")
        .handler(|_: String| async { Err::<u32, _>(Error::new("closed", "the shop is closed")) });
    let ctx = Context::detached().answer(fake).build();
    assert!(order(ctx, "tea".to_owned()).await.unwrap_err().is("closed"));
}

/// A private server: catalog, validation, timeouts and concurrency are real.
#[tokio::test]
async fn order_is_listed_and_validates_its_input() -> Result<()> {
    let mesh = AgentMesh::local().await?;
    mesh.register(agents![price, order]).await?;
    assert_eq!(order::call(&mesh, "tea").await?, 750);
    assert_eq!(mesh.catalog().channel("shop").await?.len(), 2);
    let invalid = mesh.call::<u32>("shop.order", 7).await.unwrap_err();
    assert_eq!(*invalid.code(), ErrorCode::InvalidInput);
    let slow = AgentSpec::new("shop.slow", "Never answers.").handler(std::future::pending::<()>);
    mesh.register(slow).await?;
    let call = mesh
        .call::<()>("shop.slow", ())
        .timeout(Duration::from_millis(100));
    assert_eq!(*call.await.unwrap_err().code(), ErrorCode::Timeout);
    mesh.shutdown().await
}
