//! The mesh to connect to: `OAM_URL`, `.oam-url`, or the default.

use std::path::{Path, PathBuf};

use openagentmesh_protocol::ErrorCode;
use serde::Deserialize;

use super::credentials::expand_home;
use super::url_file;
use crate::error::{Error, Result};

/// The URL of a mesh when neither the program nor the environment names one.
pub const DEFAULT_URL: &str = "nats://localhost:4222";

/// The name of the file that names the mesh of a directory and of all directories below it.
pub const URL_FILE: &str = ".oam-url";

/// Environment variable that names the mesh.
pub const URL_VARIABLE: &str = "OAM_URL";

/// Environment variable that names a NATS credentials file.
pub const CREDENTIALS_VARIABLE: &str = "OAM_CREDS";

/// The address of a mesh, the credentials for it, and the source of the address.
///
/// The address comes from the first of: an explicit URL, `OAM_URL`, the nearest [`.oam-url`](URL_FILE)
/// in the working directory or above it, [`DEFAULT_URL`]. The credentials come from the first of: an
/// explicit path, `OAM_CREDS`, the nearest `.oam-url` if it has the same URL, none. A path may begin with `~`, the
/// home directory.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The server's URL, or those of several servers with commas between them. It may have a login.
    pub url: String,
    /// A NATS credentials file.
    pub credentials: Option<PathBuf>,
    /// The source of the URL, for messages.
    pub source: EndpointSource,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &redact_credentials(&self.url))
            .field("credentials", &self.credentials)
            .field("source", &self.source)
            .finish()
    }
}

/// The source of a mesh's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointSource {
    /// The program passed it.
    Explicit,
    /// The environment variable [`OAM_URL`](URL_VARIABLE).
    Variable,
    /// An `.oam-url` file.
    File(PathBuf),
    /// No source names a mesh, so that [`DEFAULT_URL`] applies.
    Default,
}

impl Endpoint {
    /// The endpoint for `url` and `credentials`; the environment names each that is `None`.
    ///
    /// # Errors
    ///
    /// `configuration` when the `.oam-url` that applies cannot be read or is malformed.
    ///
    /// ```
    /// use openagentmesh::Endpoint;
    ///
    /// let endpoint = Endpoint::resolve(Some("nats://127.0.0.1:4333"), None)?;
    /// assert_eq!(endpoint.url, "nats://127.0.0.1:4333");
    /// # Ok::<(), openagentmesh::Error>(())
    /// ```
    pub fn resolve(url: Option<&str>, credentials: Option<&Path>) -> Result<Self> {
        let directory = std::env::current_dir().ok();
        Environment {
            url: variable(URL_VARIABLE),
            credentials: variable(CREDENTIALS_VARIABLE),
            directory: directory.as_deref(),
        }
        .resolve(url, credentials)
    }

    /// The path of the [`.oam-url`](URL_FILE) that applies in `directory`: its own, or the nearest above it.
    ///
    /// On Unix, a file that another user may have written is passed over with a warning in the log: its owner
    /// is neither this user nor root, or all users can replace the files of its directory.
    #[must_use]
    pub fn nearest_file(directory: &Path) -> Option<PathBuf> {
        url_file::nearest(directory, URL_FILE, url_file::warn)
    }

    /// The endpoint that the [`.oam-url`](URL_FILE) at `path` names. The environment is not read.
    ///
    /// # Errors
    ///
    /// `configuration` when the file cannot be read or is malformed.
    pub fn from_file(path: &Path) -> Result<Self> {
        let file = read_url_file(path)?;
        Ok(Self {
            url: file.url,
            credentials: file.creds,
            source: EndpointSource::File(path.to_owned()),
        })
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The parts of the environment that name a mesh.
struct Environment<'a> {
    url: Option<String>,
    credentials: Option<String>,
    directory: Option<&'a Path>,
}

impl Environment<'_> {
    fn resolve(self, url: Option<&str>, credentials: Option<&Path>) -> Result<Endpoint> {
        let named = |url, source| Endpoint {
            url,
            credentials: None,
            source,
        };
        let mut endpoint = match (url, self.url) {
            (Some(url), _) => named(url.to_owned(), EndpointSource::Explicit),
            (None, Some(url)) => named(url, EndpointSource::Variable),
            (None, None) => match self.directory.and_then(Endpoint::nearest_file) {
                Some(path) => Endpoint::from_file(&path)?,
                None => named(DEFAULT_URL.to_owned(), EndpointSource::Default),
            },
        };
        let is_named = matches!(
            endpoint.source,
            EndpointSource::Explicit | EndpointSource::Variable
        );
        let is_given = credentials.is_some() || self.credentials.is_some();
        if is_named && !is_given {
            endpoint.credentials = credentials_of(&endpoint.url, self.directory);
        }
        if let Some(path) = credentials
            .map(Path::to_owned)
            .or(self.credentials.map(PathBuf::from))
        {
            endpoint.credentials = Some(expand_home(&path));
        }
        Ok(endpoint)
    }
}

