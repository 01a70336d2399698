//! A user, for programs and for people.

use std::fmt::Display;
use std::time::SystemTime;

use openagentmesh_auth::{Grants, User};
use serde::Serialize;
use time::OffsetDateTime;

use crate::text::{time, timestamp};

/// What a user was granted, as JSON.
#[derive(Serialize)]
pub(super) struct ShownGrants {
    pub(super) role: &'static str,
    pub(super) agents: Vec<String>,
    pub(super) may_call: Vec<String>,
    pub(super) kv: Vec<String>,
    pub(super) files: Vec<String>,
}

impl ShownGrants {
    pub(super) fn new(grants: &Grants) -> Self {
        Self {
            role: grants.role().as_str(),
            agents: texts(grants.agents()),
            may_call: texts(grants.may_call()),
            kv: texts(grants.kv()),
            files: texts(grants.files()),
        }
    }
}

/// A user, as JSON.
#[derive(Serialize)]
pub(super) struct ShownUser {
    name: String,
    #[serde(flatten)]
    grants: ShownGrants,
    state: &'static str,
    issued_at: String,
    expires_at: Option<String>,
}

impl ShownUser {
    pub(super) fn new(user: &User) -> Self {
        Self {
            name: user.name.to_string(),
            grants: ShownGrants::new(&user.grants),
            state: user.state.as_str(),
            issued_at: timestamp(OffsetDateTime::from(user.issued_at)),
            expires_at: user.expires_at.map(|end| timestamp(end.into())),
        }
    }
}

/// The time at which credentials expire, for people.
pub(super) fn expiry(end: Option<SystemTime>) -> String {
    end.map_or_else(|| "never".to_owned(), |end| time(end.into()))
}

/// Several patterns in one text.
pub(super) fn listed<T: Display>(values: &[T]) -> String {
    match values {
        [] => "-".to_owned(),
        values => texts(values).join(", "),
    }
}

fn texts<T: Display>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
