//! The leader of a cluster, as the logs of its nodes name it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};

use super::watched::WatchedNode;
use crate::config::log_path;

/// What a node logs when it becomes the leader.
const IS_LEADER: &str = "Self is new JetStream cluster metadata leader";

/// What a node logs when another one becomes the leader, before `NAME/CLUSTER`.
const FOLLOWS: &str = "JetStream cluster new metadata leader: ";

/// What a node logs when another one becomes the leader whose name it has not learned yet.
const FOLLOWS_UNNAMED: &str = "JetStream cluster new remote metadata leader";

/// What a node logs when its leader is gone.
const LOST_LEADER: &str = "JetStream cluster no metadata leader";

/// The leader of a node.
enum Leader {
    /// The node itself.
    Itself,
    /// The node of this name.
    Named(String),
    /// A node whose name was not known.
    Unnamed,
}

/// Whether exactly one node leads, and all others follow it.
///
/// # Errors
///
/// If a log cannot be read.
pub(super) fn follow_one_leader(nodes: &[WatchedNode<'_>]) -> io::Result<bool> {
    let mut leader = None;
    let mut followed = Vec::new();
    for node in nodes {
        match leader_of(node)? {
            None => return Ok(false),
            Some(Leader::Itself) if leader.is_some() => return Ok(false),
            Some(Leader::Itself) => leader = Some(node.name),
            Some(Leader::Named(name)) => followed.push(name),
            Some(Leader::Unnamed) => {}
        }
    }
    Ok(leader.is_some_and(|leader| followed.iter().all(|name| name == leader)))
}

/// The leader that the node has logged last since its start.
fn leader_of(node: &WatchedNode<'_>) -> io::Result<Option<Leader>> {
    let mut log = File::open(log_path(node.directory))?;
    log.seek(SeekFrom::Start(node.log_start))?;
    let mut leader = None;
    for line in BufReader::new(log).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if let Some((_, named)) = line.split_once(FOLLOWS) {
            leader = named
                .split('/')
                .next()
                .map(|name| Leader::Named(name.to_owned()));
        } else if line.contains(IS_LEADER) {
            leader = Some(Leader::Itself);
        } else if line.contains(FOLLOWS_UNNAMED) {
            leader = Some(Leader::Unnamed);
        } else if line.contains(LOST_LEADER) {
            leader = None;
        }
    }
    Ok(leader)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether nodes `a` and `b` with these logs, of which the first byte is from before the start, follow one leader.
    fn follow(logs: [&str; 2]) -> bool {
        let directories = logs.map(|log| {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(log_path(directory.path()), log).unwrap();
            directory
        });
        let nodes = [("a", &directories[0]), ("b", &directories[1])];
        let nodes = nodes.map(|(name, directory)| WatchedNode {
            port: 0,
            directory: directory.path(),
            name,
            log_start: 1,
        });
        follow_one_leader(&nodes).unwrap()
    }

    #[test]
    fn nodes_are_ready_when_all_follow_one_of_them() {
        let leads = "-[1] 2026/01/01 [INF] Self is new JetStream cluster metadata leader\n";
        let follows = "-[1] 2026/01/01 [INF] JetStream cluster new metadata leader: a/c\n";
        assert!(follow([leads, follows]));
        assert!(!follow([leads, leads]), "two leaders");
        assert!(!follow([leads, ""]), "one knows no leader");
        assert!(!follow(["-", "-"]));
        let unnamed = "-[INF] JetStream cluster new remote metadata leader\n";
        assert!(follow([leads, unnamed]));
        assert!(!follow([unnamed, unnamed]), "nobody leads");
        let lost = [leads, "[INF] JetStream cluster no metadata leader\n"].concat();
        assert!(!follow([&lost, follows]), "the leader is no longer one");
        let gone = "-[INF] JetStream cluster new metadata leader: gone/c\n";
        assert!(!follow([gone, gone]), "the leader has ended");
        assert!(follow([
            &[gone, &leads[1..]].concat(),
            &[gone, &follows[1..]].concat()
        ]));
    }

    #[test]
    fn lines_from_before_the_start_are_not_read() {
        let before = "Self is new JetStream cluster metadata leader\n";
        assert!(!follow([before, before]));
    }
}
