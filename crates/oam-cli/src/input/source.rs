//! The bytes of an input that is not on the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use openagentmesh::ErrorCode;

use crate::failure::Failure;
use crate::printer::Printer;
use crate::stdin;

/// No server accepts a message above this limit.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The place of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Stdin,
    File(PathBuf),
}

impl Source {
    /// The place that an argument names: `-` and `@-` are stdin, `@FILE` is a file. `None` for an argument that is the
    /// input itself.
    ///
    /// # Errors
    ///
    /// If the name of the file is missing.
    pub(crate) fn of_argument(argument: &str) -> Result<Option<Self>, Failure> {
        match argument.strip_prefix('@') {
            None if argument == "-" => Ok(Some(Self::Stdin)),
            None => Ok(None),
            Some("-") => Ok(Some(Self::Stdin)),
            Some("") => Err(Failure::usage(
                "missing file name after @: @FILE reads a file, @- reads stdin",
            )),
            Some(path) => Ok(Some(Self::File(path.into()))),
        }
    }

    /// The place, for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// All bytes.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or are more than a message can carry. `what` names them, such as "the input".
    pub(crate) async fn read(&self, what: &str, printer: &Printer) -> Result<Vec<u8>, Failure> {
        let bytes = match self {
            Self::Stdin => stdin::bytes(MAX_BYTES + 1, printer).await?,
            Self::File(path) => file_bytes(path.clone()).await?,
        };
        if bytes.len() as u64 > MAX_BYTES {
            let message =
                format!("{what} is too large: no server accepts more than {MAX_BYTES} bytes");
            return Err(Failure::mesh(ErrorCode::PayloadTooLarge, message)
                .hint("oam workspace put NAME FILE shares content of any size"));
        }
        Ok(bytes)
    }
}

async fn file_bytes(path: PathBuf) -> Result<Vec<u8>, Failure> {
    let shown = path.display().to_string();
    let reading = tokio::task::spawn_blocking(move || read_file(&path));
    match reading.await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.kind() == io::ErrorKind::IsADirectory => Err(Failure::usage(
            format!("cannot read {shown}: the path is a directory"),
        )),
        Ok(Err(error)) => Err(Failure::usage(format!("cannot read {shown}: {error}"))),
        Err(error) => Err(Failure::usage(format!(
            "reading {shown} was aborted: {error}"
        ))),
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // Windows cannot open a directory, and reports a denied access.
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn argument_names_stdin_or_a_file() {
        let source = |argument| Source::of_argument(argument).unwrap();
        assert_eq!(source("-"), Some(Source::Stdin));
        assert_eq!(source("@-"), Some(Source::Stdin));
        assert_eq!(source("@in.json"), Some(Source::File("in.json".into())));
        assert_eq!(source("@@a"), Some(Source::File("@a".into())));
        for argument in ["", "--", "-1", "a@b", "{}"] {
            assert_eq!(source(argument), None, "{argument}");
        }
        assert!(Source::of_argument("@").is_err());
    }
}
