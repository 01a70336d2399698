//! The mesh to connect to: a context, `OAM_URL`, `.oam-url`, or the default.

use std::path::{Path, PathBuf};

use super::contexts::{MeshContext, MeshContexts};
use super::credentials::expand_home;
use super::servers::Servers;
use super::url::{DEFAULT_URL, redacted_url, without_login};
use super::url_file;
use crate::error::Result;

/// The name of the file that names the mesh of a directory and of all directories below it.
pub const URL_FILE: &str = ".oam-url";

/// Environment variable that names the mesh.
pub const URL_VARIABLE: &str = "OAM_URL";

/// Environment variable that has the name of a [context](MeshContexts).
pub const CONTEXT_VARIABLE: &str = "OAM_CONTEXT";

/// Environment variable that names a NATS credentials file.
pub const CREDENTIALS_VARIABLE: &str = "OAM_CREDS";

/// The address of a mesh, the credentials for it, and the source of the address.
///
/// The first of these names the mesh, and [`source`](Self::source) says which one:
///
/// 1. an explicit URL or the name of a [context](MeshContexts);
/// 2. the variable [`OAM_URL`](URL_VARIABLE);
/// 3. the variable [`OAM_CONTEXT`](CONTEXT_VARIABLE);
/// 4. the nearest [`.oam-url`](URL_FILE) in the working directory or above it;
/// 5. the context that `oam context use` has selected;
/// 6. [`DEFAULT_URL`].
///
/// The credentials come from the first of:
///
/// 1. an explicit path, which also replaces the login of a URL that is not explicit;
/// 2. the context, if its name is explicit;
/// 3. the variable [`OAM_CREDS`](CREDENTIALS_VARIABLE);
/// 4. the context or the `.oam-url` that names the mesh, or the nearest `.oam-url` if it has the same URL.
///
/// A path may begin with `~`, the home directory.
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
            .field("url", &redacted_url(&self.url))
            .field("credentials", &self.credentials)
            .field("source", &self.source)
            .finish()
    }
}

/// The source of a mesh's address.
///
/// `Display` is a short text for messages, such as `OAM_URL` or `selected context prod`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointSource {
    /// The program, or an option of the command line, passed the URL.
    Explicit,
    /// The program, or an option of the command line, passed this name of a context.
    Context(String),
    /// The environment variable [`OAM_URL`](URL_VARIABLE).
    Variable,
    /// The environment variable [`OAM_CONTEXT`](CONTEXT_VARIABLE) has this name of a context.
    ContextVariable(String),
    /// An `.oam-url` file.
    File(PathBuf),
    /// The context of this name, which `oam context use` has selected.
    SelectedContext(String),
    /// No source names a mesh, so that [`DEFAULT_URL`] applies.
    Default,
}

impl EndpointSource {
    /// A stable word for programs: `option`, `context`, `oam_url`, `oam_context`, `file`, `selected_context` or
    /// `default`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Explicit => "option",
            Self::Context(_) => "context",
            Self::Variable => "oam_url",
            Self::ContextVariable(_) => "oam_context",
            Self::File(_) => "file",
            Self::SelectedContext(_) => "selected_context",
            Self::Default => "default",
        }
    }

    /// The name of the context that names the mesh, if one does.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        match self {
            Self::Context(name) | Self::ContextVariable(name) | Self::SelectedContext(name) => {
                Some(name)
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for EndpointSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Explicit => f.write_str("an option"),
            Self::Context(name) => write!(f, "context {name}"),
            Self::Variable => f.write_str(URL_VARIABLE),
            Self::ContextVariable(name) => write!(f, "context {name}, set by {CONTEXT_VARIABLE}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::SelectedContext(name) => write!(f, "selected context {name}"),
            Self::Default => f.write_str("the default"),
        }
    }
}

impl Endpoint {
    /// The endpoint for `url` and `credentials`; the environment names each that is `None`.
    ///
    /// # Errors
    ///
    /// `configuration` when the `.oam-url` or the file of contexts that applies cannot be read or is malformed, or
    /// when `OAM_CONTEXT` or the selection names a context that is not stored.
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
        Environment::of_process(directory.as_deref()).resolve(url, credentials)
    }

    /// The endpoint of the [context](MeshContexts) `name`. `credentials` replace those of the context and the login in
    /// its URL. A context without credentials has those of `OAM_CREDS`. `OAM_URL` and `.oam-url` do not matter.
    ///
    /// # Errors
    ///
    /// `configuration` when the context is not stored or is malformed.
    pub fn from_context(name: &str, credentials: Option<&Path>) -> Result<Self> {
        Environment::of_process(None).resolve_context(name, credentials)
    }

    /// Checks the URL without connecting.
    ///
    /// # Errors
    ///
    /// `configuration` when it is malformed, or when its scheme is not `nats` or `tls`.
    pub fn check_url(&self) -> Result<()> {
        Servers::parse(&self.url).map(drop)
    }

    /// The path of the [`.oam-url`](URL_FILE) that applies in `directory`: its own, or the nearest above it.
    ///
    /// On Unix, a file that another user may have written is passed over with a warning in the log: its owner
    /// is neither this user nor root, or all users can write it or replace the files of its directory.
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
        let file = url_file::read(path)?;
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
#[derive(Default)]
struct Environment<'a> {
    url: Option<String>,
    context: Option<String>,
    credentials: Option<String>,
    directory: Option<&'a Path>,
    /// The file of contexts.
    contexts: Option<PathBuf>,
}

