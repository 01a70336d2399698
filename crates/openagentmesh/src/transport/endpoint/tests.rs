//! The sources of an endpoint, and their order.

use openagentmesh_protocol::ErrorCode;

use super::*;

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str, file: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oam-endpoint-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("below")).unwrap();
        std::fs::write(path.join(URL_FILE), file).unwrap();
        Self(path)
    }

    fn resolve(&self) -> Result<Endpoint> {
        let below = self.0.join("below");
        Environment {
            url: None,
            credentials: None,
            directory: Some(&below),
            ..Environment::default()
        }
        .resolve(None, None)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn url_file_above_the_working_directory_names_the_mesh() {
    let directory = Directory::new("bare", "\n nats://127.0.0.1:4242 \n");
    let endpoint = directory.resolve().unwrap();
    assert_eq!(endpoint.url, "nats://127.0.0.1:4242");
    assert_eq!(
        endpoint.source,
        EndpointSource::File(directory.0.join(URL_FILE))
    );
}

#[test]
fn credentials_in_a_url_file_are_relative_to_it() {
    let directory = Directory::new(
        "toml",
        "# production\nurl = \"tls://mesh.example:4222\"\ncreds = \"a.creds\"\n",
    );
    let endpoint = directory.resolve().unwrap();
    assert_eq!(endpoint.url, "tls://mesh.example:4222");
    assert_eq!(endpoint.credentials, Some(directory.0.join("a.creds")));
}

#[test]
fn malformed_url_file_is_an_error_with_its_path() {
    for (name, text) in [
        ("empty", ""),
        ("other", "host = 1"),
        ("garbage", "not a url"),
        ("comment", "# nothing"),
        ("two", "nats://a:1\ncreds = \"x\""),
        ("control", "nats://a\u{1b}[2J:1"),
        ("line-break", "url = \"nats://a\\nb:1\""),
    ] {
        let directory = Directory::new(name, text);
        let message = directory.resolve().unwrap_err().to_string();
        assert!(
            message.contains(&*directory.0.join(URL_FILE).to_string_lossy()),
            "{message}"
        );
    }
}

#[test]
fn url_file_of_windows_tools_is_understood() {
    for (name, text, credentials) in [
        ("mark", "\u{feff}nats://a:1\r\n", None),
        (
            "crlf",
            "\r\n# production\r\nnats://a:1 # first\r\n# end\r\n",
            None,
        ),
        (
            "toml-crlf",
            "\u{feff}# production\r\nurl = \"nats://a:1\"\r\ncreds = \"x\"\r\n",
            Some("x"),
        ),
    ] {
        let directory = Directory::new(name, text);
        let endpoint = directory.resolve().unwrap();
        assert_eq!(endpoint.url, "nats://a:1", "{name}");
        let expected = credentials.map(|file| directory.0.join(file));
        assert_eq!(endpoint.credentials, expected, "{name}");
    }
    let directory = Directory::new("utf16", "");
    let utf16: Vec<u8> = "\u{feff}nats://a:1"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(directory.0.join(URL_FILE), utf16).unwrap();
    let error = directory.resolve().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Configuration);
    assert!(error.message().contains("UTF-16"), "{error}");
}

#[test]
fn credentials_of_a_url_file_are_used_with_the_same_url() {
    let directory = Directory::new("same", "url = \"nats://a:4222\"\ncreds = \"file\"\n");
    let resolve = |variable: Option<&str>, creds: Option<&str>, url: Option<&str>| {
        let environment = Environment {
            url: variable.map(str::to_owned),
            credentials: creds.map(str::to_owned),
            directory: Some(&directory.0),
            ..Environment::default()
        };
        environment.resolve(url, None).unwrap().credentials
    };
    let file = Some(directory.0.join("file"));
    assert_eq!(resolve(None, None, Some("nats://a:4222")), file);
    assert_eq!(resolve(None, None, Some("a")), file);
    assert_eq!(resolve(Some("nats://a"), None, None), file);
    assert_eq!(resolve(Some("nats://a"), None, Some("nats://b")), None);
    assert_eq!(
        resolve(None, Some("variable"), Some("nats://a")),
        Some("variable".into())
    );
    std::fs::write(directory.0.join(URL_FILE), "nonsense").unwrap();
    assert_eq!(resolve(None, None, Some("nats://a:4222")), None);
}

