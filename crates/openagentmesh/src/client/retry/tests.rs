//! The retry logic on paused time, with the seeds of its schedules.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

/// The number of schedules, and the seed of the first one.
const SCHEDULES: u64 = 10_000;
const FIRST_SEED: u64 = 1;

fn error(code: ErrorCode, agent: &str) -> Error {
    let object = openagentmesh_protocol::ErrorObject {
        code,
        message: "failed".to_owned(),
        agent: agent.to_owned(),
        request_id: String::new(),
        details: serde_json::Map::new(),
    };
    Error::from(object)
}

#[test]
fn safety_depends_on_the_code_and_on_the_agent_that_failed() {
    for (code, own, passed_on) in [
        (ErrorCode::Overloaded, Safety::Always, Safety::Idempotent),
        (ErrorCode::NotAvailable, Safety::Always, Safety::Idempotent),
        (ErrorCode::AgentDied, Safety::Idempotent, Safety::Idempotent),
        (ErrorCode::Timeout, Safety::Idempotent, Safety::Idempotent),
        (ErrorCode::HandlerError, Safety::Never, Safety::Never),
        (ErrorCode::ConnectionFailed, Safety::Never, Safety::Never),
        (ErrorCode::NotFound, Safety::Never, Safety::Never),
        (ErrorCode::ChunkSequenceError, Safety::Never, Safety::Never),
        (
            ErrorCode::Other("x".to_owned()),
            Safety::Never,
            Safety::Never,
        ),
    ] {
        assert_eq!(
            Safety::of(&error(code.clone(), "a"), Some("a")),
            own,
            "{code:?}"
        );
        assert_eq!(
            Safety::of(&error(code.clone(), "b"), Some("a")),
            passed_on,
            "{code:?}"
        );
    }
}

#[test]
fn shutdown_of_a_started_handler_is_repeated_only_for_an_idempotent_agent() {
    let error = error(ErrorCode::NotAvailable, "a").with_detail("started", true);
    assert_eq!(Safety::of(&error, Some("a")), Safety::Idempotent);
}

#[test]
fn retry_after_is_read_from_overloaded_only_and_bounded() {
    let with = |code, hint: serde_json::Value| error(code, "a").with_detail("retry_after_ms", hint);
    let overloaded = |hint| retry_after(&with(ErrorCode::Overloaded, hint));
    assert_eq!(overloaded(250.into()), Duration::from_millis(250));
    assert_eq!(overloaded(u64::MAX.into()), MAX_RETRY_AFTER);
    for invalid in [(-1).into(), "5".into(), serde_json::Value::Null] {
        assert_eq!(overloaded(invalid), Duration::ZERO);
    }
    assert_eq!(
        retry_after(&with(ErrorCode::Timeout, 250.into())),
        Duration::ZERO
    );
}

/// Requests that fail at random times, with random policies, hints and deadlines.
#[tokio::test(start_paused = true)]
async fn schedules_respect_attempts_deadline_hints_and_budget() {
    let budget = RetryBudget::new();
    let began = Instant::now();
    let (mut requests, mut retries, mut refused) = (0_u64, 0_u64, 0_u64);
    for seed in FIRST_SEED..FIRST_SEED + SCHEDULES {
        let rng = &mut StdRng::seed_from_u64(seed);
        let first = Duration::from_millis(rng.random_range(1..200));
        let max = first * rng.random_range(1..20);
        let attempts = rng.random_range(1..8);
        let mut schedule = Schedule::new(Retry::attempts(attempts).backoff(first, max));
        let time = Duration::from_millis(rng.random_range(1..5000));
        let deadline = Some(Instant::now() + time).filter(|_| rng.random_bool(0.9));
        requests += 1;
        budget.deposit();
        loop {
            assert!(
                deadline.is_none_or(|end| Instant::now() < end),
                "seed {seed}"
            );
            schedule.made += 1;
            tokio::time::advance(Duration::from_millis(rng.random_range(0..100))).await;
            let is_failed = rng.random_bool(0.8);
            if !is_failed || !schedule.has_attempts() {
                break;
            }
            let hint = Duration::from_millis(rng.random_range(0..300));
            let Some(delay) = schedule.delay(hint, deadline, rng) else {
                break;
            };
            assert!(
                delay >= hint + first / 2 && delay <= hint + max,
                "seed {seed}"
            );
            if !budget.try_withdraw() {
                refused += 1;
                break;
            }
            retries += 1;
            tokio::time::sleep(delay).await;
        }
        assert!(schedule.made <= attempts, "seed {seed}");
        let allowed = 10.0 + 0.2 * requests as f64 + began.elapsed().as_secs_f64();
        assert!(retries as f64 <= allowed, "seed {seed}");
    }
    assert!(
        retries > SCHEDULES / 5 && refused > 0,
        "{retries} {refused}"
    );
}

#[test]
fn zero_attempts_count_as_one() {
    let mut schedule = Schedule::new(Retry::attempts(0));
    schedule.made += 1;
    assert!(!schedule.has_attempts());
}
