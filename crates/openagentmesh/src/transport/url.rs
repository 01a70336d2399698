//! The URL of a mesh.

/// The URL of a mesh when neither the program nor the environment names one.
pub const DEFAULT_URL: &str = "nats://localhost:4222";

/// The URL without its login.
pub(crate) fn redact_credentials(urls: &str) -> String {
    let one = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => url.to_owned(),
        }
    };
    urls.split(',')
        .map(|url| one(url.trim()))
        .collect::<Vec<_>>()
        .join(",")
}
