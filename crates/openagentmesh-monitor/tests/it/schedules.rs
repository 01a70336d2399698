//! Random schedules of deaths, pauses and lost connections, each from a seed.

use std::collections::BTreeSet;
use std::time::Duration;

use openagentmesh_protocol::AgentName;
use tokio::time::sleep;

use crate::host::Host;
use crate::world::World;

/// The names of the hosts' agents; hosts share some of them.
const AGENTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// The number of schedules; `OAM_SCHEDULES` sets another one.
const SCHEDULES: u64 = 1_000;

fn host(world: &World, number: u64) -> Host {
    let first = world.random(AGENTS.len() as u64) as usize;
    let second = world.random(AGENTS.len() as u64) as usize;
    let mut agents = vec![AGENTS[first]];
    if second != first {
        agents.push(AGENTS[second]);
    }
    Host::start(world, &format!("host-{number}"), &agents)
}

async fn schedule(seed: u64) {
    let world = World::new(seed);
    world.state().has_advisories = world.random(3) > 0;
    world.state().has_connections = world.random(4) > 0;
    world.set_failures(0.02);
    let mut hosts: Vec<Host> = Vec::new();
    for number in 0..12 {
        match world.random(if hosts.len() < 4 { 8 } else { 6 }) {
            0 if !hosts.is_empty() => {
                let killed = world.random(hosts.len() as u64) as usize;
                hosts.swap_remove(killed).kill();
            }
            1 if !hosts.is_empty() => {
                let frozen = world.random(hosts.len() as u64) as usize;
                hosts[frozen].freeze(Duration::from_millis(world.random(9_000)));
            }
            2 if !hosts.is_empty() => {
                let lost = world.random(hosts.len() as u64) as usize;
                let time = Duration::from_millis(world.random(1_500));
                hosts[lost].reconnect(time).await;
            }
            3 if !hosts.is_empty() => {
                let victim = &hosts[world.random(hosts.len() as u64) as usize];
                let forger = world.connect(&victim.id.client_name());
                world.disconnect(&forger);
            }
            4 => world.set_unreachable(Duration::from_millis(world.random(8_000))),
            5 if !hosts.is_empty() => {
                let restarted = world.random(hosts.len() as u64) as usize;
                let killed = hosts.swap_remove(restarted);
                let agents = killed.agents.clone();
                killed.kill();
                // In many cases at the moment at which the dead process is removed.
                sleep(Duration::from_millis(
                    [world.random(1_000), world.random(5_000)][number as usize % 2],
                ))
                .await;
                let agents: Vec<&str> = agents.iter().map(AgentName::as_str).collect();
                hosts.push(Host::start(&world, &format!("host-{number}"), &agents));
            }
            _ => hosts.push(host(&world, number)),
        }
        sleep(Duration::from_millis(world.random(1_500))).await;
    }
    world.set_failures(0.0);
    world.set_unreachable(Duration::ZERO);
    if hosts.is_empty() {
        // Without a process there is no monitor.
        hosts.push(host(&world, 100));
    }
    sleep(Duration::from_secs(25)).await;

    let living: BTreeSet<_> = hosts.iter().map(|host| host.id.clone()).collect();
    let agents: BTreeSet<AgentName> = hosts.iter().flat_map(|host| host.agents.clone()).collect();
    let state = world.state();
    let records: BTreeSet<_> = state.records.keys().cloned().collect();
    assert_eq!(records, living, "records, seed {seed}");
    assert_eq!(state.catalog, agents, "catalog, seed {seed}");
    assert_eq!(state.false_removals, [], "removals, seed {seed}");
    assert_eq!(state.false_deaths, [], "announced deaths, seed {seed}");
    drop(state);
    hosts.into_iter().for_each(Host::kill);
}

/// `OAM_SEED` runs one schedule.
#[test]
fn catalog_and_records_are_exact_after_every_schedule() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("OAM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("OAM_SCHEDULES").unwrap_or(SCHEDULES),
    };
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(schedule(seed));
    }
}
