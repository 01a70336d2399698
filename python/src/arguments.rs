//! Arguments of the verbs: bodies, headers and durations.

use std::collections::BTreeMap;
use std::time::Duration;

use openagentmesh::Error;
use openagentmesh::serde_json::value::RawValue;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::{Serialize, Serializer};

use crate::errors::invalid;

/// The longest duration: longer ones mean that there is no limit.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The headers of a request or event, in the order of their names.
pub(crate) type Headers = Option<BTreeMap<String, String>>;

/// The input of a request: JSON, or nothing.
pub(crate) struct Input(Option<Box<RawValue>>);

impl Input {
    /// # Errors
    ///
    /// `invalid_input` when `body` is not JSON.
    pub(crate) fn new(body: Option<&[u8]>) -> Result<Self, Error> {
        body.map(json).transpose().map(Self)
    }
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(json) => json.serialize(serializer),
            None => serializer.serialize_unit(),
        }
    }
}

/// `bytes` as JSON, unchanged.
///
/// # Errors
///
/// `invalid_input` when they are not JSON.
pub(crate) fn json(bytes: &[u8]) -> Result<Box<RawValue>, Error> {
    openagentmesh::serde_json::from_slice(bytes).map_err(|error| {
        invalid(format!(
            "invalid input: {error}; one JSON value is allowed, without NaN and infinity"
        ))
    })
}

/// A duration of `seconds`.
///
/// # Errors
///
/// `ValueError` when it is negative or not a number.
pub(crate) fn duration(name: &str, seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!(
            "invalid {name}: {seconds} s; a number of seconds that is not negative is allowed"
        )));
    }
    let limited = seconds.min(MAX_DURATION.as_secs_f64());
    Ok(Duration::from_secs_f64(limited))
}

/// A duration of `seconds`, if it is given.
///
/// # Errors
///
/// As [`duration`].
pub(crate) fn optional(name: &str, seconds: Option<f64>) -> PyResult<Option<Duration>> {
    seconds.map(|seconds| duration(name, seconds)).transpose()
}
