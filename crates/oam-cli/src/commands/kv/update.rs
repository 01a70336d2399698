use openagentmesh::{AgentMesh, Error, ErrorCode};

use super::failure::key_failure;
use super::{value, written};
use crate::cli::{KvUpdate, KvWrite};
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::shell;

pub(crate) async fn run(arguments: KvUpdate, printer: &Printer) -> Result<(), Failure> {
    let KvUpdate { write, revision } = arguments;
    let KvWrite { key, .. } = write;
    let value = value::read(write.value, printer).await?;
    let mesh = connect(write.target).await?;
    let written = match mesh.kv().update(&key, value, revision).await {
        Ok(written) => written,
        Err(error) if error.code() == &ErrorCode::KvWrongRevision => {
            return Err(conflict(&mesh, &key, revision, error).await);
        }
        Err(error) => return Err(key_failure(error)),
    };
    written::print(&key, written, printer)
}

/// The failure of an update whose revision is not that of the key, with the one that the key has now.
async fn conflict(mesh: &AgentMesh, key: &str, expected: u64, error: Error) -> Failure {
    let word = shell::word(key);
    match mesh.kv().get(key).await {
        Ok(Some(current)) => {
            let message = format!(
                "key '{key}' has revision {}, not {expected}: it was written in between",
                current.revision
            );
            let mut failure = Failure::mesh(ErrorCode::KvWrongRevision, message)
                .hint(format!("oam kv get {word} --json shows the current value"));
            *failure.details = error.details().clone();
            let revision = current.revision.into();
            failure.details.insert("current".to_owned(), revision);
            failure
        }
        Ok(None) => {
            let message =
                format!("key '{key}' has no value, so that its revision is not {expected}");
            Failure::mesh(ErrorCode::KvWrongRevision, message)
                .hint(format!("oam kv create {word} VALUE writes the first value"))
        }
        // The write has failed for the first reason.
        Err(_) => error.into(),
    }
}
