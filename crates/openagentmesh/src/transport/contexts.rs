//! The meshes of a user by name: `~/.agentmesh/contexts.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use openagentmesh_protocol::ErrorCode;
use serde::Deserialize;

use super::credentials::expand_home;
use super::trust::{distrusted, read_text};
use super::url::{malformation, redacted_url};
use crate::error::{Error, Result};

/// The maximum length of a context's name, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The maximum number of names in an error text.
const MAX_SHOWN_NAMES: usize = 12;

/// A mesh by name, with the credentials for it. `oam context add` stores it.
///
/// `Debug` does not show the login of the URL.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeshContext {
    /// The name: letters, digits and `- _ .`, of which the first is a letter or a digit; 64 bytes at most.
    pub name: String,
    /// The server's URL, or those of several servers with commas between them. It may have a login.
    pub url: String,
    /// A NATS credentials file.
    pub credentials: Option<PathBuf>,
    /// A text for people.
    pub description: Option<String>,
}

impl MeshContext {
    /// Checks the name of a context.
    ///
    /// # Errors
    ///
    /// `configuration` when it is invalid; the message has the allowed characters.
    ///
    /// ```
    /// use openagentmesh::MeshContext;
    ///
    /// assert!(MeshContext::check_name("prod.eu-1").is_ok());
    /// assert!(MeshContext::check_name("my mesh").is_err());
    /// ```
    pub fn check_name(name: &str) -> Result<()> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() <= MAX_NAME_BYTES
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(is_allowed)
        {
            return Ok(());
        }
        Err(Error::raised(
            ErrorCode::Configuration,
            format!(
                "invalid context name '{name}': only letters, digits and - _ . are allowed, a letter or a digit \
                 first, {MAX_NAME_BYTES} characters at most"
            ),
        ))
    }
}

impl std::fmt::Debug for MeshContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeshContext")
            .field("name", &self.name)
            .field("url", &redacted_url(&self.url))
            .field("credentials", &self.credentials)
            .field("description", &self.description)
            .finish()
    }
}

/// The contexts of this user, as `oam context` has stored them in `~/.agentmesh/contexts.toml`.
///
/// Commands and programs select one by its name: `--context`, [`MeshBuilder::context`](crate::MeshBuilder::context),
/// [`OAM_CONTEXT`](crate::CONTEXT_VARIABLE). `oam context use` selects the one that applies when nothing else names a
/// mesh; see [`Endpoint`](crate::Endpoint).
///
/// ```
/// for context in openagentmesh::MeshContexts::read()?.iter().flatten() {
///     println!("{}: {:?}", context.name, context.description);
/// }
/// # Ok::<(), openagentmesh::Error>(())
/// ```
#[derive(Clone)]
pub struct MeshContexts {
    path: PathBuf,
    selected: Option<String>,
    entries: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct ContextsFile {
    selected: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, toml::Value>,
}

impl MeshContexts {
    /// Reads the contexts of this user. A missing file has none. Blocks for the time of the read.
    ///
    /// # Errors
    ///
    /// `configuration` when the user has no home directory, when the file cannot be read or is malformed, or when
    /// another user may have written it.
    pub fn read() -> Result<Self> {
        let path = Self::path_of_user().ok_or_else(|| {
            configuration(
                "cannot read the contexts: the user has no home directory; set HOME".to_owned(),
            )
        })?;
        Self::read_file(&path)
    }

    /// The file of this user; `None` without a home directory.
    pub(super) fn path_of_user() -> Option<PathBuf> {
        let home = std::env::home_dir()?;
        (!home.as_os_str().is_empty()).then(|| home.join(".agentmesh").join("contexts.toml"))
    }

    /// As [`read`](Self::read), with the file at `path`.
    pub(super) fn read_file(path: &Path) -> Result<Self> {
        match Self::distrusted(path) {
            None => Self::parse(path),
            Some(reason) => Err(configuration(format!(
                "cannot use the contexts in {}: {reason}; change that, or remove the file",
                path.display()
            ))),
        }
    }

