//! An example for each command, below its help.

use clap::Command;
use clap::builder::StyledStr;

/// The exit codes, below the help of `oam`.
const EXIT_CODES: &str = "\
Exit codes:
  0    the command did its work
  1    the agent, the mesh or this machine said no
  2    the command line or the input is invalid
  3    the mesh or the agent is not reachable
  4    the server denies it
  5    the agent, key or file does not exist
  124  the time limit has passed
  130  Ctrl-C ended the command";

/// The commands as they are typed, in the order of the help.
const EXAMPLES: &[(&str, &str)] = &[
    ("demo", "oam demo"),
    (
        "context add",
        "oam context add shop tls://mesh.example.com:4222 --creds shop.creds",
    ),
    ("context use", "oam context use shop"),
    ("context list", "oam context list"),
    ("context show", "oam context show"),
    ("context remove", "oam context remove shop"),
    ("mesh up", "oam mesh up --port 4333"),
    ("mesh down", "oam mesh down"),
    ("mesh list", "oam mesh list"),
    ("mesh logs", "oam mesh logs -n 50"),
    ("mesh init", "oam mesh init --replicas 3"),
    ("mesh connect", "oam mesh connect nats://127.0.0.1:4222"),
    ("mesh status", "oam mesh status --json"),
    ("mesh monitor", "oam mesh monitor"),
    ("mesh catalog", "oam mesh catalog --channel shop"),
    ("mesh repair", "oam mesh repair"),
    ("mesh listen", "oam mesh listen 'mesh.agent.>'"),
    ("mesh publish", "oam mesh publish orders.new '{\"id\": 7}'"),
    ("auth init", "oam auth init"),
    (
        "auth user add",
        "oam auth user add shop-1 --role worker --agent 'shop.>'",
    ),
    ("auth user list", "oam auth user list"),
    (
        "auth user rotate",
        "oam auth user rotate shop-1 --expires 30d",
    ),
    ("auth user revoke", "oam auth user revoke shop-1"),
    ("auth whoami", "oam auth whoami --creds shop-1.creds"),
    ("auth server-conf", "oam auth server-conf > mesh.conf"),
    (
        "auth explain",
        "oam auth explain --role worker --agent shop.price",
    ),
    ("agent list", "oam agent list --tag orders"),
    ("agent contract", "oam agent contract text.count"),
    ("agent call", "oam agent call echo '\"hello\"' --timeout 5s"),
    (
        "agent stream",
        "oam agent stream text.words '{\"text\": \"one by one\"}'",
    ),
    ("agent subscribe", "oam agent subscribe shop.orders"),
    ("agent send", "oam agent send echo '\"hello\"'"),
    ("tools", "oam tools --format anthropic --tag text"),
    ("conform host", "oam conform host echo --input '\"hello\"'"),
    ("conform caller", "oam conform caller --timeout 2m"),
    ("kv get", "oam kv get limits.retries"),
    ("kv put", "oam kv put limits.retries 3"),
    ("kv create", "oam kv create limits.timeout 30"),
    ("kv update", "oam kv update limits.retries 5 --revision 1"),
    ("kv history", "oam kv history limits.retries"),
    ("kv delete", "oam kv delete limits.timeout"),
    ("kv list", "oam kv list 'limits.*'"),
    ("kv watch", "oam kv watch 'limits.>'"),
    ("workspace put", "oam workspace put reports/may.txt may.txt"),
    (
        "workspace get",
        "oam workspace get reports/may.txt copy.txt",
    ),
    ("workspace list", "oam workspace list reports/"),
    ("workspace info", "oam workspace info reports/may.txt"),
    ("workspace delete", "oam workspace delete --prefix reports/"),
    ("completions", "source <(oam completions bash)"),
    ("man", "oam man ~/.local/share/man/man1"),
    ("version", "oam version --json"),
    ("self uninstall", "oam self uninstall"),
];

/// `command`, of the program, with the examples of all commands below it.
pub(super) fn with_examples(command: Command) -> Command {
    let command = command.after_help(format!("{}\n\n{EXIT_CODES}", text("oam demo")));
    annotated(command, "")
}

/// `path` has the names of the command and of those above it, without that of the program.
fn annotated(command: Command, path: &str) -> Command {
    command.mut_subcommands(|command| {
        let path = format!("{path} {}", command.get_name());
        let path = path.trim_start();
        let command = match example(path) {
            Some(example) => command.after_help(StyledStr::from(text(example))),
            None => command,
        };
        annotated(command, path)
    })
}

fn example(path: &str) -> Option<&'static str> {
    let (_, example) = EXAMPLES.iter().find(|(of, _)| *of == path)?;
    Some(example)
}

fn text(example: &str) -> String {
    format!("Example:\n  {example}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use clap::Command;

    use super::example;
    use crate::cli::Cli;

    #[test]
    fn command_has_an_example_that_it_accepts() {
        assert_examples(&Cli::definitions(), "");
    }

    fn assert_examples(command: &Command, path: &str) {
        let children = command
            .get_subcommands()
            .filter(|child| child.get_name() != "help");
        let mut is_leaf = true;
        for child in children {
            is_leaf = false;
            let path = format!("{path} {}", child.get_name());
            assert_examples(child, path.trim_start());
        }
        if !is_leaf {
            return;
        }
        let example = example(path).unwrap_or_else(|| panic!("no example: {path}"));
        let words = words(example);
        let starts = format!("oam {path}");
        assert!(words.join(" ").starts_with(&starts), "{example}");
        Cli::definitions().try_get_matches_from(words).unwrap();
    }

    /// The words of a command, within `<( )` if it is there, without the file that its output is written to.
    fn words(command: &str) -> Vec<String> {
        let (command, _) = command.split_once(" > ").unwrap_or((command, ""));
        let command = command
            .trim_start_matches("source <(")
            .trim_end_matches(')');
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for character in command.chars() {
            match character {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                other => words.last_mut().unwrap().push(other),
            }
        }
        words
    }
}
