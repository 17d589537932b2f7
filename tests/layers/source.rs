//! Rust source files as modules: what each defines, imports and names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// The segments of a path, from `crate`, `super`, or a name that is looked up in the file.
pub type Segments = Vec<String>;

/// One file. Its inline modules count as part of it, except those under `cfg(test)`.
#[derive(Default)]
pub struct Module {
    /// Structs, functions, traits and so on, by name.
    pub items: BTreeSet<String>,
    /// `use` declarations, by the name that they bring in.
    pub imports: BTreeMap<String, Import>,
    /// What is imported with `*`.
    pub globs: Vec<Segments>,
    /// Every path outside of `use`, in macros too.
    pub paths: BTreeSet<Segments>,
}

/// One name of a `use` declaration.
pub struct Import {
    pub path: Segments,
    /// Only passed on to others, unless the file itself uses the name.
    pub is_reexport: bool,
}

/// Reads every `.rs` file below a folder. Modules are named as in paths, the root `crate`.
///
/// # Errors
///
/// A file that cannot be read or is no Rust.
pub fn read(root: &Path) -> Result<BTreeMap<String, Module>, String> {
    let mut modules = BTreeMap::new();
    for file in files(root).map_err(|error| error.to_string())? {
        let source = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let name = name_of(file.strip_prefix(root).unwrap_or(&file));
        modules.insert(
            name,
            parse(&source).map_err(|error| format!("{}: {error}", file.display()))?,
        );
    }
    Ok(modules)
}

/// # Errors
///
/// What is no Rust.
pub fn parse(source: &str) -> syn::Result<Module> {
    let mut reader = Reader::default();
    let file = syn::parse_file(source)?;
    reader
        .module
        .items
        .extend(file.items.iter().filter_map(name_of_item));
    reader.visit_file(&file);
    Ok(reader.module)
}

/// `session/loss.rs` is `crate::session::loss`, as `probe/mod.rs` is `crate::probe`.
pub fn name_of(file: &Path) -> String {
    let mut segments = vec!["crate".to_owned()];
    segments.extend(
        file.with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned()),
    );
    segments.pop_if(|last| last == "mod" || last == "lib");
    segments.join("::")
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[derive(Default)]
struct Reader {
    module: Module,
    /// How many inline modules surround what is read.
    depth: usize,
}

impl Reader {
    fn add_use(&mut self, tree: &UseTree, before: &[String], is_reexport: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_use(&path.tree, &with(&path.ident), is_reexport),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(tree, before, is_reexport);
                }
            }
            UseTree::Glob(_) => {
                let path = self.in_file(before.to_vec());
                self.module.globs.extend(path);
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.add_import(before.to_vec(), before.last().cloned(), is_reexport);
            }
            UseTree::Name(name) => {
                self.add_import(with(&name.ident), Some(name.ident.to_string()), is_reexport);
            }
            UseTree::Rename(as_other) => {
                let name = as_other.rename.to_string();
                self.add_import(with(&as_other.ident), Some(name), is_reexport);
            }
        }
    }

    fn add_import(&mut self, path: Segments, name: Option<String>, is_reexport: bool) {
        if let (Some(path), Some(name)) = (self.in_file(path), name) {
            self.module
                .imports
                .insert(name, Import { path, is_reexport });
        }
    }

    fn add_path(&mut self, path: Segments) {
        let path = self.in_file(path);
        self.module.paths.extend(path);
    }

    /// The path as the file itself would write it. None: it stays within an inline module.
    fn in_file(&self, mut path: Segments) -> Option<Segments> {
        if path.first().is_some_and(|first| first == "self") {
            path.remove(0);
        }
        let supers = path.iter().take_while(|part| *part == "super").count();
        path.drain(..supers.min(self.depth));
        (!path.is_empty()).then_some(path)
    }

    /// Macros are not parsed: every `a::b` in them is a path.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path = Segments::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.add_path(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    colons = 0;
                    self.add_tokens(group.stream());
                }
                _ => colons = 0,
            }
        }
        self.add_path(path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        self.add_use(&item.tree, &[], is_reexport);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add_path(
            path.segments
                .iter()
                .map(|part| part.ident.to_string())
                .collect(),
        );
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.add_tokens(call.tokens.clone());
    }
}

fn name_of_item(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Mod(item) if item.content.is_some() => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|what| what.is_ident("test"))
    })
}
