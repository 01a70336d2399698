//! A role under callgrind, and its counts.

use std::collections::BTreeMap;
use std::path::Path;

use openagentmesh_local::LocalServer;
use tokio::process::Command;

use super::case::Case;
use crate::error::Result;
use crate::instrumented::{self, Tool};
use crate::measure::{Contender, Task};
use crate::programs;
use crate::roles::ONE_THREAD;

pub(super) const VALGRIND: Tool = Tool {
    name: "valgrind",
    version_option: "--version",
    install: "install the package valgrind",
};

/// Disables `rep movsb` for large copies: callgrind counts this single instruction once per byte.
const NO_REP_MOVSB: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.cpu.x86_rep_movsb_threshold=0x10000000",
);

/// Sends `messages` messages and writes the counts of the counted side to `output`, from the start of
/// its process to its end.
pub(super) async fn run(
    server: &LocalServer,
    case: Case,
    contender: Contender,
    messages: u32,
    output: &Path,
) -> Result<()> {
    let task = Task {
        contender,
        measure: case.measure(),
        messages,
        in_flight: 1,
    };
    let callgrind = |role| {
        let mut valgrind = Command::new(VALGRIND.name);
        valgrind
            .args(["--quiet", "--tool=callgrind"])
            .arg(format!("--callgrind-out-file={}", output.display()))
            .env(NO_REP_MOVSB.0, NO_REP_MOVSB.1)
            .env(ONE_THREAD, "1");
        (role == case.side()).then_some(valgrind)
    };
    instrumented::run_task(server, &task, callgrind).await
}

/// The total in a file that [`run`] has written.
pub(super) fn total(output: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(output)?;
    let total = parse_total(&text);
    total.ok_or_else(|| format!("{} has no total", output.display()).into())
}

fn parse_total(output: &str) -> Option<u64> {
    let mut lines = output.lines();
    lines.find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok())
}

/// Instructions by function.
pub(super) type Functions = BTreeMap<String, u64>;

/// The instructions of each function, including its callees if `inclusive`.
pub(super) async fn by_function(output: &Path, inclusive: bool) -> Result<Functions> {
    let arguments = [
        "--auto=no".as_ref(),
        "--show-percs=no".as_ref(),
        "--threshold=100".as_ref(),
        if inclusive {
            "--inclusive=yes"
        } else {
            "--inclusive=no"
        }
        .as_ref(),
        output.as_os_str(),
    ];
    let printed = programs::output("callgrind_annotate".as_ref(), &arguments).await?;
    Ok(parse_functions(
        &String::from_utf8_lossy(&printed),
        inclusive,
    ))
}

/// Reads lines like `1,234  library/core/src/str.rs:core::str::from_utf8 [/the/program]`. A function has
/// one line per file with inlined code. Exclusive counts of these lines add up; of inclusive counts, the
/// greatest already has all.
fn parse_functions(printed: &str, inclusive: bool) -> Functions {
    let mut functions = Functions::new();
    let lines = printed.lines();
    let mut lines = lines.skip_while(|line| !line.ends_with("file:function"));
    lines.next();
    for line in lines {
        let line = line.trim_start();
        let Some((count, place)) = line.split_once("  ") else {
            continue;
        };
        let (Ok(count), Some((_, function))) =
            (count.replace(',', "").parse::<u64>(), place.split_once(':'))
        else {
            continue;
        };
        // Functions have brackets of their own, but no blank before them.
        let function = function.split(" [").next().unwrap_or(function);
        let sum = functions.entry(function.to_owned()).or_default();
        *sum = if inclusive {
            count.max(*sum)
        } else {
            count + *sum
        };
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_is_parsed() {
        let output = "# callgrind format\nevents: Ir\nsummary: 28536082\n\nfn=(1) main\n1 6\n";
        assert_eq!(parse_total(output), Some(28_536_082));
        assert_eq!(parse_total("events: Ir\n"), None);
    }

    #[test]
    fn lines_of_a_function_are_merged() {
        let printed = "\
Events shown:     Ir
--------------------------------------------------------------------------------
28,536,082  PROGRAM TOTALS
--------------------------------------------------------------------------------
Ir          file:function
--------------------------------------------------------------------------------
27,766,162  ???:<[u8] as core::fmt::Debug>::fmt [/tmp/bench]
 1,000,000  crates/a/src/b.rs:a::b::{{closure}}
       234  /rustc/5980/library/core/src/str.rs:a::b::{{closure}} [/tmp/bench]
";
        let of_b = |inclusive| parse_functions(printed, inclusive)["a::b::{{closure}}"];
        assert_eq!(of_b(false), 1_000_234);
        assert_eq!(of_b(true), 1_000_000);
        let names = parse_functions(printed, false).into_keys();
        assert_eq!(
            Vec::from_iter(names),
            ["<[u8] as core::fmt::Debug>::fmt", "a::b::{{closure}}"]
        );
    }
}
