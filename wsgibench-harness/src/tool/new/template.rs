//! The project template of `wsgibench new`: the files in `template/`.

use std::path::Path;

/// A file of the template: its path and content.
pub(super) type File = (&'static str, &'static str);

macro_rules! files {
    ($($to:literal <- $from:literal),* $(,)?) => {
        /// All files by their path in the project.
        pub(super) const FILES: &[File] = &[
            $(($to, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/template/", $from)))),*
        ];
        /// The same files by their path in `template/`.
        #[cfg(test)]
        const SOURCES: &[&str] = &[$($from),*];
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
    use std::{collections::BTreeSet, path::Path};

    use super::{FILES, Harness, SOURCES, render};

    #[test]
    fn every_file_of_the_folder_is_in_the_template() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("template");
        let known: BTreeSet<&Path> = SOURCES.iter().map(Path::new).collect();
        let others: Vec<_> = walkdir::WalkDir::new(&folder)
            .into_iter()
            .filter_entry(|entry| entry.file_name() != "__pycache__")
            .flatten()
            .filter(|entry| entry.file_type().is_file())
            .filter_map(|entry| Some(entry.path().strip_prefix(&folder).ok()?.to_owned()))
            .filter(|path| !known.contains(path.as_path()))
            .collect();
        assert!(others.is_empty(), "not in FILES: {others:?}");
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
