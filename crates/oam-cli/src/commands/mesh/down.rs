use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use openagentmesh::{AgentMesh, ErrorCode, URL_FILE, redacted_url};
use openagentmesh_local::{DetachedServer, KeptData};
use serde::Serialize;

use super::stored::{self, Stored};
use super::up::up_command;
use crate::cli::MeshDown;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::{shell, url_file};

/// The changes that the command has made, also before a failure.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    stopped: Vec<Stopped>,
    removed: Vec<PathBuf>,
    purged: Vec<PathBuf>,
    kept: Vec<PathBuf>,
    /// The same for people.
    #[serde(skip)]
    lines: Vec<String>,
    #[serde(skip)]
    notes: Vec<String>,
}

/// A mesh that was stopped.
#[derive(Debug, Serialize)]
struct Stopped {
    url: String,
    directory: PathBuf,
    data: Option<PathBuf>,
    deleted: Option<Stored>,
}

pub(crate) async fn run(arguments: MeshDown, printer: &Printer) -> Result<(), Failure> {
    let mut outcome = Outcome::default();
    let done = down(&arguments, &mut outcome).await;
    // A failure in the middle does not hide the changes before it.
    outcome.print(printer, done.is_ok())?;
    done
}

async fn down(arguments: &MeshDown, outcome: &mut Outcome) -> Result<(), Failure> {
    let mut purge = Purge::new(arguments).await?;
    let Some((path, url)) = url_file::nearest()? else {
        without_url_file(&mut purge, outcome).await?;
        return purge.rest(&url_file::working_directory()?, outcome).await;
    };
    let directory = path.parent().unwrap_or(&path).to_owned();
    if let Some(server) = DetachedServer::find_by_url(&url).await? {
        if arguments.force || is_here_or_above(server.started_in())? {
            stop(&server, &mut purge, outcome).await?;
            outcome.remove(&path)?;
            return purge.rest(server.started_in(), outcome).await;
        }
        return forget(&server, &path, &purge, outcome);
    }
    let redacted = redacted_url(&url);
    let is_gone = url_file::is_local(&url)
        && AgentMesh::connect(&url)
            .await
            .is_err_and(|error| error.code() == &ErrorCode::ConnectionFailed);
    if is_gone {
        outcome.remove(&path)?;
        outcome.lines.push(format!(
            "the mesh at {redacted} is not running; removed {}",
            shown(&path)
        ));
        return purge.rest(&directory, outcome).await;
    }
    Err(Failure::local(format!(
        "the mesh at {redacted}, named by {}, was not started by oam mesh up",
        path.display()
    ))
    .hint("stop it where it was started (Ctrl-C for oam mesh up --foreground)"))
}

/// The data that `--purge` deletes.
struct Purge {
    is_asked: bool,
    /// The directory that was named.
    named: Option<KeptData>,
    /// Whether the data of a stopped mesh was deleted.
    is_done: bool,
}

impl Purge {
    /// Fails before anything is changed if the named directory has no data.
    async fn new(arguments: &MeshDown) -> Result<Self, Failure> {
        let named = match &arguments.data {
            Some(path) => Some(KeptData::at(path).await?),
            None => None,
        };
        Ok(Self {
            is_asked: arguments.purge,
            named,
            is_done: false,
        })
    }

    /// Whether the data in `path`, of a mesh that is being stopped, is to be deleted.
    fn includes(&self, path: &Path) -> bool {
        self.is_asked && self.named.as_ref().is_none_or(|kept| kept.path() == path)
    }

    /// Deletes what is kept for `directory`, unless the data of a stopped mesh was deleted. Without `--purge`, names it
    /// if no mesh was stopped.
    async fn rest(self, directory: &Path, outcome: &mut Outcome) -> Result<(), Failure> {
        if self.is_done {
            return Ok(());
        }
        let kept = match self.named {
            Some(kept) => vec![kept],
            None => KeptData::of_directory(directory).await?,
        };
        if !self.is_asked {
            if outcome.stopped.is_empty() {
                kept.iter().for_each(|kept| outcome.keep(kept));
            }
            return Ok(());
        }
        match kept.as_slice() {
            [] => {
                outcome
                    .lines
                    .push("no data is kept for this directory".to_owned());
                Ok(())
            }
            [kept] => {
                let bytes = kept.size_bytes().await?;
                kept.purge().await?;
                outcome.lines.push(format!(
                    "deleted the data kept in {} ({})",
                    shown(kept.path()),
                    HumanBytes(bytes)
                ));
                outcome.purged.push(kept.path().to_owned());
                Ok(())
            }
            several => {
                let paths: Vec<String> = several.iter().map(|kept| shown(kept.path())).collect();
                let first = several.first().map_or(Path::new("DIR"), KeptData::path);
                let command = format!(
                    "oam mesh down --purge --data {}",
                    shell::word(&first.to_string_lossy())
                );
                Err(Failure::usage(format!(
                    "several directories have data that is kept for this one: {}; name one of them",
                    paths.join(", ")
                ))
                .hint(command))
            }
        }
    }
}

impl Outcome {
    /// Removes a `.oam-url`.
    fn remove(&mut self, path: &Path) -> Result<(), Failure> {
        if path.exists() {
            url_file::remove(path)?;
            self.removed.push(path.to_owned());
        }
        Ok(())
    }

