use openagentmesh::agent;

/// Has one tag.
#[agent(tags = "x")]
async fn one_tag(n: i64) -> i64 {
    n
}

/// Has a tag that is a number.
#[agent(tags = ["x", 1])]
async fn number_tag(n: i64) -> i64 {
    n
}

/// Has tags of another kind.
#[agent(tags = 1)]
async fn number_tags(n: i64) -> i64 {
    n
}

const NAME: &str = "x";

/// Has a name that is a constant.
#[agent(name = NAME)]
async fn constant_name(n: i64) -> i64 {
    n
}

/// Has a version that is a number.
#[agent(version = 1.0)]
async fn number_version(n: i64) -> i64 {
    n
}

/// Has a limit that is a string.
#[agent(concurrency = "8")]
async fn string_limit(n: i64) -> i64 {
    n
}

/// Has a timeout without a unit.
#[agent(timeout = 30)]
async fn unitless(n: i64) -> i64 {
    n
}

/// Has a timeout with an unknown unit.
#[agent(timeout = "30 days")]
async fn unknown_unit(n: i64) -> i64 {
    n
}

/// Has no time to run.
#[agent(timeout = "0s")]
async fn no_time(n: i64) -> i64 {
    n
}

/// Runs while it is served.
#[agent(timeout = "30s")]
async fn watcher() {}

#[agent(description = " ")]
async fn blank(n: i64) -> i64 {
    n
}

fn main() {}
