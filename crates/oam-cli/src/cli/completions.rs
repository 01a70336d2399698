//! `oam completions`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Shell to print the script for
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A shell with completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// In ~/.bashrc: source <(oam completions bash)
    Bash,
    /// In ~/.zshrc, after compinit: source <(oam completions zsh)
    Zsh,
    /// In ~/.config/fish/config.fish: oam completions fish | source
    Fish,
    /// In $PROFILE: oam completions powershell | Out-String | Invoke-Expression
    Powershell,
    /// In ~/.config/elvish/rc.elv: eval (oam completions elvish | slurp)
    Elvish,
}

impl Shell {
    /// The name as an argument.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Elvish => "elvish",
        }
    }
}
