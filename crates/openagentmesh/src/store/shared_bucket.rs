//! A bucket shared by the handles of one process.

use std::sync::Arc;

use crate::transport::ConnectionGuard;

/// A bucket that keeps the connection open as long as a clone of it exists.
pub(crate) struct SharedBucket<B> {
    bucket: Arc<B>,
    connection: Arc<ConnectionGuard>,
}

impl<B> SharedBucket<B> {
    pub(crate) fn new(bucket: B, connection: &Arc<ConnectionGuard>) -> Self {
        Self {
            bucket: Arc::new(bucket),
            connection: Arc::clone(connection),
        }
    }
}

impl<B> Clone for SharedBucket<B> {
    fn clone(&self) -> Self {
        Self {
            bucket: Arc::clone(&self.bucket),
            connection: Arc::clone(&self.connection),
        }
    }
}

impl<B> std::ops::Deref for SharedBucket<B> {
    type Target = Arc<B>;

    fn deref(&self) -> &Arc<B> {
        &self.bucket
    }
}
