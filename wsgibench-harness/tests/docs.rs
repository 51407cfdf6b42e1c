//! Checks the documentation: links, the book's table of contents, and commands, which the parsers must accept.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use clap::{Parser, error::ErrorKind};
use regex::Regex;
use wsgibench_harness::cli::args::Args;

static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)#\s]+)(?:#[^)]*)?\)").unwrap());

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns all pages with their texts; none in the published package, which has no `docs`.
fn pages() -> Vec<(PathBuf, String)> {
    let read = |path: PathBuf| fs::read_to_string(&path).ok().map(|text| (path, text));
    let docs = walkdir::WalkDir::new(checkout().join("docs"))
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    docs.chain(["README.md", "examples/ci/README.md"].map(|name| checkout().join(name)))
        .filter_map(read)
        .collect()
}

#[test]
fn links_point_to_existing_files() {
    let mut broken = Vec::new();
    for (page, text) in pages() {
        for link in LINK.captures_iter(&text) {
            let target = &link[1];
            let outside = target.contains("://") || target.starts_with("mailto:");
            // A published book has no files of the checkout.
            let leaves_the_book = page.starts_with(checkout().join("docs")) && {
                let up = target.split('/').filter(|part| *part == "..").count();
                up >= page.strip_prefix(checkout().join("docs")).unwrap().components().count()
            };
            if leaves_the_book || !outside && !page.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn summary_lists_every_page() {
    let docs = checkout().join("docs");
    let Ok(summary) = fs::read_to_string(docs.join("SUMMARY.md")) else {
        return;
    };
    let missing: Vec<PathBuf> = pages()
        .into_iter()
        .filter_map(|(page, _)| Some(page.strip_prefix(&docs).ok()?.to_owned()))
        .filter(|page| page != Path::new("SUMMARY.md") && !summary.contains(&format!("({})", page.display())))
        .collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}

/// Returns commands that begin with `program`: lines of code blocks without comments, and inline code.
fn commands(text: &str, program: &str) -> Vec<String> {
    let code = Regex::new("`([^`\n]+)`").unwrap();
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line.split(" #").next().unwrap_or(line).trim().to_owned());
        } else {
            found.extend(code.captures_iter(line).map(|span| span[1].to_owned()));
        }
    }
    // Skip incomplete commands: continued lines, elisions, synopses and shell variables.
    let whole = |command: &String| {
        !command.ends_with('\\') && !command.contains(['$', '[', '…', '|']) && !command.contains("...")
    };
    found
        .into_iter()
        .filter(|command| command.starts_with(program))
        .filter(whole)
        .collect()
}

#[test]
fn documented_cargo_bench_arguments_parse() {
    let mut wrong = Vec::new();
    let mut parsed = 0;
    for (page, text) in pages() {
        for command in commands(&text, "cargo bench") {
            let Some((before, arguments)) = command.split_once(" -- ") else {
                continue;
            };
            if before.contains("wsgibench-experiments") {
                continue;
            }
            parsed += 1;
            let words = arguments.split_whitespace().map(|word| word.trim_matches(['\'', '"']));
            if let Err(error) = Args::try_parse_from(["cargo bench --"].into_iter().chain(words))
                && !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
            {
                // A placeholder such as `N` in `--seed N` is not a number.
                let placeholder = error.kind() == ErrorKind::ValueValidation
                    && arguments
                        .split_whitespace()
                        .any(|word| word.chars().all(|c| c.is_ascii_uppercase()));
                if !placeholder {
                    wrong.push(format!("{}: {command}: {error}", page.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(parsed > 20 || pages().is_empty(), "only {parsed} commands found");
}

#[test]
fn documented_wsgibench_subcommands_exist() {
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        for command in commands(&text, "wsgibench ") {
            let mut words = command.split_whitespace().skip(1);
            let Some(subcommand) = words.next().filter(|word| !word.starts_with('-')) else {
                continue;
            };
            let help = Command::new(env!("CARGO_BIN_EXE_wsgibench"))
                .args([subcommand, "--help"])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&help.stdout);
            let unknown = words.find(|word| word.starts_with("--") && !text.contains(*word));
            if !help.status.success() || unknown.is_some() {
                wrong.push(format!("{}: {command}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
