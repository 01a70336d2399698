//! Workers that share a plan without losing updates: `cargo run --example plan_worker`, in as many
//! terminals as there shall be workers. The first one creates the plan.

use std::collections::BTreeMap;
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openagentmesh::{AgentMesh, ErrorCode, Json, Kv, KvEntry, Result};
use serde::{Deserialize, Serialize};

const PLAN: &str = "plan";
const TASKS: u32 = 40;

/// The seconds after which another worker may take over a claimed task.
const CLAIM_SECONDS: u64 = 60;

type Plan = BTreeMap<String, Task>;

#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Task {
    Open,
    Claimed { by: u32, until: u64 },
    Done { by: u32 },
}

/// Claims a task for this process: `None` if no task is left.
async fn claim(kv: &Kv) -> Result<Option<String>> {
    let mut claimed = None;
    kv.modify(PLAN, |entry| {
        let mut plan = read(entry)?;
        let now = unix_seconds();
        let is_free = |task: &Task| match task {
            Task::Open => true,
            Task::Claimed { until, .. } => *until < now,
            Task::Done { .. } => false,
        };
        // The function runs again if another worker has written the plan first.
        claimed = None;
        if let Some((name, task)) = plan.iter_mut().find(|(_, task)| is_free(task)) {
            let (by, until) = (process::id(), now + CLAIM_SECONDS);
            *task = Task::Claimed { by, until };
            claimed = Some(name.clone());
        }
        Ok(Json(plan))
    })
    .await?;
    Ok(claimed)
}

async fn finish(kv: &Kv, name: &str) -> Result<()> {
    kv.modify(PLAN, |entry| {
        let mut plan = read(entry)?;
        plan.insert(name.to_owned(), Task::Done { by: process::id() });
        Ok(Json(plan))
    })
    .await?;
    Ok(())
}

fn read(entry: Option<&KvEntry>) -> Result<Plan> {
    entry.map_or(Ok(Plan::new()), KvEntry::json)
}

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    let kv = mesh.kv();
    let plan: Plan = (1..=TASKS)
        .map(|n| (format!("task-{n:02}"), Task::Open))
        .collect();
    match kv.create(PLAN, Json(plan)).await {
        Ok(_) => println!("{TASKS} tasks are planned"),
        Err(error) if error.code() == &ErrorCode::KvKeyExists => println!("joined the plan"),
        Err(error) => return Err(error),
    }
    let mut done = 0;
    while let Some(task) = claim(&kv).await? {
        tokio::time::sleep(Duration::from_millis(50)).await;
        finish(&kv, &task).await?;
        done += 1;
    }
    println!("worker {} has done {done} tasks", process::id());
    mesh.shutdown().await
}