/// The credentials file of the nearest `.oam-url`, if the URL in it is `url`. A malformed file does not
/// matter, because it does not name the mesh.
fn credentials_of(url: &str, directory: Option<&Path>) -> Option<PathBuf> {
    // A file that is passed over would not have named the mesh either.
    let path = url_file::nearest(directory?, URL_FILE, |_, _| {})?;
    let file = read_url_file(&path).ok()?;
    file.creds.filter(|_| url_file::is_same_url(&file.url, url))
}

#[derive(Deserialize)]
struct UrlFile {
    url: String,
    creds: Option<PathBuf>,
}

/// A URL on one line, or TOML with `url` and optional `creds`, which is relative to the file. Both may have
/// comments after `#`.
fn read_url_file(path: &Path) -> Result<UrlFile> {
    let invalid = |cause: String| {
        Error::raised(
            ErrorCode::Configuration,
            format!(
                "invalid file {}: {cause}; write a URL such as {DEFAULT_URL} into it, or remove it",
                path.display()
            ),
        )
    };
    let bytes = std::fs::read(path).map_err(|error| invalid(format!("cannot read it: {error}")))?;
    let text = url_file::decode(bytes).map_err(|cause| invalid(cause.to_owned()))?;
    let lines = text.lines().map(url_file::without_comment);
    let mut lines = lines.filter(|line| !line.is_empty());
    let first = lines
        .next()
        .ok_or_else(|| invalid("it is empty".to_owned()))?;
    if is_bare_url(first) {
        if lines.next().is_some() {
            return Err(invalid("it has more lines after the URL".to_owned()));
        }
        return Ok(UrlFile {
            url: first.to_owned(),
            creds: None,
        });
    }
    let mut file: UrlFile = toml::from_str(&text).map_err(|error| {
        invalid(format!(
            "expected a URL, or TOML with a url: {}",
            error.message()
        ))
    })?;
    if let (Some(creds), Some(directory)) = (&mut file.creds, path.parent()) {
        *creds = directory.join(expand_home(creds));
    }
    Ok(file)
}

