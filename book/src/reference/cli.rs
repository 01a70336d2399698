//! `reference/cli.md`: the arguments of `oam`.

use clap::{Arg, ArgAction, Command};

/// The path of the page.
pub(super) const PAGE: &str = "reference/cli.md";

/// The page.
pub(super) fn page() -> String {
    let mut page = String::from(
        "# The command line\n\n\
         The commands of `oam` with their arguments and options. `oam help COMMAND` prints the same in a terminal. This \
         page is generated from the definitions of the arguments.\n",
    );
    let mut root = oam_cli::arguments();
    root.build();
    let global: Vec<&Arg> = root
        .get_arguments()
        .filter(|argument| argument.is_global_set())
        .collect();
    page += "\n## Options of every command\n\n\
             Before or after the name of the command. [Output and exit codes](output.md) says what they do.\n";
    page += &table(&global);
    for command in all() {
        page += &section(&command);
    }
    page
}

/// All commands that do something, with their full names.
pub(super) fn all() -> Vec<Command> {
    let mut found = Vec::new();
    // Building sets the full names and the usage.
    let mut root = oam_cli::arguments();
    root.build();
    collect(&root, "oam", &mut found);
    found
}

fn collect(command: &Command, name: &str, found: &mut Vec<Command>) {
    let mut children = command
        .get_subcommands()
        .filter(|child| child.get_name() != "help" && !child.is_hide_set())
        .peekable();
    if children.peek().is_none() {
        found.push(command.clone().bin_name(name.to_owned()));
    }
    for child in children {
        collect(child, &format!("{name} {}", child.get_name()), found);
    }
}

fn section(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_default();
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let example = command.get_after_help();
    let example = example.map_or_else(String::new, |example| format!("\n\n{example}"));
    let section = format!(
        "\n## {name}\n\n{}\n\n```text\n{usage}{example}\n```\n",
        escaped(&about)
    );
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .filter(|argument| !argument.is_global_set())
        .collect();
    section + &table(&arguments)
}

fn table(arguments: &[&Arg]) -> String {
    if arguments.is_empty() {
        return String::new();
    }
    let rows = arguments
        .iter()
        .map(|argument| format!("| {} | {} |\n", form(argument), meaning(argument)));
    "\n| argument | meaning |\n|---|---|\n".to_owned() + &rows.collect::<String>()
}

/// The argument as it is written, such as `--url <URL>`.
fn form(argument: &Arg) -> String {
    let values: Vec<String> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(|name| format!("<{name}>"))
        .collect();
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let values = match takes_value {
        true => values.join(" "),
        false => String::new(),
    };
    let names = [
        argument.get_short().map(|short| format!("-{short}")),
        argument.get_long().map(|long| format!("--{long}")),
    ];
    let names: Vec<String> = names.into_iter().flatten().collect();
    format!("`{}`", format!("{} {values}", names.join(", ")).trim())
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut meaning = help.map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !possible.is_empty() && argument.get_action().takes_values() {
        meaning += &format!("; one of {}", possible.join(", "));
    }
    if let Some(default) = argument.get_default_values().first()
        && argument.get_action().takes_values()
    {
        meaning += &format!("; by default `{}`", default.to_string_lossy());
    }
    if let Some(variable) = argument.get_env() {
        meaning += &format!("; or the variable `{}`", variable.to_string_lossy());
    }
    // The first paragraph of a help has no period.
    let meaning = meaning.replacen("\n\n", ". ", 1).replace('\n', " ");
    escaped(&meaning).replace('|', "\\|")
}

/// Text of the help as Markdown: `<` would begin an HTML element.
fn escaped(text: &str) -> String {
    text.replace('<', "&lt;").replace('*', "\\*")
}
