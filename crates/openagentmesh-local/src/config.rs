//! The server's configuration file.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::LocalError;
use crate::accounts::{self, ACCOUNTS_FILE};
use crate::data::DataDirectory;
use crate::directory::private_file;
use crate::websocket::Origins;

/// The name of the configuration file in a server's directory.
pub(crate) const CONFIG_FILE: &str = "nats-server.conf";

/// Default of the maximum message size in bytes: 8 MiB.
pub(crate) const DEFAULT_MAX_PAYLOAD: u32 = 8 * 1024 * 1024;

/// User and password of the system account.
#[derive(Debug, Clone)]
pub(crate) struct SystemCredentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl SystemCredentials {
    pub(crate) fn random() -> Self {
        Self {
            user: "sys".to_owned(),
            password: random_password(),
        }
    }
}

/// The settings that the nodes of a cluster share.
#[derive(Debug, Clone)]
pub(crate) struct SharedConfig {
    /// The name of the cluster, which is unique.
    pub(crate) name: String,
    /// The port for routes of each node.
    pub(crate) route_ports: Vec<u16>,
    pub(crate) route_password: String,
    pub(crate) system: SystemCredentials,
    /// Maximum message size in bytes.
    pub(crate) max_payload: u32,
    /// The accounts at the start; see [`Config::accounts`].
    pub(crate) accounts: Option<String>,
}

/// The place of one server in a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) cluster: &'a SharedConfig,
    /// The index of the server among the nodes.
    pub(crate) index: usize,
}

/// The settings of one server.
#[derive(Debug)]
pub(crate) struct Config<'a> {
    /// The directory for the server's files.
    pub(crate) directory: &'a Path,
    /// The port for clients; 0 lets the server choose.
    pub(crate) port: u16,
    /// The origins of WebSocket clients, which use the next port. Without any, the port stays closed.
    pub(crate) websocket_origins: &'a Origins,
    /// Maximum message size in bytes.
    pub(crate) max_payload: u32,
    /// The place of the server in its cluster; `None` for a single server.
    pub(crate) member: Option<Member<'a>>,
    /// The directory that keeps the data; `None` for data that is removed with [`directory`](Self::directory).
    pub(crate) data: Option<&'a DataDirectory>,
    /// The accounts, in the syntax of the configuration; `None` for one that everyone may use without a login.
    pub(crate) accounts: Option<&'a str>,
}

