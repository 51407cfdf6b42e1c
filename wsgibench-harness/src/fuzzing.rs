//! Entry points of the fuzz targets in `fuzz/`, which also run over their corpus in `cargo test`.

pub use crate::{
    load::{
        fuzzing::{chunked, csv_rows, response},
        script::fuzzing::{cookies, redirects},
    },
    store::fuzzing::{recovery, versioned_files},
};

/// A target: checks one input, and panics if it finds a fault.
pub type Run = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Run); 7] = [
    ("chunked", chunked),
    ("cookies", cookies),
    ("csv_rows", csv_rows),
    ("recovery", recovery),
    ("redirects", redirects),
    ("response", response),
    ("versioned_files", versioned_files),
];

#[cfg(test)]
mod tests {
    use std::{
        fs,
        panic::{AssertUnwindSafe, catch_unwind},
        path::{Path, PathBuf},
    };

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(folder).unwrap_or_else(|error| panic!("failed to read {}: {error}", folder.display()));
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn fuzz_folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
    }

    #[test]
    fn each_target_has_a_program_and_a_corpus() {
        let expected: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names(&fuzz_folder().join("corpus")), expected);
        let programs: Vec<String> = expected.iter().map(|name| format!("{name}.rs")).collect();
        assert_eq!(names(&fuzz_folder().join("fuzz_targets")), programs);
    }

    #[test]
    fn corpus_passes_every_target() {
        for (target, run) in TARGETS {
            let folder = fuzz_folder().join("corpus").join(target);
            let inputs = names(&folder);
            assert!(!inputs.is_empty(), "no inputs in {}", folder.display());
            for input in inputs {
                let path = folder.join(&input);
                let data = fs::read(&path).unwrap();
                let outcome = catch_unwind(AssertUnwindSafe(|| run(&data)));
                assert!(outcome.is_ok(), "target {target} fails on {}", path.display());
            }
        }
    }
}
