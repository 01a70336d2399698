//! A log file that grows, and that may be replaced or truncated.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The size of a read.
const READ_BYTES: usize = 16 * 1024;

/// A longer line is split.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Reads the lines of a file in order.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// Absent before the file exists.
    file: Option<File>,
    /// The number of bytes of the file that were read.
    position: u64,
    /// The bytes that were read after the last whole line.
    rest: Vec<u8>,
}

impl LogFile {
    /// The file at `path`, from its last `lines` lines on, and how many of these there are; all of them without a limit.
    ///
    /// # Errors
    ///
    /// If the file exists and cannot be read.
    pub(super) fn open(path: &Path, lines: Option<usize>) -> io::Result<(Self, usize)> {
        let mut log = Self {
            path: path.to_owned(),
            file: None,
            position: 0,
            rest: Vec::new(),
        };
        log.reopen()?;
        let mut found = 0;
        if let (Some(file), Some(lines)) = (&mut log.file, lines) {
            (log.position, found) = start_of_last_lines(file, lines)?;
            file.seek(SeekFrom::Start(log.position))?;
        }
        Ok((log, found))
    }

    /// The next line that is in the file, without its line break. `None` if there is no whole line.
    ///
    /// With `is_last`, the rest of the file counts as a line.
    pub(super) fn line(&mut self, is_last: bool) -> io::Result<Option<Vec<u8>>> {
        // The part of `rest` without a line break.
        let mut searched = 0;
        loop {
            if let Some(end) = self.rest[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=searched + end).collect();
                line.pop();
                return Ok(Some(line));
            }
            searched = self.rest.len();
            if searched >= MAX_LINE_BYTES {
                return Ok(Some(self.rest.drain(..MAX_LINE_BYTES).collect()));
            }
            if self.read()? > 0 {
                continue;
            }
            // Nothing follows in this file: what is left of it is a line if another file takes its place.
            let is_replaced = self.follow()?;
            if (is_replaced || is_last) && !self.rest.is_empty() {
                return Ok(Some(std::mem::take(&mut self.rest)));
            }
            if !is_replaced {
                return Ok(None);
            }
            searched = 0;
        }
    }

    /// Reads once more. Returns the number of bytes.
    fn read(&mut self) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Ok(0);
        };
        let length = self.rest.len();
        self.rest.resize(length + READ_BYTES, 0);
        let read = file.read(&mut self.rest[length..]);
        self.rest.truncate(length + *read.as_ref().unwrap_or(&0));
        let read = read?;
        self.position += read as u64;
        Ok(read)
    }

    /// Goes on at the beginning of a file that was truncated, or that has taken the place of this one. Returns whether
    /// it did.
    fn follow(&mut self) -> io::Result<bool> {
        let current = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            // Between two files, or removed with its server.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(file) = &mut self.file else {
            return self.reopen();
        };
        if !is_same(&file.metadata()?, &current) {
            return self.reopen();
        }
        if current.len() < self.position {
            file.rewind()?;
            self.position = 0;
            return Ok(true);
        }
        Ok(false)
    }

    /// Opens the file from its beginning, if it exists.
    fn reopen(&mut self) -> io::Result<bool> {
        match File::open(&self.path) {
            Ok(file) => {
                self.file = Some(file);
                self.position = 0;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether both are of one file.
#[cfg(unix)]
fn is_same(open: &Metadata, current: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    (open.dev(), open.ino()) == (current.dev(), current.ino())
}

/// Whether both are of one file, as far as the time of its creation tells.
#[cfg(not(unix))]
fn is_same(open: &Metadata, current: &Metadata) -> bool {
    match (open.created(), current.created()) {
        (Ok(open), Ok(current)) => open == current,
        _ => true,
    }
}

/// The position of the last `lines` lines, and how many there are.
fn start_of_last_lines(file: &mut File, lines: usize) -> io::Result<(u64, usize)> {
    let length = file.metadata()?.len();
    if lines == 0 {
        return Ok((length, 0));
    }
    let mut position = length;
    let mut found = 0;
    let mut block = [0; READ_BYTES];
    while position > 0 {
        let start = position.saturating_sub(READ_BYTES as u64);
        let Ok(size) = usize::try_from(position - start) else {
            break;
        };
        file.seek(SeekFrom::Start(start))?;
        match file.read_exact(&mut block[..size]) {
            Ok(()) => {}
            // Truncated by another process.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok((0, 0)),
            Err(error) => return Err(error),
        }
        for (index, byte) in block[..size].iter().enumerate().rev() {
            let after = start + index as u64 + 1;
            // The last line break ends the last line.
            if *byte == b'\n' && after < length {
                found += 1;
                if found == lines {
                    return Ok((after, found));
                }
            }
        }
        position = start;
    }
    Ok((0, found + usize::from(length > 0)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(log: &mut LogFile, is_last: bool) -> Vec<String> {
        std::iter::from_fn(|| log.line(is_last).unwrap())
            .map(|line| String::from_utf8(line).unwrap())
            .collect()
    }

    #[test]
    fn last_lines_of_a_file_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let long = "x".repeat(READ_BYTES);
        std::fs::write(&path, format!("1\n{long}\n3\n")).unwrap();
        for (limit, expected) in [
            (Some(0), vec![]),
            (Some(1), vec!["3"]),
            (Some(2), vec![&*long, "3"]),
            (Some(3), vec!["1", &long, "3"]),
            (Some(9), vec!["1", &long, "3"]),
        ] {
            let (mut log, found) = LogFile::open(&path, limit).unwrap();
            assert_eq!(found, expected.len());
            assert_eq!(lines(&mut log, false), expected);
        }
        let (mut log, _) = LogFile::open(&path, None).unwrap();
        assert_eq!(lines(&mut log, false).len(), 3);
    }

    #[test]
    fn line_is_complete_with_its_line_break_or_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let (mut log, _) = LogFile::open(&path, Some(5)).unwrap();
        assert_eq!(lines(&mut log, false), Vec::<String>::new());
        let mut writer = File::create(&path).unwrap();
        write!(writer, "a\nb").unwrap();
        assert_eq!(lines(&mut log, false), ["a"]);
        write!(writer, "c").unwrap();
        assert_eq!(lines(&mut log, false), Vec::<String>::new());
        assert_eq!(lines(&mut log, true), ["bc"]);
    }

    #[test]
    fn rotated_and_truncated_files_are_read_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        std::fs::write(&path, "1\n").unwrap();
        let (mut log, _) = LogFile::open(&path, None).unwrap();
        assert_eq!(lines(&mut log, false), ["1"]);
        let mut old = File::options().append(true).open(&path).unwrap();
        std::fs::rename(&path, directory.path().join("x.log.1")).unwrap();
        write!(old, "2\nrest").unwrap();
        std::fs::write(&path, "3\n").unwrap();
        assert_eq!(lines(&mut log, false), ["2", "rest", "3"]);
        std::fs::write(&path, "4\n").unwrap();
        // Truncated to the same length: only a shorter file is seen.
        File::create(&path).unwrap();
        assert_eq!(lines(&mut log, false), Vec::<String>::new());
        std::fs::write(&path, "5\n").unwrap();
        assert_eq!(lines(&mut log, false), ["5"]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(lines(&mut log, true), Vec::<String>::new());
    }

    #[test]
    fn long_line_is_split() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        std::fs::write(&path, vec![b'x'; 3 * MAX_LINE_BYTES]).unwrap();
        let (mut log, _) = LogFile::open(&path, None).unwrap();
        let lengths: Vec<usize> = lines(&mut log, true).iter().map(String::len).collect();
        assert!(
            lengths
                .iter()
                .all(|length| *length <= MAX_LINE_BYTES + READ_BYTES)
        );
        assert_eq!(lengths.iter().sum::<usize>(), 3 * MAX_LINE_BYTES);
    }
}
