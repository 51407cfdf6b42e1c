//! The modules of `src` form layers: each one uses only modules below it.

use std::{collections::BTreeSet, fs, path::Path};

/// The layers, lowest first. A module may use every module of a lower layer, and none of its own layer or above.
const LAYERS: [&[&str]; 9] = [
    // Crates of their own: `load` and `stats`.
    &[
        "affinity",
        "load",
        "null_server",
        "panics",
        "stats",
        "lock_file",
        "subprocess",
        "variables",
    ],
    &["counts", "profile", "waits"],
    &["conformance", "declare"],
    &["sandbox", "store"],
    &["cluster"],
    &["measure"],
    &["report"],
    &["against"],
    &["cli", "tool"],
];

/// Files that join all layers: the crate's root, its prelude, and the entry points of the macros and of the fuzz targets.
const JOINTS: [&str; 5] = ["lib", "prelude", "__private", "fuzzing", "bin"];

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Returns the modules of this crate that a source text names, by `use crate::...` or by a path.
fn used_modules(source: &str) -> BTreeSet<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` belongs to a macro's expansion in another crate, `my_crate::` to that crate.
        if code[..at].ends_with(|c: char| c == '$' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads_of_group(group)),
            None => found.extend(head(rest)),
        }
    }
    found
}

/// Returns the first segment of a path.
fn head(path: &str) -> Option<String> {
    let path = path.trim_start();
    let end = path
        .find(|c: char| c != '_' && !c.is_alphanumeric())
        .unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// Returns the first segments of a `{a::b, c::{d, e}}` group whose opening brace is already consumed.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut heads = Vec::new();
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.extend(head(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.extend(head(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads
}

/// Returns one line per arrow that does not point down, for the source of one file of `module`.
fn violations(file: &str, module: &str, source: &str) -> Vec<String> {
    let Some(own) = layer_of(module) else {
        return vec![format!(
            "{file}: module `{module}` is in no layer; add it to LAYERS in tests/layers.rs"
        )];
    };
    used_modules(source)
        .into_iter()
        .filter(|used| used != module)
        .filter(|used| layer_of(used).is_some_and(|layer| layer >= own))
        .map(|used| format!("{file}: `{module}` uses `{used}`, which is not below it"))
        .collect()
}

fn visit(folder: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a readable folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            visit(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("below the root");
            let first = relative.components().next().expect("a file name").as_os_str();
            let module = Path::new(first)
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            if JOINTS.contains(&module.as_str()) {
                continue;
            }
            let source = fs::read_to_string(&path).expect("UTF-8 source");
            found.extend(violations(&relative.display().to_string(), &module, &source));
        }
    }
}

#[test]
fn modules_use_only_modules_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    visit(&root, &root, &mut found);
    assert!(found.is_empty(), "arrows that point upwards:\n{}", found.join("\n"));
}

#[test]
fn an_arrow_upwards_is_found_however_it_is_written() {
    for source in [
        "use crate::store::record::Notice;",
        "use crate::{\n    load::Load,\n    store::{Store, record::{A, B}},\n};",
        "fn f() { let _ = crate::store::now(); }",
        "pub(crate) use crate::store;",
    ] {
        let found = violations("declare/x.rs", "declare", source);
        assert_eq!(
            found,
            ["declare/x.rs: `declare` uses `store`, which is not below it"],
            "{source}"
        );
    }
    assert!(violations("store/x.rs", "store", "use crate::{declare::Case, load::Load};").is_empty());
    assert!(
        violations(
            "load/x.rs",
            "load",
            "// crate::store\nmacro_rules! m { () => { $crate::store::x() } }"
        )
        .is_empty()
    );
    assert!(violations("new/x.rs", "new", "")[0].contains("is in no layer"));
}
