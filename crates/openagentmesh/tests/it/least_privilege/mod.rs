//! Users who may do what their role needs, and nothing else.

mod files;
mod keys;
mod serving;
mod tokens;
mod verbs;

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use futures::FutureExt;
use openagentmesh::{AgentMesh, Error, ErrorCode};

use crate::support::permissions::Permissions;
use crate::support::secured::SecuredServer;
use crate::support::{eventually, within};

/// A server with users of least privilege, and a user without restrictions.
struct Secured {
    server: SecuredServer,
    /// The connection of the user without restrictions.
    admin: AgentMesh,
}

impl Secured {
    /// All buckets exist.
    async fn start(users: &[(&str, Permissions)]) -> Self {
        let users: Vec<_> = users
            .iter()
            .map(|(name, permissions)| (*name, permissions.to_configuration()))
            .collect();
        let server = SecuredServer::with_users(&users).await;
        let admin = AgentMesh::builder()
            .url(server.url())
            .user_and_password("admin", "pw");
        let admin = eventually(|| admin.clone().connect().map(Result::ok)).await;
        within(admin.register(crate::support::echo()))
            .await
            .unwrap();
        within(admin.kv().list(">")).await.unwrap();
        within(admin.workspace().list("")).await.unwrap();
        Self { server, admin }
    }

    /// A connection of `user`.
    async fn user(&self, user: &str) -> AgentMesh {
        let builder = AgentMesh::builder()
            .url(self.server.url())
            .user_and_password(user, "pw")
            .user(user);
        within(builder.connect()).await.unwrap()
    }

    /// A plain client of the user without restrictions.
    async fn raw(&self) -> async_nats::Client {
        async_nats::ConnectOptions::with_user_and_password("admin".to_owned(), "pw".to_owned())
            .connect(self.server.url())
            .await
            .unwrap()
    }
}

/// The server denies `work` at once, on a subject that begins with `subject`.
async fn denied<T>(what: &str, subject: &str, work: impl IntoFuture<Output = Result<T, Error>>) {
    let started = Instant::now();
    let error = match within(work).await {
        Ok(_) => panic!("{what} is permitted"),
        Err(error) => error,
    };
    assert_eq!(
        error.code(),
        &ErrorCode::ConnectionDenied,
        "{what}: {error}"
    );
    let named = error.details()["subject"].as_str().unwrap();
    assert!(named.starts_with(subject), "{what}: {error}");
    // Less than any timeout, on a busy machine.
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "{what}: {error}"
    );
}
