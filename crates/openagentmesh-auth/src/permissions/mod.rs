//! The subjects that a user may use: the single source of what servers enforce and of the documented table.

mod matching;
mod operations;
mod roles;
mod rules;
mod subjects;
pub mod table;

pub use rules::{Action, Effect, Permissions, Rule};

#[cfg(test)]
mod tests {
    use crate::{Action, Grants, Permissions, Role};

    fn worker(serves: &str, calls: &str) -> Permissions {
        let grants = Grants::builder(Role::Worker)
            .agent(serves.parse().unwrap())
            .may_call(calls.parse().unwrap())
            .build()
            .unwrap();
        Permissions::of(&"ada".parse().unwrap(), &grants)
    }

    #[test]
    fn worker_that_calls_its_own_channel_publishes_its_events() {
        let permissions = worker("shop.>", "shop.>");
        assert!(permissions.events_out_of_reach().is_empty());
        assert!(permissions.allows(Action::Publish, "mesh.agent.shop.orders.events"));
        assert!(permissions.allows(Action::Publish, "mesh.agent.shop.orders"));
        assert!(!permissions.allows(Action::Publish, "mesh.agent.shop.events"));
    }

    #[test]
    fn worker_that_calls_by_a_wildcard_does_not_publish_events_there() {
        let permissions = worker("shop.orders", "shop.>");
        let events = "mesh.agent.shop.orders.events";
        assert_eq!(permissions.events_out_of_reach(), [events]);
        assert!(!permissions.allows(Action::Publish, events));
        let permissions = worker("shop.orders", "bank.>");
        assert!(permissions.events_out_of_reach().is_empty());
        assert!(permissions.allows(Action::Publish, events));
    }

    #[test]
    fn invoker_of_all_agents_publishes_no_events_at_any_depth() {
        let grants = Grants::builder(Role::Invoker).build().unwrap();
        let permissions = Permissions::of(&"ada".parse().unwrap(), &grants);
        for depth in 1..20 {
            let name = vec!["a"; depth].join(".");
            let events = format!("mesh.agent.{name}.events");
            assert!(!permissions.allows(Action::Publish, &events), "{events}");
            let request = format!("mesh.agent.{name}");
            assert_eq!(
                permissions.allows(Action::Publish, &request),
                depth <= 9,
                "{request}"
            );
        }
    }
}
