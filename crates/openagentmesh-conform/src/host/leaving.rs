//! Checks a host that leaves.

use std::time::Duration;

use async_nats::Message;
use openagentmesh_protocol::header::KV_OPERATION;
use openagentmesh_protocol::{DeathNotice, DeathReason, bucket, subject};
use serde_json::Value;
use tokio::time::Instant;

use super::exchange::Host;
use super::instances::records;
use super::registration::is_served;
use super::target::entry_of;
use crate::error::Error;
use crate::rules::registration as rules;
use crate::wire::{header as header_of, next_until, next_within};

/// Asks for the end of the host, and judges the order of its leaving.
pub(super) async fn check(
    host: Host<'_>,
    limit: Duration,
    is_invocable: bool,
    on_prompt: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), Error> {
    let records = records(host).await?.len();
    let mut writes = host.mesh.subscribe("$KV.>").await?;
    let mut notices = host.mesh.subscribe(subject::death(host.name)).await?;
    on_prompt(&format!(
        "stop the host of agent '{}' within {} s",
        host.name,
        limit.as_secs_f32()
    ));
    let mut deadline = Instant::now() + limit;
    let mut left = Left::default();
    while let Some(write) = next_until(&mut writes, deadline).await {
        left.apply(host, &write, is_invocable).await?;
        if left.is_complete() {
            deadline = deadline.min(Instant::now() + host.settings.quiet_time);
        }
    }
    let notice = next_within(&mut notices, host.settings.quiet_time).await;
    left.judge(host, notice.as_ref());
    // A record may be removed without a write.
    match records {
        0 => host
            .verdicts
            .skip(rules::LEAVE_RECORD, "no instance record listed the agent"),
        before => {
            let after = self::records(host).await?.len();
            let reason = "record left: the instance record still lists the agent";
            host.verdicts
                .require(rules::LEAVE_RECORD, after < before, reason);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Left {
    has_entry_removed: bool,
    has_contract_removed: bool,
    /// The first write that deleted the key of the catalog, or made it another thing than an array.
    array_lost: Option<&'static str>,
}

impl Left {
    fn is_complete(&self) -> bool {
        self.has_entry_removed && self.has_contract_removed
    }

    async fn apply(
        &mut self,
        host: Host<'_>,
        write: &Message,
        is_invocable: bool,
    ) -> Result<(), Error> {
        let (verdicts, subject) = (host.verdicts, write.subject.as_str());
        let is_removed = header_of(write, KV_OPERATION).is_some();
        if subject == subject::kv(bucket::CATALOG, bucket::CATALOG_KEY) {
            if is_removed {
                self.array_lost = Some("key deleted: the key of the catalog was deleted");
            } else if serde_json::from_slice::<Vec<Value>>(&write.payload).is_err() {
                self.array_lost = Some("invalid catalog: its value is not an array");
            }
            if !self.has_entry_removed && entry_of(&write.payload, host.name).is_none() {
                self.has_entry_removed = true;
                let reason = "wrong order: the contract was removed before the catalog entry";
                verdicts.require(rules::LEAVE_ORDER, !self.has_contract_removed, reason);
                if is_invocable {
                    let reason = "wrong order: the catalog entry was removed, and its subject still has a subscriber";
                    verdicts.require(rules::LEAVE_UNSUBSCRIBED, !is_served(host).await?, reason);
                }
            }
        } else if is_removed && subject == subject::kv(bucket::REGISTRY, host.name.as_str()) {
            self.has_contract_removed = true;
        }
        Ok(())
    }

    fn judge(&self, host: Host<'_>, notice: Option<&Message>) {
        let verdicts = host.verdicts;
        let removed = [
            (
                rules::LEAVE_ENTRY,
                self.has_entry_removed,
                "entry left: the catalog still lists the agent",
            ),
            (
                rules::LEAVE_CONTRACT,
                self.has_contract_removed,
                "contract left: the registry still has it",
            ),
        ];
        for (rule, is_removed, reason) in removed {
            verdicts.require(rule, is_removed, reason);
        }
        verdicts.judge(rules::LEAVE_ARRAY, self.array_lost.map_or(Ok(()), Err));
        let verdict = match notice {
            None => Err("no notice: none arrived on the agent's subject".to_owned()),
            Some(notice) => match serde_json::from_slice::<DeathNotice>(&notice.payload) {
                Err(error) => Err(format!("invalid notice: {error}")),
                Ok(notice) if notice.agent != *host.name => {
                    Err(format!("wrong notice: it is about '{}'", notice.agent))
                }
                Ok(DeathNotice {
                    reason: DeathReason::GracefulShutdown,
                    ..
                }) => Ok(()),
                Ok(_) => Err("wrong notice: the reason is not graceful_shutdown".to_owned()),
            },
        };
        verdicts.judge(rules::LEAVE_NOTICE, verdict);
    }
}
