//! The official release archive: download, check, unpack.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_native_certs::CertificateResult;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::install::{Staging, sha256_of};
use super::progress::Progress;
use crate::background::Cancellation;
use crate::platform::{Platform, SERVER_FILE_NAME};
use crate::{LocalError, background};

/// How long to wait for a connection before going another way.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait for the next part of a download.
const READ_PATIENCE: Duration = Duration::from_secs(20);

/// How long one download may take altogether.
const DOWNLOAD_PATIENCE: Duration = Duration::from_secs(180);

/// The most that is read, in bytes: several times the real sizes.
const MAX_SUMS: u64 = 64 * 1024;
const MAX_ARCHIVE: u64 = 128 * 1024 * 1024;
const MAX_PROGRAM: u64 = 256 * 1024 * 1024;

/// Why there is no program, for the list of attempts.
type Reason = String;

/// Downloads the archive from below `release_url`, checks it against the `SHA256SUMS` beside it,
/// and unpacks the program into `staging`. The inner error says why that did not work.
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
        // Giving up is no reason to go another way.
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
            "its SHA-256 is {actual}, but the release says {expected}"
        ));
    }
    let program = staging.path().join(SERVER_FILE_NAME);
    unpack(&archive, &program).map_err(|failure| format!("it cannot be unpacked: {failure}"))?;
    Ok(program)
}

/// An HTTP client with deadlines, which trusts the certificate authorities that the operating
/// system trusts. It uses the proxy that the environment names.
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
        .timeout_resolve(Some(CONNECT_PATIENCE))
        .timeout_connect(Some(CONNECT_PATIENCE))
        .timeout_recv_response(Some(READ_PATIENCE))
        .timeout_per_read(Some(READ_PATIENCE))
        .timeout_global(Some(DOWNLOAD_PATIENCE))
        .build()
        .new_agent())
}

fn no_root_certificates(searched: &CertificateResult) -> Reason {
    let mut reason = "the operating system has no root certificates to check the connection with; \
                      install them (on Linux the package is ca-certificates) or let SSL_CERT_FILE \
                      name a file of them"
        .to_owned();
    for failure in &searched.errors {
        reason.push_str(&format!("; {failure}"));
    }
    reason
}

/// The sum that the release's `SHA256SUMS` has for the archive, as lower-case hex.
fn expected_sum(agent: &Agent, release_url: &str, archive_name: &str) -> Result<String, Reason> {
    let url = format!("{release_url}/SHA256SUMS");
    let sums = agent
        .get(&url)
        .call()
        .and_then(|mut response| {
            response
                .body_mut()
                .with_config()
                .limit(MAX_SUMS)
                .read_to_string()
        })
        .map_err(|failure| format!("its SHA256SUMS cannot be read: {failure}"))?;
    // Each line has a sum and a file name, which a star may precede.
    sums.lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(_, name)| name.trim().trim_start_matches('*') == archive_name)
        .map(|(sum, _)| sum.to_ascii_lowercase())
        .ok_or_else(|| "the SHA256SUMS beside it do not list it".to_owned())
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
        .limit(MAX_ARCHIVE)
        .reader();
    let copied = (|| -> io::Result<()> {
        let mut file = File::create_new(path)?;
        let mut buffer = [0; 64 * 1024];
        loop {
            if cancellation.check().is_err() {
                return Err(io::Error::other("it was given up"));
            }
            let read = body.read(&mut buffer)?;
            if read == 0 {
                return file.flush();
            }
            file.write_all(&buffer[..read])?;
            progress.add(read as u64);
        }
    })();
    copied.map_err(|failure| format!("the download broke off: {failure}"))
}

/// Copies a program out of an archive; one of a size beyond reason is refused.
fn write_program(source: impl Read, program: &Path) -> io::Result<()> {
    let mut file = File::create(program)?;
    let copied = io::copy(&mut source.take(MAX_PROGRAM), &mut file)?;
    if copied == MAX_PROGRAM {
        return Err(io::Error::other("the program in it is too large"));
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
        "there is no {SERVER_FILE_NAME} in it"
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
        "there is no {SERVER_FILE_NAME} in it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_root_certificates_only_https_is_out_of_reach() {
        let reason = agent("https://mirror.example", CertificateResult::default()).unwrap_err();
        assert!(reason.contains("no root certificates"), "{reason}");
        assert!(agent("http://127.0.0.1:1", CertificateResult::default()).is_ok());
    }
}
