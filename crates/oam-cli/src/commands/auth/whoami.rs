use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use openagentmesh::{Endpoint, redacted_url};
use openagentmesh_auth::Credentials;
use serde::{Deserialize, Serialize};

use super::shown::{ShownGrants, expiry, listed};
use crate::cli::AuthWhoami;
use crate::connection::{connect, endpoint};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::{on_one_line, timestamp};

/// The question to the server.
const QUESTION: &str = "$SYS.REQ.USER.INFO";

/// Maximum time for the connection and the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The server's answer.
#[derive(Deserialize)]
struct Answer {
    data: Info,
}

#[derive(Deserialize)]
struct Info {
    user: String,
    account: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    url: String,
    user: &'a str,
    account: &'a str,
    creds: Option<&'a Path>,
    name: Option<String>,
    #[serde(flatten)]
    grants: Option<ShownGrants>,
    expires_at: Option<String>,
}

pub(crate) async fn run(arguments: AuthWhoami, printer: &Printer) -> Result<(), Failure> {
    let endpoint = endpoint(&arguments.target)?;
    let creds = endpoint.credentials.as_deref();
    let credentials = creds.map(Credentials::read).transpose()?;
    let asked = ask(&endpoint, credentials.as_ref());
    let info = match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
        Ok(Ok(info)) => info,
        failed => {
            // The SDK knows the reason of a connection that fails.
            connect(arguments.target).await?.shutdown().await?;
            let reason = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
            };
            return Err(Failure::local(format!(
                "the server did not say who the user is: {reason}; it must permit publishing to {QUESTION}"
            )));
        }
    };
    let identity = credentials.as_ref().and_then(|known| known.identity().ok());
    let expires = credentials.as_ref().and_then(|known| known.claims().exp);
    let expires =
        expires.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799)));
    let url = redacted_url(&endpoint.url);
    if printer.is_json() {
        return printer.json(&Shown {
            url,
            user: &info.user,
            account: &info.account,
            creds,
            name: identity.as_ref().map(|(name, _)| name.to_string()),
            grants: identity
                .as_ref()
                .map(|(_, grants)| ShownGrants::new(grants)),
            expires_at: expires.map(|end| timestamp(end.into())),
        });
    }
    printer.field("mesh", on_one_line(&url))?;
    match &identity {
        Some((name, grants)) => {
            printer.field("user", name.as_str())?;
            printer.field(
                "role",
                format!("{}: {}", grants.role(), grants.role().purpose()),
            )?;
            printer.field("agents", listed(grants.agents()))?;
            printer.field("may call", listed(grants.may_call()))?;
            printer.field("values", listed(grants.kv()))?;
            printer.field("files", listed(grants.files()))?;
            printer.field("expires", expiry(expires))?;
        }
        None => printer.field("user", on_one_line(&info.user))?,
    }
    if let Some(creds) = creds {
        printer.field("credentials", on_one_line(&creds.to_string_lossy()))?;
    }
    printer.field("key", on_one_line(&info.user))?;
    printer.field("account", on_one_line(&info.account))?;
    if identity.is_none() {
        printer.note("the user has no role of oam auth: the server alone knows what it may do");
    }
    Ok(())
}

/// Asks the server who the user is.
async fn ask(
    endpoint: &Endpoint,
    credentials: Option<&Credentials>,
) -> Result<Info, async_nats::Error> {
    let mut options = async_nats::ConnectOptions::new();
    if let Some(credentials) = credentials {
        options = options.credentials(&credentials.to_text())?;
        if let Ok((name, _)) = credentials.identity() {
            options = options.custom_inbox_prefix(format!("_INBOX.{name}"));
        }
    }
    let addresses: Vec<&str> = endpoint.url.split(',').map(str::trim).collect();
    let nats = options.connect(addresses).await?;
    let answer = nats.request(QUESTION, "".into()).await?;
    let answer: Answer = serde_json::from_slice(&answer.payload)?;
    Ok(answer.data)
}
