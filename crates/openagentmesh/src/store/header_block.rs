//! The header block of a stored message, read from its bytes.
//!
//! Any peer may store bytes that the NATS client cannot read: the client drops its connection on them. These functions
//! accept all bytes.

/// The meaning of a message in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Value,
    /// A deletion marker: of a client, or of the server for a value that expired.
    Deletion,
    /// The header block is malformed, for this reason.
    Malformed(&'static str),
}

/// The first line of a header block, which a status may follow.
const VERSION: &[u8] = b"NATS/1.0";
/// The header by which a client marks a key as deleted.
pub(super) const KV_OPERATION: &str = "KV-Operation";
/// The header by which the server marks a value as removed.
const MARKER_REASON: &str = "Nats-Marker-Reason";

/// The meaning of a message with the values of these headers. The same rule as in the client's `Store::entry`.
pub(super) fn meaning<'v>(value: impl Fn(&str) -> Option<&'v [u8]>) -> Meaning {
    let is_deletion = match value(KV_OPERATION) {
        Some(operation) => matches!(operation, b"DEL" | b"PURGE"),
        None => matches!(value(MARKER_REASON), Some(b"MaxAge" | b"Purge" | b"Remove")),
    };
    if is_deletion {
        Meaning::Deletion
    } else {
        Meaning::Value
    }
}

/// The meaning of a message with header block `block`; an empty block stands for no headers.
///
/// The names and values of other headers may be any bytes. A block without a version line, or with a line that is
/// neither a header nor the continuation of one, is malformed.
pub(super) fn read(block: &[u8]) -> Meaning {
    if block.is_empty() {
        return Meaning::Value;
    }
    let mut lines = lines(block);
    if !lines.next().is_some_and(|line| line.starts_with(VERSION)) {
        return Meaning::Malformed("its headers have no version");
    }
    let mut headers: Vec<(&[u8], &[u8])> = Vec::new();
    for line in lines {
        match split(line) {
            Some((name, value)) => {
                if name == KV_OPERATION.as_bytes() || name == MARKER_REASON.as_bytes() {
                    headers.push((name, value.trim_ascii()));
                }
            }
            None if is_continuation(line) => {}
            None => return Meaning::Malformed("one of its headers has no colon"),
        }
    }
    meaning(|name| {
        let mut found = headers.iter().filter(|header| header.0 == name.as_bytes());
        found.next().map(|header| header.1)
    })
}

/// The first value of header `name` in header block `block`.
pub(super) fn value<'b>(block: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let mut headers = lines(block).skip(1).filter_map(split);
    let header = headers.find(|header| header.0 == name.as_bytes())?;
    Some(header.1.trim_ascii())
}

/// Whether the client may fail to read a message to `subject` with header block `block`. A message that the client can
/// read may be reported, too.
pub(super) fn is_suspect(subject: &str, block: &[u8]) -> bool {
    // The server replaces bytes that are not UTF-8 by another character.
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain(subject) {
        return true;
    }
    if block.is_empty() {
        return false;
    }
    let Ok(text) = std::str::from_utf8(block) else {
        return true;
    };
    let mut lines = lines(text.as_bytes());
    let status = lines.next().and_then(|line| line.strip_prefix(VERSION));
    if !status.is_some_and(<[u8]>::is_empty) {
        return true;
    }
    lines.any(|line| {
        let is_name = |name: &[u8]| name.iter().all(u8::is_ascii_graphic);
        line.contains(&b'\r') || !split(line).is_some_and(|(name, _)| is_name(name))
    })
}

/// The lines that are not empty, without their ends.
fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = block.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty())
}

/// The name and the value in a line.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if is_continuation(line) {
        return None;
    }
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}

/// Whether a line continues the value of the line before.
fn is_continuation(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_that_the_client_cannot_read_is_a_value_or_malformed() {
        let value: [&[u8]; 6] = [
            b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n",
            b"NATS/1.0\r\n\xff: x\r\n\r\n",
            b"NATS/1.0\r\nX: a\rb\r\n\r\n",
            b"NATS/1.0 WORD\r\n\r\n",
            b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
            b"NATS/1.0\r\na b: c\r\n\r\n",
        ];
        for block in value {
            assert_eq!(read(block), Meaning::Value, "{block:?}");
            assert!(is_suspect("a.b", block), "{block:?}");
        }
        let malformed: [&[u8]; 5] = [
            b"NATS/1.0\r\nno colon\r\n\r\n",
            b"X: y\r\n\r\n",
            b"\r\n\r\n",
            b"\xff",
            b"NATS/2.0\r\n\r\n",
        ];
        for block in malformed {
            assert!(matches!(read(block), Meaning::Malformed(_)), "{block:?}");
            assert!(is_suspect("a.b", block), "{block:?}");
        }
        for subject in ["a.\u{fffd}", "a.\u{a0}b"] {
            assert!(is_suspect(subject, b""), "{subject}");
        }
    }

    #[test]
    fn block_with_a_marker_is_a_deletion() {
        for marker in [
            "KV-Operation: DEL",
            "KV-Operation:PURGE ",
            "Nats-Marker-Reason: MaxAge",
        ] {
            let plain = format!("NATS/1.0\r\n{marker}\r\nX: a\r\n\r\n");
            assert_eq!(read(plain.as_bytes()), Meaning::Deletion, "{marker}");
            assert!(!is_suspect("a.b", plain.as_bytes()), "{marker}");
            let odd = format!("NATS/1.0 WORD\r\nX: a\rb\r\n{marker}\r\n\r\n");
            assert_eq!(read(odd.as_bytes()), Meaning::Deletion, "{marker}");
        }
        for other in [
            "KV-Operation: ODD",
            "kv-operation: DEL",
            "KV-Operation: PUT\r\nNats-Marker-Reason: MaxAge",
        ] {
            let block = format!("NATS/1.0\r\n{other}\r\n\r\n");
            assert_eq!(read(block.as_bytes()), Meaning::Value, "{other}");
        }
        assert_eq!(read(b""), Meaning::Value);
        assert!(!is_suspect("a.b", b""));
    }

    #[test]
    fn block_of_any_bytes_is_read() {
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                for block in [
                    [first, second].to_vec(),
                    [b"NATS/1.0\r\n".as_slice(), &[first, second]].concat(),
                ] {
                    let read = read(&block);
                    let is_malformed = matches!(read, Meaning::Malformed(_));
                    assert!(!is_malformed || is_suspect("a", &block), "{block:?}");
                }
            }
        }
    }
}
