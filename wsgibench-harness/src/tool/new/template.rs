//! The project template of `wsgibench new`. A test keeps `examples/own-server` identical to it.

use std::path::Path;

/// A file of the template: its path and content.
pub(super) type File = (&'static str, &'static str);

macro_rules! files {
    ($($to:literal <- $from:literal),* $(,)?) => {
        /// All files by their path in the project.
        pub(super) const FILES: &[File] = &[
            $(($to, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/template/", $from)))),*
        ];
    };
}

// Some files have other names in the template: Cargo excludes a folder with a Cargo.toml from the published package, and
// git would apply a .gitignore.
files! {
    "Cargo.toml" <- "Cargo.toml.in",
    ".gitignore" <- "gitignore",
    ".github/workflows/bench.yml" <- "bench.yml",
    "README.md" <- "README.md",
    "benches/server.rs" <- "benches/server.rs",
    "server/Dockerfile" <- "server/Dockerfile",
    "server/requirements.txt" <- "server/requirements.txt",
    "app/wsgi.py" <- "app/wsgi.py",
    "app/bookshop/__init__.py" <- "app/bookshop/__init__.py",
    "app/bookshop/accounts.py" <- "app/bookshop/accounts.py",
    "app/bookshop/api.py" <- "app/bookshop/api.py",
    "app/bookshop/database.py" <- "app/bookshop/database.py",
    "app/bookshop/pages.py" <- "app/bookshop/pages.py",
    "app/bookshop/schema.sql" <- "app/bookshop/schema.sql",
    "app/bookshop/templates/base.html" <- "app/bookshop/templates/base.html",
    "app/bookshop/templates/book.html" <- "app/bookshop/templates/book.html",
    "app/bookshop/templates/books.html" <- "app/bookshop/templates/books.html",
    "app/bookshop/templates/home.html" <- "app/bookshop/templates/home.html",
    "app/bookshop/templates/login.html" <- "app/bookshop/templates/login.html",
    "tests/test_bookshop.py" <- "tests/test_bookshop.py",
}

/// The source of the harness dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Harness<'a> {
    /// The published crate of this version.
    Published(&'a str),
    /// `wsgibench-harness` in a checkout.
    Checkout(&'a Path),
}

impl Harness<'_> {
    /// Returns the value of the dependency in Cargo.toml.
    fn requirement(&self) -> String {
        match self {
            Self::Published(version) => format!("\"{version}\""),
            Self::Checkout(checkout) => {
                let path = checkout.join("wsgibench-harness").display().to_string();
                // The escapes of Debug are valid in basic TOML strings.
                format!("{{ path = {path:?} }}")
            }
        }
    }
}

/// Returns a file's content for a project.
pub(super) fn render(content: &str, package: &str, harness: &Harness<'_>) -> String {
    content
        .replace("@NAME@", package)
        .replace("@HARNESS@", &harness.requirement())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use super::{FILES, Harness, render};

    /// The example's folder in a checkout; the published package lacks it.
    fn example() -> Option<PathBuf> {
        let checkout = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let is_checkout = checkout.join("wsgibench-macros/Cargo.toml").is_file() && checkout.join("suites").is_dir();
        is_checkout.then(|| checkout.join("examples/own-server"))
    }

    #[test]
    fn example_equals_the_template() {
        let Some(folder) = example() else { return };
        let harness = Harness::Checkout("../..".as_ref());
        for (path, content) in FILES {
            let expected = render(content, "own-server", &harness);
            let file = folder.join(path);
            if std::env::var_os("WSGIBENCH_BLESS").is_some() {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, &expected).unwrap();
            }
            let found = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                found == expected,
                "examples/own-server/{path} differs from the template; WSGIBENCH_BLESS=1 rewrites it"
            );
        }
    }

    #[test]
    fn example_has_no_other_files() {
        let Some(folder) = example() else { return };
        let known: BTreeSet<PathBuf> = FILES.iter().map(|(path, _)| PathBuf::from(path)).collect();
        let made = |name: &str| matches!(name, "target" | "Cargo.lock" | "__pycache__");
        let others: Vec<PathBuf> = walkdir::WalkDir::new(&folder)
            .into_iter()
            .filter_entry(|entry| !made(&entry.file_name().to_string_lossy()))
            .flatten()
            .filter(|entry| entry.file_type().is_file())
            .filter_map(|entry| Some(entry.path().strip_prefix(&folder).ok()?.to_owned()))
            .filter(|path| !known.contains(path))
            .collect();
        assert!(others.is_empty(), "not in the template: {others:?}");
    }

    #[test]
    fn ci_examples_are_identical() {
        let Some(folder) = example() else { return };
        let text = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let ours = text(folder.join(".github/workflows/bench.yml"));
        assert_eq!(
            text(folder.join("../ci/github-actions.yml")),
            ours,
            "copy it to examples/ci/github-actions.yml"
        );
    }

    #[cfg(feature = "docker")]
    #[test]
    fn ci_keeps_images_of_wsgibench() {
        let filter = format!("label={}", crate::sandbox::IMAGE_LABEL);
        let (_, workflow) = FILES.iter().find(|(path, _)| path.ends_with("bench.yml")).unwrap();
        assert!(workflow.contains(&filter), "{filter}");
    }

    #[test]
    fn placeholders_are_filled_and_the_manifest_parses() {
        let odd = Harness::Checkout("/a \"quoted\" \\ place".as_ref());
        for harness in [Harness::Published("0.1.0"), odd] {
            for (path, content) in FILES {
                let text = render(content, "demo", &harness);
                assert!(!text.contains("@NAME@") && !text.contains("@HARNESS@"), "{path}");
            }
            let manifest = render(FILES[0].1, "demo", &harness);
            let table: toml::Table = toml::from_str(&manifest).unwrap();
            assert_eq!(table["package"]["name"].as_str(), Some("demo"));
            let dependency = &table["dev-dependencies"]["wsgibench-harness"];
            match harness {
                Harness::Published(version) => assert_eq!(dependency.as_str(), Some(version)),
                Harness::Checkout(path) => assert_eq!(
                    dependency["path"].as_str(),
                    Some(path.join("wsgibench-harness").display().to_string().as_str())
                ),
            }
        }
    }
}
