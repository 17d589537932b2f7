//! Which module imports which, and where that runs in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Module, Segments};

pub type Edges = BTreeMap<String, BTreeSet<String>>;

/// Modules by name, as [`crate::source::read`] returns them.
pub struct Modules(pub BTreeMap<String, Module>);

enum Found {
    Module(String),
    /// Something that this module defines.
    ItemOf(String),
}

struct Resolved {
    found: Found,
    /// The modules that the path itself names on its way.
    named: Vec<String>,
}

impl Modules {
    /// For each module those that define what it uses, through all re-exports. To re-export a name
    /// is no use of it, and `mod child;` is no import.
    pub fn imports(&self) -> Edges {
        self.edges(|resolved| match resolved.found {
            Found::Module(name) | Found::ItemOf(name) => vec![name],
        })
    }

    /// For each module those whose names it spells out.
    pub fn named(&self) -> Edges {
        self.edges(|resolved| resolved.named)
    }

    /// The paths of a module that begin with this name.
    pub fn paths_with(&self, module: &str, start: &str) -> impl Iterator<Item = String> {
        let found = uses(&self.0[module]).filter(move |path| path[0].starts_with(start));
        found.map(|path| path.join("::"))
    }

    fn edges(&self, of: impl Fn(Resolved) -> Vec<String>) -> Edges {
        let edges = self.0.iter().map(|(name, module)| {
            let found = uses(module).filter_map(|path| self.resolve(name, path, 0));
            let targets = found.flat_map(&of).filter(|target| target != name);
            (name.clone(), targets.collect())
        });
        edges.collect()
    }

    /// None: of another crate, or a name that is no path's beginning (a variable).
    fn resolve(&self, from: &str, path: &[String], depth: usize) -> Option<Resolved> {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let is_absolute = path.first().is_some_and(|first| first == "crate");
        let mut at = from.to_owned();
        for _ in 0..supers {
            at.truncate(at.rfind("::")?);
        }
        if is_absolute {
            "crate".clone_into(&mut at);
        }
        let start = supers + usize::from(is_absolute);
        let mut named = Vec::new();
        for (index, part) in path.iter().enumerate().skip(start) {
            let found = match self.member(&at, part, index + 1 == path.len(), depth) {
                // An import of another crate's, or what its type defines.
                None if index == 0 => return None,
                None => Found::ItemOf(at),
                Some(Found::Module(module)) => {
                    if module == format!("{at}::{part}") {
                        named.push(module.clone());
                    }
                    at = module;
                    continue;
                }
                Some(found) => found,
            };
            return Some(Resolved { found, named });
        }
        let found = Found::Module(at);
        Some(Resolved { found, named })
    }

    /// What a module means by a name. A function may have the name of a module: `is_last` says
    /// whether a function can be meant.
    fn member(&self, module: &str, name: &str, is_last: bool, depth: usize) -> Option<Found> {
        // Imports may lead in a circle themselves.
        if depth > 16 {
            return None;
        }
        let child = format!("{module}::{name}");
        let Module {
            items,
            imports,
            globs,
            ..
        } = &self.0[module];
        if items.contains(name) && (is_last || !self.0.contains_key(&child)) {
            return Some(Found::ItemOf(module.to_owned()));
        }
        if self.0.contains_key(&child) {
            return Some(Found::Module(child));
        }
        if let Some(import) = imports.get(name) {
            return Some(self.resolve(module, &import.path, depth + 1)?.found);
        }
        // A name that leads to the glob is not looked for in it.
        let mut others = globs.iter().filter(|glob| glob[0] != name);
        others.find_map(|glob| match self.resolve(module, glob, depth + 1)?.found {
            Found::Module(from) => self.member(&from, name, is_last, depth + 1),
            Found::ItemOf(_) => None,
        })
    }
}

fn uses(module: &Module) -> impl Iterator<Item = &Segments> {
    let used: BTreeSet<&String> = module.paths.iter().map(|path| &path[0]).collect();
    let imports = module.imports.iter();
    let imports = imports
        .filter(move |(name, import)| !import.is_reexport || used.contains(name))
        .map(|(_, import)| &import.path);
    imports.chain(&module.globs).chain(&module.paths)
}

/// The same graph with several modules as one, as `room_of` says.
pub fn merged(edges: &Edges, room_of: impl Fn(&str) -> String) -> Edges {
    let mut rooms = Edges::new();
    for (from, targets) in edges {
        let room = room_of(from);
        let others = targets
            .iter()
            .map(|to| room_of(to))
            .filter(|other| *other != room);
        rooms
            .entry(room.clone())
            .or_default()
            .extend(others.collect::<Vec<_>>());
    }
    rooms
}

/// The imports that are part of a circle, those of one circle together.
pub fn circles(edges: &Edges) -> Vec<Vec<(String, String)>> {
    let reach: Edges = edges
        .keys()
        .map(|from| (from.clone(), reachable(edges, from)))
        .collect();
    let mut found: Vec<BTreeSet<&String>> = Vec::new();
    for from in edges.keys().filter(|from| reach[*from].contains(*from)) {
        if !found.iter().any(|circle| circle.contains(from)) {
            let with = |to: &&String| reach[from].contains(*to) && reach[*to].contains(from);
            found.push(edges.keys().filter(with).collect());
        }
    }
    let inside = |circle: BTreeSet<&String>| {
        let of = |from: &String| {
            edges[from]
                .iter()
                .map(|to| (from.clone(), to.clone()))
                .collect()
        };
        let all = circle.iter().flat_map(|from| -> Vec<_> { of(from) });
        all.filter(|(_, to)| circle.contains(to)).collect()
    };
    found.into_iter().map(inside).collect()
}

/// A Mermaid flowchart of what each stands on, without what follows from the rest.
pub fn drawing(edges: &Edges) -> String {
    let mut lines = vec!["```mermaid".to_owned(), "flowchart TD".to_owned()];
    for (from, targets) in edges {
        let follows = |to: &&String| {
            let others = targets.iter().filter(|other| other != to);
            others
                .into_iter()
                .any(|other| reachable(edges, other).contains(*to))
        };
        let direct = targets.iter().filter(|to| !follows(to));
        lines.extend(direct.map(|to| format!("    {from} --> {to}")));
        let is_alone = targets.is_empty() && edges.values().all(|others| !others.contains(from));
        lines.extend(is_alone.then(|| format!("    {from}")));
    }
    lines.join("\n") + "\n```\n"
}

fn reachable(edges: &Edges, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut left: Vec<&String> = edges[from].iter().collect();
    while let Some(next) = left.pop() {
        if seen.insert(next.clone()) {
            left.extend(edges.get(next).into_iter().flatten());
        }
    }
    seen
}
