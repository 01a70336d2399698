//! The official release archive: download, verification, unpacking.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_native_certs::CertificateResult;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::progress::Progress;
use super::staging::{Staging, sha256_of};
use crate::background::Cancellation;
use crate::platform::{Platform, SERVER_FILE_NAME};
use crate::{LocalError, background};

/// Maximum time to resolve a name or to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum time between two reads of a download.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum time of a whole download.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// Size limits, several times the real sizes.
const MAX_SUMS_BYTES: u64 = 64 * 1024;
const MAX_ARCHIVE_BYTES: u64 = 128 * 1024 * 1024;
const MAX_PROGRAM_BYTES: u64 = 256 * 1024 * 1024;

/// The reason why the program could not be obtained, for the list of attempts.
type Reason = String;

/// Downloads the archive from `release_url`, verifies it by the `SHA256SUMS` of that release, and
/// unpacks the program into `staging`. The inner error says why that failed.
pub(super) async fn fetch(
    release_url: &str,
    platform: Platform,
    staging: &Arc<Staging>,
) -> Result<Result<PathBuf, Reason>, LocalError> {
    let release_url = release_url.to_owned();
    let staging = Arc::clone(staging);
    background::run_on_thread("nats-server-download", move |cancellation| {
        let unpacked = fetch_blocking(
            &release_url,
            &platform.archive_name(),
            &staging,
            cancellation,
        );
        // A cancelled download is not a failed attempt.
        cancellation.check()?;
        Ok(unpacked)
    })
    .await
}

fn fetch_blocking(
    release_url: &str,
    archive_name: &str,
    staging: &Staging,
    cancellation: &Cancellation,
) -> Result<PathBuf, Reason> {
    let agent = agent(release_url, rustls_native_certs::load_native_certs())?;
    let expected = expected_sum(&agent, release_url, archive_name)?;
    let archive = staging.path().join(archive_name);
    download(
        &agent,
        &format!("{release_url}/{archive_name}"),
        &archive,
        cancellation,
    )?;
    let actual = sha256_of(&archive).map_err(|failure| failure.to_string())?;
    if actual != expected {
        return Err(format!(
            "SHA-256 mismatch: the archive has {actual}, the release lists {expected}"
        ));
    }
    let program = staging.path().join(SERVER_FILE_NAME);
    unpack(&archive, &program).map_err(|failure| format!("unpacking failed: {failure}"))?;
    Ok(program)
}

/// An HTTP client with timeouts, the operating system's certificate authorities, and the proxy of the
/// environment.
fn agent(release_url: &str, trusted: CertificateResult) -> Result<Agent, Reason> {
    let https_only = release_url.starts_with("https:");
    if https_only && trusted.certs.is_empty() {
        return Err(no_root_certificates(&trusted));
    }
    let roots = trusted
        .certs
        .iter()
        .map(|root| Certificate::from_der(root).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Ok(Agent::config_builder()
        .https_only(https_only)
        .tls_config(tls)
        .user_agent(concat!("openagentmesh-local/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(READ_TIMEOUT))
        .timeout_per_read(Some(READ_TIMEOUT))
        .timeout_global(Some(DOWNLOAD_TIMEOUT))
        .build()
        .new_agent())
}

fn no_root_certificates(searched: &CertificateResult) -> Reason {
    let mut reason =
        "no root certificates: the operating system has none to verify the connection \
                      with; install them (on Linux the package ca-certificates) or set \
                      SSL_CERT_FILE to a file of certificates"
            .to_owned();
    for failure in &searched.errors {
        reason.push_str(&format!("; {failure}"));
    }
    reason
}

/// The archive's SHA-256 sum in the release's `SHA256SUMS`, as lower-case hex.
fn expected_sum(agent: &Agent, release_url: &str, archive_name: &str) -> Result<String, Reason> {
    let url = format!("{release_url}/SHA256SUMS");
    let sums = agent
        .get(&url)
        .call()
        .and_then(|mut response| {
            response
                .body_mut()
                .with_config()
                .limit(MAX_SUMS_BYTES)
                .read_to_string()
        })
        .map_err(|failure| format!("SHA256SUMS of the release unreadable: {failure}"))?;
    // Each line has a sum and a file name, optionally with a star before the name.
    sums.lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(_, name)| name.trim().trim_start_matches('*') == archive_name)
        .map(|(sum, _)| sum.to_ascii_lowercase())
        .ok_or_else(|| format!("{archive_name} not found in the SHA256SUMS of the release"))
}

fn download(
    agent: &Agent,
    url: &str,
    path: &Path,
    cancellation: &Cancellation,
) -> Result<(), Reason> {
    let mut response = agent
        .get(url)
        .call()
        .map_err(|failure| failure.to_string())?;
    let length = response.body().content_length();
    let progress = Progress::of_download(length);
    let mut body = response
        .body_mut()
        .with_config()
        .limit(MAX_ARCHIVE_BYTES)
        .reader();
    let copied = (|| -> io::Result<()> {
        let mut file = File::create_new(path)?;
        let mut buffer = [0; 64 * 1024];
        loop {
            if cancellation.check().is_err() {
                return Err(io::Error::other("cancelled"));
            }
            let read = body.read(&mut buffer)?;
            if read == 0 {
                return file.flush();
            }
            file.write_all(&buffer[..read])?;
            progress.add(read as u64);
        }
    })();
    copied.map_err(|failure| format!("download incomplete: {failure}"))
}

/// Copies a program from an archive, up to [`MAX_PROGRAM_BYTES`].
fn write_program(source: impl Read, program: &Path) -> io::Result<()> {
    let mut file = File::create(program)?;
    let copied = io::copy(&mut source.take(MAX_PROGRAM_BYTES), &mut file)?;
    if copied == MAX_PROGRAM_BYTES {
        return Err(io::Error::other(format!(
            "the program in the archive is larger than {MAX_PROGRAM_BYTES} bytes"
        )));
    }
    Ok(())
}

#[cfg(not(windows))]
fn unpack(archive: &Path, program: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive)?));
    for entry in archive.entries()? {
        let entry = entry?;
        let is_program = entry.header().entry_type().is_file()
            && entry
                .path()?
                .file_name()
                .is_some_and(|name| name == SERVER_FILE_NAME);
        if is_program {
            return write_program(entry, program);
        }
    }
    Err(io::Error::other(format!(
        "{SERVER_FILE_NAME} not found in the archive"
    )))
}

#[cfg(windows)]
fn unpack(archive: &Path, program: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(archive)?).map_err(io::Error::other)?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(io::Error::other)?;
        let is_program = entry.is_file()
            && entry
                .name()
                .map_err(io::Error::other)?
                .rsplit('/')
                .next()
                .is_some_and(|name| name == SERVER_FILE_NAME);
        if is_program {
            return write_program(entry, program);
        }
    }
    Err(io::Error::other(format!(
        "{SERVER_FILE_NAME} not found in the archive"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_without_root_certificates_is_an_error_and_http_works() {
        let reason = agent("https://mirror.example", CertificateResult::default()).unwrap_err();
        assert!(reason.contains("no root certificates"), "{reason}");
        assert!(agent("http://127.0.0.1:1", CertificateResult::default()).is_ok());
    }
}