#[cfg(unix)]
#[test]
fn url_file_of_another_user_is_passed_over() {
    use std::os::unix::fs::{PermissionsExt, chown};

    let directory = Directory::new("shared", "nats://evil:1");
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&directory.0, permissions).unwrap();
    };
    mode(0o777);
    assert_ne!(directory.resolve().unwrap().url, "nats://evil:1");
    mode(0o755);
    assert_eq!(directory.resolve().unwrap().url, "nats://evil:1");
    let file = directory.0.join(URL_FILE);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o646)).unwrap();
    assert_ne!(directory.resolve().unwrap().url, "nats://evil:1");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
    assert_eq!(directory.resolve().unwrap().url, "nats://evil:1");
    // Only root can give files away.
    if chown(&file, Some(12_345), None).is_ok() {
        assert_ne!(directory.resolve().unwrap().url, "nats://evil:1");
        assert_ne!(Endpoint::nearest_file(&directory.0), Some(file));
    }
}

#[test]
fn explicit_url_and_variable_go_before_the_file() {
    let directory = Directory::new("order", "nats://file:1");
    let environment = |url: Option<&str>| Environment {
        url: url.map(str::to_owned),
        credentials: Some("env.creds".to_owned()),
        directory: Some(&directory.0),
        ..Environment::default()
    };
    let explicit = environment(Some("nats://env:1"))
        .resolve(Some("nats://flag:1"), None)
        .unwrap();
    assert_eq!(
        (explicit.url.as_str(), explicit.source),
        ("nats://flag:1", EndpointSource::Explicit)
    );
    let variable = environment(Some("nats://env:1"))
        .resolve(None, Some(Path::new("x")))
        .unwrap();
    assert_eq!(variable.url, "nats://env:1");
    assert_eq!(variable.credentials, Some(PathBuf::from("x")));
    assert_eq!(
        environment(None).resolve(None, None).unwrap().url,
        "nats://file:1"
    );
    let nothing = Environment::default().resolve(None, None).unwrap();
    assert_eq!(nothing.url, DEFAULT_URL);
}

const CONTEXTS: &str = "
selected = 'staging'
[contexts.staging]
url = 'nats://staging:1'
creds = 'staging.creds'
[contexts.prod]
url = 'tls://ann:pw@prod:1'
";

#[test]
fn url_precedes_contexts_and_a_file_precedes_the_selected_context() {
    let directory = Directory::new("contexts", "nats://file:1");
    let contexts = directory.0.join("contexts.toml");
    std::fs::write(&contexts, CONTEXTS).unwrap();
    let environment = |url: Option<&str>, context: Option<&str>, file: bool| Environment {
        url: url.map(str::to_owned),
        context: context.map(str::to_owned),
        directory: file.then_some(&*directory.0),
        contexts: Some(contexts.clone()),
        ..Environment::default()
    };
    let prod = || "prod".to_owned();
    let variable = Some("nats://variable:1");
    for (environment, url, source) in [
        (
            environment(variable, Some("prod"), true),
            "nats://variable:1",
            EndpointSource::Variable,
        ),
        (
            environment(None, Some("prod"), true),
            "tls://ann:pw@prod:1",
            EndpointSource::ContextVariable(prod()),
        ),
        (
            environment(None, None, true),
            "nats://file:1",
            EndpointSource::File(directory.0.join(URL_FILE)),
        ),
        (
            environment(None, None, false),
            "nats://staging:1",
            EndpointSource::SelectedContext("staging".to_owned()),
        ),
    ] {
        let endpoint = environment.resolve(None, None).unwrap();
        assert_eq!((&*endpoint.url, &endpoint.source), (url, &source));
    }
    let explicit = environment(variable, Some("staging"), true).resolve_context("prod", None);
    assert_eq!(explicit.unwrap().source, EndpointSource::Context(prod()));
}

#[test]
fn credentials_of_an_explicit_context_precede_the_variable() {
    let directory = Directory::new("context-creds", "nats://file:1");
    let contexts = directory.0.join("contexts.toml");
    std::fs::write(&contexts, CONTEXTS).unwrap();
    let environment = |credentials: Option<&str>| Environment {
        credentials: credentials.map(str::to_owned),
        contexts: Some(contexts.clone()),
        ..Environment::default()
    };
    let own = Some(directory.0.join("staging.creds"));
    let variable = Some("variable.creds");
    let path = |path: &str| Some(PathBuf::from(path));
    let explicit = |name: &str, variable, given: Option<&str>| {
        let endpoint = environment(variable).resolve_context(name, given.map(Path::new));
        endpoint.unwrap().credentials
    };
    assert_eq!(explicit("staging", None, None), own);
    assert_eq!(explicit("staging", variable, None), own);
    assert_eq!(explicit("staging", variable, Some("x")), path("x"));
    assert_eq!(explicit("prod", variable, None), path("variable.creds"));
    assert_eq!(explicit("prod", None, None), None);
    let prod = environment(None).resolve_context("prod", Some(Path::new("x")));
    assert_eq!(prod.unwrap().url, "tls://prod:1");
    let selected = |variable| {
        environment(variable)
            .resolve(None, None)
            .unwrap()
            .credentials
    };
    assert_eq!(selected(None), own);
    assert_eq!(selected(variable), path("variable.creds"));
}

