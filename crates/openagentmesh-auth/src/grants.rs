//! The permissions that a user was granted in addition to its role.

use std::fmt::Display;
use std::str::FromStr;

use crate::{Access, AgentPattern, AuthError, FilePattern, Granted, KeyPattern, Role};

/// The tags of a user's JWT that say what it was granted. SDKs read the first two.
const USER_TAG: &str = "mesh-user:";
const ROLE_TAG: &str = "mesh-role:";
const AGENT_TAG: &str = "mesh-agent:";
const CALL_TAG: &str = "mesh-may-call:";
const KV_TAG: &str = "mesh-kv:";
const FILES_TAG: &str = "mesh-files:";

/// The access to shared values or files: a list of patterns.
pub type SharedAccess<P> = Vec<Granted<P>>;

/// The role of a user, and the agents, values and files that it may use in that role.
///
/// ```
/// use openagentmesh_auth::{Grants, Role};
///
/// let grants = Grants::builder(Role::Worker)
///     .agent("shop.>".parse()?)
///     .may_call("bank.pay".parse()?)
///     .build()?;
/// // By default, workers read and write all values and files.
/// assert_eq!(grants.kv()[0].to_string(), ">:rw");
/// assert!(Grants::builder(Role::Worker).build().is_err(), "a worker serves at least one agent");
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    role: Role,
    agents: Vec<AgentPattern>,
    may_call: Vec<AgentPattern>,
    kv: SharedAccess<KeyPattern>,
    files: SharedAccess<FilePattern>,
}

impl Grants {
    /// Grants for `role`, with the defaults of that role.
    pub fn builder(role: Role) -> GrantsBuilder {
        GrantsBuilder {
            role,
            agents: Vec::new(),
            may_call: Vec::new(),
            kv: None,
            files: None,
        }
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The agents that a worker serves, or that an invoker calls.
    #[must_use]
    pub fn agents(&self) -> &[AgentPattern] {
        &self.agents
    }

    /// The agents that a worker calls.
    #[must_use]
    pub fn may_call(&self) -> &[AgentPattern] {
        &self.may_call
    }

    /// The access to shared values.
    #[must_use]
    pub fn kv(&self) -> &[Granted<KeyPattern>] {
        &self.kv
    }

    /// The access to shared files.
    #[must_use]
    pub fn files(&self) -> &[Granted<FilePattern>] {
        &self.files
    }

    /// The tags of the JWT of user `name`.
    pub(crate) fn to_tags(&self, name: &crate::UserName) -> Vec<String> {
        fn all<'a, T: Display>(
            tag: &'static str,
            values: &'a [T],
        ) -> impl Iterator<Item = String> + use<'a, T> {
            values.iter().map(move |value| format!("{tag}{value}"))
        }
        let identity = [
            format!("{USER_TAG}{name}"),
            format!("{ROLE_TAG}{}", self.role),
        ];
        identity
            .into_iter()
            .chain(all(AGENT_TAG, &self.agents))
            .chain(all(CALL_TAG, &self.may_call))
            .chain(all(KV_TAG, &self.kv))
            .chain(all(FILES_TAG, &self.files))
            .collect()
    }

    /// The name and the grants in the tags of a user's JWT.
    ///
    /// # Errors
    ///
    /// [`AuthError::Malformed`] if the tags are not those of this crate.
    pub(crate) fn from_tags(tags: &[String]) -> Result<(crate::UserName, Self), AuthError> {
        fn one<T: FromStr<Err = AuthError>>(tags: &[String], tag: &str) -> Result<T, AuthError> {
            let mut values = tags.iter().filter_map(|text| text.strip_prefix(tag));
            match (values.next(), values.next()) {
                (Some(value), None) => value.parse(),
                _ => Err(AuthError::malformed(
                    "user JWT",
                    format!("it must have one tag {tag}…; use credentials of oam auth user add"),
                )),
            }
        }
        fn all<T: FromStr<Err = AuthError>>(
            tags: &[String],
            tag: &str,
        ) -> Result<Vec<T>, AuthError> {
            let values = tags.iter().filter_map(|text| text.strip_prefix(tag));
            values.map(str::parse).collect()
        }
        let name = one(tags, USER_TAG)?;
        let grants = Self {
            role: one(tags, ROLE_TAG)?,
            agents: all(tags, AGENT_TAG)?,
            may_call: all(tags, CALL_TAG)?,
            kv: all(tags, KV_TAG)?,
            files: all(tags, FILES_TAG)?,
        };
        Ok((name, grants))
    }
}

/// Builds [`Grants`].
#[derive(Debug, Clone)]
#[must_use = "grants are made by `build`"]
pub struct GrantsBuilder {
    role: Role,
    agents: Vec<AgentPattern>,
    may_call: Vec<AgentPattern>,
    kv: Option<SharedAccess<KeyPattern>>,
    files: Option<SharedAccess<FilePattern>>,
}

impl GrantsBuilder {
    /// Adds agents that a worker serves, or that an invoker calls. Without any, an invoker calls all.
    pub fn agent(mut self, pattern: AgentPattern) -> Self {
        self.agents.push(pattern);
        self
    }

