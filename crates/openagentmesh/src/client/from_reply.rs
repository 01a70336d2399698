//! The types that replies are decoded into.

use serde::de::DeserializeOwned;

/// A type that a reply, a chunk or an event can be decoded into: any that serde deserialises and that owns
/// its data. [`serde_json::Value`] takes any reply, `()` ignores it.
#[diagnostic::on_unimplemented(
    message = "a reply cannot be decoded into `{Self}`",
    label = "not the type of a reply",
    note = "the type of the reply must be written: `mesh.call::<T>(..).await?` or \
            `let reply: T = mesh.call(..).await?`; `serde_json::Value` takes any reply, `()` ignores it",
    note = "the type needs `#[derive(serde::Deserialize)]` and owns its data (`String`, not `&str`)"
)]
pub trait FromReply: DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + 'static> FromReply for T {}

/// [`FromReply`], for the bounds of the typed calls that `#[agent]` makes: the lifetime keeps the compiler
/// from checking the bound before a call is written, so that agents may have outputs that cannot be decoded.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a reply cannot be decoded into `{Self}`",
    label = "the reply of the agent cannot be decoded",
    note = "`{Self}` needs `#[derive(serde::Deserialize)]` for callers, and owns its data (`String`, not `&str`)"
)]
pub trait Decodable<'a>: FromReply + Send {}

#[diagnostic::do_not_recommend]
impl<T: FromReply + Send> Decodable<'_> for T {}
