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

#[derive(Debug, Args)]
pub(crate) struct KvWrite {
    /// Key: segments of letters, digits and - / _ =, separated by dots
    pub(crate) key: String,
    /// Value; read from stdin, byte by byte, if absent or `-`
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print the key and its new revision as JSON
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
