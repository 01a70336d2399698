//! Dependencies and paths that exist on Unix only are within `cfg(unix)`, in each target of each member. CI has no
//! toolchain for Windows.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::{Expr, Meta, Token};

use crate::workspace::{self, Member};

/// Crates that do not build on Windows, or have nothing there.
const UNIX_CRATES: &[&str] = &[
    "daemonize",
    "libc",
    "nix",
    "pty-process",
    "rustix",
    "signal-hook",
    "termios",
    "users",
    "xattr",
];

/// The modules of `std` and `tokio` that exist on Unix only.
const UNIX_MODULES: &[&[&str]] = &[
    &["std", "os", "fd"],
    &["std", "os", "linux"],
    &["std", "os", "unix"],
    &["tokio", "io", "unix"],
    &["tokio", "net", "unix"],
    &["tokio", "signal", "unix"],
];

/// Targets of `cfg` that are Unix.
const UNIX_SYSTEMS: &[&str] = &[
    "android", "freebsd", "ios", "linux", "macos", "netbsd", "openbsd",
];

/// The problems of all members.
fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for Member {
        name,
        folder,
        package,
    } in workspace::members(root)?
    {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let crate_name = dependency["name"].as_str().unwrap_or_default();
            if UNIX_CRATES.contains(&crate_name) && !is_unix_table(&dependency["target"]) {
                problems.push(format!(
                    "{name}: dependency {crate_name} is for Unix only: move it to \
                     [target.'cfg(unix)'.dependencies]"
                ));
            }
        }
        for target in package["targets"].as_array().into_iter().flatten() {
            let source = target["src_path"].as_str().unwrap_or_default();
            let read = |path: &Path| workspace::read(path).ok();
            let found = unix_paths(Path::new(source), &read)?;
            for (path, line, found) in found {
                let path = path.strip_prefix(&folder).unwrap_or(&path);
                problems.push(format!(
                    "{name}: {}:{line}: {found} is outside of cfg(unix)",
                    path.display()
                ));
            }
        }
    }
    problems.sort();
    problems.dedup();
    Ok(problems)
}

/// Whether the table of a dependency, as `cargo metadata` shows it, applies to Unix only.
fn is_unix_table(target: &serde_json::Value) -> bool {
    let condition = target
        .as_str()
        .and_then(|target| target.strip_prefix("cfg("));
    let condition = condition.and_then(|condition| condition.strip_suffix(')'));
    condition
        .and_then(|condition| syn::parse_str(condition).ok())
        .is_some_and(|condition| is_unix(&condition))
}

/// Whether the condition of a `cfg` holds on Unix only.
fn is_unix(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("unix"),
        Meta::NameValue(pair) => {
            let Some(value) = text(&pair.value) else {
                return false;
            };
            (pair.path.is_ident("target_os") && UNIX_SYSTEMS.contains(&value.as_str()))
                || (pair.path.is_ident("target_family") && value == "unix")
        }
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let Ok(parts) = parts else { return false };
            let mut parts = parts.iter();
            match () {
                () if list.path.is_ident("all") => parts.any(is_unix),
                () if list.path.is_ident("any") => parts.len() > 0 && parts.all(is_unix),
                () => false,
            }
        }
    }
}

/// The text of a literal.
fn text(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}

/// A file, a line in it, and a path that exists on Unix only.
type Found = (PathBuf, usize, String);

/// The Unix paths outside of `cfg(unix)` in the target with the root `root`; `read` returns the text of a file.
///
/// # Errors
///
/// A file that cannot be read, or is not Rust.
fn unix_paths(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    let folder = root.parent().unwrap_or(root).to_owned();
    // Each file, and the folder of the modules that it declares.
    let mut files = vec![(root.to_owned(), folder)];
    while let Some((file, folder)) = files.pop() {
        let text = read(&file).ok_or_else(|| format!("cannot read {}", file.display()))?;
        let tokens: TokenStream = text
            .parse()
            .map_err(|error| format!("invalid Rust in {}: {error}", file.display()))?;
        let mut walk = Walk::default();
        walk.visit(tokens, &[], &folder);
        let in_file = |(line, path)| (file.clone(), line, path);
        found.extend(walk.found.into_iter().map(in_file));
        for module in walk.modules {
            let inner = module.folder.join(&module.name);
            if let Some(path) = module.path {
                let path = file.with_file_name(path);
                let inner = path.parent().unwrap_or(&path).to_owned();
                files.push((path, inner));
                continue;
            }
            let own = module.folder.join(format!("{}.rs", module.name));
            let own = if read(&own).is_some() {
                own
            } else {
                inner.join("mod.rs")
            };
            files.push((own, inner));
        }
    }
    Ok(found)
}

