//! The memory that reading a hostile catalog takes, in a process of its own.

use std::process::Stdio;

use openagentmesh::AgentMesh;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::{Change, apply, cases};
use crate::support::role::role;
use crate::support::{TestMesh, eventually, within};

const MIB: usize = 1024 * 1024;
/// The memory that one reading may take at its peak.
const MAX_PEAK: usize = 100 * MIB;
/// The memory that may stay in a process that follows the catalog, once the catalog is small again. The allocator and the
/// client's buffer keep 20 to 52 MiB: the answer to a read has the value in base64, which is a third longer.
const MAX_KEPT: usize = 64 * MIB;
/// The memory that may stay in a process that lists the catalogs, after all of them.
const MAX_KEPT_BY_LISTS: usize = 160 * MIB;
/// Set for a reader that also lists all entries, from the cache and from the server.
const LISTS: &str = "OAM_TEST_LISTS";

/// Follows the catalog. Each line of the input is the state that the cache has to reach.
#[tokio::test]
#[ignore = "a process of the test below"]
async fn reader() {
    let Ok(url) = std::env::var("OAM_TEST_URL") else {
        return;
    };
    let mesh = AgentMesh::connect(&url).await.unwrap();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    println!("ready");
    while let Some(line) = lines.next_line().await.unwrap() {
        eventually(|| async {
            let problem = mesh.catalog().problem().await.unwrap();
            let small = mesh.catalog().channel("small").await.unwrap();
            let seen = match (problem.is_some(), small.is_empty()) {
                (true, _) => "malformed",
                (false, true) => "valid",
                (false, false) => "small",
            };
            (seen == line).then_some(())
        })
        .await;
        if std::env::var_os(LISTS).is_some() {
            drop(mesh.catalog().await);
            drop(mesh.catalog().fresh().await);
        }
        let called = mesh.call::<String>("nosuch", "x").await;
        assert!(called.is_err());
        println!("done");
    }
}

fn status(pid: u32, field: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_a_hostile_catalog_takes_bounded_memory_and_gives_it_back() {
    check_memory(false).await;
}

/// The entries belong to the program. The allocator keeps a part of them when they are dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listing_a_hostile_catalog_takes_bounded_memory() {
    check_memory(true).await;
}

async fn check_memory(lists: bool) {
    let test = TestMesh::start().await;
    test.mesh.create_buckets().await.unwrap();
    let raw = test.raw().await;
    let small = Change::Catalog(r#"[{"name":"small"}]"#.into());
    apply(&raw, &small).await;
    let mut reader = role("hostile_catalogs::memory::reader");
    if lists {
        reader.env(LISTS, "1");
    }
    let mut child = reader
        .env("OAM_TEST_URL", test.server.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut read = async |seen: &str| {
        input.write_all(seen.as_bytes()).await.unwrap();
        let wanted = if seen.is_empty() { "ready" } else { "done" };
        loop {
            let line = within(output.next_line()).await.unwrap();
            if line.expect("the reader runs").contains(wanted) {
                return;
            }
        }
    };
    read("").await;
    read("small\n").await;
    let before = status(pid, "VmRSS");
    let mut failures = Vec::new();
    for case in cases::all() {
        let Change::Catalog(_) = &case.change else {
            continue;
        };
        let before_case = status(pid, "VmRSS").max(before);
        // Resets the peak.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        apply(&raw, &case.change).await;
        let seen = if case.is_malformed {
            "malformed\n"
        } else {
            "valid\n"
        };
        read(seen).await;
        let peak = status(pid, "VmHWM").saturating_sub(before_case);
        apply(&raw, &small).await;
        read("small\n").await;
        let mut kept = 0;
        for _ in 0..if lists { 1 } else { 200 } {
            kept = status(pid, "VmRSS").saturating_sub(before);
            if kept <= MAX_KEPT {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        println!(
            "{}: peak {} MiB, kept {} MiB",
            case.name,
            peak / MIB,
            kept / MIB
        );
        let max_kept = match lists {
            true => MAX_KEPT_BY_LISTS,
            false => MAX_KEPT,
        };
        if peak > MAX_PEAK || kept > max_kept {
            failures.push((case.name, peak / MIB, kept / MIB));
        }
    }
    assert!(
        failures.is_empty(),
        "name, peak and kept in MiB: {failures:?}"
    );
}
