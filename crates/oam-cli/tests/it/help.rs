//! The help of all commands.

use crate::support::{Sandbox, commands_in_help};

/// The help of a command in a terminal of a width.
fn help(sandbox: &Sandbox, words: &[String], columns: usize) -> String {
    let mut command = sandbox.program(env!("CARGO_BIN_EXE_oam"));
    command
        .args(words)
        .arg("--help")
        .env("COLUMNS", columns.to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_of_each_command_ends_with_an_example() {
    let sandbox = Sandbox::new();
    for words in commands_in_help(&sandbox) {
        let help = help(&sandbox, &words, 80);
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
fn help_fits_the_width_of_the_terminal() {
    let sandbox = Sandbox::new();
    let mut commands = commands_in_help(&sandbox);
    commands.push(Vec::new());
    for columns in [40, 80] {
        for words in &commands {
            let help = help(&sandbox, words, columns);
            // A command is not broken, so that it can be copied.
            let text = help.split("Example:").next().unwrap();
            for line in text.lines() {
                let is_one_word = line.split_whitespace().count() <= 2;
                assert!(
                    line.chars().count() <= columns || is_one_word || line.starts_with("Usage:"),
                    "{columns} {words:?}: {line}"
                );
            }
        }
    }
}

#[test]
fn exit_codes_are_in_the_help_of_the_program() {
    let help = help(&Sandbox::new(), &[], 80);
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
