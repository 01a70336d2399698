//! Files that only this user can read.

use std::io;
use std::path::Path;

/// Restricts the file at `path` to this user.
///
/// # Errors
///
/// If its permissions cannot be set.
#[cfg(unix)]
pub(crate) fn restrict(path: &Path) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(path, Permissions::from_mode(0o600))
}

/// Restricts the file at `path` to this user: its access control list has one entry, and inherits none.
///
/// # Errors
///
/// If the list cannot be set.
#[cfg(windows)]
pub(crate) fn restrict(path: &Path) -> io::Result<()> {
    let variable = |name: &str| {
        std::env::var_os(name).ok_or_else(|| io::Error::other(format!("{name} is not set")))
    };
    // The standard library has no access control lists.
    let icacls = Path::new(&variable("SystemRoot")?).join(r"System32\icacls.exe");
    let mut grant = variable("USERDOMAIN")?;
    grant.push(r"\");
    grant.push(variable("USERNAME")?);
    grant.push(":F");
    let output = std::process::Command::new(icacls)
        .arg(path)
        .args(["/inheritance:r", "/grant:r"])
        .arg(grant)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "icacls failed: {}",
        stderr.trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::restrict;

    #[test]
    fn restricted_file_can_be_written_and_read_by_this_user() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "").unwrap();
        restrict(&path).unwrap();
        std::fs::write(&path, "a").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a");
        assert!(restrict(&directory.path().join("missing")).is_err());
    }
}
