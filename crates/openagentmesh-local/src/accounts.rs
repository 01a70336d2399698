//! Accounts of the caller's own, in a file beside the server's configuration.

use std::io::{self, Write as _};
use std::path::Path;

use crate::LocalError;

/// The name of the file in the server's directory. Its absence means that everyone may connect.
pub(crate) const ACCOUNTS_FILE: &str = "accounts.conf";

/// Writes the file, readable by this user only. A server reads the old text or the new one, never a part.
pub(crate) fn write(directory: &Path, text: &str) -> Result<(), LocalError> {
    let path = directory.join(ACCOUNTS_FILE);
    let written = || -> io::Result<()> {
        // Temporary files are private to their owner.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(LocalError::io("write", &path))
}

/// The text of the file in `directory`; `None` for a server without accounts of the caller's own.
pub(crate) fn read(directory: &Path) -> Result<Option<String>, LocalError> {
    let path = directory.join(ACCOUNTS_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(failure) => Err(LocalError::io("read", &path)(failure)),
    }
}