    /// Removes a `.oam-url` if it still names `url`.
    fn remove_if_url(&mut self, path: &Path, url: &str) -> Result<(), Failure> {
        let existed = path.exists();
        url_file::remove_if_url(path, url)?;
        if existed && !path.exists() {
            self.removed.push(path.to_owned());
        }
        Ok(())
    }

    fn keep(&mut self, kept: &KeptData) {
        self.lines.push(format!(
            "data kept in {}; {} serves it again",
            shown(kept.path()),
            up_command(kept.path(), kept.nodes())
        ));
        self.kept.push(kept.path().to_owned());
    }

    /// Prints the outcome; of a command that failed only if there is one.
    fn print(&self, printer: &Printer, is_done: bool) -> Result<(), Failure> {
        if !is_done && self.stopped.is_empty() && self.removed.is_empty() && self.purged.is_empty()
        {
            return Ok(());
        }
        if printer.is_json() {
            printer.json(self)?;
        } else {
            for line in &self.lines {
                printer.line(line.as_str())?;
            }
        }
        for note in &self.notes {
            printer.note(note);
        }
        Ok(())
    }
}

/// Whether this directory is `started_in` or below it.
fn is_here_or_above(started_in: &Path) -> Result<bool, Failure> {
    let here = url_file::working_directory()?;
    // A removed directory has no canonical path, and no directory below it.
    let is_above = match (here.canonicalize(), started_in.canonicalize()) {
        (Ok(here), Ok(started_in)) => here.starts_with(started_in),
        _ => here.starts_with(started_in),
    };
    Ok(is_above)
}

/// Stops the server, and removes the `.oam-url` of the directory of its start. The data is counted before and deleted
/// after the server has stopped.
async fn stop(
    server: &DetachedServer,
    purge: &mut Purge,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let data = server.data_directory();
    let is_deleted = data.is_none_or(|data| purge.includes(data));
    let deleted = match is_deleted {
        true => stored::count(server.url()).await,
        false => None,
    };
    server.stop().await?;
    let line = format!("stopped the mesh at {}", server.url());
    outcome.lines.push(line);
    outcome.stopped.push(Stopped {
        url: server.url().to_owned(),
        directory: server.started_in().to_owned(),
        data: data.map(Path::to_owned),
        deleted,
    });
    outcome.remove_if_url(&server.started_in().join(URL_FILE), server.url())?;
    let Some(data) = data else {
        outcome.lines.extend(match deleted {
            Some(stored) if stored.is_empty() => None,
            Some(stored) => Some(format!("deleted {}", stored.in_words())),
            None => Some("deleted all that it stored".to_owned()),
        });
        return Ok(());
    };
    // The directory may have been removed by hand.
    let Ok(kept) = KeptData::at(data).await else {
        let line = format!("its data directory {} is gone", shown(data));
        outcome.lines.push(line);
        return Ok(());
    };
    if !is_deleted {
        outcome.keep(&kept);
        return Ok(());
    }
    kept.purge().await?;
    purge.is_done = true;
    outcome.purged.push(data.to_owned());
    let content = deleted.map_or_else(|| "the data".to_owned(), |stored| stored.in_words());
    outcome
        .lines
        .push(format!("deleted {content} kept in {}", shown(data)));
    Ok(())
}

/// Removes the `.oam-url` at `path`. The server belongs to another directory, and keeps running.
fn forget(
    server: &DetachedServer,
    path: &Path,
    purge: &Purge,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let started_in = server.started_in();
    if purge.is_asked {
        return Err(Failure::local(format!(
            "no data deleted: the mesh at {} was started in {}",
            server.url(),
            shown(started_in)
        ))
        .hint(format!("{} --purge", stop_command(server))));
    }
    outcome.remove(path)?;
    outcome.lines.push(format!(
        "removed {}; the mesh at {} keeps running: it was started in {}",
        shown(path),
        server.url(),
        shown(started_in)
    ));
    outcome
        .notes
        .push(format!("stop it with: {}", stop_command(server)));
    Ok(())
}

fn shown(path: &Path) -> String {
    on_one_line(&path.to_string_lossy())
}

/// The command that stops a mesh of another directory.
fn stop_command(server: &DetachedServer) -> String {
    let started_in = server.started_in();
    if started_in.is_dir() {
        let directory = started_in.to_string_lossy();
        format!("cd {} && oam mesh down", shell::word(&directory))
    } else {
        let url = server.url();
        format!("oam mesh connect {url} && oam mesh down --force")
    }
}

/// Without a `.oam-url`, a mesh that was started in this directory may still run.
async fn without_url_file(purge: &mut Purge, outcome: &mut Outcome) -> Result<(), Failure> {
    let here = url_file::working_directory()?;
    let running = DetachedServer::list().await?;
    for server in running.iter().filter(|server| server.started_in() == here) {
        // All users could replace the file, so that it was passed over.
        stop(server, purge, outcome).await?;
    }
    if !outcome.stopped.is_empty() {
        return Ok(());
    }
    if !purge.is_asked {
        outcome
            .lines
            .push("no mesh was started here; nothing to stop".to_owned());
    }
    for server in &running {
        outcome.notes.push(format!(
            "a mesh is running at {}; stop it with: {}",
            server.url(),
            stop_command(server)
        ));
    }
    Ok(())
}
