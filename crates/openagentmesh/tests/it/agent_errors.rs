//! Error enums of handlers: the caller gets the codes of those that convert into the SDK's error.

use std::fmt;

use futures::{Stream, TryStreamExt, stream};
use openagentmesh::{AgentError, Error, ErrorCode, agent, agents};

use crate::support::{TestMesh, within};

#[derive(Debug, AgentError)]
enum OrderError {
    #[agent_error(code = "no_such_article")]
    NoSuchArticle(String),
    #[agent_error(code = "out_of_stock")]
    OutOfStock {
        #[agent_error(detail)]
        left: u32,
        #[agent_error(detail)]
        r#where: Option<String>,
        shelf: u8,
    },
    #[agent_error(code = "closed")]
    Closed,
    Storage(std::io::Error),
    Mesh(Error),
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchArticle(sku) => write!(f, "no article {sku}"),
            Self::OutOfStock { left, shelf, .. } => write!(f, "only {left} left on shelf {shelf}"),
            Self::Closed => f.write_str("the shop is closed"),
            Self::Storage(_) => f.write_str("the storage failed"),
            Self::Mesh(_) => f.write_str("another agent failed"),
        }
    }
}

impl std::error::Error for OrderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            Self::Mesh(error) => Some(error),
            _ => None,
        }
    }
}

/// A struct has one code.
#[derive(Debug, AgentError)]
#[agent_error(code = "too_long")]
struct TooLong<T: fmt::Debug + fmt::Display> {
    #[agent_error(detail)]
    limit: u32,
    text: T,
}

impl<T: fmt::Debug + fmt::Display> fmt::Display for TooLong<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is longer than {}", self.text, self.limit)
    }
}

impl<T: fmt::Debug + fmt::Display> std::error::Error for TooLong<T> {}

/// An error with a hand-written conversion.
#[derive(Debug)]
struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("busy")
    }
}

impl std::error::Error for Busy {}

impl From<Busy> for Error {
    fn from(error: Busy) -> Self {
        Self::new("busy", error.to_string()).with_detail("retry_after", 5)
    }
}

fn fail(how: &str) -> Result<u32, OrderError> {
    Err(match how {
        "article" => OrderError::NoSuchArticle("X".to_owned()),
        "stock" => OrderError::OutOfStock {
            left: 2,
            r#where: Some("cellar".to_owned()),
            shelf: 7,
        },
        "closed" => OrderError::Closed,
        "storage" => OrderError::Storage(std::io::Error::other("the disk is full")),
        _ => OrderError::Mesh(Error::new("rate_limited", "slow down")),
    })
}

/// Orders.
#[agent]
async fn order(how: String) -> Result<u32, OrderError> {
    fail(&how)
}

/// Orders several.
#[agent]
fn orders(how: String) -> impl Stream<Item = Result<u32, OrderError>> {
    stream::iter([Ok(1), fail(&how)])
}

/// Is busy.
#[agent]
async fn busy() -> Result<(), Busy> {
    Err(Busy)
}

/// Is busy, with an input.
#[agent]
async fn busy_with(_: u32) -> Result<u32, Busy> {
    Err(Busy)
}

/// Fails without a code.
#[agent]
async fn plain(_: u32) -> Result<u32, String> {
    Err("no code".to_owned())
}

struct Shop;

#[agent(channel = "shop")]
impl Shop {
    /// Orders.
    #[agent]
    async fn order(&self, how: String) -> Result<u32, OrderError> {
        fail(&how)
    }

    /// Orders several.
    #[agent]
    fn orders(&self, how: String) -> impl Stream<Item = Result<u32, OrderError>> {
        stream::iter([Ok(1), fail(&how)])
    }

    /// Names an article.
    #[agent]
    async fn name(&self, text: String) -> Result<(), TooLong<String>> {
        Err(TooLong { limit: 3, text })
    }
}

#[tokio::test]
async fn error_with_a_code_reaches_the_caller() {
    let test = TestMesh::start().await;
    let agents = agents![order, orders, busy_with, plain];
    test.mesh
        .register((agents, Shop::agents(Shop)))
        .await
        .unwrap();
    let call = |how: &'static str| within(test.mesh.call::<u32>("order", how));

    let error = call("article").await.unwrap_err();
    assert_eq!(*error.code(), "no_such_article");
    assert_eq!(error.message(), "no article X");
    let error = call("stock").await.unwrap_err();
    assert_eq!(*error.code(), "out_of_stock");
    assert_eq!(error.message(), "only 2 left on shelf 7");
    assert_eq!(error.details()["left"], 2);
    assert_eq!(error.details()["where"], "cellar");
    assert_eq!(error.details().get("shelf"), None);
    assert_eq!(*call("closed").await.unwrap_err().code(), "closed");

    let error = within(Shop::call_order(&test.mesh, "closed"))
        .await
        .unwrap_err();
    assert_eq!(*error.code(), "closed");
    let error = within(Shop::call_name(&test.mesh, "long"))
        .await
        .unwrap_err();
    assert_eq!(*error.code(), "too_long");
    assert_eq!(error.message(), "long is longer than 3");
    assert_eq!(error.details()["limit"], 3);
    let error = within(busy_with::call(&test.mesh, 1)).await.unwrap_err();
    assert_eq!(*error.code(), "busy");
    assert_eq!(error.details()["retry_after"], 5);

    for name in ["orders", "shop.orders"] {
        let stream = within(test.mesh.stream::<u32>(name, "stock")).await;
        let items = within(stream.unwrap().try_collect::<Vec<u32>>()).await;
        assert_eq!(*items.unwrap_err().code(), "out_of_stock", "{name}");
    }
}

#[tokio::test]
async fn error_without_a_code_is_a_handler_error_with_its_causes() {
    let test = TestMesh::start().await;
    test.mesh.register(agents![order, plain]).await.unwrap();

    let error = within(order::call(&test.mesh, "storage"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.message(), "the storage failed: the disk is full");
    let error = within(order::call(&test.mesh, "mesh")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.message(), "another agent failed: slow down");
    assert_eq!(error.details()["cause"]["code"], "rate_limited");
    let error = within(plain::call(&test.mesh, 1)).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.message(), "no code");
}

#[test]
fn watcher_may_fail_with_an_error_that_converts() {
    assert_eq!(agents![busy][0].shape(), openagentmesh::Shape::Watcher);
}
