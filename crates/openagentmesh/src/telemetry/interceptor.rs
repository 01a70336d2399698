//! Interceptors: code around every request, at its host or at its caller.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, ErrorCode, Headers, RequestId, Verb};
use tracing::Span;

use super::outcome::Outcome;
use crate::error::{Error, Result};
use crate::util::panic::panic_message;

/// Code that runs around requests.
///
/// [`MeshBuilder::intercept_host`](crate::MeshBuilder::intercept_host) puts one around every request that
/// this process serves, [`MeshBuilder::intercept_client`](crate::MeshBuilder::intercept_client) one around
/// every request that this process sends. Several run in the order in which they were added; their `after`
/// runs in the reverse order. A mesh without interceptors pays nothing for them.
///
/// Both methods run on the async runtime between two awaits: they must return soon and must not block. A
/// panic in `before` fails that one request with `handler_error`. A panic in `after` is logged at a host,
/// which has answered by then, and fails the request at a caller.
///
/// A host runs them around every request that it receives, in the request's task. `before` runs before the
/// request waits in the queue. A request that is refused as `overloaded` passes them, too, in the task that
/// accepts the agent's requests.
///
/// ```
/// use openagentmesh::{AgentMesh, Completion, Error, Exchange, Interceptor, Result};
///
/// /// Refuses requests without a tenant, and logs the others.
/// struct Tenants;
///
/// impl Interceptor for Tenants {
///     fn before(&self, exchange: &mut Exchange) -> Result<()> {
///         match exchange.headers().get("X-Tenant") {
///             Some(_) => Ok(()),
///             None => Err(Error::new("forbidden", "missing header X-Tenant: name your tenant")),
///         }
///     }
///
///     fn after(&self, exchange: &Exchange, completion: &Completion<'_>) {
///         println!("{}: {:?}", exchange.agent(), completion.outcome);
///     }
/// }
///
/// # async fn example() -> Result<()> {
/// let mesh = AgentMesh::builder().intercept_host(Tenants).connect().await?;
/// # Ok(())
/// # }
/// ```
pub trait Interceptor: Send + Sync + 'static {
    /// Runs before the handler starts, or before the request is sent.
    ///
    /// The interceptor may read the request, change its headers, choose the span that the work runs in, and keep
    /// values for `after` and for later interceptors.
    ///
    /// At a caller, any valid header may be set, those with the prefixes `X-Mesh-` and `Nats-` included.
    /// Exception: a header that the protocol defines, such as `X-Mesh-Request-Id`, is written by the SDK
    /// itself. Setting such a header, or an invalid one, fails the request with `invalid_input`.
    ///
    /// # Errors
    ///
    /// Any error refuses the request. A host answers with the error; one that was not made by
    /// [`Error::new`](crate::Error::new) becomes the cause of a `handler_error`. A caller gets the error and
    /// nothing is sent. Later interceptors are not run; `after` runs for this one and for those before it.
    fn before(&self, exchange: &mut Exchange) -> Result<()> {
        let _ = exchange;
        Ok(())
    }

    /// Runs once after the request has ended, with any outcome. A runtime that shuts down first skips the call.
    ///
    /// At a host this is after the answer was handed to the connection. At a caller it is when the reply
    /// was read, the stream has ended or was dropped, or the request failed; a `send` without a reply ends
    /// when it was handed to the connection.
    fn after(&self, exchange: &Exchange, completion: &Completion<'_>) {
        let _ = (exchange, completion);
    }
}

/// One request, as an [`Interceptor`] sees it.
pub struct Exchange {
    agent: AgentName,
    verb: Verb,
    request_id: RequestId,
    headers: Headers,
    span: Option<Span>,
    extensions: Extensions,
}

impl Exchange {
    pub(crate) fn new(
        agent: AgentName,
        verb: Verb,
        request_id: RequestId,
        headers: Headers,
    ) -> Self {
        Self {
            agent,
            verb,
            request_id,
            headers,
            span: None,
            extensions: Extensions::default(),
        }
    }

    /// The agent that serves the request.
    #[must_use]
    pub fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// The verb of the request. A host cannot tell a `send` from a `call` and says [`Verb::Call`] for both.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The id of the request.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The headers of the request: at a host all that arrived, at a caller those that the program and
    /// interceptors have added.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The headers, to be changed. At a caller they are sent with the request; at a host later interceptors
    /// and the handler's [`Context`](crate::Context) see them.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// Runs the handler, or the sending of the request, in `span`.
    pub fn set_span(&mut self, span: Span) {
        self.span = Some(span);
    }

    /// The span that the request runs in, if an interceptor set one.
    #[must_use]
    pub fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    /// Values that interceptors keep with the request.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Values that interceptors keep with the request, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("agent", &self.agent)
            .field("verb", &self.verb)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// The end of a request, as an [`Interceptor`] is given it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completion<'o> {
    /// The outcome of the request.
    pub outcome: &'o Outcome,
    /// At a host, the time from the arrival of the request until its answer; the time in the queue is part
    /// of it. At a caller, the time from the moment that the request was awaited.
    pub duration: Duration,
    /// At a host, the part of `duration` that the request waited in the queue; zero at a caller.
    pub queued: Duration,
    /// The number of chunks that were sent or received; 0 for a request that is not a stream.
    pub chunks: u64,
}

