//! Validation of project names. Pure.

/// Names that Cargo or Rust reject for packages, or that would shadow a dependency of the project.
const TAKEN: [&str; 14] = [
    "test",
    "core",
    "std",
    "alloc",
    "proc-macro",
    "build",
    "deps",
    "examples",
    "incremental",
    "wsgibench",
    "wsgibench-harness",
    "wsgibench-load",
    "wsgibench-macros",
    "wsgibench-stats",
];

/// Checks a package's name.
///
/// The error states the problem and suggests a valid name.
pub(super) fn check(name: &str) -> Result<(), String> {
    let wrong = |what: &str| {
        let better = better(name);
        Err(format!(
            "`{name}` is not a valid package name: {what}; use e.g. `{better}`"
        ))
    };
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return wrong("it must start with a letter");
    }
    if let Some(odd) = name
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
    {
        return wrong(&format!("`{odd}` is not allowed, only letters, digits, `-` and `_`"));
    }
    if name.len() > 64 {
        return wrong("it is longer than 64 characters");
    }
    if TAKEN.contains(&name) || is_keyword(name) {
        return wrong("the name is reserved");
    }
    Ok(())
}

fn better(name: &str) -> String {
    let mut better: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
                c
            } else {
                '-'
            }
        })
        .take(48)
        .collect();
    better = better.trim_matches('-').to_owned();
    if better.is_empty() {
        return "my-server".into();
    }
    if !better.starts_with(|c: char| c.is_ascii_alphabetic()) || TAKEN.contains(&better.as_str()) || is_keyword(&better)
    {
        better = format!("my-{better}");
    }
    better
}

fn is_keyword(name: &str) -> bool {
    const KEYWORDS: [&str; 52] = [
        "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do",
        "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
        "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct",
        "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while",
        "yield",
    ];
    KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn usual_names_are_valid() {
        for name in ["demo", "own-server", "shop2", "my_app"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn invalid_names_yield_a_valid_suggestion() {
        for name in [
            "2fast",
            "a b",
            "../x",
            "",
            "test",
            "fn",
            "wsgibench",
            "prüfung",
            "-",
            &"x".repeat(90),
            "_",
        ] {
            let error = check(name).expect_err(name);
            let better = error.rsplit('`').nth(1).expect("a proposal");
            assert_eq!(check(better), Ok(()), "{name}: {error}");
        }
    }
}
