//! The help of all commands.

use crate::support::{Sandbox, commands_in_help};

/// The help of a command in a pipe.
fn help(sandbox: &Sandbox, words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let help = sandbox.oam(&[&words[..], &["--help"]].concat());
    assert_eq!(help.code, 0, "{help:?}");
    help.stdout
}

#[test]
fn help_of_each_command_ends_with_an_example() {
    let sandbox = Sandbox::new();
    for words in commands_in_help(&sandbox) {
        let help = help(&sandbox, &words);
        let example = help.trim_end().lines().rev().take(2).collect::<Vec<_>>();
        let [command, "Example:"] = example[..] else {
            panic!("{words:?}: {help}");
        };
        assert!(
            command.contains(&format!("oam {}", words.join(" "))),
            "{help}"
        );
    }
}

#[test]
fn exit_codes_are_in_the_help_of_the_program() {
    let help = help(&Sandbox::new(), &[]);
    let codes = help.split("Exit codes:\n").nth(1).unwrap();
    let codes: Vec<&str> = codes
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        codes,
        ["0", "1", "2", "3", "4", "5", "124", "130"],
        "{help}"
    );
}
