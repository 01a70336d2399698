//! The code of the README equals the code of the examples.

const README: &str = include_str!("../../../README.md");
const ECHO: &str = include_str!("../../echo.rs");

#[test]
fn readme_code_equals_the_echo_example() {
    let shown = README
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .find(|code| code.contains("fn main()"))
        .expect("the README shows a whole program");
    let code = ECHO.split_once("\n\n").expect("module docs, then code").1;
    assert_eq!(shown, code);
}
