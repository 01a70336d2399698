//! What the compiler says of functions that cannot be agents.

#[test]
fn a_function_that_cannot_be_an_agent_says_what_to_write_instead() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
