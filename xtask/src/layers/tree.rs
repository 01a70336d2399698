//! Reads the modules of a crate, and the names and paths in each. Test code is left out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned as _;
use syn::{Item, UseTree, Visibility};

use super::paths;
use super::syntax::{Reference, attributes, defined, has, is_test, path_attribute, plain};

/// The modules of one target: a library or a binary.
pub(super) struct Tree {
    pub(super) files: Vec<PathBuf>,
    /// The root is the first one.
    pub(super) modules: Vec<Module>,
    /// The file of each `macro_rules!`, which is in scope after its definition without a path.
    pub(super) macros: HashMap<String, usize>,
}

pub(super) struct Module {
    pub(super) file: usize,
    pub(super) parent: Option<usize>,
    /// Each name in scope; types, values and modules may share one.
    pub(super) names: HashMap<String, Vec<Binding>>,
    /// Paths of the modules whose names are all imported.
    pub(super) globs: Vec<Vec<String>>,
    pub(super) references: Vec<Reference>,
}

#[derive(Clone, Debug)]
pub(super) enum Binding {
    Module(usize),
    /// An item, by the file that defines it.
    Item(usize),
    /// A name that another path defines.
    Import(Vec<String>),
}

/// Reads the text of a file, if the file exists.
pub(super) type Read<'r> = dyn Fn(&Path) -> Option<String> + 'r;

impl Tree {
    /// Reads the target whose root is `root`.
    ///
    /// # Errors
    ///
    /// A file that does not parse, and a `mod` without a file.
    pub(super) fn read(root: &Path, read: &Read<'_>) -> Result<Tree, String> {
        let mut tree = Tree {
            files: Vec::new(),
            modules: Vec::new(),
            macros: HashMap::new(),
        };
        let folder = root.parent().unwrap_or(root);
        tree.add_file(root, folder, None, read)?;
        Ok(tree)
    }

    /// Adds the module that `path` holds; its children are in `folder`.
    fn add_file(
        &mut self,
        path: &Path,
        folder: &Path,
        parent: Option<usize>,
        read: &Read<'_>,
    ) -> Result<usize, String> {
        let text = read(path).ok_or_else(|| format!("cannot read {}", path.display()))?;
        let syntax = syn::parse_file(&text).map_err(|error| {
            let line = error.span().start().line;
            format!("invalid Rust in {}:{line}: {error}", path.display())
        })?;
        self.files.push(path.to_owned());
        let file = self.files.len() - 1;
        self.add_module(file, folder, parent, &syntax.items, read)
    }

    fn add_module(
        &mut self,
        file: usize,
        folder: &Path,
        parent: Option<usize>,
        items: &[Item],
        read: &Read<'_>,
    ) -> Result<usize, String> {
        let id = self.modules.len();
        self.modules.push(Module {
            file,
            parent,
            names: HashMap::new(),
            globs: Vec::new(),
            references: Vec::new(),
        });
        for item in items {
            if is_test(attributes(item)) {
                continue;
            }
            match item {
                Item::Mod(declared) => {
                    let name = plain(&declared.ident);
                    let inner = folder.join(&name);
                    let child = match &declared.content {
                        Some((_, items)) => self.add_module(file, &inner, Some(id), items, read)?,
                        None => {
                            let (path, inner) = self.find(file, folder, &name, declared, read)?;
                            self.add_file(&path, &inner, Some(id), read)?
                        }
                    };
                    self.bind(id, &name, Binding::Module(child));
                }
                Item::Use(import) => self.add_import(id, import),
                Item::Macro(definition) if definition.ident.is_some() => {
                    let name = definition.ident.as_ref().map(plain).unwrap_or_default();
                    self.macros.insert(name.clone(), file);
                    self.bind(id, &name, Binding::Item(file));
                    if has(&definition.attrs, "macro_export") && id != 0 {
                        self.bind(0, &name, Binding::Item(file));
                    }
                }
                _ => {
                    if let Some(name) = defined(item) {
                        self.bind(id, &name, Binding::Item(file));
                    }
                }
            }
            let found = paths::of(item);
            self.modules[id].references.extend(found.references);
            for import in &found.imports {
                self.add_import(id, import);
            }
        }
        Ok(id)
    }

    /// The file of a declared module, and the folder of that module's children.
    fn find(
        &self,
        file: usize,
        folder: &Path,
        name: &str,
        declared: &syn::ItemMod,
        read: &Read<'_>,
    ) -> Result<(PathBuf, PathBuf), String> {
        if let Some(path) = path_attribute(&declared.attrs) {
            let path = self.files[file].parent().unwrap_or(folder).join(path);
            let inner = path.parent().unwrap_or(folder).to_owned();
            return Ok((path, inner));
        }
        let inner = folder.join(name);
        [folder.join(format!("{name}.rs")), inner.join("mod.rs")]
            .into_iter()
            .find(|path| read(path).is_some())
            .map(|path| (path, inner))
            .ok_or_else(|| format!("file of module '{name}' not found in {}", folder.display()))
    }

    /// Binds the names of an import. A private one is a reference, too; a re-export is not.
    fn add_import(&mut self, id: usize, import: &syn::ItemUse) {
        if import.leading_colon.is_some() {
            return;
        }
        let is_private = match &import.vis {
            Visibility::Inherited => true,
            Visibility::Restricted(restricted) => restricted.path.is_ident("self"),
            Visibility::Public(_) => false,
        };
        let mut leaves = Vec::new();
        flatten(&import.tree, &mut Vec::new(), &mut leaves);
        for leaf in leaves {
            match leaf.name.as_deref() {
                Some("*") => self.modules[id].globs.push(leaf.path.clone()),
                Some(name) => self.bind(id, name, Binding::Import(leaf.path.clone())),
                None => {}
            }
            if is_private {
                self.modules[id].references.push(Reference {
                    path: leaf.path,
                    line: leaf.line,
                    is_macro: false,
                });
            }
        }
    }

    fn bind(&mut self, id: usize, name: &str, binding: Binding) {
        let names = &mut self.modules[id].names;
        names.entry(name.to_owned()).or_default().push(binding);
    }
}

struct Leaf {
    path: Vec<String>,
    /// The name that the leaf brings into scope: `*` for all, none for `_`.
    name: Option<String>,
    line: usize,
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<Leaf>) {
    let line = tree.span().start().line;
    let mut leaf = |last: Option<String>, name: Option<String>| {
        let mut path = prefix.clone();
        path.extend(last);
        leaves.push(Leaf { path, name, line });
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(plain(&path.ident));
            flatten(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            let name = prefix.last().cloned();
            leaf(None, name);
        }
        UseTree::Name(name) => leaf(Some(plain(&name.ident)), Some(plain(&name.ident))),
        UseTree::Rename(rename) => {
            let last = (rename.ident != "self").then(|| plain(&rename.ident));
            let name = (rename.rename != "_").then(|| plain(&rename.rename));
            leaf(last, name);
        }
        UseTree::Glob(_) => leaf(None, Some("*".to_owned())),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, leaves);
            }
        }
    }
}
