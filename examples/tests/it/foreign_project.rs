//! The blocks of the READMEs and of the book, and the samples of the documentation, in projects of a user: each depends on
//! the crate that it documents and on the crates that the sample names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::samples::{self, Sample};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const REPOSITORY: &str = "git = \"https://github.com/openagentmesh/openagentmesh-rs\"";
const ECHO: &str = include_str!("../../echo.rs");

/// Dependencies of samples that few projects need, in addition to those of the README.
const RARE: &[&str] = &["bytes = \"1\"", "serde_json = \"1\""];

/// The crates whose samples are compiled, and the crate that a user of each depends on.
const DOCUMENTED: &[(&str, &str)] = &[
    ("openagentmesh", "openagentmesh"),
    ("openagentmesh-local", "openagentmesh-local"),
    ("openagentmesh-macros", "openagentmesh"),
    ("openagentmesh-name", "openagentmesh-name"),
    ("openagentmesh-protocol", "openagentmesh-protocol"),
];

#[test]
fn readme_and_samples_in_a_foreign_project_compile() {
    let root = Path::new(ROOT).canonicalize().unwrap();
    let readme = samples::of_markdown(&root.join("README.md"));
    let manifest = readme
        .iter()
        .find(|block| block.language == "toml")
        .expect("the README shows dependencies");
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let workspace = Workspace::new(temporary.join("foreign-project"), &root);
    add_readmes(&workspace, manifest, &readme);
    add_samples(&workspace, manifest);
    workspace.check(&temporary.join("foreign-target"));
}

/// Adds a project with the manifest and the Rust blocks of the READMEs.
fn add_readmes(workspace: &Workspace, manifest: &Sample, readme: &[Sample]) {
    let folder = workspace.add("readme", &workspace.with_paths(&manifest.code));
    write(&folder.join("src/main.rs"), "fn main() {}\n");
    let of_crate = samples::of_markdown(&workspace.root.join("crates/openagentmesh/README.md"));
    let blocks = readme.iter().chain(&of_crate);
    for (index, block) in blocks.filter(|block| block.language == "rust").enumerate() {
        let code = &block.code;
        let (kind, code) = if code.contains("fn main(") {
            ("src/bin", code.clone())
        } else if code.contains("#[tokio::test]") {
            ("tests", code.clone())
        } else {
            ("src/bin", fragment(code))
        };
        let file = folder.join(kind).join(format!("block_{index}.rs"));
        write(&file, &format!("// {}\n{code}", block.origin));
    }
}

/// A program around a block that shows statements: they use the echo example and a mesh.
fn fragment(code: &str) -> String {
    let (agent, _) = ECHO.split_once("#[tokio::main]").unwrap();
    format!(
        "#![allow(unused)]\n{agent}\nasync fn example(mesh: AgentMesh, text: String) -> Result<(), openagentmesh::BoxError> {{\n\
         {code}\nOk(())\n}}\nfn main() {{}}\n"
    )
}

/// Adds a project for each set of dependencies that samples need.
fn add_samples(workspace: &Workspace, manifest: &Sample) {
    let dependencies = manifest.code.split("[dev-dependencies]").next().unwrap();
    let dependencies: Vec<(&str, &str)> = dependencies
        .lines()
        .chain(RARE.iter().copied())
        .filter_map(|line| Some((line.split_once(" = ")?.0, line)))
        .filter(|(name, _)| *name != "openagentmesh")
        .collect();
    let mut projects: BTreeMap<Vec<&str>, Vec<Sample>> = BTreeMap::new();
    for (documented, own) in DOCUMENTED {
        let folder = workspace.root.join("crates").join(documented);
        let samples = samples::of_crate(&folder);
        assert!(!samples.is_empty(), "{documented} has no samples");
        for sample in samples {
            let mut needed = vec![*own];
            for (name, _) in &dependencies {
                if sample.needs(name) {
                    needed.push(*name);
                }
            }
            projects.entry(needed).or_default().push(sample);
        }
    }
    for (needed, samples) in &projects {
        let mut lines = vec!["[dependencies]".to_owned(), workspace.own(needed[0])];
        let of_readme = dependencies
            .iter()
            .filter(|(name, _)| needed.contains(name));
        lines.extend(of_readme.map(|(_, line)| (*line).to_owned()));
        let folder = workspace.add(
            &format!("samples-{}", needed.join("-")),
            &(lines.join("\n") + "\n"),
        );
        let mut library = "#![allow(warnings)]\n".to_owned();
        for (index, sample) in samples.iter().enumerate() {
            let _ = writeln!(library, "mod sample_{index};");
            let code = format!("// {}\n{}", sample.origin, sample.item());
            write(&folder.join(format!("src/sample_{index}.rs")), &code);
        }
        write(&folder.join("src/lib.rs"), &library);
    }
}

/// A workspace outside of this one.
struct Workspace {
    folder: PathBuf,
    /// The root of this workspace.
    root: PathBuf,
}

impl Workspace {
    fn new(folder: PathBuf, root: &Path) -> Self {
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        write(
            &folder.join("Cargo.toml"),
            "[workspace]\nmembers = [\"packages/*\"]\nresolver = \"3\"\n",
        );
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        Self {
            folder,
            root: root.to_owned(),
        }
    }

    /// Adds a package, and returns its folder.
    fn add(&self, name: &str, dependencies: &str) -> PathBuf {
        let folder = self.folder.join("packages").join(name);
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n{dependencies}"
        );
        write(&folder.join("Cargo.toml"), &manifest);
        folder
    }

    /// The dependency on a crate of this workspace.
    fn own(&self, name: &str) -> String {
        let path = self.root.join("crates").join(name);
        let features = if name == "openagentmesh" {
            "\"local\""
        } else {
            ""
        };
        format!("{name} = {{ path = {path:?}, features = [{features}] }}")
    }

    /// `manifest` with this checkout instead of the repository.
    fn with_paths(&self, manifest: &str) -> String {
        let path = format!("path = {:?}", self.root.join("crates/openagentmesh"));
        assert!(manifest.contains(REPOSITORY), "{manifest}");
        manifest.replace(REPOSITORY, &path)
    }

    /// Compiles all packages, without network access and with the versions of this workspace.
    fn check(&self, target: &Path) {
        let mut cargo = Command::new(env!("CARGO"));
        // Crates that read the package variables of this test's cargo would be built again.
        let is_package_variable =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_package_variable) {
                cargo.env_remove(name);
            }
        }
        let output = cargo
            .args([
                "check",
                "--offline",
                "--quiet",
                "--workspace",
                "--all-targets",
            ])
            .args(["--keep-going", "--target-dir"])
            .arg(target)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
    }
}

fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}
