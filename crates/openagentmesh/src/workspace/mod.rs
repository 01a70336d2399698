//! Files, shared by all processes of the mesh.

mod chunk_reader;
mod content;
mod download;
mod files;
mod local_file;
mod metadata;
mod progress;
mod running_digest;
mod upload;
mod watch;

pub use download::{Download, ObjectReader};
pub use files::Workspace;
pub use metadata::ObjectInfo;
pub use progress::Progress;
pub use upload::Upload;
pub use watch::{ObjectChange, ObjectChanges, ObjectWatch};
