//! Signals of a caller about a request that a host is serving.

use crate::header::{self, HeaderSink, HeaderSource, Known, is_true};

/// A caller's signal to the host that serves its request, sent to the reply subject of a chunk or a
/// probe.
///
/// ```
/// use openagentmesh_protocol::{CallerSignal, Headers};
///
/// let mut headers = Headers::default();
/// CallerSignal::Credit(8).write(&mut headers);
/// assert_eq!(CallerSignal::read(&headers), Some(CallerSignal::Credit(8)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallerSignal {
    /// The caller can take this many further chunks.
    Credit(u32),
    /// The caller has stopped waiting: the host cancels the request.
    Cancel,
    /// The caller still waits.
    Waiting,
}

impl CallerSignal {
    /// Reads the signal in a message; `None` if the message carries no valid signal.
    #[must_use]
    pub fn read(source: &impl HeaderSource) -> Option<Self> {
        let known = Known::read(source);
        if is_true(known.cancel) {
            return Some(Self::Cancel);
        }
        if is_true(known.probe) {
            return Some(Self::Waiting);
        }
        let credit = known.stream_credit.and_then(|v| v.parse().ok());
        credit.map(Self::Credit)
    }

    /// Writes the header of the signal.
    pub fn write(self, sink: &mut impl HeaderSink) {
        match self {
            Self::Credit(chunks) => sink.put(header::STREAM_CREDIT, &chunks.to_string()),
            Self::Cancel => sink.put(header::CANCEL, "true"),
            Self::Waiting => sink.put(header::PROBE, "true"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;
    use crate::envelope::Probe;

    #[test]
    fn written_signal_is_read() {
        for signal in [
            CallerSignal::Credit(0),
            CallerSignal::Credit(u32::MAX),
            CallerSignal::Cancel,
            CallerSignal::Waiting,
        ] {
            let mut headers = Headers::default();
            signal.write(&mut headers);
            assert_eq!(CallerSignal::read(&headers), Some(signal));
        }
        assert_eq!(CallerSignal::read(&Headers::default()), None);
    }

    #[test]
    fn written_probe_is_read_and_only_a_check_looks_like_an_answer() {
        for probe in [Probe::Check, Probe::Question] {
            let mut headers = Headers::default();
            probe.write(&mut headers);
            assert_eq!(Probe::read(&headers), Some(probe));
            let answer = (probe == Probe::Check).then_some(CallerSignal::Waiting);
            assert_eq!(CallerSignal::read(&headers), answer);
        }
        assert_eq!(Probe::read(&Headers::default()), None);
    }
}
