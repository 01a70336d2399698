use std::path::PathBuf;

use openagentmesh_auth::{Credentials, Role};
use serde::Serialize;

use crate::cli::{MeshInit, Target};
use crate::commands::auth::buckets;
use crate::connection::{connect, endpoint};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::table::Column;

/// One bucket, as JSON.
#[derive(Serialize)]
struct Bucket<'a> {
    bucket: &'a str,
    replicas: usize,
    previous: usize,
}

pub(crate) async fn run(arguments: MeshInit, printer: &Printer) -> Result<(), Failure> {
    let operator = operator_of(&arguments.target)?;
    let mesh = connect(arguments.target).await?;
    let buckets = mesh.replicate_buckets(arguments.replicas).await?;
    if printer.is_json() {
        let buckets = buckets.iter().map(|bucket| Bucket {
            bucket: &bucket.bucket,
            replicas: bucket.replicas,
            previous: bucket.previous,
        });
        printer.json(&buckets.collect::<Vec<_>>())?;
    } else {
        let rows = buckets.iter().map(|bucket| {
            let replicas = match bucket.replicas == bucket.previous {
                true => bucket.replicas.to_string(),
                false => format!("{}, was {}", bucket.replicas, bucket.previous),
            };
            [bucket.bucket.clone(), replicas]
        });
        printer.table([Column::key("BUCKET"), Column::whole("REPLICAS", 1)], rows)?;
    }
    let fewer = buckets
        .iter()
        .find(|bucket| bucket.replicas < bucket.wanted);
    if let Some(bucket) = fewer {
        printer.note(format!(
            "the servers can hold {} of {} replicas; add servers, then run oam mesh init again",
            bucket.replicas, bucket.wanted
        ));
    }
    let is_single = |bucket: &&openagentmesh::BucketReplicas| bucket.replicas == 1;
    if mesh.is_clustered()
        && let Some(bucket) = buckets.iter().find(is_single)
    {
        printer.note(format!(
            "warning: a bucket of one replica in a cluster, such as {}, is lost with one server; \
             oam mesh init --replicas 3 replicates it",
            bucket.bucket
        ));
    }
    mesh.shutdown().await?;
    if let Some((url, operator)) = operator {
        buckets::prepare(&url, &operator).await?;
    }
    Ok(())
}

/// The URL and the credentials file of an operator of `oam auth`, whose mesh has users.
fn operator_of(target: &Target) -> Result<Option<(String, PathBuf)>, Failure> {
    let endpoint = endpoint(target)?;
    // A file that cannot be read fails the connection.
    let is_operator = |creds: &PathBuf| {
        let credentials = Credentials::read(creds);
        let identity = credentials.and_then(|credentials| credentials.identity());
        identity.is_ok_and(|(_, grants)| grants.role() == Role::Operator)
    };
    let creds = endpoint.credentials.filter(is_operator);
    Ok(creds.map(|creds| (endpoint.url, creds)))
}
