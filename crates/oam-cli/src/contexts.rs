//! Changes of the stored contexts in `~/.agentmesh/contexts.toml`. Comments and unknown members are kept.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use openagentmesh::MeshContexts;
use tempfile::NamedTempFile;
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, value};

use crate::failure::Failure;

/// The name of the file whose lock serialises changes.
const LOCK_FILE: &str = "contexts.lock";

/// The time that a change waits for the change of another command.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval between attempts to take the lock.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A context as it is written.
pub(crate) struct NewContext {
    pub(crate) name: String,
    pub(crate) url: String,
    /// From the root, or below `~`.
    pub(crate) creds: Option<String>,
    pub(crate) description: Option<String>,
}

/// The document of the file, under the lock.
pub(crate) struct Document {
    /// The content before the change.
    pub(crate) contexts: MeshContexts,
    toml: DocumentMut,
}

impl Document {
    /// Adds a context, or replaces the URL, the credentials and the description of one.
    pub(crate) fn put(&mut self, context: &NewContext) {
        let contexts = self.toml.entry("contexts").or_insert_with(|| {
            let mut contexts = Table::new();
            // Without a header of its own.
            contexts.set_implicit(true);
            Item::Table(contexts)
        });
        let new = match contexts.is_inline_table() {
            true => value(InlineTable::new()),
            false => Item::Table(Table::new()),
        };
        let entry = &mut contexts[&context.name];
        if !entry.is_table_like() {
            *entry = new;
        }
        entry["url"] = value(&context.url);
        if let Some(entry) = entry.as_table_like_mut() {
            set(entry, "creds", context.creds.as_deref());
            set(entry, "description", context.description.as_deref());
        }
    }

    /// Selects a context, or none.
    pub(crate) fn select(&mut self, name: Option<&str>) {
        set(self.toml.as_table_mut(), "selected", name);
    }

    /// Removes a context.
    pub(crate) fn remove(&mut self, name: &str) {
        let contexts = self.toml.get_mut("contexts");
        if let Some(contexts) = contexts.and_then(Item::as_table_like_mut) {
            contexts.remove(name);
        }
    }
}

fn set(table: &mut dyn TableLike, member: &str, text: Option<&str>) {
    match text {
        Some(text) => drop(table.insert(member, value(text))),
        None => drop(table.remove(member)),
    }
}

/// Changes the contexts. Two commands change them one after the other. The file is replaced as a whole, and not at
/// all if `edit` fails. Returns its path and the result of `edit`.
///
/// # Errors
///
/// Those of `edit`, and if the file cannot be read, locked or written.
pub(crate) async fn change<T: Send + 'static>(
    edit: impl FnOnce(&mut Document) -> Result<T, Failure> + Send + 'static,
) -> Result<(PathBuf, T), Failure> {
    let changed = tokio::task::spawn_blocking(|| change_blocking(edit)).await;
    changed.map_err(|error| Failure::local(format!("cannot change the contexts: {error}")))?
}

fn change_blocking<T>(
    edit: impl FnOnce(&mut Document) -> Result<T, Failure>,
) -> Result<(PathBuf, T), Failure> {
    let path = MeshContexts::read()?.path().to_owned();
    let directory = path.parent().unwrap_or(Path::new(""));
    let cannot = |action: &str, path: &Path| {
        let prefix = format!("cannot {action} {}", path.display());
        move |error: std::io::Error| Failure::local(format!("{prefix}: {error}"))
    };
    create_private(directory).map_err(cannot("create", directory))?;
    let _lock = lock(&directory.join(LOCK_FILE))?;
    // Another command may have changed the file before the lock was taken.
    let contexts = MeshContexts::read()?;
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(cannot("read", &path)(error)),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let toml = text
        .parse()
        .map_err(|_| Failure::local(format!("cannot change {}: malformed TOML", path.display())))?;
    let mut document = Document { contexts, toml };
    let result = edit(&mut document)?;
    let changed = document.toml.to_string();
    if changed != text {
        replace(&path, &changed).map_err(cannot("write", &path))?;
    }
    Ok((path, result))
}

fn create_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// The lock on the file at `path`, until the value is dropped.
fn lock(path: &Path) -> Result<File, Failure> {
    let failed =
        |error: std::io::Error| Failure::local(format!("cannot lock {}: {error}", path.display()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(failed)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(Failure::local(format!(
                    "cannot lock {}: another command has held the lock for {} s; end that command and try again",
                    path.display(),
                    LOCK_TIMEOUT.as_secs()
                )));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL_INTERVAL),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// Replaces the file at `path`, or the file to which a link there leads. Temporary files are private from the start.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut file = NamedTempFile::new_in(target.parent().unwrap_or(Path::new("")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&target)?;
    Ok(())
}