    /// The reason for which another user may have written the file at `path`. A missing file has none.
    pub(super) fn distrusted(path: &Path) -> Option<String> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            _ => distrusted(path),
        }
    }

    fn parse(path: &Path) -> Result<Self> {
        let mut contexts = Self {
            path: path.to_owned(),
            selected: None,
            entries: BTreeMap::new(),
        };
        if !path.exists() {
            return Ok(contexts);
        }
        let invalid = |cause: String| {
            configuration(format!(
                "invalid file {}: {cause}; correct it, or remove it and add the contexts again with oam context add",
                path.display()
            ))
        };
        let text = read_text(path).map_err(invalid)?;
        // The parser's message has no value of the file, which may have logins.
        let file: ContextsFile = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                let before = text.get(..span.start).unwrap_or_default();
                before.matches('\n').count() + 1
            });
            invalid(format!("malformed TOML in line {line}"))
        })?;
        contexts.selected = file.selected;
        contexts.entries = file.contexts;
        Ok(contexts)
    }

    /// The file that has the contexts. It exists only if one was added.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name that `oam context use` has selected. The context may have been removed from the file since.
    #[must_use]
    pub fn selected(&self) -> Option<&str> {
        self.selected.as_deref()
    }

    /// The names of the contexts, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The contexts, sorted by name. A malformed one is an error, and does not affect the others.
    pub fn iter(&self) -> impl Iterator<Item = Result<MeshContext>> + '_ {
        self.names().map(|name| self.get(name))
    }

    /// The context `name`.
    ///
    /// # Errors
    ///
    /// `configuration` when the name is invalid, when no context has it, or when the context is malformed.
    pub fn get(&self, name: &str) -> Result<MeshContext> {
        match self.entries.get(name) {
            Some(entry) => self.context(name, entry),
            None => {
                MeshContext::check_name(name)?;
                Err(configuration(format!(
                    "context '{name}' not found: {}; oam context add {name} URL adds it",
                    self.known()
                ))
                .with_detail("context", name))
            }
        }
    }

    /// The selected context, if one is.
    ///
    /// # Errors
    ///
    /// `configuration` when it is not in the file, or malformed.
    pub fn get_selected(&self) -> Result<Option<MeshContext>> {
        let Some(name) = &self.selected else {
            return Ok(None);
        };
        match self.entries.get(name) {
            Some(entry) => self.context(name, entry).map(Some),
            None => Err(configuration(format!(
                "selected context '{name}' not found: {}; oam context use NAME selects another, and oam context use \
                 --none selects none",
                self.known()
            ))
            .with_detail("context", name.as_str())),
        }
    }

    fn context(&self, name: &str, entry: &toml::Value) -> Result<MeshContext> {
        let invalid = |cause: &str| {
            configuration(format!(
                "invalid context '{name}' in {}: {cause}; oam context add {name} URL --replace replaces it",
                self.path.display()
            ))
            .with_detail("context", name)
        };
        let text = |member: &str| match entry.get(member) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(invalid(&format!("'{member}' must be a string"))),
        };
        MeshContext::check_name(name)
            .map_err(|_| configuration(format!(
                "invalid context name '{name}' in {}: only letters, digits and - _ . are allowed; rename it there",
                self.path.display()
            )))?;
        let url = text("url")?.filter(|url| !url.trim().is_empty());
        if let Some(cause) = url.as_deref().and_then(malformation) {
            return Err(invalid(cause));
        }
        let directory = self.path.parent().unwrap_or(Path::new(""));
        Ok(MeshContext {
            name: name.to_owned(),
            url: url.ok_or_else(|| invalid("'url' is missing"))?,
            credentials: text("creds")?.map(|creds| directory.join(expand_home(Path::new(&creds)))),
            description: text("description")?,
        })
    }

    /// The names, for an error text.
    fn known(&self) -> String {
        let mut names = self.names();
        let shown: Vec<_> = names.by_ref().take(MAX_SHOWN_NAMES).collect();
        match (shown.len(), names.count()) {
            (0, _) => "no contexts are stored".to_owned(),
            (1, 0) => format!("the only context is {}", shown.join("")),
            (_, 0) => format!("contexts are {}", shown.join(", ")),
            (_, more) => format!("contexts are {} and {more} more", shown.join(", ")),
        }
    }
}

impl std::fmt::Debug for MeshContexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeshContexts")
            .field("path", &self.path)
            .field("selected", &self.selected)
            .field("names", &self.entries.keys())
            .finish()
    }
}

fn configuration(message: String) -> Error {
    Error::raised(ErrorCode::Configuration, message)
}

#[cfg(test)]
mod tests;
