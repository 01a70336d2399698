//! Headers that programs and interceptors add to messages.

use std::str::FromStr;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use openagentmesh_protocol::{ErrorCode, Headers, header};

use crate::error::{Error, Result};

/// The headers that a program adds to a message. An invalid one is reported when the message is sent.
#[derive(Default, Clone)]
pub(super) struct ExtraHeaders {
    map: HeaderMap,
    invalid: Option<String>,
}

impl ExtraHeaders {
    pub(super) fn add(&mut self, name: &str, value: &str) {
        const RESERVED_PREFIXES: &[&str] = &["x-mesh-", "nats-"];
        let lower = name.to_ascii_lowercase();
        let added = if RESERVED_PREFIXES
            .iter()
            .any(|prefix| lower.starts_with(prefix))
        {
            Err(format!(
                "invalid header '{name}': X-Mesh- and Nats- belong to the protocol; choose another name"
            ))
        } else {
            append(&mut self.map, name, value)
        };
        if let Err(reason) = added {
            self.invalid = Some(reason);
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.invalid.is_none()
    }

    /// # Errors
    ///
    /// `invalid_input` when a header is invalid.
    pub(super) fn take(self) -> Result<HeaderMap> {
        match self.invalid {
            None => Ok(self.map),
            Some(reason) => Err(Error::raised(ErrorCode::InvalidInput, reason)),
        }
    }
}

/// The headers of a request after its interceptors have run.
///
/// Interceptors may set any valid header, those with the prefixes `X-Mesh-` and `Nats-` included, except
/// the ones that the SDK writes itself.
///
/// # Errors
///
/// `invalid_input` when a header is invalid or written by the SDK.
pub(super) fn from_interceptors(headers: &Headers) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        let is_reserved = |reserved: &&str| reserved.eq_ignore_ascii_case(name);
        let added = if header::X_MESH.iter().any(is_reserved) {
            Err(format!(
                "invalid header '{name}' of an interceptor: the SDK writes it itself"
            ))
        } else {
            append(&mut map, name, value)
        };
        added.map_err(|reason| Error::raised(ErrorCode::InvalidInput, reason))?;
    }
    Ok(map)
}

/// Adds a header; `Err` says why it is invalid.
fn append(map: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    match (HeaderName::from_str(name), HeaderValue::from_str(value)) {
        (Ok(name), Ok(value)) if is_name => {
            map.append(name, value);
            Ok(())
        }
        (Ok(_), Err(_)) if is_name => Err(format!(
            "invalid value of header '{name}': line breaks are not allowed; encode it"
        )),
        _ => Err(format!(
            "invalid header name '{name}': only visible ASCII characters except the colon are allowed"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn checked(name: &str, value: &str) -> Result<HeaderMap> {
        from_interceptors(&[(name, value)].into_iter().collect())
    }

    #[test]
    fn interceptor_header_of_the_sdk_is_refused() {
        for name in header::X_MESH {
            for name in [(*name).to_owned(), name.to_ascii_lowercase()] {
                let error = checked(&name, "1").unwrap_err();
                assert_eq!(error.code(), &ErrorCode::InvalidInput, "{name}");
            }
        }
    }

    #[test]
    fn other_interceptor_headers_are_allowed_if_valid() {
        for name in [
            "X-Mesh-Actor",
            "Nats-Expected",
            "traceparent",
            "tracestate",
            "Tenant",
        ] {
            assert_eq!(checked(name, "1").unwrap().get(name).unwrap().as_str(), "1");
        }
        for (name, value) in [("a b", "1"), ("", "1"), ("a:b", "1"), ("Tenant", "a\r\nb")] {
            checked(name, value).unwrap_err();
        }
    }
}