#[test]
fn explicit_credentials_replace_the_login_of_a_url_that_is_not() {
    let directory = Directory::new("login", "nats://ann:pw@file:1");
    let resolve = |url: Option<&str>, variable: Option<&str>, creds: Option<&str>| {
        let environment = Environment {
            url: variable.map(str::to_owned),
            directory: Some(&directory.0),
            ..Environment::default()
        };
        let endpoint = environment.resolve(url, creds.map(Path::new));
        endpoint.unwrap().url
    };
    let variable = Some("nats://ann:pw@variable:1");
    assert_eq!(resolve(None, None, Some("x")), "nats://file:1");
    assert_eq!(resolve(None, variable, Some("x")), "nats://variable:1");
    assert_eq!(resolve(None, None, None), "nats://ann:pw@file:1");
    // Both are explicit: a connection with two logins is refused.
    let explicit = "nats://ann:pw@explicit:1";
    assert_eq!(resolve(Some(explicit), None, Some("x")), explicit);
}

#[test]
fn unknown_context_is_an_error_with_the_known_ones() {
    let directory = Directory::new("context-unknown", "nats://file:1");
    let contexts = directory.0.join("contexts.toml");
    std::fs::write(&contexts, CONTEXTS).unwrap();
    let environment = || Environment {
        contexts: Some(contexts.clone()),
        ..Environment::default()
    };
    let error = environment().resolve_context("x", None).unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Configuration);
    assert_eq!(
        error.message(),
        "context 'x' not found: contexts are prod, staging; oam context add x URL adds it"
    );
    let error = environment().resolve_context("a b", None).unwrap_err();
    assert!(error.message().contains("only letters"), "{error}");

    std::fs::write(&contexts, "selected = 'gone'").unwrap();
    let error = environment().resolve(None, None).unwrap_err();
    let expected =
        "selected context 'gone' not found: no contexts are stored; oam context use NAME";
    assert!(error.message().starts_with(expected), "{error}");
    std::fs::remove_file(&contexts).unwrap();
    let endpoint = environment().resolve(None, None).unwrap();
    assert_eq!(endpoint.source, EndpointSource::Default);
}

#[cfg(unix)]
#[test]
fn contexts_of_another_user_are_passed_over_or_refused() {
    use std::os::unix::fs::PermissionsExt;

    let directory = Directory::new("context-shared", "nats://file:1");
    let contexts = directory.0.join("contexts.toml");
    std::fs::write(&contexts, CONTEXTS).unwrap();
    std::fs::set_permissions(&contexts, std::fs::Permissions::from_mode(0o666)).unwrap();
    let environment = || Environment {
        contexts: Some(contexts.clone()),
        ..Environment::default()
    };
    let endpoint = environment().resolve(None, None).unwrap();
    assert_eq!(endpoint.source, EndpointSource::Default);
    let error = environment().resolve_context("prod", None).unwrap_err();
    assert!(error.message().contains("writable by all users"), "{error}");
    assert!(
        error.message().contains(contexts.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn source_is_named_for_people_and_programs() {
    for (source, kind, text) in [
        (EndpointSource::Explicit, "option", "an option"),
        (
            EndpointSource::Context("a".to_owned()),
            "context",
            "context a",
        ),
        (EndpointSource::Variable, "oam_url", "OAM_URL"),
        (
            EndpointSource::ContextVariable("a".to_owned()),
            "oam_context",
            "context a, set by OAM_CONTEXT",
        ),
        (EndpointSource::File("/x".into()), "file", "/x"),
        (
            EndpointSource::SelectedContext("a".to_owned()),
            "selected_context",
            "selected context a",
        ),
        (EndpointSource::Default, "default", "the default"),
    ] {
        assert_eq!((source.kind(), &*source.to_string()), (kind, text));
    }
}
