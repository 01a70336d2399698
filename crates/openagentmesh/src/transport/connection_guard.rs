//! The handles that keep a connection open.

use std::sync::Arc;

use super::connection::Connection;

/// Keeps the connection open: when the last guard is dropped, a lost connection is not dialed again.
pub(crate) struct ConnectionGuard(Connection);

impl ConnectionGuard {
    pub(crate) fn new(connection: Connection) -> Arc<Self> {
        Arc::new(Self(connection))
    }
}

impl std::ops::Deref for ConnectionGuard {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        // Events that the program still reads go on.
        self.0.stop_reconnecting();
    }
}
