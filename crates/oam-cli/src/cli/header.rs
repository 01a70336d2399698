//! Headers of requests and messages.

use openagentmesh::protocol::header;

/// The name and the value of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// `NAME=VALUE`; the value may contain further `=`.
pub(super) fn header(text: &str) -> Result<Header, String> {
    let Some((name, value)) = text.split_once('=') else {
        let meant = text.split_once(':').map_or_else(
            || "Tenant=acme".to_owned(),
            |(name, value)| format!("{}={}", name.trim(), value.trim()),
        );
        return Err(format!("write NAME=VALUE, as in {meant}"));
    };
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':')
    {
        return Err(
            "invalid name: only visible ASCII characters except the colon are allowed".to_owned(),
        );
    }
    if is_of_the_protocol(name) {
        return Err(format!(
            "'{name}' belongs to the protocol; choose another name"
        ));
    }
    if value.contains(['\r', '\n']) {
        return Err("invalid value: line breaks are not allowed; encode it".to_owned());
    }
    Ok(Header {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

fn is_of_the_protocol(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_reserved = lower.starts_with("x-mesh-") || lower.starts_with("nats-");
    is_reserved || header::KV_OPERATION.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::{Header, header};

    #[test]
    fn header_has_a_name_and_a_value() {
        for (text, name, value) in [
            ("Tenant=acme", "Tenant", "acme"),
            ("a=", "a", ""),
            ("a=b=c", "a", "b=c"),
            ("traceparent=00-1-2-01", "traceparent", "00-1-2-01"),
        ] {
            let (name, value) = (name.to_owned(), value.to_owned());
            assert_eq!(header(text), Ok(Header { name, value }));
        }
        assert_eq!(
            header("Tenant: acme").unwrap_err(),
            "write NAME=VALUE, as in Tenant=acme"
        );
        for invalid in [
            "Tenant",
            "=a",
            "a b=c",
            "a:b=c",
            "ä=c",
            "a=b\r\nc: d",
            "X-Mesh-Status=ok",
            "x-mesh-anything=1",
            "Nats-Msg-Id=1",
            "kv-operation=DEL",
        ] {
            assert!(header(invalid).is_err(), "{invalid}");
        }
    }
}
