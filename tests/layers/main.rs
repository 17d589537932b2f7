//! Imports point down: no circles among the files of `src/`, and no Python below `src/python/`.
//!
//! A path counts for the module that defines what it names, whatever re-exports it. `mod child;`
//! and a mere re-export are no imports.

mod checker;
mod graph;
mod source;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use graph::{Edges, Modules, circles, merged};

/// Of `src/python/`: a file, or a folder whose other files only it names.
const MOST_ROOMS: usize = 16;
/// From one of these rooms to another.
const MOST_IMPORTS: usize = 60;

const PYTHON: &str = "crate::python";

static SRC: LazyLock<Modules> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    Modules(source::read(&root).unwrap_or_else(|error| panic!("{error}")))
});
static IMPORTS: LazyLock<Edges> = LazyLock::new(|| SRC.imports());

#[test]
fn files_do_not_import_each_other_in_circles() {
    let aside = IMPORTS.iter().map(|(from, targets)| {
        let targets = targets.iter().filter(|to| !is_within(from, to));
        (from.clone(), targets.cloned().collect())
    });
    assert_no_circles(&aside.collect());
}

/// A child of a module may use what its parent defines, or be used by it: not both.
#[test]
fn parents_and_their_children_do_not_import_each_other() {
    assert_no_circles(&IMPORTS);
}

#[test]
fn folders_do_not_import_each_other_in_circles() {
    assert_no_circles(&merged(&IMPORTS, folder));
}

#[test]
fn the_core_knows_no_python() {
    let mut found = Vec::new();
    for (module, imports) in IMPORTS.iter().filter(|(name, _)| !is_within(name, PYTHON)) {
        let up = imports.iter().filter(|to| is_within(to, PYTHON)).cloned();
        let paths = SRC.paths_with(module, "pyo3").chain(up);
        found.extend(paths.map(|path| format!("{module}: {path}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_python_side_has_few_rooms() {
    let spelled_out = named_from_outside(&SRC.named());
    let mut rooms = merged(&IMPORTS, |module| {
        if spelled_out.contains(module) {
            module.to_owned()
        } else {
            folder(module)
        }
    });
    rooms.retain(|room, _| is_within(room, PYTHON));
    let (count, targets) = (rooms.len(), rooms.values().flatten());
    let imports = targets.filter(|to| is_within(to, PYTHON)).count();
    println!("src/python/: {count} rooms, {imports} imports between them");
    let names: Vec<&String> = rooms.keys().collect();
    assert!(count <= MOST_ROOMS, "{count} rooms: {names:#?}");
    assert!(imports <= MOST_IMPORTS, "{imports} imports: {rooms:#?}");
}

/// `crate::session` for all of `src/session/`, and `crate::python::lazy` for `src/python/lazy/`.
fn folder(module: &str) -> String {
    let depth = if is_within(module, PYTHON) { 3 } else { 2 };
    let segments: Vec<&str> = module.split("::").take(depth).collect();
    segments.join("::")
}

fn is_within(module: &str, folder: &str) -> bool {
    module
        .strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The modules that another folder names, and not just their folder.
fn named_from_outside(named: &Edges) -> BTreeSet<String> {
    let pairs = named
        .iter()
        .flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)));
    pairs
        .filter(|(from, to)| folder(from) != folder(to))
        .map(|(_, to)| to.clone())
        .collect()
}

fn assert_no_circles(imports: &Edges) {
    let found = circles(imports).into_iter().map(|circle| {
        let lines: Vec<_> = circle
            .iter()
            .map(|(from, to)| format!("  {from} -> {to}"))
            .collect();
        lines.join("\n")
    });
    let found: Vec<_> = found.collect();
    assert!(
        found.is_empty(),
        "a circle:\n{}",
        found.join("\nand another:\n")
    );
}
