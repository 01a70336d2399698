//! The commands, as the help lists them.

use super::sandbox::Sandbox;

/// The words of all commands, from the help texts.
pub(crate) fn commands_in_help(sandbox: &Sandbox, words: &[&str]) -> Vec<Vec<String>> {
    let help = sandbox.oam(&[words, &["--help"]].concat());
    assert_eq!(help.code, 0, "{help:?}");
    let Some((_, listed)) = help.stdout.split_once("Commands:\n") else {
        return vec![words.iter().map(|word| (*word).to_owned()).collect()];
    };
    let listed = listed.split("\n\n").next().unwrap();
    let names = listed.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.split_whitespace().next()?;
        (!line.starts_with("   ") && name != "help").then_some(name)
    });
    names
        .flat_map(|name| commands_in_help(sandbox, &[words, &[name]].concat()))
        .collect()
}
