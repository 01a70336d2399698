use openagentmesh_auth::{ClusterMember, ServerConfig};
use serde::Serialize;

use crate::cli::{AuthServerConf, LOOPBACK};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::url_file;

#[derive(Serialize)]
struct Configuration {
    configuration: String,
}

pub(crate) fn run(arguments: AuthServerConf, printer: &Printer) -> Result<(), Failure> {
    let store = super::open(&arguments.store)?;
    let data = match &arguments.store_dir {
        Some(directory) => url_file::absolute(directory)?,
        None => store.directory().join("jetstream"),
    };
    let is_loopback = arguments.listen == LOOPBACK;
    let mut config = ServerConfig::new(data)
        .port(arguments.port)
        .listen(&arguments.listen);
    let is_encrypted = arguments.tls_cert.is_some();
    if let (Some(certificate), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) {
        config = config.tls(url_file::absolute(certificate)?, url_file::absolute(key)?);
    }
    let routes_reach = arguments.cluster_listen.as_deref().filter(|address| {
        let host = address.rsplit_once(':').map_or(*address, |(host, _)| host);
        host != LOOPBACK
    });
    let member = member(&arguments)?;
    let is_clustered = member.is_some();
    if let Some(member) = member {
        config = config.member(member);
    }
    let configuration = config.render(&store)?;
    if printer.is_json() {
        printer.json(&Configuration { configuration })?;
    } else {
        printer.data_line(configuration.trim_end().to_owned())?;
    }
    if is_clustered {
        printer.note(
            "the configuration has the password of the cluster, with which a server reads everything: keep it private",
        );
    }
    if let Some(address) = routes_reach {
        let reach = format!(
            "the server listens on {address} for the other servers: every program that reaches this address may try the \
             password of the cluster"
        );
        printer.note(reachable(reach, is_encrypted));
    }
    if !is_loopback {
        let reach = format!(
            "the server listens on {}: every program that reaches this address may try to log in",
            arguments.listen
        );
        printer.note(reachable(reach, is_encrypted));
    }
    Ok(())
}

/// The sentence about an address that other machines reach.
fn reachable(reach: String, is_encrypted: bool) -> String {
    match is_encrypted {
        true => reach,
        false => format!(
            "{reach}, and everyone on the way reads all messages; --tls-cert and --tls-key encrypt them"
        ),
    }
}

/// The place of the server in a cluster.
fn member(arguments: &AuthServerConf) -> Result<Option<ClusterMember>, Failure> {
    let (Some(cluster), Some(server)) = (&arguments.cluster, &arguments.server_name) else {
        return Ok(None);
    };
    let mut member = ClusterMember::new(cluster, server);
    if let Some(address) = &arguments.cluster_listen {
        member = member.listen(address);
    }
    for route in &arguments.routes {
        member = member.route(route);
    }
    if let Some(authority) = &arguments.tls_ca {
        member = member.authority(url_file::absolute(authority)?);
    }
    Ok(Some(member))
}