/// TOML never has `://` before the first `=` or quote.
fn is_bare_url(line: &str) -> bool {
    let before_value = line.split(['=', '"', '\'']).next().unwrap_or(line);
    before_value.contains("://")
}

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

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str, file: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("oam-endpoint-{}-{name}", std::process::id()));
            std::fs::create_dir_all(path.join("below")).unwrap();
            std::fs::write(path.join(URL_FILE), file).unwrap();
            Self(path)
        }

        fn resolve(&self) -> Result<Endpoint> {
            let below = self.0.join("below");
            Environment {
                url: None,
                credentials: None,
                directory: Some(&below),
            }
            .resolve(None, None)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn url_file_above_the_working_directory_names_the_mesh() {
        let directory = Directory::new("bare", "\n nats://127.0.0.1:4242 \n");
        let endpoint = directory.resolve().unwrap();
        assert_eq!(endpoint.url, "nats://127.0.0.1:4242");
        assert_eq!(
            endpoint.source,
            EndpointSource::File(directory.0.join(URL_FILE))
        );
    }

    #[test]
    fn credentials_in_a_url_file_are_relative_to_it() {
        let directory = Directory::new(
            "toml",
            "# production\nurl = \"tls://mesh.example:4222\"\ncreds = \"a.creds\"\n",
        );
        let endpoint = directory.resolve().unwrap();
        assert_eq!(endpoint.url, "tls://mesh.example:4222");
        assert_eq!(endpoint.credentials, Some(directory.0.join("a.creds")));
    }

    #[test]
    fn malformed_url_file_is_an_error_with_its_path() {
        for (name, text) in [
            ("empty", ""),
            ("other", "host = 1"),
            ("garbage", "not a url"),
            ("comment", "# nothing"),
            ("two", "nats://a:1\ncreds = \"x\""),
        ] {
            let directory = Directory::new(name, text);
            let message = directory.resolve().unwrap_err().to_string();
            assert!(
                message.contains(&*directory.0.join(URL_FILE).to_string_lossy()),
                "{message}"
            );
        }
    }

    #[test]
    fn url_file_of_windows_tools_is_understood() {
        for (name, text, credentials) in [
            ("mark", "\u{feff}nats://a:1\r\n", None),
            (
                "crlf",
                "\r\n# production\r\nnats://a:1 # first\r\n# end\r\n",
                None,
            ),
            (
                "toml-crlf",
                "\u{feff}# production\r\nurl = \"nats://a:1\"\r\ncreds = \"x\"\r\n",
                Some("x"),
            ),
        ] {
            let directory = Directory::new(name, text);
            let endpoint = directory.resolve().unwrap();
            assert_eq!(endpoint.url, "nats://a:1", "{name}");
            let expected = credentials.map(|file| directory.0.join(file));
            assert_eq!(endpoint.credentials, expected, "{name}");
        }
        let directory = Directory::new("utf16", "");
        let utf16: Vec<u8> = "\u{feff}nats://a:1"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        std::fs::write(directory.0.join(URL_FILE), utf16).unwrap();
        let error = directory.resolve().unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Configuration);
        assert!(error.message().contains("UTF-16"), "{error}");
    }

    #[test]
    fn credentials_of_a_url_file_are_used_with_the_same_url() {
        let directory = Directory::new("same", "url = \"nats://a:4222\"\ncreds = \"file\"\n");
        let resolve = |variable: Option<&str>, creds: Option<&str>, url: Option<&str>| {
            let environment = Environment {
                url: variable.map(str::to_owned),
                credentials: creds.map(str::to_owned),
                directory: Some(&directory.0),
            };
            environment.resolve(url, None).unwrap().credentials
        };
        let file = Some(directory.0.join("file"));
        assert_eq!(resolve(None, None, Some("nats://a:4222")), file);
        assert_eq!(resolve(None, None, Some("a")), file);
        assert_eq!(resolve(Some("nats://a"), None, None), file);
        assert_eq!(resolve(Some("nats://a"), None, Some("nats://b")), None);
        assert_eq!(
            resolve(None, Some("variable"), Some("nats://a")),
            Some("variable".into())
        );
        std::fs::write(directory.0.join(URL_FILE), "nonsense").unwrap();
        assert_eq!(resolve(None, None, Some("nats://a:4222")), None);
    }

    #[cfg(unix)]
    #[test]
    fn url_file_of_another_user_is_passed_over() {
        use std::os::unix::fs::{PermissionsExt, chown};

        let directory = Directory::new("shared", "nats://evil:1");
        let mode = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&directory.0, permissions).unwrap();
        };
        mode(0o777);
        assert_ne!(directory.resolve().unwrap().url, "nats://evil:1");
        mode(0o755);
        assert_eq!(directory.resolve().unwrap().url, "nats://evil:1");
        let file = directory.0.join(URL_FILE);
        // Only root can give files away.
        if chown(&file, Some(12_345), None).is_ok() {
            assert_ne!(directory.resolve().unwrap().url, "nats://evil:1");
            assert_ne!(Endpoint::nearest_file(&directory.0), Some(file));
        }
    }

    #[test]
    fn explicit_url_and_variable_go_before_the_file() {
        let directory = Directory::new("order", "nats://file:1");
        let environment = |url: Option<&str>| Environment {
            url: url.map(str::to_owned),
            credentials: Some("env.creds".to_owned()),
            directory: Some(&directory.0),
        };
        let explicit = environment(Some("nats://env:1"))
            .resolve(Some("nats://flag:1"), None)
            .unwrap();
        assert_eq!(
            (explicit.url.as_str(), explicit.source),
            ("nats://flag:1", EndpointSource::Explicit)
        );
        let variable = environment(Some("nats://env:1"))
            .resolve(None, Some(Path::new("x")))
            .unwrap();
        assert_eq!(variable.url, "nats://env:1");
        assert_eq!(variable.credentials, Some(PathBuf::from("x")));
        assert_eq!(
            environment(None).resolve(None, None).unwrap().url,
            "nats://file:1"
        );
        let nothing = Environment {
            url: None,
            credentials: None,
            directory: None,
        };
        assert_eq!(nothing.resolve(None, None).unwrap().url, DEFAULT_URL);
    }

    #[test]
    fn redacted_url_has_no_login() {
        let redacted = redact_credentials;
        assert_eq!(redacted("nats://user:secret@host:4222"), "nats://host:4222");
        assert_eq!(redacted("user:secret@host:1"), "nats://host:1");
        assert_eq!(
            redacted("nats://a:1, nats://t@b:2"),
            "nats://a:1,nats://b:2"
        );
    }
}
