//! The checker itself, on small trees with circles put in on purpose.

use crate::graph::{Modules, circles};
use crate::source::{name_of, parse};

fn tree(files: &[(&str, &str)]) -> Modules {
    let module = |source| parse(source).unwrap_or_else(|error| panic!("{error}"));
    let modules = files
        .iter()
        .map(|(file, source)| (name_of(file.as_ref()), module(*source)));
    Modules(modules.collect())
}

/// The circles, each as the pairs of files in it.
fn found(files: &[(&str, &str)]) -> Vec<Vec<(String, String)>> {
    circles(&tree(files).imports())
}

fn edge(from: &str, to: &str) -> (String, String) {
    (format!("crate::{from}"), format!("crate::{to}"))
}

const LIB: (&str, &str) = ("lib.rs", "pub mod a; pub mod b; pub mod c;");
const A: (&str, &str) = ("a.rs", "pub struct A; pub fn a() {}");

#[test]
fn down_alone_is_no_circle() {
    let files = [
        LIB,
        A,
        (
            "b.rs",
            "use crate::a::A; pub fn b() -> A { crate::a::a(); A }",
        ),
        ("c.rs", "use crate::{a, b::b}; fn c() { a::a(); b(); }"),
    ];
    assert_eq!(found(&files), Vec::<Vec<_>>::new());
    let imports = tree(&files).imports();
    assert!(imports["crate::c"].iter().eq(["crate::a", "crate::b"]));
}

#[test]
fn two_that_import_each_other() {
    let back = ("a.rs", "use crate::b::B; pub struct A(B);");
    let files = [
        LIB,
        back,
        ("b.rs", "use super::a::A; pub struct B(Box<A>);"),
    ];
    assert_eq!(found(&files), [[edge("a", "b"), edge("b", "a")]]);
}

#[test]
fn three_in_a_row() {
    let files = [
        LIB,
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", "pub struct B; fn b() { crate::c::c() }"),
        ("c.rs", "pub fn c() { let _ = super::a::A::new(); }"),
    ];
    assert_eq!(
        found(&files),
        [[edge("a", "b"), edge("b", "c"), edge("c", "a")]]
    );
}

#[test]
fn a_reexport_counts_for_the_definer() {
    let files = [
        LIB,
        ("a.rs", "use crate::b::Inner; pub struct A(Inner);"),
        (
            "b/mod.rs",
            "mod inner; mod other; pub use self::inner::Inner as Inner; pub use other::*;",
        ),
        (
            "b/inner.rs",
            "pub struct Inner; fn inner(_: crate::a::A) {}",
        ),
        (
            "b/other.rs",
            "pub struct Other; fn other(_: crate::b::Inner) {}",
        ),
        ("c.rs", "use crate::b::Other;"),
    ];
    assert_eq!(
        found(&files),
        [[edge("a", "b::inner"), edge("b::inner", "a")]]
    );
    let imports = tree(&files).imports();
    assert!(imports["crate::c"].iter().eq(["crate::b::other"]));
}

#[test]
fn a_parent_that_uses_a_child_that_uses_it() {
    let child = (
        "a/child.rs",
        "use super::A; pub struct Child; impl A { fn a() {} }",
    );
    let passes_on = ("a.rs", "mod child; pub use child::Child; pub struct A;");
    assert_eq!(found(&[LIB, passes_on, child]), Vec::<Vec<_>>::new());
    let uses = (
        "a.rs",
        "mod child; pub use child::Child; pub struct A(Child);",
    );
    assert_eq!(
        found(&[LIB, uses, child]),
        [[edge("a", "a::child"), edge("a::child", "a")]]
    );
}

#[test]
fn in_macros_and_inline_modules_too() {
    let files = [
        LIB,
        (
            "a.rs",
            "pub fn a() { assert!(matches!(1, crate::b::ONE | 2)); }",
        ),
        (
            "b.rs",
            "pub const ONE: u8 = 1; mod inline { use super::super::a; fn b() { a::a(); } }",
        ),
    ];
    assert_eq!(found(&files), [[edge("a", "b"), edge("b", "a")]]);
}

#[test]
fn tests_and_visibilities_and_other_crates_do_not_count() {
    let files = [
        LIB,
        (
            "a.rs",
            "#[cfg(test)] mod tests { use crate::b::B; } pub(in crate::b) struct A;",
        ),
        (
            "b.rs",
            "use crate::a::A; use tokio::a; use std::c; pub struct B(A); fn b() { a::b() }",
        ),
        ("c.rs", "fn c() { b::a(); let a = 1; println!(\"{}\", a); }"),
    ];
    assert_eq!(found(&files), Vec::<Vec<_>>::new());
    assert!(tree(&files).imports()["crate::c"].is_empty());
}

#[test]
fn a_function_with_the_name_of_its_module() {
    let files = [
        LIB,
        ("a/mod.rs", "pub mod a; pub fn a() {}"),
        ("a/a.rs", "pub struct Deep;"),
        ("b.rs", "use crate::a::a;"),
        ("c.rs", "use crate::a::a::Deep;"),
    ];
    let modules = tree(&files);
    assert!(modules.imports()["crate::b"].iter().eq(["crate::a"]));
    assert!(modules.imports()["crate::c"].iter().eq(["crate::a::a"]));
    assert!(
        modules.named()["crate::c"]
            .iter()
            .eq(["crate::a", "crate::a::a"])
    );
}

#[test]
fn what_begins_with_a_crate() {
    let files = [
        LIB,
        (
            "a.rs",
            "use pyo3::prelude::*; fn a() { pyo3_async_runtimes::get() }",
        ),
    ];
    let modules = tree(&files);
    let paths: Vec<_> = modules.paths_with("crate::a", "pyo3").collect();
    assert_eq!(paths, ["pyo3::prelude", "pyo3_async_runtimes::get"]);
}
