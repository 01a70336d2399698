//! Credentials and permissions for an OpenAgentMesh. The crate opens no connection.
//!
//! * [`Role`] and [`Grants`] say what a user is for: which agents it serves or calls, and which shared values and files it
//!   may use.
//! * [`Permissions`] are the subjects that follow from them, and [`table`] compares all roles.
//! * [`Credentials`] are a user's JWT and key, as a `.creds` file has them.
//! * [`Store`] is a directory with the keys of a mesh and the list of its users.
//! * [`ServerConfig`] is a configuration with which `nats-server` enforces all of it, also as a [`ClusterMember`].
//!
//! # Example
//!
//! ```
//! use openagentmesh_auth::{Grants, Role, ServerConfig, Store};
//!
//! # let directory = tempfile::tempdir().unwrap();
//! # let directory = directory.path().join("auth");
//! let store = Store::init(&directory)?;
//! let grants = Grants::builder(Role::Worker).agent("shop.>".parse()?).build()?;
//! let credentials = store.add(&"shop-1".parse()?, &grants, None)?;
//! credentials.write(&directory.join("shop-1.creds"))?;
//! let configuration = ServerConfig::new(directory.join("jetstream")).render(&store)?;
//! assert!(configuration.contains("resolver_preload"));
//! # Ok::<(), openagentmesh_auth::AuthError>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod claims;
mod cluster;
mod credentials_file;
mod creds;
mod error;
mod grants;
mod jwt;
mod name;
mod pattern;
mod permissions;
mod private;
mod quote;
mod role;
mod server_config;
mod store;

pub use claims::{PermissionClaims, Subjects, UserClaims};
pub use cluster::ClusterMember;
pub use credentials_file::CredentialsFile;
pub use creds::{Credentials, MAX_CREDS_BYTES};
pub use error::AuthError;
pub use grants::{Grants, GrantsBuilder, SharedAccess};
pub use jwt::Claims;
pub use name::UserName;
pub use pattern::{Access, AgentPattern, FilePattern, Granted, KeyPattern};
pub use permissions::table;
pub use permissions::{Action, Effect, Permissions, Rule};
pub use role::Role;
pub use server_config::ServerConfig;
pub use store::{MAX_CONTROL_LINE, Store, User, UserState};
