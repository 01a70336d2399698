//! The scripts that register the completion of `oam` with a shell.

use super::quote::{elvish, fish, posix, powershell};
use super::{INDEX_VARIABLE, VARIABLE};
use crate::cli::Shell;

/// A line at a time: neither the characters of a name nor those of `IFS` are expanded.
const BASH: &str = r#"_oam_complete() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        [[ -n $line ]] && COMPREPLY+=("$line")
    done < <(VARIABLE=bash PROGRAM -- "$2" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -F _oam_complete oam
"#;

/// For `source`, and for a file `_oam` in a directory of `fpath`.
const ZSH: &str = r#"#compdef oam
_oam() {
    local line
    local -a values shown open_values open_shown
    for line in "${(@f)$(VARIABLE=zsh PROGRAM -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        local value="${line%%$'\t'*}"
        [[ -n $value ]] || continue
        local text="${line/$'\t'/  -- }"
        if [[ $value == *[/=] ]]; then
            open_values+=("$value") open_shown+=("$text")
        else
            values+=("$value") shown+=("$text")
        fi
    done
    local -a as_list
    [[ ${(j::)shown} == *'  -- '* ]] && as_list=(-l)
    (( $#values )) && compadd $as_list -d shown -a values
    (( $#open_values )) && compadd -S '' -d open_shown -a open_values
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _oam "$@"
else
    compdef _oam oam
fi
"#;

const FISH: &str = r#"function __oam_complete
    set --local --export VARIABLE fish
    PROGRAM -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command oam --no-files --keep-order --arguments '(__oam_complete)'
"#;

/// The texts of the words are not evaluated: an expression on the line may have effects.
const POWERSHELL: &str = r#"Register-ArgumentCompleter -Native -CommandName oam, oam.exe -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition -or ($wordToComplete -and $_.Extent.StartOffset -lt $cursorPosition) } |
        ForEach-Object {
            if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value }
            else { $_.Extent.Text }
        })
    $index = if ($wordToComplete) { $words.Count - 1 } else { $words.Count }
    $shell = $env:VARIABLE
    $saved = $env:INDEX
    try {
        $env:VARIABLE = 'powershell'
        $env:INDEX = $index
        & PROGRAM '--' @words 2>$null | Where-Object { $_ } | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
        }
    } finally {
        $env:VARIABLE = $shell
        $env:INDEX = $saved
    }
}
"#;

const ELVISH: &str = r#"set edit:completion:arg-completer[oam] = {|@words|
    tmp E:VARIABLE = elvish
    (external PROGRAM) -- $@words 2>/dev/null | from-lines | each {|line|
        if (not-eq $line '') { put $line }
    }
}
"#;

/// The script for `shell`, which starts `program` for the candidates.
pub(crate) fn script(shell: Shell, program: &str) -> String {
    let (script, program) = match shell {
        Shell::Bash => (BASH, posix(program)),
        Shell::Zsh => (ZSH, posix(program)),
        Shell::Fish => (FISH, fish(program)),
        Shell::Powershell => (POWERSHELL, powershell(program)),
        Shell::Elvish => (ELVISH, elvish(program)),
    };
    script
        .replace("VARIABLE", VARIABLE)
        .replace("INDEX", INDEX_VARIABLE)
        .replace("PROGRAM", &program)
}
