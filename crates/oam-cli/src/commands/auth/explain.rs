use openagentmesh_auth::{Effect, Grants, Permissions, Rule, UserName, table};
use serde::Serialize;

use super::shown::{ShownGrants, listed};
use crate::cli::AuthExplain;
use crate::failure::Failure;
use crate::printer::{FAINT, Printer};

/// The name in the subjects of a role that is explained without a user.
const ANY_NAME: &str = "NAME";

#[derive(Serialize)]
struct Table {
    table: String,
}

#[derive(Serialize)]
struct Explained<'a> {
    name: &'a str,
    #[serde(flatten)]
    grants: ShownGrants,
    rules: Vec<ShownRule<'a>>,
}

#[derive(Serialize)]
struct ShownRule<'a> {
    effect: &'static str,
    action: &'static str,
    subject: &'a str,
    purpose: &'static str,
}

impl<'a> ShownRule<'a> {
    fn new(rule: &'a Rule) -> Self {
        Self {
            effect: match rule.effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
            },
            action: rule.action.as_str(),
            subject: &rule.subject,
            purpose: rule.purpose,
        }
    }
}

pub(crate) fn run(arguments: AuthExplain, printer: &Printer) -> Result<(), Failure> {
    if arguments.table {
        let table = table::markdown()?;
        return match printer.is_json() {
            true => printer.json(&Table { table }),
            false => printer.data_line(table.trim_end().to_owned()),
        };
    }
    let (name, grants) = match (arguments.name, arguments.role) {
        (Some(name), _) => {
            let store = super::open(&arguments.store)?;
            let user = store
                .user(&name)
                .map_err(|error| super::with_similar_users(error, &store))?;
            (name, user.grants)
        }
        (None, Some(role)) => (ANY_NAME.parse()?, arguments.grants.in_role(role)?),
        (None, None) => return Err(Failure::usage("name a user, or a role with --role")),
    };
    explain(printer, &name, &grants)
}

fn explain(printer: &Printer, name: &UserName, grants: &Grants) -> Result<(), Failure> {
    let permissions = Permissions::of(name, grants);
    let rules = permissions.rules();
    if printer.is_json() {
        return printer.json(&Explained {
            name: name.as_str(),
            grants: ShownGrants::new(grants),
            rules: rules.iter().map(ShownRule::new).collect(),
        });
    }
    printer.field("user", name.as_str())?;
    let role = grants.role();
    printer.field("role", format!("{role}: {}", role.purpose()))?;
    for (field, values) in [
        ("agents", listed(grants.agents())),
        ("may call", listed(grants.may_call())),
        ("values", listed(grants.kv())),
        ("files", listed(grants.files())),
    ] {
        if values != "-" {
            printer.field(field, values)?;
        }
    }
    let mut purposes: Vec<(&str, Effect)> = Vec::new();
    for rule in rules {
        if !purposes.contains(&(rule.purpose, rule.effect)) {
            purposes.push((rule.purpose, rule.effect));
        }
    }
    for (purpose, effect) in purposes {
        let may = match effect {
            Effect::Allow => "may",
            Effect::Deny => "may not",
        };
        printer.line("")?;
        printer.title(&format!("It {may} {purpose}"))?;
        let of_purpose = rules
            .iter()
            .filter(|rule| (rule.purpose, rule.effect) == (purpose, effect));
        for rule in of_purpose {
            let action = rule.action.as_str();
            printer.data_line(format!("  {FAINT}{action:<10}{FAINT:#}{}", rule.subject))?;
        }
    }
    Ok(())
}
