//! The inputs of a target that are kept in the repository.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The inputs of one target.
pub struct Corpus {
    folder: PathBuf,
    /// Each input with the name of its file, sorted by name.
    pub inputs: Vec<(String, Vec<u8>)>,
}

impl Corpus {
    /// Reads the inputs of `target`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or there is none.
    pub fn read(target: &str) -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let folder = root.join(target);
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            inputs.push((name, fs::read(entry.path())?));
        }
        inputs.sort();
        if inputs.is_empty() {
            return Err(io::Error::other(format!(
                "empty corpus {}",
                folder.display()
            )));
        }
        Ok(Self { folder, inputs })
    }

    /// Keeps an input that made the target fail; returns its file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn keep(&self, input: &[u8]) -> io::Result<PathBuf> {
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        let file = self
            .folder
            .join(format!("failure-{:016x}", hasher.finish()));
        fs::write(&file, input)?;
        Ok(file)
    }
}
