//! Errors of files, with hints.

use openagentmesh::{Error, ErrorCode, Workspace};

use crate::failure::Failure;
use crate::{hint, similar};

/// The workspace has no file of this name. Similar names are suggested, if the files can be listed quickly.
pub(super) async fn not_found(workspace: &Workspace, name: &str) -> Failure {
    let message = format!("file '{name}' not found in the workspace");
    let failure =
        Failure::mesh(ErrorCode::NotFound, message).hint("oam workspace list shows the files");
    let names = async {
        let files = workspace.list("").await?;
        Ok::<Vec<String>, Error>(files.into_iter().map(|file| file.name).collect())
    };
    hint::with_similar(failure, name, similar::among(name, names).await)
}