/// A module in a file of its own.
struct Module {
    name: String,
    folder: PathBuf,
    /// The path in its attribute.
    path: Option<String>,
}

/// The findings in a file.
#[derive(Default)]
struct Walk {
    found: Vec<(usize, String)>,
    modules: Vec<Module>,
}

type Tokens = std::iter::Peekable<proc_macro2::token_stream::IntoIter>;

impl Walk {
    /// Visits the tokens of a file or of a group. Each path begins with `prefix`, that of a group in `use`.
    fn visit(&mut self, tokens: TokenStream, prefix: &[String], folder: &Path) {
        let mut tokens = tokens.into_iter().peekable();
        let mut path = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        // The name after `mod`, and the path in the attribute before it.
        let mut module = None;
        let mut module_path = None;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(ident) if colons == 2 => path.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    let is_module = path.last().is_some_and(|last| last == "mod");
                    self.check(&path, line);
                    path = [prefix, &[ident.to_string()]].concat();
                    line = ident.span().start().line;
                    if is_module {
                        module = Some(ident.to_string());
                    }
                }
                TokenTree::Group(group) if colons == 2 => {
                    self.visit(group.stream(), &path, folder);
                    path.clear();
                }
                other => {
                    self.check(&path, line);
                    path.clear();
                    match other {
                        TokenTree::Group(group) => {
                            let inner = module.take().map(|name| folder.join(name));
                            self.visit(group.stream(), &[], inner.as_deref().unwrap_or(folder));
                        }
                        TokenTree::Punct(mark) if mark.as_char() == '#' => {
                            match attribute(&mut tokens) {
                                Attribute::UnixFile => return,
                                Attribute::Unix => skip_one(&mut tokens),
                                Attribute::Path(path) => module_path = Some(path),
                                Attribute::Other => {}
                            }
                        }
                        TokenTree::Punct(mark) if mark.as_char() == ';' => {
                            let path = module_path.take();
                            let folder = folder.to_owned();
                            let declared = module.take();
                            self.modules
                                .extend(declared.map(|name| Module { name, folder, path }));
                        }
                        _ => {}
                    }
                }
            }
            colons = 0;
        }
        self.check(&path, line);
    }

    fn check(&mut self, path: &[String], line: usize) {
        let starts_with = |names: &&&[&str]| {
            names.len() <= path.len() && names.iter().zip(path).all(|(name, part)| name == part)
        };
        let is_crate = |name: &&&str| path.len() > 1 && path[0] == name.replace('-', "_");
        if UNIX_CRATES.iter().any(|name| is_crate(&name))
            || UNIX_MODULES.iter().any(|names| starts_with(&names))
        {
            self.found.push((line, path.join("::")));
        }
    }
}

/// An attribute, by its effect on the search.
enum Attribute {
    /// The file or the block around it is for Unix only.
    UnixFile,
    /// The next node is for Unix only.
    Unix,
    /// The path of a module.
    Path(String),
    Other,
}

/// The attribute after `#`.
fn attribute(tokens: &mut Tokens) -> Attribute {
    let is_inner = matches!(tokens.peek(), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
    if is_inner {
        tokens.next();
    }
    let Some(TokenTree::Group(group)) = tokens.peek() else {
        return Attribute::Other;
    };
    let attribute = syn::parse2::<Meta>(group.stream());
    tokens.next();
    match attribute {
        Ok(Meta::List(list))
            if list.path.is_ident("cfg")
                && list.parse_args().is_ok_and(|condition| is_unix(&condition)) =>
        {
            match is_inner {
                true => Attribute::UnixFile,
                false => Attribute::Unix,
            }
        }
        Ok(Meta::NameValue(pair)) if pair.path.is_ident("path") => {
            text(&pair.value).map_or(Attribute::Other, Attribute::Path)
        }
        _ => Attribute::Other,
    }
}

/// Skips the node after an attribute: an item, a statement, or a field.
fn skip_one(tokens: &mut Tokens) {
    for token in tokens {
        match token {
            TokenTree::Punct(mark) if matches!(mark.as_char(), ';' | ',') => return,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            _ => {}
        }
    }
}

#[test]
fn workspace_names_unix_only_within_cfg_unix() {
    assert_eq!(check(&workspace::root()), Ok(Vec::new()));
}

/// The paths that are found in a target of `files`, by their paths.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| path == Path::new(name));
        found.map(|(_, text)| (*text).to_owned())
    };
    let found = unix_paths(Path::new("lib.rs"), &read).unwrap();
    found
        .into_iter()
        .map(|(file, line, path)| format!("{}:{line}: {path}", file.display()))
        .collect()
}

