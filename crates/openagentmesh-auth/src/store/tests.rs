//! The changes of a store, and its limits.

use super::*;
use crate::Role;

fn observer() -> Grants {
    Grants::builder(Role::Observer).build().unwrap()
}

#[test]
fn name_belongs_to_one_user_until_it_is_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::init(&directory.path().join("auth")).unwrap();
    let name: UserName = "ada".parse().unwrap();
    let first = store.add(&name, &observer(), None).unwrap();
    let again = store.add(&name, &observer(), None);
    assert!(matches!(again, Err(AuthError::UserExists { .. })));
    store.revoke(&name).unwrap();
    assert_eq!(store.user(&name).unwrap().state, UserState::Revoked);
    let second = store.add(&name, &observer(), None).unwrap();
    assert_ne!(first.claims().sub, second.claims().sub);
    assert_eq!(store.user(&name).unwrap().state, UserState::Active);
    assert!(store.accounts_config().is_ok());
}

#[test]
fn rotated_user_has_the_same_grants_and_lifetime() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::init(&directory.path().join("auth")).unwrap();
    let name: UserName = "ada".parse().unwrap();
    let hour = Duration::from_secs(3600);
    let first = store.add(&name, &observer(), Some(hour)).unwrap();
    let second = store.rotate(&name, None).unwrap();
    assert_eq!(first.identity().unwrap(), second.identity().unwrap());
    let claims = second.claims();
    assert_eq!(claims.exp, Some(claims.iat + 3600));
    assert!(
        store
            .revocations()
            .unwrap()
            .contains_key(&first.claims().sub)
    );
    assert!(!store.revocations().unwrap().contains_key(&claims.sub));
}

#[test]
fn user_with_too_many_agents_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::init(&directory.path().join("auth")).unwrap();
    let mut grants = Grants::builder(Role::Worker);
    for number in 0..200 {
        grants = grants.agent(format!("shop.department-{number}.price").parse().unwrap());
    }
    let added = store.add(&"ada".parse().unwrap(), &grants.build().unwrap(), None);
    assert!(matches!(added, Err(AuthError::TooLarge { .. })));
}

/// A store in which `count` keys were revoked.
fn revoked(directory: &Path, count: usize) -> Store {
    let store = Store::init(&directory.join("auth")).unwrap();
    let key = |number: usize| (format!("U{number:055}"), 1);
    let revocations = (0..count).map(key).collect();
    let keys = store.files.keys().unwrap();
    let jwt = keys.app_jwt(seconds_now(), revocations).unwrap();
    store.files.write_jwt(files::APP, &jwt).unwrap();
    store
}

#[test]
fn keys_are_revoked_after_many_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = revoked(directory.path(), 20_000);
    let name: UserName = "ada".parse().unwrap();
    store.add(&name, &observer(), None).unwrap();
    store.rotate(&name, None).unwrap();
    store.revoke(&name).unwrap();
    assert_eq!(store.user(&name).unwrap().state, UserState::Revoked);
    assert_eq!(store.revocations().unwrap().len(), 20_002);
    assert!(store.accounts_config().is_ok());
}

#[test]
fn store_of_too_many_revocations_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    // `"U…":1,`, which base64 makes a third longer.
    let entry = 56 + 5;
    let few = revoked(&directory.path().join("few"), 1);
    let rest = few.files.jwt(files::APP).unwrap().len();
    let store = revoked(directory.path(), (MAX_ACCOUNT_BYTES - rest) * 3 / 4 / entry);
    let result = (0..5_000).try_for_each(|number| {
        let name: UserName = format!("user-{number}").parse()?;
        store.add(&name, &observer(), None)?;
        store.revoke(&name)
    });
    assert!(
        matches!(result, Err(AuthError::TooManyRevocations { .. })),
        "{result:?}"
    );
    assert!(!store.users().unwrap().is_empty());
}

#[test]
fn route_password_is_made_once_and_not_used_if_it_was_changed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::init(&directory.path().join("auth")).unwrap();
    let password = store.route_password().unwrap();
    assert_eq!(password.len(), 64);
    assert_eq!(store.route_password().unwrap(), password);
    let file = store.directory().join("routes.password");
    for text in ["", "a\"b", "a b"] {
        std::fs::write(&file, text).unwrap();
        assert!(matches!(
            store.route_password(),
            Err(AuthError::Malformed { .. })
        ));
    }
}

#[test]
fn directory_with_files_is_not_initialised_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auth");
    assert!(matches!(
        Store::open(&path),
        Err(AuthError::NotInitialised { .. })
    ));
    Store::init(&path).unwrap();
    assert!(matches!(
        Store::init(&path),
        Err(AuthError::AlreadyInitialised { .. })
    ));
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 1, "the failed attempt leaves nothing");
}

#[cfg(unix)]
#[test]
fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/auth");
    let store = Store::init(&path).unwrap();
    store
        .add(&"ada".parse().unwrap(), &observer(), None)
        .unwrap();
    store.route_password().unwrap();
    let mut directories = vec![directory.path().join("a")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{}", path.display());
            if path.is_dir() {
                directories.push(path);
            }
        }
    }
}
