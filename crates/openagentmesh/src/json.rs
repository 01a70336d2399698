//! JSON bodies. Texts, which many agents take and give whole, are read and written several times faster
//! than by `serde_json`, which looks at each of their bytes by itself.

mod text;

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::BorrowedStrDeserializer;

/// How many bytes are made room for at first, where it is not known how many there will be.
const USUAL: usize = 128;
/// From how many bytes on it pays to look at a body as a text first.
const LONG: usize = 1024;

/// Writes `value` as JSON.
///
/// # Errors
///
/// When it cannot be JSON.
pub(crate) fn to_vec(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Vec<u8>> {
    let mut json = serde_json::Serializer::new(Buffer::default());
    let mut text = None;
    value.serialize(text::Writer {
        json: &mut json,
        text: &mut text,
    })?;
    Ok(text.unwrap_or_else(|| json.into_inner().0))
}

/// Makes room when the first byte comes; plain texts make their own.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.capacity() == 0 {
            self.0.reserve(USUAL.max(bytes.len()));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads `json`.
///
/// # Errors
///
/// When it is not JSON, or no `T`.
pub(crate) fn from_slice<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    if json.len() >= LONG
        && let Some(text) = text::read(json)
        // What is made of a text in another way is left to the parser.
        && let Ok(value) = T::deserialize(BorrowedStrDeserializer::<serde_json::Error>::new(text))
    {
        return Ok(value);
    }
    serde_json::from_slice(json)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Name(String);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Choice {
        This,
    }

    /// Is written and read as by `serde_json`.
    fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
        let json = serde_json::to_vec(&value).unwrap();
        assert_eq!(to_vec(&value).unwrap(), json);
        assert_eq!(from_slice::<T>(&json).unwrap(), value);
    }

    #[test]
    fn everything_is_written_and_read_as_by_serde_json() {
        let long = "long ".repeat(LONG);
        for text in [
            "",
            "plain",
            "tab\t",
            "quote\"",
            "back\\slash",
            "ü",
            "\u{7f}\u{2028}",
            &long,
        ] {
            for text in [text.to_owned(), long.clone() + text] {
                same(text.clone());
                same(Some(text.clone()));
                same(Name(text.clone()));
                same(json!(text));
                same(json!({"text": text}));
                same(vec![text.clone()]);
                same(BTreeMap::from([(text.clone(), Name(text))]));
            }
        }
        same(Choice::This);
        same(());
        same(None::<String>);
        same('c');
        same(1.5);
    }

    #[test]
    fn what_is_no_text_is_an_error() {
        let long = "x".repeat(LONG);
        for json in [
            format!("\"{long}"),
            format!("\"{long}\" \"\""),
            format!("\"{long}\t\""),
        ] {
            from_slice::<String>(json.as_bytes()).unwrap_err();
        }
        let mut json = format!("\"{long}\"").into_bytes();
        json[LONG] = 0xff;
        from_slice::<String>(&json).unwrap_err();
        from_slice::<u32>(format!("\"{long}\"").as_bytes()).unwrap_err();
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_written_and_read_as_by_serde_json(start in "\\PC{0,40}", text in any::<String>()) {
            same(start.repeat(40) + &text);
        }

        #[test]
        fn any_bytes_are_read_as_by_serde_json(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let json = ["\"".as_bytes(), &b"x".repeat(LONG), &bytes, b"\""].concat();
            let expected = serde_json::from_slice::<Value>(&json).ok();
            prop_assert_eq!(from_slice::<Value>(&json).ok(), expected);
        }
    }
}
