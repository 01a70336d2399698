//! The logs of the servers of a mesh, as one.

use openagentmesh_local::ServerLog;

use super::entry::Entry;
use super::file::LogFile;
use crate::failure::Failure;

/// Maximum number of lines in a batch.
const MAX_BATCH: usize = 256;

/// The lines of several logs in the order of their times, as far as they are in the files.
#[derive(Debug)]
pub(super) struct MergedLogs {
    sources: Vec<Source>,
    lines: Option<usize>,
    is_followed: bool,
    /// The number of lines to leave out at the beginning, so that the last ones of all logs are left.
    skipped: usize,
}

#[derive(Debug)]
struct Source {
    log: ServerLog,
    /// Absent before the first batch.
    file: Option<LogFile>,
    next: Option<Entry>,
    /// The time of the last line that has one: a line without a time belongs to the line before.
    time: String,
}

impl MergedLogs {
    /// The last `lines` lines of all `logs`; all lines without a limit.
    pub(super) fn new(logs: &[ServerLog], lines: Option<usize>, is_followed: bool) -> Self {
        let sources = logs.iter().map(|log| Source {
            log: log.clone(),
            file: None,
            next: None,
            time: String::new(),
        });
        Self {
            sources: sources.collect(),
            lines,
            is_followed,
            skipped: 0,
        }
    }

    /// The next lines that are in the files; none if all are read. Blocks while it reads. With `is_last`, the rest of a
    /// file counts as a line.
    pub(super) fn batch(&mut self, is_last: bool) -> Result<Vec<Entry>, Failure> {
        self.open()?;
        let is_cluster = self.sources.len() > 1;
        let mut batch = Vec::new();
        while batch.len() < MAX_BATCH {
            for source in &mut self.sources {
                source.peek(is_cluster, is_last)?;
            }
            let with_line = self.sources.iter_mut().filter(|s| s.next.is_some());
            let Some(first) = with_line.min_by(|a, b| a.time.cmp(&b.time)) else {
                break;
            };
            let entry = first.next.take();
            match self.skipped {
                0 => batch.extend(entry),
                _ => self.skipped -= 1,
            }
        }
        Ok(batch)
    }

    fn open(&mut self) -> Result<(), Failure> {
        let mut available = 0;
        let mut is_first = false;
        for source in &mut self.sources {
            if source.file.is_some() {
                continue;
            }
            is_first = true;
            let path = &source.log.path;
            let (file, found) =
                LogFile::open(path, self.lines).map_err(|error| unreadable(&source.log, &error))?;
            if !path.exists() && !self.is_followed {
                return Err(Failure::local(format!(
                    "cannot read {}: the mesh has just ended",
                    path.display()
                )));
            }
            available += found;
            source.file = Some(file);
        }
        if let (true, Some(lines)) = (is_first, self.lines) {
            self.skipped = available.saturating_sub(lines);
        }
        Ok(())
    }
}

impl Source {
    /// Reads the next line, unless it is read.
    fn peek(&mut self, is_cluster: bool, is_last: bool) -> Result<(), Failure> {
        let (None, Some(file)) = (&self.next, &mut self.file) else {
            return Ok(());
        };
        let line = file
            .line(is_last)
            .map_err(|error| unreadable(&self.log, &error))?;
        let Some(line) = line else { return Ok(()) };
        let entry = Entry::new(&self.log, is_cluster, &line);
        if let Some(time) = entry.time() {
            time.clone_into(&mut self.time);
        }
        self.next = Some(entry);
        Ok(())
    }
}

fn unreadable(log: &ServerLog, error: &std::io::Error) -> Failure {
    Failure::local(format!("cannot read {}: {error}", log.path.display()))
}
