//! `oam kv`.

use clap::{Args, Subcommand};

use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Print the value of a key
    ///
    /// Prints the bytes of the value unchanged. A terminal gets text only, with invisible characters
    /// escaped and a line break after it.
    Get(KvGet),
    /// Write the value of a key, replacing any previous value
    Put(KvWrite),
    /// Write the value of a key that has none
    Create(KvWrite),
    /// Write the value of a key if no other process has written the key since
    ///
    /// The write succeeds if the key still has the revision that was read (compare-and-swap), as
    /// `oam kv get KEY --json` prints it. Otherwise the error says which revision the key has now.
    Update(KvUpdate),
    /// Print the kept revisions of a key, oldest first
    ///
    /// A mesh keeps the last write of each key, unless the operator has raised the history of the bucket.
    History(KvHistory),
    /// Delete the value of a key
    Delete(KvDelete),
    /// List keys and their values
    List(KvList),
    /// Print the current values, then every change as it arrives
    ///
    /// Ctrl-C ends the command.
    Watch(KvWatch),
}

#[derive(Debug, Args)]
pub(crate) struct KvGet {
    /// Key: segments of letters, digits and - / _ =, separated by dots
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print a JSON object: the key, its revision, its time of writing, and the value
    ///
    /// The value is a string: the text, or base64 if the value is not UTF-8, marked by
    /// "encoding": "base64".
    #[arg(long)]
    pub(crate) json: bool,
}

/// The value of a command that writes.
#[derive(Debug, Args)]
pub(crate) struct KvValue {
    /// Value: text, @FILE, or - for stdin, which is also read if the value is absent
    ///
    /// A file and stdin are stored byte by byte.
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    pub(crate) text: Option<String>,
    /// Store VALUE as it stands, even if it is - or begins with @
    #[arg(long, requires = "text")]
    pub(crate) literal: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KvWrite {
    /// Key: segments of letters, digits and - / _ =, separated by dots
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) value: KvValue,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print the key and its new revision as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KvUpdate {
    #[command(flatten)]
    pub(crate) write: KvWrite,
    /// The revision that the key must have; 0 for a key that was never written
    #[arg(long, value_name = "N")]
    pub(crate) revision: u64,
}

#[derive(Debug, Args)]
pub(crate) struct KvHistory {
    /// Key: segments of letters, digits and - / _ =, separated by dots
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print a JSON array, oldest revision first
    ///
    /// "change" is "put" or "deleted"; the rest is as in `oam kv get --json`.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KvDelete {
    /// Key to delete
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct KvList {
    /// Pattern of keys; `*` matches one segment, `>` all that follow (quote them in the shell)
    #[arg(default_value = ">")]
    pub(crate) pattern: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON, with the values as in `oam kv get --json`, instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KvWatch {
    /// Pattern of keys; `*` matches one segment, `>` all that follow (quote them in the shell)
    #[arg(default_value = ">")]
    pub(crate) pattern: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Leave out the current values
    #[arg(long)]
    pub(crate) updates_only: bool,
    /// Print each change as a JSON object on one line
    ///
    /// "change" is "put" or "deleted"; the rest is as in `oam kv get --json`.
    #[arg(long)]
    pub(crate) json: bool,
}