impl Config<'_> {
    /// The name of the server, which is unique. In a cluster, the stored data names it.
    pub(crate) fn server_name(&self) -> String {
        let kept = self.data.and_then(|data| data.node_name(self.index()));
        kept.map_or_else(|| server_name(self.directory), str::to_owned)
    }

    /// The directory of the JetStream store.
    pub(crate) fn store(&self) -> PathBuf {
        match self.data {
            Some(data) => data.store(self.index()),
            None => self.directory.join("data"),
        }
    }

    fn index(&self) -> usize {
        self.member.as_ref().map_or(0, |member| member.index)
    }

    /// The port for WebSocket clients: `None` without one, 0 if the server chooses it.
    ///
    /// # Errors
    ///
    /// [`LocalError::InvalidPort`] if `port` is the last one, 65535.
    pub(crate) fn websocket_port(&self) -> Result<Option<u16>, LocalError> {
        if self.websocket_origins.is_empty() {
            return Ok(None);
        }
        match self.port {
            0 => Ok(Some(0)),
            port => match port.checked_add(1) {
                Some(next) => Ok(Some(next)),
                None => Err(LocalError::InvalidPort { port }),
            },
        }
    }

    /// Writes the file, readable by this user only. Returns its path and the credentials of the
    /// system account.
    pub(crate) fn write(&self) -> Result<(PathBuf, SystemCredentials), LocalError> {
        let system = match &self.member {
            Some(member) => member.cluster.system.clone(),
            None => SystemCredentials::random(),
        };
        let text = self.render(&system)?;
        if let Some(accounts) = self.accounts {
            accounts::write(self.directory, accounts)?;
        }
        let path = self.directory.join(CONFIG_FILE);
        private_file()
            .create_new(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(LocalError::io("write", &path))?;
        Ok((path, system))
    }

    fn render(&self, system: &SystemCredentials) -> Result<String, LocalError> {
        let directory = quoted_path(self.directory)?;
        Ok(format!(
            r#"# Written by openagentmesh-local; removed when the server is stopped.
listen: "127.0.0.1:{port}"
server_name: {name}
ports_file_dir: {directory}
log_file: {log}
max_payload: {max_payload}
ping_interval: "10s"
ping_max: 2
jetstream {{ store_dir: {data} }}
{cluster}{websocket}{accounts}"#,
            port = listen_port(self.port),
            name = quoted(&self.server_name()),
            log = quoted_path(&log_path(self.directory))?,
            max_payload = self.max_payload,
            data = quoted_path(&self.store())?,
            cluster = self.render_cluster(),
            websocket = self.render_websocket()?,
            accounts = self.render_accounts(system),
        ))
    }

    /// The accounts: by default one that everyone may use, and the system account.
    fn render_accounts(&self, system: &SystemCredentials) -> String {
        if self.accounts.is_some() {
            return format!("include \"{ACCOUNTS_FILE}\"\n");
        }
        format!(
            r#"accounts {{
  APP {{
    jetstream: enabled, users: [ {{ user: "app", password: "{app_password}" }} ]
    # The monitor of the mesh learns at once that a client has disconnected.
    imports: [ {{ stream: {{ account: SYS, subject: "$SYS.ACCOUNT.APP.DISCONNECT" }}, to: "mesh.sys.disconnect" }} ]
  }}
  SYS {{
    users: [ {{ user: "{system_user}", password: "{system_password}" }} ]
    exports: [ {{ stream: "$SYS.ACCOUNT.APP.DISCONNECT", accounts: [APP] }} ]
  }}
}}
no_auth_user: "app"
system_account: "SYS"
"#,
            app_password = random_password(),
            system_user = system.user,
            system_password = system.password,
        )
    }

    /// The block of the cluster; empty for a single server.
    fn render_cluster(&self) -> String {
        let Some(Member { cluster, index }) = self.member else {
            return String::new();
        };
        // The routes of all nodes, this one included: the server leaves its own out.
        let routes = cluster.route_ports.iter().map(|port| {
            format!(
                "\"nats-route://route:{}@127.0.0.1:{port}\"",
                cluster.route_password
            )
        });
        format!(
            r#"cluster {{
  name: {name}
  listen: "127.0.0.1:{port}"
  authorization {{ user: "route", password: "{password}" }}
  routes: [ {routes} ]
}}
"#,
            name = quoted(&cluster.name),
            port = cluster.route_ports[index],
            password = cluster.route_password,
            routes = routes.collect::<Vec<_>>().join(", "),
        )
    }

    /// The line of the WebSocket listener; empty without origins.
    ///
    /// `same_origin` is not used: a page could name a host that resolves to 127.0.0.1.
    fn render_websocket(&self) -> Result<String, LocalError> {
        let Some(port) = self.websocket_port()? else {
            return Ok(String::new());
        };
        let origins = self.websocket_origins.as_slice().iter();
        let origins: Vec<String> = origins.map(|origin| quoted(origin)).collect();
        Ok(format!(
            "websocket {{ listen: \"127.0.0.1:{}\", no_tls: true, allowed_origins: [{}] }}\n",
            listen_port(port),
            origins.join(", ")
        ))
    }
}

/// The default name of the server in `directory`.
pub(crate) fn server_name(directory: &Path) -> String {
    let id = directory.file_name().unwrap_or_default().to_string_lossy();
    format!("oam-{id}")
}

/// The log file of the server in `directory`.
pub(crate) fn log_path(directory: &Path) -> PathBuf {
    directory.join("nats-server.log")
}

/// The port in the configuration's syntax, where -1 lets the server choose.
fn listen_port(port: u16) -> i32 {
    if port == 0 { -1 } else { i32::from(port) }
}

/// 122 random bits as hex, which needs no escaping.
pub(crate) fn random_password() -> String {
    Uuid::new_v4().simple().to_string()
}

fn quoted_path(path: &Path) -> Result<String, LocalError> {
    match path.to_str() {
        Some(text) => Ok(quoted(text)),
        None => Err(LocalError::PathNotText {
            path: path.to_owned(),
        }),
    }
}

/// A double-quoted string in the syntax of the server's configuration.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_string_is_escaped() {
        assert_eq!(quoted(r#"a b"c\d"#), r#""a b\"c\\d""#);
        assert_eq!(quoted("tab\tbell\u{7}"), r#""tab\tbell\x07""#);
        assert_eq!(quoted("Zoë $HOME # {"), r#""Zoë $HOME # {""#);
    }

    #[test]
    fn websocket_port_after_the_last_port_is_an_error() {
        let config = |websocket_origins| Config {
            directory: Path::new("/d"),
            port: 65535,
            websocket_origins,
            max_payload: 1,
            member: None,
            data: None,
            accounts: None,
        };
        let origins = Origins::parse(&["http://localhost:3000".to_owned()]).unwrap();
        assert!(matches!(
            config(&origins).websocket_port(),
            Err(LocalError::InvalidPort { port: 65535 })
        ));
        assert!(matches!(
            config(&Origins::default()).websocket_port(),
            Ok(None)
        ));
    }
}
