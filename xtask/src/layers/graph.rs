//! Resolves paths to the files that define them, and finds circles of files.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::syntax::Reference;
use super::tree::{Binding, Tree};

/// For each importing file and each imported file, the paths and the first line of each.
pub(super) type Imports = BTreeMap<(usize, usize), BTreeMap<String, usize>>;

/// The imports among the files of a target.
pub(super) fn imports(tree: &Tree) -> Imports {
    let mut imports = Imports::new();
    for (id, module) in tree.modules.iter().enumerate() {
        for reference in &module.references {
            for file in defining_files(tree, id, reference) {
                if file != module.file {
                    let paths = imports.entry((module.file, file)).or_default();
                    let line = paths.entry(reference.path.join("::")).or_insert(usize::MAX);
                    *line = reference.line.min(*line);
                }
            }
        }
    }
    imports
}

/// The files that define the last name of a path; none for modules and for other crates.
fn defining_files(tree: &Tree, module: usize, reference: &Reference) -> BTreeSet<usize> {
    let resolver = Resolver { tree };
    let found = resolver.resolve(module, &reference.path, &mut HashSet::new());
    if found.is_empty() && reference.is_macro {
        return reference
            .path
            .first()
            .and_then(|name| tree.macros.get(name))
            .copied()
            .into_iter()
            .collect();
    }
    found
        .into_iter()
        .filter_map(|target| match target {
            Target::Item(file) => Some(file),
            Target::Module(_) => None,
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Module(usize),
    /// An item of the file.
    Item(usize),
}

struct Resolver<'t> {
    tree: &'t Tree,
}

/// The names that are being looked up: an import of itself ends the search.
/// As the prefix of a path, a name has another meaning than at its end.
type Seen = HashSet<(usize, String, bool)>;

impl Resolver<'_> {
    fn resolve(&self, module: usize, path: &[String], seen: &mut Seen) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        let mut targets = match first.as_str() {
            "crate" => vec![Target::Module(0)],
            "self" => vec![Target::Module(module)],
            "super" => self.parent(module),
            name => self.lookup(module, name, !rest.is_empty(), seen),
        };
        for (index, name) in rest.iter().enumerate() {
            let is_prefix = index + 1 < rest.len();
            let mut next = Vec::new();
            for target in targets {
                match target {
                    Target::Module(module) if name == "super" => next.extend(self.parent(module)),
                    Target::Module(module) => {
                        let found = self.lookup(module, name, is_prefix, seen);
                        // A macro made the name, or it comes with another crate's names.
                        let is_made = found.is_empty() && !self.is_bound(module, name);
                        next.extend(found);
                        if is_made {
                            next.push(Target::Item(self.tree.modules[module].file));
                        }
                    }
                    // The rest of the path is an associated item or a variant.
                    item @ Target::Item(_) => next.push(item),
                }
            }
            next.dedup();
            targets = next;
        }
        targets
    }

    fn parent(&self, module: usize) -> Vec<Target> {
        let parent = self.tree.modules[module].parent;
        parent.map(Target::Module).into_iter().collect()
    }

    fn is_bound(&self, module: usize, name: &str) -> bool {
        let module = &self.tree.modules[module];
        module.names.contains_key(name) || !module.globs.is_empty()
    }

    /// A name in the scope of a module: its own first, then those of its glob imports.
    fn lookup(&self, module: usize, name: &str, is_prefix: bool, seen: &mut Seen) -> Vec<Target> {
        let key = (module, name.to_owned(), is_prefix);
        if !seen.insert(key.clone()) {
            return Vec::new();
        }
        let mut targets = Vec::new();
        if let Some(bindings) = self.tree.modules[module].names.get(name) {
            for binding in bindings {
                match binding {
                    Binding::Module(child) => targets.push(Target::Module(*child)),
                    Binding::Item(file) => targets.push(Target::Item(*file)),
                    Binding::Import(path) => targets.extend(self.resolve(module, path, seen)),
                }
            }
        } else {
            for path in &self.tree.modules[module].globs {
                for target in self.resolve(module, path, seen) {
                    if let Target::Module(imported) = target {
                        targets.extend(self.lookup(imported, name, is_prefix, seen));
                    }
                }
            }
        }
        seen.remove(&key);
        // A path goes on from a module, not from the function of the same name.
        let is_module = |target: &Target| matches!(target, Target::Module(_));
        if is_prefix && targets.iter().any(is_module) {
            targets.retain(is_module);
        }
        targets
    }
}

/// The strongly connected components with more than one file, by Tarjan's algorithm.
pub(super) fn circles(files: usize, imports: &Imports) -> Vec<Vec<usize>> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); files];
    for (from, to) in imports.keys() {
        next[*from].push(*to);
    }
    let mut search = Search {
        next,
        order: vec![None; files],
        lowest: vec![0; files],
        stack: Vec::new(),
        count: 0,
        circles: Vec::new(),
    };
    for file in 0..files {
        if search.order[file].is_none() {
            search.visit(file);
        }
    }
    search.circles
}

struct Search {
    next: Vec<Vec<usize>>,
    /// The position of each visited file in the order of visits.
    order: Vec<Option<usize>>,
    /// The lowest position that the file reaches.
    lowest: Vec<usize>,
    stack: Vec<usize>,
    count: usize,
    circles: Vec<Vec<usize>>,
}

impl Search {
    fn visit(&mut self, file: usize) {
        let position = self.count;
        self.count += 1;
        self.order[file] = Some(position);
        self.lowest[file] = position;
        self.stack.push(file);
        for index in 0..self.next[file].len() {
            let next = self.next[file][index];
            match self.order[next] {
                None => {
                    self.visit(next);
                    self.lowest[file] = self.lowest[file].min(self.lowest[next]);
                }
                Some(seen) if self.stack.contains(&next) => {
                    self.lowest[file] = self.lowest[file].min(seen);
                }
                Some(_) => {}
            }
        }
        if self.lowest[file] == position
            && let Some(start) = self.stack.iter().position(|member| *member == file)
        {
            let mut circle = self.stack.split_off(start);
            if circle.len() > 1 {
                circle.sort_unstable();
                self.circles.push(circle);
            }
        }
    }
}
