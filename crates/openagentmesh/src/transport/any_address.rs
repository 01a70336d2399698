//! One connection to any address of a server.

use std::io;
use std::net::SocketAddr;

use async_nats::ServerAddr;
use futures::future::select_ok;
use tokio::net::TcpStream;

/// Connects to the first address of `server` that accepts.
///
/// # Errors
///
/// That of the name, or of the last address.
pub(super) async fn connect(server: &ServerAddr) -> io::Result<TcpStream> {
    let addresses: Vec<_> = server.socket_addrs().await?.collect();
    connect_to(&addresses).await
}

/// Connects to the first of `addresses` that accepts. All are tried at the same time: `localhost` may be `::1` first,
/// and Windows takes 2 s for a refused connection.
///
/// # Errors
///
/// That of the last address.
pub(super) async fn connect_to(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if addresses.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let connecting = addresses
        .iter()
        .map(|address| Box::pin(TcpStream::connect(*address)));
    let (connection, _) = select_ok(connecting).await?;
    Ok(connection)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn address_without_an_answer_does_not_delay_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listening = listener.local_addr().unwrap();
        // An address for documentation: nothing is there.
        let silent = SocketAddr::from(([192, 0, 2, 1], 4222));
        let addresses = [silent, listening];
        let connecting = timeout(Duration::from_secs(20), connect_to(&addresses));
        let connection = connecting.await.unwrap();
        assert_eq!(connection.unwrap().peer_addr().unwrap(), listening);
    }

    #[tokio::test]
    async fn no_address_is_an_error() {
        let error = connect_to(&[]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
