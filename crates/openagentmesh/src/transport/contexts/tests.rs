//! The file of contexts: its members, and malformed ones.

use super::*;

fn parse(text: &str) -> Result<MeshContexts> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("contexts.toml");
    std::fs::write(&path, text).unwrap();
    MeshContexts::read_file(&path)
}

#[test]
fn file_with_unknown_members_is_read() {
    let contexts = parse(
        "\u{feff}# mine\r\nversion = 2\nselected = 'b'\n[contexts.b]\nurl = 'nats://b'\ncolour = 'red'\n\
         [contexts.a]\nurl = 'nats://a'\ncreds = '/x/a.creds'\ndescription = 'first'\n",
    )
    .unwrap();
    assert_eq!(contexts.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(contexts.selected(), Some("b"));
    let a = contexts.get("a").unwrap();
    assert_eq!(a.credentials.as_deref(), Some(Path::new("/x/a.creds")));
    assert_eq!(a.description.as_deref(), Some("first"));
    let selected = contexts.get_selected().unwrap().unwrap();
    assert_eq!(selected.url, "nats://b");
    assert_eq!(selected.credentials, None);
}

#[test]
fn malformed_context_does_not_affect_the_others() {
    let contexts = parse(
        "[contexts]\ngood = { url = 'nats://a' }\ntext = 'nats://u:secret@a'\n'a b' = { url = 'nats://a' }\n\
         none = {}\nnumber = { url = 1 }\ncreds = { url = 'nats://a', creds = ['secret'] }\n\
         break = { url = \"nats://u:sec\\nret@a\" }\n",
    )
    .unwrap();
    assert_eq!(contexts.get("good").unwrap().url, "nats://a");
    for (name, expected) in [
        ("text", "'url' is missing"),
        ("a b", "only letters"),
        ("none", "'url' is missing"),
        ("number", "'url' must be a string"),
        ("creds", "'creds' must be a string"),
        ("break", "line break"),
    ] {
        let error = contexts.get(name).unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Configuration);
        assert!(error.message().contains(expected), "{name}: {error}");
        assert!(!error.message().contains("secret"), "{error}");
    }
    assert_eq!(contexts.iter().filter(Result::is_ok).count(), 1);
}

#[test]
fn malformed_file_is_an_error_with_the_line_and_without_secrets() {
    for (text, expected) in [
        ("\n\n[contexts.a]\nurl = nats://u:secret@a\n", "line 4"),
        ("contexts = 'secret'", "line 1"),
        ("selected = 1", "line 1"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Configuration);
        assert!(error.message().contains("contexts.toml"), "{error}");
        assert!(error.message().contains(expected), "{error}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn debug_of_contexts_has_no_login() {
    let contexts = parse("[contexts.a]\nurl = 'nats://ann:secret@a'").unwrap();
    let shown = format!("{contexts:?} {:?}", contexts.get("a").unwrap());
    assert!(shown.contains("nats://a"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn name_of_a_context_has_letters_digits_and_three_signs() {
    for name in ["a", "9", "prod.eu-1_b", &"x".repeat(MAX_NAME_BYTES)] {
        assert!(MeshContext::check_name(name).is_ok(), "{name}");
    }
    for name in [
        "",
        "-a",
        ".a",
        "a b",
        "a/b",
        "ä",
        "a\n",
        &"x".repeat(MAX_NAME_BYTES + 1),
    ] {
        assert!(MeshContext::check_name(name).is_err(), "{name}");
    }
}

#[test]
fn long_list_of_contexts_is_shortened_in_an_error() {
    let mut text = String::from("[contexts]\n");
    for number in 0..20 {
        text += &format!("c{number:02} = {{ url = 'nats://a' }}\n");
    }
    let error = parse(&text).unwrap().get("x").unwrap_err();
    assert!(error.message().contains("c11 and 8 more;"), "{error}");
}
