//! Errors that callers act on, and retries: `cargo run --example bookings`. The example serves its own
//! agents, so that it runs alone.

use std::fmt;
use std::time::Duration;

use futures::future::join_all;
use openagentmesh::{AgentError, AgentMesh, ErrorCode, Result, Retry, agent, agents};

#[derive(Debug, AgentError)]
enum BookingError {
    #[agent_error(code = "sold_out")]
    SoldOut {
        #[agent_error(detail)]
        left: u32,
    },
    #[agent_error(code = "no_such_train")]
    NoSuchTrain(u32),
    /// Without a code: callers get `handler_error`.
    Printer(std::io::Error),
}

impl fmt::Display for BookingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SoldOut { left } => write!(f, "only {left} seats are left"),
            Self::NoSuchTrain(train) => write!(f, "train {train} does not run"),
            Self::Printer(error) => write!(f, "cannot print the ticket: {error}"),
        }
    }
}

impl std::error::Error for BookingError {}

/// Books seats on a train, and returns the number of the ticket.
#[agent(channel = "trains")]
async fn book((train, seats): (u32, u32)) -> Result<u32, BookingError> {
    match (train, seats) {
        (42, 1..=3) => Ok(1001),
        (42, _) => Err(BookingError::SoldOut { left: 3 }),
        (13, _) => Err(BookingError::Printer(std::io::Error::other("no paper"))),
        _ => Err(BookingError::NoSuchTrain(train)),
    }
}

/// Returns the delay of a train in minutes. One request runs and one waits; more are refused.
#[agent(channel = "trains", concurrency = 1, queue = 1)]
async fn delay(train: u32) -> u32 {
    tokio::time::sleep(Duration::from_millis(20)).await;
    train % 10
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents![book, delay]).await?;

    for request in [(42, 2), (42, 9), (7, 1), (13, 1)] {
        match book::call(&mesh, request).await {
            Ok(ticket) => println!("ticket {ticket}"),
            Err(error) if error.is("sold_out") => println!("take {}", error.details()["left"]),
            Err(error) if error.is("no_such_train") => println!("choose another train: {error}"),
            Err(error) => println!("call the helpdesk: {}: {error}", error.code()),
        }
    }

    // Without retries, `overloaded` is an error of the caller.
    let calls = (0..4).map(|_| delay::call(&mesh, 42));
    let replies = join_all(calls).await;
    let is_overloaded = |reply: &&Result<u32>| {
        let error = reply.as_ref().err();
        error.is_some_and(|error| *error.code() == ErrorCode::Overloaded)
    };
    println!(
        "{} of 4 are overloaded",
        replies.iter().filter(is_overloaded).count()
    );

    // With retries, the request is sent again after a back-off, within its timeout.
    let calls = (0..4).map(|_| {
        delay::call(&mesh, 42)
            .timeout(Duration::from_secs(10))
            .retry(Retry::attempts(5))
    });
    let replies = join_all(calls).await;
    println!(
        "{} of 4 succeed with retries",
        replies.iter().filter(|reply| reply.is_ok()).count()
    );
    mesh.shutdown().await
}
