//! Commands, options and headers that no page mentions.

use std::fs;

use regex::Regex;
use syn::{ImplItem, Item};

use super::cli;
use crate::pages::{self, Page};

/// Builders whose methods are options, and the pattern of their use.
const BUILDERS: &[(&str, &str)] = &[
    ("crates/openagentmesh/src/mesh/builder.rs", "MeshBuilder"),
    (
        "crates/openagentmesh/src/mesh/local_feature.rs",
        "MeshBuilder",
    ),
    ("crates/openagentmesh/src/agent/definition.rs", "AgentSpec"),
];

const HEADERS: &str = "crates/openagentmesh-protocol/src/header.rs";
const BUCKETS: &str = "crates/openagentmesh-protocol/src/bucket.rs";

/// The mentions that are missing.
///
/// # Errors
///
/// The source that cannot be read.
pub(super) fn missing(pages: &[Page]) -> Result<Vec<String>, String> {
    // The generated page has all commands, and decisions are no documentation of a feature.
    let is_written = |page: &&Page| page.path != cli::PAGE && !page.is_decision();
    let written: Vec<&str> = pages
        .iter()
        .filter(is_written)
        .map(|page| page.text.as_str())
        .collect();
    let text = written.join("\n");
    let mut problems = Vec::new();
    for command in cli::all() {
        let name = command.get_bin_name().unwrap_or_default();
        if !text.contains(name) {
            problems.push(format!("no page of the book shows the command `{name}`"));
        }
    }
    for (file, builder) in BUILDERS {
        for option in options(file, builder)? {
            let pattern = format!(r"[.:` ]{option}\b");
            let pattern = Regex::new(&pattern).map_err(|error| error.to_string())?;
            if !pattern.is_match(&text) {
                problems.push(format!(
                    "no page of the book mentions `{builder}::{option}`"
                ));
            }
        }
    }
    for file in [HEADERS, BUCKETS] {
        for name in texts(file)? {
            if !text.contains(&name) {
                problems.push(format!("no page of the book mentions `{name}` of {file}"));
            }
        }
    }
    Ok(problems)
}

fn parsed(file: &str) -> Result<syn::File, String> {
    let text = fs::read_to_string(pages::repository().join(file))
        .map_err(|error| format!("cannot read {file}: {error}"))?;
    syn::parse_file(&text).map_err(|error| format!("cannot parse {file}: {error}"))
}

/// The public methods of `builder` in `file`.
fn options(file: &str, builder: &str) -> Result<Vec<String>, String> {
    let is_builder = |own: &syn::Type| match own {
        syn::Type::Path(path) => path.path.is_ident(builder),
        _ => false,
    };
    let mut options = Vec::new();
    for item in parsed(file)?.items {
        let Item::Impl(block) = item else { continue };
        if !is_builder(&block.self_ty) || block.trait_.is_some() {
            continue;
        }
        options.extend(block.items.iter().filter_map(|item| match item {
            ImplItem::Fn(method) if matches!(method.vis, syn::Visibility::Public(_)) => {
                Some(method.sig.ident.to_string())
            }
            _ => None,
        }));
    }
    match options.is_empty() {
        true => Err(format!("{file} has no options of {builder}")),
        false => Ok(options),
    }
}

/// The texts of the public constants of `file`.
fn texts(file: &str) -> Result<Vec<String>, String> {
    let constants = parsed(file)?
        .items
        .into_iter()
        .filter_map(|item| match item {
            Item::Const(constant) if matches!(constant.vis, syn::Visibility::Public(_)) => {
                match *constant.expr {
                    syn::Expr::Lit(literal) => match literal.lit {
                        syn::Lit::Str(text) => Some(text.value()),
                        _ => None,
                    },
                    _ => None,
                }
            }
            _ => None,
        });
    let texts: Vec<String> = constants.collect();
    match texts.is_empty() {
        true => Err(format!("{file} has no constants")),
        false => Ok(texts),
    }
}