    /// Adds agents that a worker calls. Without any, it calls none.
    pub fn may_call(mut self, pattern: AgentPattern) -> Self {
        self.may_call.push(pattern);
        self
    }

    /// The access to shared values, in place of the default of the role. An empty list grants none.
    pub fn kv(mut self, access: SharedAccess<KeyPattern>) -> Self {
        self.kv = Some(access);
        self
    }

    /// The access to shared files, in place of the default of the role. An empty list grants none.
    pub fn files(mut self, access: SharedAccess<FilePattern>) -> Self {
        self.files = Some(access);
        self
    }

    /// The grants.
    ///
    /// # Errors
    ///
    /// [`AuthError::InvalidGrants`] if the role has no use for what was added, or needs more.
    pub fn build(self) -> Result<Grants, AuthError> {
        let Self {
            role,
            mut agents,
            may_call,
            kv,
            files,
        } = self;
        let invalid = |problem: &str| {
            Err(AuthError::InvalidGrants {
                role: role.as_str(),
                problem: problem.to_owned(),
            })
        };
        match role {
            Role::Worker | Role::WorkerPython if agents.is_empty() => {
                return invalid(
                    "it serves no agent; name the agents that it serves, as in --agent shop.price",
                );
            }
            Role::Observer | Role::Monitor | Role::Operator if !agents.is_empty() => {
                return invalid("it concerns all agents; leave --agent out");
            }
            Role::Invoker if agents.is_empty() => agents.push(AgentPattern::All),
            _ => {}
        }
        if !role.is_worker() && !may_call.is_empty() {
            return invalid("--may-call is for workers; an invoker calls the agents of --agent");
        }
        let is_fixed = matches!(role, Role::Monitor | Role::Operator);
        if is_fixed && (kv.is_some() || files.is_some()) {
            return invalid("its access to values and files is fixed; leave --kv and --files out");
        }
        let narrow_read = |access: Access, is_all: bool| access == Access::Read && !is_all;
        let kv_read = kv
            .iter()
            .flatten()
            .any(|one| narrow_read(one.access, one.pattern == KeyPattern::All));
        let file_read = files
            .iter()
            .flatten()
            .any(|one| narrow_read(one.access, one.pattern == FilePattern::All));
        if kv_read || file_read {
            return invalid(
                "a server cannot narrow what is read; write '>:r' to read everything, or PATTERN:rw to write what matches and \
                 read everything",
            );
        }
        let default = match role {
            Role::Observer | Role::Invoker => Some(Access::Read),
            Role::Worker | Role::WorkerPython => Some(Access::ReadWrite),
            Role::Monitor | Role::Operator => None,
        };
        let all = |pattern| default.map(|access| Granted { pattern, access });
        let kv = kv.unwrap_or_else(|| all(KeyPattern::All).into_iter().collect());
        let files = files.unwrap_or_else(|| {
            let all = default.map(|access| Granted {
                pattern: FilePattern::All,
                access,
            });
            all.into_iter().collect()
        });
        Ok(Grants {
            role,
            agents: sorted(agents),
            may_call: sorted(may_call),
            kv: sorted(kv),
            files: sorted(files),
        })
    }
}

/// The values in order, each once.
fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_from_their_tags() {
        let grants = Grants::builder(Role::Worker)
            .agent("shop.>".parse().unwrap())
            .may_call("bank.pay".parse().unwrap())
            .kv(vec!["limits.>:rw".parse().unwrap()])
            .files(vec!["a b: c.txt:rw".parse().unwrap()])
            .build()
            .unwrap();
        let name = "ada".parse().unwrap();
        let tags = grants.to_tags(&name);
        assert_eq!(tags[..2], ["mesh-user:ada", "mesh-role:worker"]);
        assert_eq!(Grants::from_tags(&tags).unwrap(), (name, grants));
    }

    #[test]
    fn tags_of_another_form_are_malformed() {
        for tags in [
            &["mesh-user:ada"][..],
            &["mesh-user:a b", "mesh-role:worker"],
            &["mesh-user:ada", "mesh-user:bob", "mesh-role:worker"],
            &["mesh-user:ada", "mesh-role:root"],
        ] {
            let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
            assert!(Grants::from_tags(&tags).is_err(), "{tags:?}");
        }
    }

    #[test]
    fn grants_that_do_not_fit_the_role_are_invalid() {
        let agent: AgentPattern = "echo".parse().unwrap();
        let invalid = [
            Grants::builder(Role::Worker),
            Grants::builder(Role::Observer).agent(agent.clone()),
            Grants::builder(Role::Invoker).may_call(agent),
            Grants::builder(Role::Monitor).kv(Vec::new()),
            Grants::builder(Role::Observer).kv(vec!["limits.>:r".parse().unwrap()]),
            Grants::builder(Role::Observer).files(vec!["a.txt:r".parse().unwrap()]),
        ];
        for builder in invalid {
            assert!(builder.clone().build().is_err(), "{builder:?}");
        }
    }
}
