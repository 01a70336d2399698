use openagentmesh::agent;

/// Counts letters.
#[agent]
async fn count(text: &str) -> usize {
    text.len()
}

/// Adds numbers.
#[agent]
async fn sum(numbers: &[i64]) -> i64 {
    numbers.iter().sum()
}

fn main() {}
