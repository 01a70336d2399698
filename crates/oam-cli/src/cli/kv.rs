//! `oam kv`.

use clap::{Args, Subcommand};

use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Print the value of a key
    ///
    /// Prints the bytes of the value unchanged. A terminal gets text only, with invisible characters
    /// escaped and a line break after it.
    ///
    /// With --json, an object: the key, its revision, "created" (the time of writing) and the value, a
    /// string: the text, or base64 if the value is not UTF-8, marked by "encoding": "base64".
    Get(KvGet),
    /// Write the value of a key, replacing any previous value
    #[command(alias = "set")]
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
    ///
    /// With --json, an array of objects: "change" is "put" or "deleted", and the rest is as in
    /// `oam kv get --json`.
    History(KvHistory),
    /// Delete the value of a key
    ///
    /// With --json, an object with the number of deleted values: {"deleted": 1}.
    #[command(alias = "del", alias = "rm")]
    Delete(KvDelete),
    /// List keys and their values
    ///
    /// With --json, an array of the objects that `oam kv get --json` prints.
    #[command(alias = "ls")]
    List(KvList),
    /// Print the current values, then every change as it arrives
    ///
    /// Ctrl-C ends the command. With --json, each change is an object on one line: "change" is "put" or
    /// "deleted", and the rest is as in `oam kv get --json`.
    Watch(KvWatch),
}

#[derive(Debug, Args)]
pub(crate) struct KvGet {
    /// Key: segments of letters, digits and - / _ =, separated by dots
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) target: Target,
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
}
