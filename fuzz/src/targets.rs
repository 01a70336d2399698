//! The targets, and the invariants that they check.

use openagentmesh::Endpoint;
use openagentmesh_auth::{Credentials, Permissions};
use openagentmesh_protocol::tool::OpenAiApi;
use openagentmesh_protocol::{
    CallerSignal, CatalogDocument, ChunkHeaders, ContentType, Contract, DeathNotice, ErrorObject,
    Headers, InstanceRecord, LogEvent, ReplyHeaders, RequestHeaders, Subject, Usage, envelope,
    subject,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::NamedTempFile;

/// A function of bytes that panics when a parser breaks its promises.
pub struct Target {
    /// The name, also of the corpus.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "header_block",
        run: header_block,
    },
    Target {
        name: "envelope",
        run: envelope_bodies,
    },
    Target {
        name: "catalog",
        run: catalog,
    },
    Target {
        name: "contract",
        run: contract,
    },
    Target {
        name: "tool",
        run: tool,
    },
    Target {
        name: "creds",
        run: creds,
    },
    Target {
        name: "url_file",
        run: url_file,
    },
];

/// The headers of a block, as a client reads them: a line each, up to the first colon.
fn headers(block: &[u8]) -> Headers {
    String::from_utf8_lossy(block)
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect()
}

/// Headers that were read are written so that they read the same.
fn header_block(input: &[u8]) {
    let headers = headers(input);
    for (name, value) in headers.iter() {
        assert!(headers.get(name).is_some(), "{name}: {value}");
    }
    if let Ok(request) = RequestHeaders::read(&headers) {
        let mut written = Headers::default();
        request.write(&mut written);
        assert_eq!(RequestHeaders::read(&written).as_ref(), Ok(&request));
    }
    // Also after an error, an answer needs the destination.
    let _ = RequestHeaders::read_destination(&headers);
    if let Ok(reply) = ReplyHeaders::read(&headers) {
        let mut written = Headers::default();
        reply.write(&mut written);
        assert_eq!(ReplyHeaders::read(&written).as_ref(), Ok(&reply));
    }
    if let Ok(chunk) = ChunkHeaders::read(&headers) {
        let mut written = Headers::default();
        chunk.write(&mut written);
        assert_eq!(ChunkHeaders::read(&written).as_ref(), Ok(&chunk));
    }
    let _ = (
        CallerSignal::read(&headers),
        envelope::Probe::read(&headers),
    );
    let _ = ContentType::read(&headers);
    let text = String::from_utf8_lossy(input);
    let _ = (Subject::parse(&text), subject::may_reply_to(&text));
}

/// Reads a body as `T`. A value that was read is written so that it reads the same.
fn body<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(input: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(input) {
        let written = serde_json::to_vec(&value).unwrap();
        assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), value);
    }
}

fn envelope_bodies(input: &[u8]) {
    body::<ErrorObject>(input);
    body::<Usage>(input);
    body::<DeathNotice>(input);
    body::<InstanceRecord>(input);
    body::<LogEvent>(input);
}

/// A catalog that was read is written as it was, and takes and loses entries.
fn catalog(input: &[u8]) {
    let Ok(mut document) = CatalogDocument::parse(input) else {
        return;
    };
    let written = document.to_json().unwrap();
    let again = CatalogDocument::parse(&written).unwrap();
    assert!(document.texts().eq(again.texts()));
    for entry in document.entries() {
        let _ = (entry.capabilities(), entry.to_compact());
    }
    let entry = CatalogDocument::parse(br#"[{"name": "fuzz.new", "description": "d"}]"#)
        .unwrap()
        .entries()
        .next()
        .unwrap();
    document.upsert([entry.clone()]).unwrap();
    assert!(document.get("fuzz.new").is_some());
    assert!(
        !document.upsert([entry]).unwrap(),
        "a second upsert changed the catalog"
    );
    document.remove(["fuzz.new"]);
    assert!(document.get("fuzz.new").is_none());
}

/// The document and the value of an input, separated by a line `---`.
fn parts(input: &[u8]) -> (&[u8], &[u8]) {
    const SEPARATOR: &[u8] = b"\n---\n";
    let at = input
        .windows(SEPARATOR.len())
        .position(|part| part == SEPARATOR);
    at.map_or((input, b"null"), |at| {
        (&input[..at], &input[at + SEPARATOR.len()..])
    })
}

/// A contract that was read is written so that it reads the same, and validates any value.
fn contract(input: &[u8]) {
    let (document, value) = parts(input);
    let Ok(contract) = serde_json::from_slice::<Contract>(document) else {
        return;
    };
    let written = serde_json::to_vec(&contract).unwrap();
    assert_eq!(
        serde_json::from_slice::<Contract>(&written).unwrap(),
        contract
    );
    let _ = contract.to_catalog_entry();
    if let Ok(value) = serde_json::from_slice::<Value>(value)
        && let Err(error) = openagentmesh::Contract::from(contract).validate(value)
    {
        let listed = error.details().get("errors").and_then(Value::as_array);
        assert!(listed.is_none_or(|listed| listed.len() <= 21));
        assert!(error.message().chars().count() < 10_000);
    }
}

/// Definitions are made or refused, and the payload of a payload is the same.
fn tool(input: &[u8]) {
    let (document, arguments) = parts(input);
    let Ok(contract) = serde_json::from_slice::<Contract>(document) else {
        return;
    };
    for api in [OpenAiApi::Chat, OpenAiApi::Responses] {
        for strict in [false, true] {
            let _ = contract.to_openai_tool(api, strict);
        }
    }
    let _ = (contract.to_tool(), contract.to_anthropic_tool());
    let _ = contract.tool_input(&String::from_utf8_lossy(arguments));
}

/// Credentials that were read are written so that they read the same, and what they grant can be explained.
fn creds(input: &[u8]) {
    let Ok(credentials) = Credentials::parse(&String::from_utf8_lossy(input)) else {
        return;
    };
    let again = Credentials::parse(&credentials.to_text()).unwrap();
    assert_eq!(again.claims(), credentials.claims());
    if let Ok((name, grants)) = credentials.identity() {
        let _ = Permissions::of(&name, &grants).events_out_of_reach();
    }
}

thread_local! {
    /// The file that [`url_file`] reads. One file for each input would take most of the time.
    static URL_FILE: NamedTempFile = NamedTempFile::new().unwrap();
}

/// A file that is read names a URL on one line, whose check ends.
fn url_file(input: &[u8]) {
    URL_FILE.with(|file| {
        std::fs::write(file.path(), input).unwrap();
        let Ok(endpoint) = Endpoint::from_file(file.path()) else {
            return;
        };
        assert!(!endpoint.url.contains('\n'), "{:?}", endpoint.url);
        let _ = endpoint.check_url();
    });
}
