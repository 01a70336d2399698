//! `reference/limits.md`: the settings, which are written by hand and compared with the constants, and the list of all
//! constants, which is generated.

use super::constants::{self, Constant};
use crate::pages::Page;

pub(super) const PAGE: &str = "reference/limits.md";

const BEGIN: &str = "<!-- constants:begin -->";
const END: &str = "<!-- constants:end -->";

/// The differences between the page and the constants. A row of the settings ends with a cell such as
/// `` `client/call.rs` `DEFAULT_TIMEOUT` ``, whose value is in the second cell.
///
/// # Errors
///
/// The file that cannot be read.
pub(super) fn differences(pages: &[Page]) -> Result<Vec<String>, String> {
    let Some(page) = pages.iter().find(|page| page.path == PAGE) else {
        return Ok(vec![format!("docs/{PAGE} is missing")]);
    };
    let constants = constants::all()?;
    let mut problems = Vec::new();
    if updated(&page.text)? != page.text {
        problems.push(format!(
            "docs/{PAGE}: the list of constants differs from the code: `cargo xtask book --update` writes it"
        ));
    }
    let settings = page.text.split(BEGIN).next().unwrap_or_default();
    let mut count = 0;
    for row in settings.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, value, .., source] = cells[..] else {
            continue;
        };
        let words: Vec<&str> = source.split('`').skip(1).step_by(2).collect();
        let [file, name] = words[..] else { continue };
        count += 1;
        let is_meant =
            |constant: &&Constant| constant.name == name && constant.file.ends_with(file);
        match constants.iter().find(is_meant) {
            None => problems.push(format!("docs/{PAGE}: {file} has no constant {name}")),
            Some(constant) if constant.value != value => problems.push(format!(
                "docs/{PAGE}: {name} of {file} is {}, the page says {value}",
                constant.value
            )),
            Some(_) => {}
        }
    }
    if count == 0 {
        problems.push(format!("docs/{PAGE} has no settings with a constant"));
    }
    Ok(problems)
}

/// The text of the page with the current list of constants.
///
/// # Errors
///
/// The file that cannot be read, or the mark that is missing.
pub(super) fn updated(text: &str) -> Result<String, String> {
    let missing = || format!("docs/{PAGE} has no {BEGIN} and {END}");
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", list()?))
}

fn list() -> Result<String, String> {
    let mut list = String::new();
    let mut file = String::new();
    for constant in constants::all()? {
        if constant.meaning.is_empty() {
            continue;
        }
        if constant.file != file {
            file.clone_from(&constant.file);
            list += &format!("\n**`{file}`**\n\n| constant | value | meaning |\n|---|---|---|\n");
        }
        list += &format!(
            "| `{}` | {} | {} |\n",
            constant.name, constant.value, constant.meaning
        );
    }
    Ok(list + "\n")
}
