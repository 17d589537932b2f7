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
use std::{env, fs};

use graph::{Edges, Modules, circles, drawing, merged};

/// Of `src/python/`: a file, or a folder with its files.
const MOST_ROOMS: usize = 16;
/// From one of these rooms to another.
const MOST_IMPORTS: usize = 60;

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
const PYTHON: &str = "crate::python";

static SRC: LazyLock<Modules> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    Modules(source::read(&root).unwrap_or_else(|error| panic!("{error}")))
});
static IMPORTS: LazyLock<Edges> = LazyLock::new(|| SRC.imports());

/// A module and its own children count as one: they share an `impl`.
#[test]
fn files_do_not_import_each_other_in_circles() {
    let aside = IMPORTS.iter().map(|(from, targets)| {
        let targets = targets.iter().filter(|to| !is_within(from, to));
        (from.clone(), targets.cloned().collect())
    });
    assert_no_circles(&aside.collect());
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

/// `make architecture` draws it anew.
#[test]
fn the_picture_shows_the_imports() {
    let shown = fs::read_to_string(PICTURE).expect("the picture can be read");
    let drawn = with_drawing(
        &with_drawing(&shown, "core", &core()),
        "python",
        &python_side(),
    );
    if env::var_os("DRAW_ARCHITECTURE").is_some() {
        fs::write(PICTURE, &drawn).expect("the picture can be written");
    } else {
        assert!(
            shown == drawn,
            "other imports than ARCHITECTURE.md shows: make architecture"
        );
    }
}

#[test]
fn the_python_side_has_few_rooms() {
    let mut rooms = merged(&IMPORTS, folder);
    rooms.retain(|room, _| is_within(room, PYTHON));
    let (count, targets) = (rooms.len(), rooms.values().flatten());
    let imports = targets.filter(|to| is_within(to, PYTHON)).count();
    println!("src/python/: {count} rooms, {imports} imports between them");
    let names: Vec<&String> = rooms.keys().collect();
    assert!(count <= MOST_ROOMS, "{count} rooms: {names:#?}");
    assert!(imports <= MOST_IMPORTS, "{imports} imports: {rooms:#?}");
}

/// The folders and single files of `src/`, `python` as one of them.
fn core() -> Edges {
    let name = |module: &str| module.split("::").nth(1).unwrap_or("lib").to_owned();
    let mut rooms = merged(&IMPORTS, name);
    rooms.remove("lib");
    rooms
}

/// Those of `src/python/`.
fn python_side() -> Edges {
    let mut rooms = merged(&IMPORTS, folder);
    rooms.retain(|room, _| is_within(room, PYTHON) && room != PYTHON);
    let short = |room: &str| room.rsplit("::").next().unwrap_or(room).to_owned();
    let inside = |room: &&String| is_within(room, PYTHON);
    let of =
        |targets: &BTreeSet<String>| targets.iter().filter(inside).map(|to| short(to)).collect();
    rooms
        .iter()
        .map(|(room, targets)| (short(room), of(targets)))
        .collect()
}

fn with_drawing(document: &str, name: &str, imports: &Edges) -> String {
    let (begin, end) = (
        format!("<!-- {name}:begin -->\n"),
        format!("<!-- {name}:end -->\n"),
    );
    let (before, rest) = document
        .split_once(&begin)
        .expect("it has a place to begin");
    let (_, after) = rest.split_once(&end).expect("it has a place to end");
    [before, &begin, &drawing(imports), &end, after].concat()
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
