//! The commands of `oam`, from its help texts.

use super::sandbox::Sandbox;

/// The words of all commands.
pub(crate) fn commands_in_help(sandbox: &Sandbox) -> Vec<Vec<String>> {
    below(sandbox, &[])
        .into_iter()
        .filter_map(|(words, is_group)| (!is_group).then_some(words))
        .collect()
}

/// The words of all commands and of the groups of commands, the program itself included.
pub(crate) fn commands_and_groups_in_help(sandbox: &Sandbox) -> Vec<Vec<String>> {
    below(sandbox, &[])
        .into_iter()
        .map(|(words, _)| words)
        .collect()
}

/// The command `words` and those below it, each with whether it is a group.
fn below(sandbox: &Sandbox, words: &[&str]) -> Vec<(Vec<String>, bool)> {
    let help = sandbox.oam(&[words, &["--help"]].concat());
    assert_eq!(help.code, 0, "{help:?}");
    let own = words.iter().map(|word| (*word).to_owned()).collect();
    let Some((_, listed)) = help.stdout.split_once("Commands:\n") else {
        return vec![(own, false)];
    };
    let listed = listed.split("\n\n").next().unwrap();
    let names = listed.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.split_whitespace().next()?;
        (!line.starts_with("   ") && name != "help").then_some(name)
    });
    let mut commands = vec![(own, true)];
    for name in names {
        commands.extend(below(sandbox, &[words, &[name]].concat()));
    }
    commands
}
