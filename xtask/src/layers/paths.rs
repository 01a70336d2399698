//! Finds the paths and inner imports in an item.

use std::collections::HashSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemUse, Meta, TraitItem};

use super::syntax::{Reference, attributes, is_test, plain};

/// The paths of an item, and the imports in its function bodies.
#[derive(Default)]
pub(super) struct Found {
    pub(super) references: Vec<Reference>,
    pub(super) imports: Vec<ItemUse>,
}

/// Modules and imports have no paths of their own.
pub(super) fn of(item: &Item) -> Found {
    let mut paths = Paths::default();
    if !matches!(item, Item::Mod(_) | Item::Use(_)) {
        paths.visit_item(item);
    }
    paths.found
}

#[derive(Default)]
struct Paths {
    found: Found,
    /// The variables of the functions around.
    variables: Vec<HashSet<String>>,
}

impl Paths {
    fn add(&mut self, path: Vec<String>, line: usize, is_macro: bool) {
        let is_variable = match &path[..] {
            [name] if !is_macro => self.variables.iter().any(|names| names.contains(name)),
            [] => true,
            _ => false,
        };
        if !is_variable {
            self.found.references.push(Reference {
                path,
                line,
                is_macro,
            });
        }
    }

    fn with_variables(&mut self, variables: Variables, visit: impl FnOnce(&mut Self)) {
        self.variables.push(variables.0);
        visit(self);
        self.variables.pop();
    }

    /// Finds paths in the input of a macro. Names of fields and methods are not paths.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mark = |index: usize| match tokens.get(index) {
            Some(TokenTree::Punct(mark)) => mark.as_char(),
            _ => ' ',
        };
        let mut index = 0;
        while index < tokens.len() {
            let before = index.checked_sub(1).map_or(' ', mark);
            match &tokens[index] {
                TokenTree::Group(group) => {
                    // Braces may hold items with imports, as in `thread_local!`.
                    let items = (group.delimiter() == Delimiter::Brace)
                        .then(|| syn::parse2::<syn::Block>(tokens[index].clone().into()));
                    match items {
                        Some(Ok(block)) => self.visit_block(&block),
                        _ => self.add_tokens(group.stream()),
                    }
                }
                TokenTree::Ident(first) if before != '\'' => {
                    let mut path = vec![plain(first)];
                    while mark(index + 1) == ':'
                        && mark(index + 2) == ':'
                        && let Some(TokenTree::Ident(next)) = tokens.get(index + 3)
                    {
                        path.push(plain(next));
                        index += 3;
                    }
                    let is_field = before == '.' && !(index > 1 && mark(index - 2) == '.');
                    let is_label = path.len() == 1 && mark(index + 1) == ':';
                    let is_fragment = before == '$' && path[0] != "crate";
                    if !is_field && !is_label && !is_fragment {
                        let is_macro = path.len() == 1 && mark(index + 1) == '!';
                        self.add(path, first.span().start().line, is_macro);
                    }
                }
                _ => {}
            }
            index += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.found.imports.push(item.clone());
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let mut variables = Variables::default();
        variables.visit_item_fn(item);
        self.with_variables(variables, |paths| visit::visit_item_fn(paths, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let mut variables = Variables::default();
        variables.visit_impl_item_fn(item);
        self.with_variables(variables, |paths| visit::visit_impl_item_fn(paths, item));
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let mut variables = Variables::default();
        variables.visit_trait_item(item);
        self.with_variables(variables, |paths| visit::visit_trait_item(paths, item));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let names: Vec<String> = path
                .segments
                .iter()
                .map(|part| plain(&part.ident))
                .collect();
            let line = path
                .segments
                .first()
                .map_or(0, |part| part.ident.span().start().line);
            self.add(names, line, false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        if let Some(name) = invoked.path.get_ident() {
            self.add(vec![plain(name)], name.span().start().line, true);
        } else {
            self.visit_path(&invoked.path);
        }
        self.add_tokens(invoked.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") || attribute.path().is_ident("cfg") {
            return;
        }
        self.visit_path(attribute.path());
        if let Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone());
        }
    }

    // `pub(in path)` is no use of the path.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

/// The names that the patterns of a function bind.
#[derive(Default)]
struct Variables(HashSet<String>);

impl<'ast> Visit<'ast> for Variables {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        // Constants are patterns, too, and are not variables.
        let name = plain(&pattern.ident);
        if name.chars().any(char::is_lowercase) {
            self.0.insert(name);
        }
        visit::visit_pat_ident(self, pattern);
    }
}
