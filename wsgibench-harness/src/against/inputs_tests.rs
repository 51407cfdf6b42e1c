use super::*;
use crate::subprocess::{self, Metadata, Toolchain};

const MANIFEST: &str = "[package]\nname = \"job\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[features]\nfast = []\n\n\
    [dependencies]\nlibrary = { path = \"library\" }\n\n[[bench]]\nname = \"job\"\nharness = false\n\n[workspace]\n";

/// A project with every kind of input, and unrelated files.
const PROJECT: &[(&str, &str)] = &[
    ("Cargo.toml", MANIFEST),
    (
        "build.rs",
        "fn main() { println!(\"cargo::rerun-if-changed=schema.sql\"); println!(\"cargo::rerun-if-changed=shapes\"); }",
    ),
    ("schema.sql", ""),
    ("shapes/a", ""),
    (
        "benches/job/main.rs",
        "mod part; const T: &str = include_str!(\"the text\"); fn main() { library::f(); part::p(T); }",
    ),
    ("benches/job/part.rs", "pub fn p(_: &str) {}"),
    ("benches/job/the text", "text"),
    (
        "library/Cargo.toml",
        "[package]\nname = \"library\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    ),
    ("library/src/lib.rs", "pub fn f() {}"),
    ("library/build.rs", "fn main() {}"),
    ("library/notes", ""),
    ("app/application.py", ""),
    ("README.md", ""),
];

fn write(root: &Path, file: &str, content: &str) {
    let file = root.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

fn project(root: &Path) {
    for (file, content) in PROJECT {
        write(root, file, content);
    }
}

fn built(root: &Path) -> PathBuf {
    let mut cargo = subprocess::cargo(root, Toolchain::Current);
    cargo.args([
        "bench",
        "--no-run",
        "--offline",
        "--bench=job",
        "--profile=dev",
        "--message-format=json",
    ]);
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).unwrap();
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.unwrap()
}

#[test]
fn only_changed_inputs_are_differences() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (one, other) = (root.join("one"), root.join("other"));
    project(&one);
    let executable = built(&one);
    let workspace = Metadata::read(&one, Toolchain::Current).unwrap().workspace_root;
    let inputs = BuildInputs::read(&executable, &workspace, &one, &[&one]).unwrap();
    project(&other);
    // Written by the build, and ignored by git.
    assert!(one.join("Cargo.lock").is_file());
    assert_eq!(inputs.difference(&one, &other, &[]), None);

    for (file, content) in [
        ("app/application.py", "changed"),
        ("README.md", "changed"),
        ("app/new.py", ""),
        ("benches/other.rs", "fn main() {}"),
    ] {
        write(&other, file, content);
        assert_eq!(inputs.difference(&one, &other, &[file.into()]), None, "{file}");
    }
    for file in [
        "benches/job/main.rs",
        "benches/job/part.rs",
        "benches/job/the text",
        "library/src/lib.rs",
        "build.rs",
        "schema.sql",
        "shapes/a",
        "shapes/new",
        "library/build.rs",
        "library/notes",
        "Cargo.toml",
        "library/Cargo.toml",
        "Cargo.lock",
        ".cargo/config.toml",
        "rust-toolchain.toml",
    ] {
        let before = fs::read(other.join(file)).ok();
        let content = if file == "Cargo.toml" {
            MANIFEST.replace("[features]", "[features]\ndefault = [\"fast\"]")
        } else {
            "// other".into()
        };
        write(&other, file, &content);
        let difference = inputs.difference(&one, &other, &[file.into()]);
        assert!(
            difference.as_ref().is_some_and(|text| text.contains(file)),
            "{file}: {difference:?}"
        );
        match before {
            Some(before) => fs::write(other.join(file), before).unwrap(),
            None => fs::remove_file(other.join(file)).unwrap(),
        }
    }
    assert_eq!(inputs.difference(&one, &other, &[]), None);

    // Missing in one of them.
    fs::remove_file(other.join("benches/job/the text")).unwrap();
    assert!(inputs.difference(&one, &other, &[]).is_some());
    write(&other, "benches/job/the text", "text");
    // A macro may have read the folder.
    write(&other, "benches/job/new.sql", "");
    let added = inputs
        .difference(&one, &other, &["benches/job/new.sql".into()])
        .unwrap();
    assert!(added.contains("benches/job/new.sql was added or removed"), "{added}");
}

#[test]
fn build_script_that_reads_git_files_always_differs() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let deps = root.join("target/release/deps");
    write(&deps, "job-1.d", "job-1: benches/job.rs\n");
    write(
        root,
        "target/release/build/p-1/build_script_build-1.d",
        "b: p/build.rs\n",
    );
    write(
        root,
        "target/release/build/p-2/output",
        "cargo:rerun-if-changed=../.git/HEAD\n",
    );
    write(root, "p/Cargo.toml", "");
    let inputs = BuildInputs::read(&deps.join("job-1"), root, root, &[root]).unwrap();
    assert!(inputs.difference(root, root, &[]).unwrap().contains(".git/HEAD"));
}

#[test]
fn unknown_inputs_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let of = |executable: &str| BuildInputs::read(&root.join(executable), root, root, &[root]).map(drop);
    assert!(of("release/deps/job-1").unwrap_err().contains("job-1.d is missing"));
    assert!(of("usr/bin/job").unwrap_err().contains("not in cargo's target folder"));
}

#[test]
fn dependency_files_with_spaces_in_names_are_parsed() {
    let text = "/t/job-1.d: a.rs b\\ c.txt /d/é.rs\n\n/t/job-1: a.rs\n\na.rs:\nb\\ c.txt:\n# env-dep:X=a: b\n";
    let paths: Vec<PathBuf> = ["a.rs", "b c.txt", "/d/é.rs", "a.rs"].map(PathBuf::from).into();
    assert_eq!(dependencies(text), paths);
}
