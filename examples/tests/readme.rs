//! The code in the README is the code in the examples.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

const README: &str = include_str!("../../README.md");
const ECHO: &str = include_str!("../echo.rs");

#[test]
fn the_readme_shows_the_echo_example() {
    let shown = README
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .find(|code| code.contains("fn main()"))
        .expect("the README shows a whole program");
    let code = ECHO.split_once("\n\n").expect("module docs, then code").1;
    assert_eq!(shown, code);
}
