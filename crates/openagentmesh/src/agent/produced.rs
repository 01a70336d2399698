//! A stream that is produced by a future, so that an agent can own the struct that its streaming method
//! borrows.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};

use crate::util::sync::Mutex;

/// The one item between the future and the stream.
type Slot<T> = Arc<Mutex<Option<T>>>;

/// The sender of the items.
#[derive(Debug)]
pub struct Items<T>(Slot<T>);

impl<T> Items<T> {
    /// Sends the items of `stream`, each after the previous one was taken.
    pub async fn forward(self, stream: impl Stream<Item = T>) {
        let mut stream = pin!(stream);
        while let Some(item) = stream.next().await {
            *self.0.lock() = Some(item);
            // The stream polls this future again only after the item was taken.
            poll_fn(|_| match *self.0.lock() {
                Some(_) => Poll::Pending,
                None => Poll::Ready(()),
            })
            .await;
        }
    }
}

/// The stream of the items that `produce` sends.
pub fn produced<T, Fut>(produce: impl FnOnce(Items<T>) -> Fut) -> impl Stream<Item = T>
where
    Fut: Future<Output = ()>,
{
    let slot = Slot::default();
    Produced {
        producing: Some(Box::pin(produce(Items(Arc::clone(&slot))))),
        slot,
    }
}

struct Produced<T, Fut> {
    producing: Option<Pin<Box<Fut>>>,
    slot: Slot<T>,
}

impl<T, Fut: Future<Output = ()>> Stream for Produced<T, Fut> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(producing) = &mut self.producing else {
            return Poll::Ready(None);
        };
        let ended = producing.as_mut().poll(cx).is_ready();
        if ended {
            self.producing = None;
        }
        match self.slot.lock().take() {
            Some(item) => Poll::Ready(Some(item)),
            None if ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, stream};

    use super::*;

    #[test]
    fn items_are_produced_in_order() {
        let text = Arc::new("a b c".to_owned());
        let stream = produced(move |items| async move {
            items
                .forward(stream::iter(text.split(' ').map(str::to_owned)))
                .await;
        });
        let all: Vec<String> = stream.collect().now_or_never().unwrap_or_default();
        assert_eq!(all, ["a", "b", "c"]);
    }

    #[test]
    fn empty_stream_produces_no_items() {
        let stream = produced(|items: Items<u8>| items.forward(stream::empty()));
        assert_eq!(stream.collect::<Vec<_>>().now_or_never(), Some(vec![]));
    }
}
