//! The page of the book has the rules of the code.

use openagentmesh_conform::{Requirement, Role, rules};

const PAGE: &str = include_str!("../../../../docs/protocol/conformance.md");

/// The rows of the tables of a role, as the code has them.
fn rows(role: Role) -> Vec<String> {
    let row = |rule: openagentmesh_conform::Rule| {
        let requirement = match rule.requirement {
            Requirement::Required => "required",
            Requirement::Extension => "extension",
        };
        let target = rule.page.strip_prefix("protocol/").unwrap();
        let (page, anchor) = target.split_once(".md#").unwrap();
        let text = format!("{page}, {}", anchor.replace('-', " "));
        format!(
            "| `{}` | {} | {requirement} | [{text}]({target}) |",
            rule.id, rule.title
        )
    };
    rules(role).map(row).collect()
}

#[test]
fn table_of_the_page_has_the_rules_of_the_code() {
    let listed: Vec<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 3)
        .collect();
    let expected: Vec<String> = [Role::Host, Role::Caller]
        .into_iter()
        .flat_map(rows)
        .collect();
    if listed != expected {
        panic!(
            "the tables of docs/protocol/conformance.md should be:\n{}",
            expected.join("\n")
        );
    }
}
