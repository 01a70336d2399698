//! Reading configuration files: their owner, permissions, size and encoding.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The maximum size of a configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The reason for which another user may have written the file at `path`.
#[cfg(unix)]
pub(super) fn distrusted(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let check = || -> std::io::Result<Option<String>> {
        let user = rustix::process::geteuid().as_raw();
        // The owner of a link decides where it leads.
        for file in [std::fs::symlink_metadata(path)?, std::fs::metadata(path)?] {
            if is_foreign(file.uid(), user) {
                return Ok(Some(format!("it is owned by another user, {}", file.uid())));
            }
        }
        if std::fs::metadata(path)?.mode() & OTHERS_WRITE != 0 {
            return Ok(Some("it is writable by all users".to_owned()));
        }
        let target = path.canonicalize()?;
        for directory in [path.parent(), target.parent()].into_iter().flatten() {
            if is_writable_by_all(std::fs::metadata(directory)?.mode()) {
                return Ok(Some("its directory is writable by all users".to_owned()));
            }
        }
        Ok(None)
    };
    check().unwrap_or_else(|error| Some(format!("cannot read its owner: {error}")))
}

#[cfg(not(unix))]
pub(super) fn distrusted(_path: &Path) -> Option<String> {
    None
}

/// The permission bit that lets all users write.
#[cfg(unix)]
const OTHERS_WRITE: u32 = 0o002;

#[cfg(unix)]
fn is_foreign(owner: u32, user: u32) -> bool {
    owner != user && owner != 0
}

/// Whether any user can replace a file in a directory with this `mode`. In a sticky directory, such as
/// `/tmp`, only the owner of a file can.
#[cfg(unix)]
fn is_writable_by_all(mode: u32) -> bool {
    const STICKY: u32 = 0o1000;
    mode & OTHERS_WRITE != 0 && mode & STICKY == 0
}

/// The text of a file in UTF-8, without a byte order mark.
///
/// # Errors
///
/// The cause, when the file is not UTF-8.
fn decode(bytes: Vec<u8>) -> Result<String, &'static str> {
    if is_utf16(&bytes) {
        return Err("it is UTF-16, not UTF-8");
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    })
}

/// By its byte order mark, or by a first character of two bytes, one of them zero.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

/// The text of a file in UTF-8, without a byte order mark.
///
/// # Errors
///
/// The cause, when the file cannot be read, is too large or is not UTF-8.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let cannot_read = |error: std::io::Error| format!("cannot read it: {error}");
    let file = File::open(path).map_err(cannot_read)?;
    let mut bytes = Vec::new();
    let mut limited = file.take(MAX_FILE_BYTES + 1);
    limited.read_to_end(&mut bytes).map_err(cannot_read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    decode(bytes).map_err(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn file_of_another_user_is_foreign_unless_that_is_root() {
        assert!(is_foreign(1001, 1000));
        assert!(is_foreign(1000, 0));
        assert!(!is_foreign(1000, 1000));
        assert!(!is_foreign(0, 1000));
    }

    #[cfg(unix)]
    #[test]
    fn directory_writable_by_all_is_one_where_all_can_replace_files() {
        for (mode, expected) in [
            (0o755, false),
            (0o775, false),
            (0o777, true),
            (0o1777, false),
        ] {
            assert_eq!(is_writable_by_all(mode), expected, "{mode:o}");
        }
    }

    #[test]
    fn file_of_another_encoding_is_named() {
        assert_eq!(decode(b"nats://a".to_vec()).unwrap(), "nats://a");
        assert_eq!(
            decode(b"\xef\xbb\xbfnats://a".to_vec()).unwrap(),
            "nats://a"
        );
        for bytes in [&b"\xff\xfen\0"[..], b"\xfe\xff\0n", b"n\0a\0", b"\0n\0a"] {
            assert!(decode(bytes.to_vec()).unwrap_err().contains("UTF-16"));
        }
        assert!(decode(b"nats://\xe9".to_vec()).is_err());
    }
}