impl<'a> Environment<'a> {
    fn of_process(directory: Option<&'a Path>) -> Self {
        Self {
            url: variable(URL_VARIABLE),
            context: variable(CONTEXT_VARIABLE),
            credentials: variable(CREDENTIALS_VARIABLE),
            directory,
            contexts: MeshContexts::path_of_user(),
        }
    }

    fn resolve(self, url: Option<&str>, credentials: Option<&Path>) -> Result<Endpoint> {
        let mut endpoint = self.named(url)?;
        let given = credentials.map(Path::to_owned);
        // They replace the login of a URL that the program did not pass with them.
        if given.is_some() && endpoint.source != EndpointSource::Explicit {
            endpoint.url = without_login(&endpoint.url);
        }
        match given.or(self.credentials.map(PathBuf::from)) {
            Some(path) => endpoint.credentials = Some(expand_home(&path)),
            None => {
                let has_url = matches!(
                    endpoint.source,
                    EndpointSource::Explicit | EndpointSource::Variable
                );
                if has_url {
                    endpoint.credentials = credentials_of(&endpoint.url, self.directory);
                }
            }
        }
        Ok(endpoint)
    }

    /// The endpoint before the environment's credentials.
    fn named(&self, url: Option<&str>) -> Result<Endpoint> {
        let at = |url: &str, source| Endpoint {
            url: url.to_owned(),
            credentials: None,
            source,
        };
        if let Some(url) = url {
            return Ok(at(url, EndpointSource::Explicit));
        }
        if let Some(url) = &self.url {
            return Ok(at(url, EndpointSource::Variable));
        }
        if let Some(name) = &self.context {
            let source = EndpointSource::ContextVariable(name.clone());
            return Ok(Endpoint::of(self.contexts()?.get(name)?, source));
        }
        if let Some(path) = self.directory.and_then(Endpoint::nearest_file) {
            return Endpoint::from_file(&path);
        }
        if let Some(context) = self.selected()? {
            let source = EndpointSource::SelectedContext(context.name.clone());
            return Ok(Endpoint::of(context, source));
        }
        Ok(at(DEFAULT_URL, EndpointSource::Default))
    }

    fn resolve_context(self, name: &str, credentials: Option<&Path>) -> Result<Endpoint> {
        let source = EndpointSource::Context(name.to_owned());
        let mut endpoint = Endpoint::of(self.contexts()?.get(name)?, source);
        let own = endpoint.credentials.take();
        let given = credentials.map(Path::to_owned);
        if given.is_some() {
            endpoint.url = without_login(&endpoint.url);
        }
        let path = given.or(own).or(self.credentials.map(PathBuf::from));
        endpoint.credentials = path.map(|path| expand_home(&path));
        Ok(endpoint)
    }

    fn contexts(&self) -> Result<MeshContexts> {
        match &self.contexts {
            Some(path) => MeshContexts::read_file(path),
            None => MeshContexts::read(),
        }
    }

    /// The selected context. A file that another user may have written is passed over with a warning.
    fn selected(&self) -> Result<Option<MeshContext>> {
        let Some(path) = &self.contexts else {
            return Ok(None);
        };
        if let Some(reason) = MeshContexts::distrusted(path) {
            url_file::warn(path, &reason);
            return Ok(None);
        }
        MeshContexts::read_file(path)?.get_selected()
    }
}

impl Endpoint {
    fn of(context: MeshContext, source: EndpointSource) -> Self {
        Self {
            url: context.url,
            credentials: context.credentials,
            source,
        }
    }
}

/// The credentials file of the nearest `.oam-url`, if the URL in it is `url`. A malformed file does not
/// matter, because it does not name the mesh.
fn credentials_of(url: &str, directory: Option<&Path>) -> Option<PathBuf> {
    // A file that is passed over would not have named the mesh either.
    let path = url_file::nearest(directory?, URL_FILE, |_, _| {})?;
    let file = url_file::read(&path).ok()?;
    file.creds.filter(|_| url_file::is_same_url(&file.url, url))
}

#[cfg(test)]
mod tests;
