//! A part of the result, as it is written to stdout.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::failure::Failure;
use crate::json;

/// A part of the result, followed by a line break.
#[derive(Debug)]
pub(crate) enum Line {
    /// Text with styles, which are written only to a terminal.
    Text(String),
    /// A value, over several lines if `pretty`. Formatted while it is written, because the
    /// indentation of a deep value is many times larger than the value.
    Json { value: Box<RawValue>, pretty: bool },
}

impl Line {
    /// A value on one line, or over several if `pretty`.
    pub(crate) fn json(value: Box<RawValue>, pretty: bool) -> Self {
        Self::Json { value, pretty }
    }

    /// A serialized value, over several lines if `pretty`.
    ///
    /// # Errors
    ///
    /// If the value cannot be serialized as JSON.
    pub(crate) fn serialized(value: &impl Serialize, pretty: bool) -> Result<Self, Failure> {
        let value = to_raw_value(value).map_err(json::serialize_failure)?;
        Ok(Self::Json { value, pretty })
    }

    /// Writes the line to stdout, and flushes it.
    pub(crate) fn write(&self) -> io::Result<()> {
        match self {
            Self::Text(text) => {
                let mut stdout = BufWriter::new(anstream::stdout().lock());
                stdout.write_all(text.as_bytes())?;
                end(stdout)
            }
            Self::Json { value, pretty } => {
                let mut stdout = BufWriter::new(io::stdout().lock());
                json::write(&mut stdout, value, *pretty)?;
                end(stdout)
            }
        }
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

fn end(mut stdout: BufWriter<impl Write>) -> io::Result<()> {
    stdout.write_all(b"\n")?;
    stdout.flush()
}
