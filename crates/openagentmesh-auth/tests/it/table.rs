//! Every cell of the table, tried by a client with the credentials of its column.

use openagentmesh_auth::{Action, table};

use crate::support::{AuthServer, Client};

/// The server's answer to an operation.
async fn is_allowed(client: &mut Client, action: Action, subject: &str) -> bool {
    let answer = match action {
        Action::Publish => client.publish(subject, "", "").await,
        Action::Subscribe => client.subscribe(subject).await,
    };
    match answer {
        Ok(()) => {
            if action == Action::Subscribe {
                client.unsubscribe().await;
            }
            true
        }
        Err(denied) => {
            let kind = match action {
                Action::Publish => "Publish",
                Action::Subscribe => "Subscription",
            };
            let expected = format!("'Permissions Violation for {kind} to \"{subject}\"'");
            assert_eq!(denied, expected, "the denial names the permission");
            false
        }
    }
}

#[tokio::test]
async fn server_decides_each_cell_as_the_table_says() {
    let server = AuthServer::start().await;
    let mut wrong = Vec::new();
    let mut cells = 0;
    for column in table::columns().unwrap() {
        let user = table::user().unwrap();
        let mut client = server.client(user.as_str(), &column.grants).await;
        for operation in table::operations() {
            let (action, subject) = (operation.action, &*operation.subject);
            let expected = column.permissions.allows(action, subject);
            let is_allowed = is_allowed(&mut client, action, subject).await;
            if is_allowed != expected {
                wrong.push(format!(
                    "{}: {action:?} {subject}: {is_allowed}",
                    column.title
                ));
            }
            cells += 1;
        }
        // The name is that of the next column, too.
        server.store.revoke(&user).unwrap();
    }
    assert!(
        wrong.is_empty(),
        "{} of {cells} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(cells > 500, "{cells}");
}

/// The decisions that are the point of the roles, stated apart from the rules that the table is made of.
#[tokio::test]
async fn only_the_operator_administers_and_only_the_monitor_keeps_the_catalog() {
    let administers = |subject: &str| {
        subject.starts_with("$JS.API.")
            && ![
                "INFO.KV",
                "INFO.OBJ",
                "MSG.GET.KV",
                "MSG.GET.OBJ",
                "DIRECT.GET",
            ]
            .iter()
            .any(|read| subject.contains(read))
    };
    for column in table::columns().unwrap() {
        for operation in table::operations() {
            let is_allowed = column
                .permissions
                .allows(operation.action, &operation.subject);
            let may = |titles: &[&str]| !is_allowed || titles.contains(&column.title);
            let subject = &*operation.subject;
            if operation.action == Action::Subscribe {
                match subject {
                    "_INBOX.>" | "mesh.stream.>" | "_INBOX.bob.>" => {
                        assert!(
                            may(&["worker-python", "operator"]),
                            "{} {subject}",
                            column.title
                        );
                    }
                    ">" | "mesh.>" | "mesh.agent.>" | "$SYS.>" => {
                        assert!(may(&["operator"]), "{} {subject}", column.title);
                    }
                    _ => {}
                }
                continue;
            }
            match subject {
                "$KV.mesh-catalog.catalog" => {
                    assert!(
                        may(&["monitor", "worker-python", "operator"]),
                        "{}",
                        column.title
                    );
                }
                "mesh.agent.bank.pay" => {
                    assert!(may(&["worker, may call", "operator"]), "{}", column.title);
                }
                _ if administers(subject) => {
                    let python = [
                        "$JS.API.CONSUMER.CREATE.KV_mesh",
                        "STREAM.NAMES",
                        "STREAM.INFO.other",
                    ];
                    let is_python = python.iter().any(|part| subject.contains(part));
                    assert!(
                        may(&["operator"]) || (is_python && may(&["worker-python"])),
                        "{} {subject}",
                        column.title
                    );
                }
                _ => {}
            }
        }
    }
}
