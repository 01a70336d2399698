//! `cargo xtask layers`: checks that imports go one way, from file to file and from layer to layer.

mod graph;
mod paths;
mod syntax;
mod tree;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::workspace::{self, Member};
use graph::Imports;
use tree::Tree;

/// The crate whose folders are in layers.
const ORDERED: &str = "openagentmesh";

/// The layers of [`ORDERED`], the files and folders in its `src`, from the lowest to the highest. A folder
/// imports only from lower layers.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["util"],
    &["telemetry"],
    &["schema", "transport"],
    &["store"],
    &["catalog", "kv", "workspace"],
    &["liveness"],
    &["session"],
    &["client", "presence"],
    &["agent"],
    &["host"],
    &["detached", "mesh"],
];

/// Runs the command, on another checkout of the workspace if its `folder` is given.
pub(crate) fn run(folder: Option<&str>) -> ExitCode {
    match check(&folder.map_or_else(workspace::root, PathBuf::from)) {
        Ok(problems) if problems.is_empty() => {
            println!("imports go one way");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            eprintln!("{}", problems.join("\n"));
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    let read = |path: &Path| fs::read_to_string(path).ok();
    for Member { name, folder, .. } in workspace::members(root)? {
        let source = folder.join("src");
        for target in targets(&source)? {
            let tree = Tree::read(&target, &read)?;
            let imports = graph::imports(&tree);
            let shown = shown(&tree, &folder);
            problems.extend(circles(&name, &tree, &imports, &shown));
            if name == ORDERED {
                problems.extend(violations(LAYERS, &tree, &imports, &source, &shown));
            }
        }
    }
    Ok(problems)
}

/// The roots of the library and of the binaries in `source`.
fn targets(source: &Path) -> Result<Vec<PathBuf>, String> {
    let mut roots = vec![source.join("lib.rs"), source.join("main.rs")];
    if source.join("bin").is_dir() {
        for path in workspace::entries(&source.join("bin"))? {
            roots.push(path.join("main.rs"));
            roots.push(path);
        }
    }
    roots.retain(|root| root.is_file());
    Ok(roots)
}

fn shown(tree: &Tree, folder: &Path) -> Vec<String> {
    tree.files
        .iter()
        .map(|file| {
            file.strip_prefix(folder)
                .unwrap_or(file)
                .display()
                .to_string()
        })
        .collect()
}

/// One problem for each circle, with the names that tie its files.
fn circles(name: &str, tree: &Tree, imports: &Imports, shown: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    for circle in graph::circles(tree.files.len(), imports) {
        let mut problem = format!("{name}: circle of {} files", circle.len());
        for ((from, to), names) in imports {
            if circle.contains(from) && circle.contains(to) {
                let names = listed(names);
                let (from, to) = (&shown[*from], &shown[*to]);
                let _ = write!(problem, "\n  {from} imports {to}: {names}");
            }
        }
        problems.push(problem);
    }
    problems
}

/// The paths with their lines. A path that starts with the last name of another one is left out: it
/// is a use of that import.
fn listed(paths: &BTreeMap<String, usize>) -> String {
    let is_use = |path: &str| {
        let first = path.split("::").next().unwrap_or(path);
        let end = format!("::{first}");
        paths
            .keys()
            .any(|other| other != path && other.ends_with(&end))
    };
    let shown: Vec<String> = paths
        .iter()
        .filter(|(path, _)| !is_use(path))
        .map(|(path, line)| format!("{path} (line {line})"))
        .collect();
    shown.join(", ")
}

/// The imports that go up or stay in their layer, and the folders that are in no layer. The root file
/// is exempt.
fn violations(
    layers: &[&[&str]],
    tree: &Tree,
    imports: &Imports,
    source: &Path,
    shown: &[String],
) -> Vec<String> {
    let folders: Vec<String> = tree
        .files
        .iter()
        .map(|file| folder_of(file, source))
        .collect();
    let layer = |folder: &str| layers.iter().position(|layer| layer.contains(&folder));
    let mut unknown: Vec<&String> = folders[1..]
        .iter()
        .filter(|folder| layer(folder).is_none())
        .collect();
    unknown.sort();
    unknown.dedup();
    let mut problems: Vec<String> = unknown
        .into_iter()
        .map(|folder| {
            format!("unknown folder '{folder}' in {ORDERED}: LAYERS in xtask has no layer for it")
        })
        .collect();
    for ((from, to), names) in imports {
        if *from == 0 || *to == 0 || folders[*from] == folders[*to] {
            continue;
        }
        if let (Some(own), Some(other)) = (layer(&folders[*from]), layer(&folders[*to]))
            && own <= other
        {
            problems.push(format!(
                "import against the order in {ORDERED}: {} ({}) imports {} ({}): {}",
                shown[*from],
                folders[*from],
                shown[*to],
                folders[*to],
                listed(names)
            ));
        }
    }
    problems
}

/// The first part of a file's path in `source`, without `.rs`.
fn folder_of(file: &Path, source: &Path) -> String {
    let within = file.strip_prefix(source).unwrap_or(file);
    let first = within.components().next();
    let first = first.map(|part| part.as_os_str().to_string_lossy().into_owned());
    let first = first.unwrap_or_default();
    first
        .strip_suffix(".rs")
        .map(str::to_owned)
        .unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a crate of `files`, by their paths in `src`.
    fn read(files: &[(&str, &str)]) -> Tree {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| path == Path::new(name));
            found.map(|(_, text)| (*text).to_owned())
        };
        Tree::read(Path::new("lib.rs"), &read).unwrap()
    }

    /// The imports of a crate, as pairs of files.
    fn imported(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let tree = read(files);
        let shown = shown(&tree, Path::new(""));
        let imports = graph::imports(&tree);
        imports
            .keys()
            .map(|(from, to)| (shown[*from].clone(), shown[*to].clone()))
            .collect()
    }

    fn pair(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn modules_and_reexports_are_not_imports() {
        let files = [
            (
                "lib.rs",
                "mod a; pub use a::A; pub(crate) use a::b::B as C;",
            ),
            ("a/mod.rs", "pub mod b; pub struct A;"),
            ("a/b.rs", "pub struct B;"),
        ];
        assert!(imported(&files).is_empty());
    }

    #[test]
    fn reexported_name_leads_to_the_file_that_defines_it() {
        let files = [
            ("lib.rs", "mod a; mod c; pub use c::*;"),
            ("a/mod.rs", "mod b; pub use b::B as Renamed; pub struct A;"),
            ("a/b.rs", "pub struct B;"),
            (
                "c.rs",
                "use crate::a::Renamed; fn f() { crate::g(); } pub fn g() {}",
            ),
        ];
        assert_eq!(imported(&files), [pair("c.rs", "a/b.rs")]);
    }

    #[test]
    fn parent_and_child_that_use_each_other_are_a_circle() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; pub struct A; fn f() { b::g() }"),
            ("a/b.rs", "pub fn g() -> super::A { super::A }"),
        ];
        let tree = read(&files);
        let imports = graph::imports(&tree);
        let problems = circles("x", &tree, &imports, &shown(&tree, Path::new("")));
        let expected = "x: circle of 2 files\n  a/mod.rs imports a/b.rs: b::g (line 1)\n  \
                        a/b.rs imports a/mod.rs: super::A (line 1)";
        assert_eq!(problems, [expected]);
    }

    #[test]
    fn circle_of_three_files_is_found_and_its_neighbours_are_not_in_it() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use crate::c::C; pub struct B;"),
            ("c.rs", "use crate::{a::A, d::D}; pub struct C;"),
            ("d.rs", "pub struct D;"),
        ];
        let tree = read(&files);
        let circles = graph::circles(tree.files.len(), &graph::imports(&tree));
        assert_eq!(circles, [[1, 2, 3]]);
    }

    #[test]
    fn test_code_is_left_out() {
        let files = [
            (
                "lib.rs",
                "mod a; mod b; #[cfg(test)] mod tests; #[cfg(not(test))] use a::A;",
            ),
            (
                "a.rs",
                "pub struct A; #[cfg(test)] mod t { use crate::b::B; }",
            ),
            ("b.rs", "pub struct B; #[test] fn f() { crate::a::A; }"),
        ];
        assert_eq!(imported(&files), [pair("lib.rs", "a.rs")]);
    }

    #[test]
    fn paths_in_bodies_macros_and_attributes_are_imports() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e; mod f;"),
            ("a.rs", "pub fn a() {}"),
            ("b.rs", "#[macro_export] macro_rules! b { () => {}; }"),
            ("c.rs", "#[derive(crate::a::A)] struct C;"),
            ("d.rs", "fn d() { println!(\"{}\", crate::a::a()); }"),
            ("e.rs", "fn e() { use super::a; a::a(); crate::b!(); }"),
            ("f.rs", "use crate::a::a; fn f() { b!(); }"),
        ];
        let expected = ["c.rs", "d.rs", "e.rs", "f.rs"].map(|file| pair(file, "a.rs"));
        let mut expected = expected.to_vec();
        expected.extend(["e.rs", "f.rs"].map(|file| pair(file, "b.rs")));
        expected.sort();
        let mut found = imported(&files);
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn variable_is_not_the_function_of_its_name() {
        let files = [
            (
                "lib.rs",
                "mod a; pub use a::a; fn f(a: u8) -> u8 { a } struct S { a: u8 }",
            ),
            ("a.rs", "pub fn a() {}"),
        ];
        assert!(imported(&files).is_empty());
        let files = [("lib.rs", "mod a; pub use a::a; fn f() { a() }"), files[1]];
        assert_eq!(imported(&files), [pair("lib.rs", "a.rs")]);
    }

    #[test]
    fn globs_and_import_circles_end() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub use crate::b::*; pub struct A;"),
            ("b.rs", "pub use super::a::*; fn f() -> A { missing() }"),
        ];
        assert_eq!(imported(&files), [pair("b.rs", "a.rs")]);
    }

    #[test]
    fn module_files_are_found_by_the_rules_of_rust() {
        let files = [
            (
                "lib.rs",
                "mod a; #[path = \"x/y.rs\"] mod z; mod i { mod j; }",
            ),
            ("a.rs", "mod b;"),
            ("a/b.rs", ""),
            ("x/y.rs", ""),
            ("i/j.rs", ""),
        ];
        assert_eq!(read(&files).files.len(), 5);
    }

    #[test]
    fn import_from_a_higher_or_the_same_layer_is_a_violation() {
        let layers: &[&[&str]] = &[&["low", "next"], &["high"]];
        let files = [
            (
                "lib.rs",
                "mod low; mod next; mod high; mod new; pub struct Root;",
            ),
            (
                "low.rs",
                "use crate::high::High; use crate::Root; pub struct Low;",
            ),
            ("next.rs", "use crate::low::Low;"),
            ("high/mod.rs", "use crate::low::Low; pub struct High;"),
            ("new.rs", ""),
        ];
        let tree = read(&files);
        let imports = graph::imports(&tree);
        let shown = shown(&tree, Path::new(""));
        let problems = violations(layers, &tree, &imports, Path::new(""), &shown);
        assert_eq!(
            problems,
            [
                "unknown folder 'new' in openagentmesh: LAYERS in xtask has no layer for it",
                "import against the order in openagentmesh: low.rs (low) imports high/mod.rs (high): \
                 crate::high::High (line 1)",
                "import against the order in openagentmesh: next.rs (next) imports low.rs (low): \
                 crate::low::Low (line 1)",
            ]
        );
    }
}
