//! The compiler's messages for what the attributes reject: each `ui/*.rs` gives exactly `ui/*.stderr`. What they accept is in
//! `ui/pass/`, each a test of its own.
//!
//! Each file is compiled by rustc against the library that this test links, so that no dependency is built a second time.
//! After changing a message: `WSGIBENCH_BLESS=1 cargo test --test ui`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{LazyLock, Mutex},
};

use regex::Regex;

#[test]
fn rejected_uses_give_their_messages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    assert!(files.len() > 15, "{files:?}");
    files.sort();
    let bless = wsgibench_harness::__private::switch("WSGIBENCH_BLESS").unwrap();
    let (library, queue, wrong) = (library(), Mutex::new(files), Mutex::new(Vec::new()));
    let work = || {
        while let Some(file) = { queue.lock().unwrap().pop() } {
            let found = messages(&file, &library);
            let kept = file.with_extension("stderr");
            if bless {
                fs::write(&kept, &found).unwrap();
            }
            let expected = fs::read_to_string(&kept).unwrap_or_default();
            if found.is_empty() {
                wrong.lock().unwrap().push(format!("{} compiles", file.display()));
            } else if found != expected {
                let name = kept.display();
                let text = format!("{name} differs; expected:\n{expected}\nfound:\n{found}");
                wrong.lock().unwrap().push(text);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The library of this build.
///
/// Builds with other features leave theirs in the same folder. The newest is of the current source, because the one that
/// this test links is, and any newer one was built later.
fn library() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libwsgibench_harness-") && name.ends_with(".rlib")
    };
    fs::read_dir(&deps)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(is_library)
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .unwrap_or_else(|| panic!("no library of wsgibench-harness in {}", deps.display()))
}

/// Compiles a file and returns the errors and warnings, without what differs between machines.
fn messages(file: &Path, library: &Path) -> String {
    let output = tempfile::tempdir().unwrap();
    let compiled = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // Hints mention Cargo where it runs the compiler.
        .env("CARGO", "cargo")
        .args([
            "--edition=2024",
            "--crate-type=bin",
            "--emit=metadata",
            "--error-format=json",
        ])
        .args(["--diagnostic-width=140", "--cap-lints=warn"])
        .arg("--extern")
        .arg(format!("wsgibench_harness={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", library.parent().unwrap().display()))
        .arg("--out-dir")
        .arg(output.path())
        .arg(file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap())
        .output()
        .unwrap();
    let errors = String::from_utf8(compiled.stderr).unwrap();
    let diagnostics: Vec<serde_json::Value> = errors
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("rustc printed {line}")))
        .collect();
    assert_eq!(compiled.status.success(), diagnostics.is_empty(), "{errors}");
    diagnostics
        .iter()
        // A summary such as `aborting due to 2 previous errors` is about no place.
        .filter(|diagnostic| diagnostic["spans"].as_array().is_some_and(|spans| !spans.is_empty()))
        .map(|diagnostic| normalized(diagnostic["rendered"].as_str().unwrap()))
        .collect::<Vec<_>>()
        .join("\n")
}

static PLACE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^( *)(-->|:::) (.+?)(?::\d+:\d+)?$").unwrap());
static NUMBERED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^ *(\d+) +[|/+~-]").unwrap());
/// The number of types that a list leaves out changes with each implementation of a trait.
static OTHERS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"and \d+ others").unwrap());

/// Removes line numbers and folders of other files than the compiled one, whose changes are no change of a message.
///
/// Rustc quotes only the compiled file: it looks for the library's source below the workspace, and runs in the package.
fn normalized(rendered: &str) -> String {
    let mut lines = Vec::new();
    let (mut old_width, mut new_width) = (0, 1);
    for line in rendered.trim_end().lines().filter(|line| !line.contains("long-type-")) {
        let number = NUMBERED.captures(line).map_or(0, |number| number[1].len());
        new_width = new_width.max(number);
        let Some(place) = PLACE.captures(line) else {
            lines.push(OTHERS.replace(line, "and $$N others").into_owned());
            continue;
        };
        old_width = place[1].len();
        if place[3].starts_with("tests/ui/") {
            lines.push(line.to_owned());
        } else {
            lines.push(format!("{}{} {}", &place[1], &place[2], short(&place[3])));
        }
    }
    // The margin is as wide as the largest line number, which may have been one of another file.
    let surplus = " ".repeat(old_width.saturating_sub(new_width));
    let mut text = String::new();
    for line in lines {
        let narrowed = match line.strip_prefix("...") {
            Some(rest) => format!("...{}", rest.strip_prefix(&surplus).unwrap_or(rest)),
            None => line
                .strip_prefix(&surplus)
                .map_or_else(|| unpadded(&line, &surplus), str::to_owned),
        };
        text.push_str(narrowed.trim_end());
        text.push('\n');
    }
    text
}

/// Removes padding that follows a line number at the margin.
fn unpadded(line: &str, surplus: &str) -> String {
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    match line[digits..].strip_prefix(surplus) {
        Some(rest) if digits > 0 => format!("{}{rest}", &line[..digits]),
        _ => line.to_owned(),
    }
}

/// The path of a file below the `src` of this crate, of the standard library, or of a dependency.
fn short(path: &str) -> String {
    if let Some((_, inside)) = path.split_once("/library/") {
        return format!("$RUST/{inside}");
    }
    match path.split_once("wsgibench-harness/src/") {
        Some((_, inside)) => format!("src/{inside}"),
        None => format!(
            "$CARGO/{}",
            path.rsplit_once("/src/").map_or(path, |(_, inside)| inside)
        ),
    }
}
