//! The claims of operators, accounts and users, as servers read them.

use std::collections::BTreeMap;

use nkeys::KeyPair;
use serde::{Deserialize, Serialize};

use crate::jwt::{Claims, encode};
use crate::{Action, AuthError, Effect, Grants, Permissions, UserName};

/// The version of the claims.
const VERSION: u32 = 2;

/// The value of a limit without one.
const NO_LIMIT: i64 = -1;

/// A list of subjects.
pub type Subjects = Vec<String>;

/// Subjects that are allowed and denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionClaims {
    /// The subjects that are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Subjects,
    /// The subjects that are denied, although a wider one is allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Subjects,
}

impl PermissionClaims {
    fn of(permissions: &Permissions, action: Action) -> Self {
        Self {
            allow: permissions.subjects(action, Effect::Allow),
            deny: permissions.subjects(action, Effect::Deny),
        }
    }
}

/// The claims of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserClaims {
    /// The subjects that the user may publish to.
    #[serde(rename = "pub", default)]
    pub publish: PermissionClaims,
    /// The subjects that the user may subscribe to.
    #[serde(rename = "sub", default)]
    pub subscribe: PermissionClaims,
    /// Maximum number of subscriptions; -1 without a limit.
    #[serde(default)]
    pub subs: i64,
    /// Maximum number of bytes; -1 without a limit.
    #[serde(default)]
    pub data: i64,
    /// Maximum size of a message in bytes; -1 without a limit.
    #[serde(default)]
    pub payload: i64,
    /// The tags: name, role and grants of the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `user`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the claims.
    #[serde(default)]
    pub version: u32,
}

/// The claims of the operator, who signs for the accounts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OperatorClaims {
    pub(crate) system_account: String,
    #[serde(rename = "type")]
    kind: String,
    version: u32,
}

/// The claims of an account, which signs for its users.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccountClaims {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    imports: Vec<Import>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exports: Vec<Export>,
    limits: Limits,
    /// The public keys of revoked users, with the time up to which their JWTs are invalid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) revocations: BTreeMap<String, u64>,
    #[serde(rename = "type")]
    kind: String,
    version: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Import {
    name: String,
    subject: String,
    account: String,
    local_subject: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Export {
    name: String,
    subject: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Limits {
    subs: i64,
    data: i64,
    payload: i64,
    imports: i64,
    exports: i64,
    wildcards: bool,
    disallow_bearer: bool,
    conn: i64,
    leaf: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    mem_storage: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    disk_storage: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    streams: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    consumer: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl Limits {
    /// No limits; `jetstream` is [`NO_LIMIT`], or 0 for an account without storage.
    const fn none(jetstream: i64) -> Self {
        Self {
            subs: NO_LIMIT,
            data: NO_LIMIT,
            payload: NO_LIMIT,
            imports: NO_LIMIT,
            exports: NO_LIMIT,
            wildcards: true,
            // A bearer token would be valid without the key.
            disallow_bearer: true,
            conn: NO_LIMIT,
            leaf: NO_LIMIT,
            mem_storage: jetstream,
            disk_storage: jetstream,
            streams: jetstream,
            consumer: jetstream,
        }
    }
}

/// The keys of a mesh.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) operator: KeyPair,
    pub(crate) system: KeyPair,
    pub(crate) app: KeyPair,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            app: KeyPair::new_account(),
        }
    }

    /// The JWT of the operator, signed by itself.
    pub(crate) fn operator_jwt(&self, now: u64) -> Result<String, AuthError> {
        let nats = OperatorClaims {
            system_account: self.system.public_key(),
            kind: "operator".to_owned(),
            version: VERSION,
        };
        self.sign(&self.operator, "mesh", now, nats)
    }

    /// The JWT of the system account, which lets the mesh know of disconnects.
    pub(crate) fn system_jwt(&self, now: u64) -> Result<String, AuthError> {
        let nats = AccountClaims {
            imports: Vec::new(),
            exports: vec![Export {
                name: "disconnects".to_owned(),
                subject: self.disconnects(),
                kind: "stream".to_owned(),
            }],
            limits: Limits::none(0),
            revocations: BTreeMap::new(),
            kind: "account".to_owned(),
            version: VERSION,
        };
        self.sign(&self.system, "SYS", now, nats)
    }

    /// The JWT of the account of the mesh.
    pub(crate) fn app_jwt(
        &self,
        now: u64,
        revocations: BTreeMap<String, u64>,
    ) -> Result<String, AuthError> {
        let nats = AccountClaims {
            imports: vec![Import {
                name: "disconnects".to_owned(),
                subject: self.disconnects(),
                account: self.system.public_key(),
                local_subject: openagentmesh_protocol::subject::DISCONNECTS.to_owned(),
                kind: "stream".to_owned(),
            }],
            exports: Vec::new(),
            limits: Limits::none(NO_LIMIT),
            revocations,
            kind: "account".to_owned(),
            version: VERSION,
        };
        self.sign(&self.app, "APP", now, nats)
    }

    /// The JWT of the user with the key `user`.
    pub(crate) fn user_jwt(
        &self,
        user: &KeyPair,
        name: &UserName,
        grants: &Grants,
        now: u64,
        expires: Option<u64>,
    ) -> Result<String, AuthError> {
        let permissions = Permissions::of(name, grants);
        let publish = PermissionClaims::of(&permissions, Action::Publish);
        let subscribe = PermissionClaims::of(&permissions, Action::Subscribe);
        let mut claims = Claims {
            jti: String::new(),
            iat: now,
            exp: expires,
            iss: self.app.public_key(),
            name: name.to_string(),
            sub: user.public_key(),
            nats: UserClaims {
                publish,
                subscribe,
                subs: NO_LIMIT,
                data: NO_LIMIT,
                payload: NO_LIMIT,
                tags: grants.to_tags(name),
                kind: "user".to_owned(),
                version: VERSION,
            },
        };
        encode(&mut claims, &self.app)
    }

    /// The subject on which the server tells the system account of the disconnects of the mesh's clients.
    fn disconnects(&self) -> String {
        format!("$SYS.ACCOUNT.{}.DISCONNECT", self.app.public_key())
    }

    /// Signs claims about `subject` as the operator.
    fn sign<N: Serialize>(
        &self,
        subject: &KeyPair,
        name: &str,
        now: u64,
        nats: N,
    ) -> Result<String, AuthError> {
        let mut claims = Claims {
            jti: String::new(),
            iat: now,
            exp: None,
            iss: self.operator.public_key(),
            name: name.to_owned(),
            sub: subject.public_key(),
            nats,
        };
        encode(&mut claims, &self.operator)
    }
}
