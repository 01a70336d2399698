//! Keys, tokens and credentials files of an operator.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// The keys and tokens of an operator with one account and one user.
pub(crate) struct Operator {
    pub(crate) user_jwt: String,
    pub(crate) user_seed: String,
    account: KeyPair,
    configuration: String,
}

impl Operator {
    pub(crate) fn generate() -> Self {
        let (operator, account, user) = (
            KeyPair::new_operator(),
            KeyPair::new_account(),
            KeyPair::new_user(),
        );
        let limits = json!({"subs": -1, "data": -1, "payload": -1});
        let operator_jwt = jwt(
            &operator,
            &operator,
            None,
            json!({"type": "operator", "version": 2}),
        );
        let account_limits = json!({
            "subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1,
            "imports": -1, "exports": -1, "wildcards": true,
        });
        let account_claims = json!({"type": "account", "version": 2, "limits": account_limits});
        let account_jwt = jwt(&operator, &account, None, account_claims);
        let mut user_claims = limits;
        user_claims["type"] = json!("user");
        user_claims["version"] = json!(2);
        Self {
            user_jwt: jwt(&account, &user, None, user_claims),
            user_seed: user.seed().unwrap(),
            configuration: format!(
                "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}",
                account.public_key()
            ),
            account,
        }
    }

    pub(crate) fn configuration(&self) -> &str {
        &self.configuration
    }

    /// The same account of another operator, with a system account and JetStream in `directory`. Returns a credentials file of a user of the
    /// system account, with `permissions`, too.
    pub(crate) fn with_system_account(
        mut self,
        directory: &Path,
        permissions: &Value,
    ) -> (Self, String) {
        let operator = &KeyPair::new_operator();
        let (system, user) = (KeyPair::new_account(), KeyPair::new_user());
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1,
            "wildcards": true,
        });
        let mut stored = limits.clone();
        for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
            stored[limit] = json!(-1);
        }
        let account = |limits| json!({"type": "account", "version": 2, "limits": limits});
        let accounts = [(&self.account, account(stored)), (&system, account(limits))];
        let preloaded = accounts.map(|(key, claims)| {
            let jwt = jwt(operator, key, None, claims);
            format!("{}: {jwt}", key.public_key())
        });
        let operator_claims = json!({"type": "operator", "version": 2});
        self.configuration = format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}\n{} }}\n\
             jetstream {{ store_dir: {directory:?} }}",
            jwt(operator, operator, None, operator_claims),
            system.public_key(),
            preloaded[0],
            preloaded[1],
        );
        let mut claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
        });
        for (name, value) in permissions.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let user_jwt = jwt(&system, &user, None, claims);
        (self, credentials_file(&user_jwt, &user.seed().unwrap()))
    }

    /// A credentials file of the user.
    pub(crate) fn credentials_file(&self) -> String {
        credentials_file(&self.user_jwt, &self.user_seed)
    }

    /// A credentials file of another user with `tags`, who may subscribe to `subscribed` alone.
    pub(crate) fn credentials_with_tags(&self, tags: &[&str], subscribed: &str) -> String {
        let user = KeyPair::new_user();
        let claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "tags": tags,
            "sub": {"allow": [subscribed]},
        });
        let jwt = jwt(&self.account, &user, None, claims);
        credentials_file(&jwt, &user.seed().unwrap())
    }

    /// A credentials file of another user, who may not publish to `denied`, until `expires` in Unix time.
    pub(crate) fn credentials_of(&self, denied: &str, expires: Option<i64>) -> String {
        let user = KeyPair::new_user();
        let claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": {"deny": [denied]},
        });
        let jwt = jwt(&self.account, &user, expires, claims);
        credentials_file(&jwt, &user.seed().unwrap())
    }
}

fn credentials_file(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

/// A token about `subject`, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, expires: Option<i64>, nats: Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let mut claims = json!({
        "jti": "test", "iat": 1_700_000_000, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": nats,
    });
    if let Some(expires) = expires {
        claims["exp"] = json!(expires);
    }
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}