/// Values by their type: one of each.
#[derive(Default)]
pub struct Extensions(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Extensions {
    /// Keeps `value`; returns the value of this type that was kept before.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let previous = self.0.insert(TypeId::of::<T>(), Box::new(value));
        previous.and_then(|previous| previous.downcast().ok().map(|previous| *previous))
    }

    /// The value of type `T`.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// The value of type `T`, to be changed.
    pub fn get_mut<T: Send + Sync + 'static>(&mut self) -> Option<&mut T> {
        self.0.get_mut(&TypeId::of::<T>())?.downcast_mut()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("count", &self.0.len())
            .finish()
    }
}

/// The interceptors of one side of a process.
#[derive(Clone)]
pub(crate) struct Interceptors(Arc<[Arc<dyn Interceptor>]>);

impl Interceptors {
    pub(crate) fn new(interceptors: &[Arc<dyn Interceptor>]) -> Self {
        Self(interceptors.into())
    }

    /// Whether there is none, so that an exchange need not be made.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs `before` of each, up to the first that fails. Returns how many of them must run `after`, and the
    /// error that refuses the request, if one does. A panic is a `handler_error`.
    pub(crate) fn before(&self, exchange: &mut Exchange) -> (usize, Result<()>) {
        for (index, interceptor) in self.0.iter().enumerate() {
            let admitted = catch_unwind(AssertUnwindSafe(|| interceptor.before(exchange)));
            if let Err(error) = admitted.unwrap_or_else(|panic| Err(panicked(&*panic))) {
                return (index + 1, Err(error));
            }
        }
        (self.0.len(), Ok(()))
    }

    /// Runs `after` of the first `started` interceptors, the last one first.
    ///
    /// # Errors
    ///
    /// `handler_error` when one panicked. The others run nevertheless.
    pub(crate) fn after(
        &self,
        started: usize,
        exchange: &Exchange,
        completion: &Completion<'_>,
    ) -> Result<()> {
        let mut result = Ok(());
        for interceptor in self.0.iter().take(started).rev() {
            let after = catch_unwind(AssertUnwindSafe(|| interceptor.after(exchange, completion)));
            if let Err(panic) = after {
                result = Err(panicked(&*panic));
            }
        }
        result
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let message = format!("an interceptor panicked: {}", panic_message(panic));
    Error::new(ErrorCode::HandlerError, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::util::sync::Mutex;

    /// Logs its calls with its name; two names refuse or panic.
    struct Logged(&'static str, Arc<Mutex<Vec<String>>>);

    impl Interceptor for Logged {
        fn before(&self, _: &mut Exchange) -> Result<()> {
            self.1.lock().push(format!("before {}", self.0));
            match self.0 {
                "refuses" => Err(Error::new("forbidden", "not allowed")),
                "panics" => panic!("on purpose"),
                _ => Ok(()),
            }
        }

        fn after(&self, _: &Exchange, _: &Completion<'_>) {
            self.1.lock().push(format!("after {}", self.0));
            assert!(self.0 != "panics", "on purpose");
        }
    }

    /// The log of one request through interceptors with `names`, and the error that refused it.
    fn run(names: &[&'static str]) -> (Vec<String>, Option<Error>) {
        let log = Arc::<Mutex<Vec<String>>>::default();
        let interceptors: Vec<Arc<dyn Interceptor>> = names
            .iter()
            .map(|name| Arc::new(Logged(name, Arc::clone(&log))) as _)
            .collect();
        let interceptors = Interceptors::new(&interceptors);
        let agent = AgentName::new("echo").unwrap();
        let headers = Headers::default();
        let mut exchange = Exchange::new(agent, Verb::Call, RequestId::random(), headers);
        let (started, admitted) = interceptors.before(&mut exchange);
        let completion = Completion {
            outcome: &Outcome::Replied,
            duration: Duration::ZERO,
            queued: Duration::ZERO,
            chunks: 0,
        };
        // The log shows what ran, also where one panicked.
        drop(interceptors.after(started, &exchange, &completion));
        let log = log.lock().clone();
        (log, admitted.err())
    }

    #[test]
    fn interceptors_run_in_order_and_back() {
        let (log, error) = run(&["a", "b"]);
        assert_eq!(log, ["before a", "before b", "after b", "after a"]);
        assert!(error.is_none());
    }

    #[test]
    fn interceptor_that_refuses_skips_the_later_ones() {
        let (log, error) = run(&["a", "refuses", "b"]);
        assert_eq!(
            log,
            ["before a", "before refuses", "after refuses", "after a"]
        );
        assert_eq!(error.unwrap().code().as_str(), "forbidden");
    }

    #[test]
    fn interceptor_that_panics_refuses_the_request_with_handler_error() {
        let (log, error) = run(&["a", "panics", "b"]);
        assert_eq!(
            log,
            ["before a", "before panics", "after panics", "after a"]
        );
        let error = error.unwrap();
        assert_eq!(error.code(), &ErrorCode::HandlerError);
        assert_eq!(error.message(), "an interceptor panicked: on purpose");
    }

    #[test]
    fn extensions_keep_one_value_of_each_type() {
        let mut extensions = Extensions::default();
        assert_eq!(extensions.get::<u32>(), None);
        assert_eq!(extensions.insert(1_u32), None);
        assert_eq!(extensions.insert("text"), None);
        assert_eq!(extensions.insert(2_u32), Some(1));
        *extensions.get_mut::<u32>().unwrap() += 1;
        assert_eq!(extensions.get::<u32>(), Some(&3));
        assert_eq!(extensions.get::<&str>(), Some(&"text"));
    }
}
