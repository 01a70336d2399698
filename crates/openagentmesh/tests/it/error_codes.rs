//! Codes of errors: those that an agent answers, and those that stay in their process.

use openagentmesh::{AgentSpec, Error, ErrorCode};

use crate::support::{TestMesh, within};

#[tokio::test]
async fn code_of_a_handlers_own_error_is_answered() {
    let test = TestMesh::start().await;
    let agent = AgentSpec::new("shop", "Sells nothing.")
        .handler(|()| async { Err::<(), _>(Error::new("out_of_stock", "item 7 is out of stock")) });
    test.mesh.register(agent).await.unwrap();
    let error = within(test.mesh.call::<()>("shop", ())).await.unwrap_err();
    assert!(error.is("out_of_stock"));
    assert_eq!(*error.code(), "out_of_stock");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn local_code_of_a_handlers_error_is_answered_as_handler_error() {
    let test = TestMesh::start().await;
    let agent = AgentSpec::new("failing", "Fails with the code that it is given.").handler(
        |code: String| async move { Err::<(), _>(Error::new(code.as_str(), "only local")) },
    );
    test.mesh.register(agent).await.unwrap();
    for code in ErrorCode::LOCAL {
        let call = test.mesh.call::<()>("failing", code.as_str());
        let error = within(call).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::HandlerError, "{error:?}");
        assert_eq!(error.details()["cause"]["code"], code.as_str());
    }
}
