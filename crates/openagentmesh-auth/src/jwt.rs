//! NATS JWTs: claims in base64, signed with a key of ed25519.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::KeyPair;
use ring::digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::AuthError;

/// The header of every NATS JWT of version 2.
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// Maximum length of a token that is read, but for that of an account.
pub(crate) const MAX_TOKEN_BYTES: usize = 256 * 1024;

/// Maximum length of the token of an account, which has the revocations: about 130,000 of them.
pub(crate) const MAX_ACCOUNT_BYTES: usize = 16 * 1024 * 1024;

/// The claims of a JWT; `N` is the part for NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims<N> {
    /// The digest of the other claims.
    #[serde(default)]
    pub jti: String,
    /// The time of issue, in seconds since 1970.
    pub iat: u64,
    /// The time after which the token is invalid; `None` if it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// The public key of the issuer, which signs the token.
    pub iss: String,
    /// The name of the subject.
    #[serde(default)]
    pub name: String,
    /// The public key of the subject.
    pub sub: String,
    /// The claims for NATS.
    pub nats: N,
}

/// Signs `claims` with the key of its issuer. The digest is set here.
///
/// # Errors
///
/// [`AuthError::Malformed`] if the key cannot sign.
pub(crate) fn encode<N: Serialize>(
    claims: &mut Claims<N>,
    issuer: &KeyPair,
) -> Result<String, AuthError> {
    claims.jti = String::new();
    let json = to_json(claims)?;
    let digest = digest::digest(&digest::SHA512_256, json.as_bytes());
    claims.jti = BASE32_NOPAD.encode(digest.as_ref());
    let signed = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(HEADER.as_bytes()),
        BASE64URL_NOPAD.encode(to_json(claims)?.as_bytes())
    );
    let signature = issuer
        .sign(signed.as_bytes())
        .map_err(|error| malformed(format!("its issuer cannot sign ({error})")))?;
    Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}

fn to_json(claims: &impl Serialize) -> Result<String, AuthError> {
    serde_json::to_string(claims).map_err(|error| malformed(error.to_string()))
}

/// The claims of a token of at most `max` bytes whose signature is that of its issuer. Whether the issuer is trusted is for the
/// caller to check.
///
/// # Errors
///
/// [`AuthError::Malformed`]: the token has another form, or another signature.
pub(crate) fn decode<N: DeserializeOwned>(token: &str, max: usize) -> Result<Claims<N>, AuthError> {
    if token.len() > max {
        return Err(malformed("it is too long; use the file as it was written"));
    }
    let changed = || malformed("it is cut off or was changed; use the file as it was written");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(changed)?;
    let (header, body) = signed.split_once('.').ok_or_else(changed)?;
    let decoded = |text: &str| {
        BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| changed())
    };
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| changed())?;
    if header.alg != "ed25519-nkey" {
        return Err(malformed(
            "its algorithm is unknown; only ed25519-nkey (version 2) is allowed",
        ));
    }
    let claims: Claims<N> = serde_json::from_slice(&decoded(body)?)
        .map_err(|error| malformed(format!("its claims have another form ({error})")))?;
    let issuer = KeyPair::from_public_key(&claims.iss).map_err(|_| changed())?;
    issuer
        .verify(signed.as_bytes(), &decoded(signature)?)
        .map_err(|_| {
            malformed("its signature is not that of its issuer; use the file as it was written")
        })?;
    Ok(claims)
}

fn malformed(problem: impl Into<String>) -> AuthError {
    AuthError::malformed("JWT", problem)
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token() -> String {
        let issuer = KeyPair::new_account();
        let mut claims = Claims {
            jti: String::new(),
            iat: 1,
            exp: None,
            iss: issuer.public_key(),
            name: "ada".to_owned(),
            sub: KeyPair::new_user().public_key(),
            nats: json!({ "type": "user" }),
        };
        encode(&mut claims, &issuer).unwrap()
    }

    #[test]
    fn token_is_read_as_it_was_signed() {
        let claims: Claims<Value> = decode(&token(), MAX_TOKEN_BYTES).unwrap();
        assert_eq!(claims.name, "ada");
        assert_eq!(claims.jti.len(), 52);
        assert_eq!(claims.nats["type"], "user");
    }

    #[test]
    fn changed_token_is_malformed() {
        let token = token();
        let body = token.split('.').nth(1).unwrap();
        let claims = String::from_utf8(BASE64URL_NOPAD.decode(body.as_bytes()).unwrap()).unwrap();
        let forged = BASE64URL_NOPAD.encode(claims.replace("ada", "eve").as_bytes());
        let forged = token.replace(body, &forged);
        assert!(
            decode::<Value>(&forged, MAX_TOKEN_BYTES)
                .unwrap_err()
                .to_string()
                .contains("signature")
        );
        for length in 0..token.len() {
            assert!(
                decode::<Value>(&token[..length], MAX_TOKEN_BYTES).is_err(),
                "{length}"
            );
        }
    }
}