#[test]
fn unix_path_without_a_cfg_is_found() {
    for (text, path) in [
        (
            "use std::os::unix::fs::MetadataExt;",
            "std::os::unix::fs::MetadataExt",
        ),
        ("use std::{io, os::{fd::AsFd, raw}};", "std::os::fd::AsFd"),
        ("use tokio::signal::unix::*;", "tokio::signal::unix"),
        (
            "fn f() { let u = rustix::process::geteuid(); }",
            "rustix::process::geteuid",
        ),
        ("fn f() { vec![libc::SIGINT] }", "libc::SIGINT"),
        (
            "struct S { pipe: Option<std::os::unix::net::UnixStream> }",
            "std::os::unix::net::UnixStream",
        ),
        ("#[cfg(not(unix))] use nix::unistd;", "nix::unistd"),
        ("#[cfg(any(unix, windows))] use nix::unistd;", "nix::unistd"),
        ("#[cfg(unix)] use a::b; use nix::unistd;", "nix::unistd"),
        (
            "#[cfg(unix)] fn a() {} fn b() { nix::unistd() }",
            "nix::unistd",
        ),
    ] {
        assert_eq!(
            found(&[("lib.rs", text)]),
            [format!("lib.rs:1: {path}")],
            "{text}"
        );
    }
}

#[test]
fn unix_path_within_a_cfg_and_other_paths_are_allowed() {
    for text in [
        "#![cfg(unix)] use std::os::unix::fs::MetadataExt;",
        "#[cfg(unix)] use std::os::{fd::AsFd, unix::fs};",
        "#[cfg(unix)] #[test] fn f() { rustix::process::geteuid(); }",
        "#[cfg(target_os = \"linux\")] fn f() { libc::a(); }",
        "#[cfg(all(test, unix))] mod tests { use nix::unistd; }",
        "fn f() { #[cfg(unix)] std::os::unix::fs::chown(a, b); }",
        "fn f() { #![cfg(unix)] libc::a(); }",
        "struct S { #[cfg(unix)] a: tokio::signal::unix::Signal, b: u8 }",
        "#[cfg(unix)] mod gone; use std::os::raw; mod unix {} use self::unix::libc;",
        "fn f() { let libc = 1; g(libc); }",
    ] {
        assert_eq!(found(&[("lib.rs", text)]), [""; 0], "{text}");
    }
}

#[test]
fn modules_in_files_are_searched() {
    let libc = "\nuse libc::a;";
    let files = [
        (
            "lib.rs",
            "mod a; pub mod b; #[path = \"x/c.rs\"] mod c; mod d { mod e; }",
        ),
        ("a.rs", libc),
        ("b/mod.rs", libc),
        ("x/c.rs", libc),
        ("d/e.rs", libc),
    ];
    let mut found = found(&files);
    found.sort();
    let expected =
        ["a.rs", "b/mod.rs", "d/e.rs", "x/c.rs"].map(|file| format!("{file}:2: libc::a"));
    assert_eq!(found, expected);
}

#[test]
fn table_of_a_dependency_is_for_unix_if_each_of_its_systems_is() {
    for (target, expected) in [
        ("cfg(unix)", true),
        ("cfg(all(unix, not(target_os = \"macos\")))", true),
        (
            "cfg(any(target_os = \"linux\", target_os = \"macos\"))",
            true,
        ),
        (
            "cfg(any(target_os = \"linux\", target_os = \"windows\"))",
            false,
        ),
        ("cfg(not(windows))", false),
        ("cfg(not(unix))", false),
        ("x86_64-pc-windows-gnu", false),
    ] {
        assert_eq!(is_unix_table(&target.into()), expected, "{target}");
    }
    assert!(!is_unix_table(&serde_json::Value::Null));
}
