//! Parser for `.dockerignore` files, which exclude files from a build context.

use std::{fs, io, path::Path};

use regex::Regex;

/// The rules of one folder. Paths are relative to it, with `/`.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Regex,
    /// Whether the pattern begins with `!` and includes files again.
    includes: bool,
}

impl Ignore {
    /// Reads the rules of `folder` from `Dockerfile.dockerignore` if it exists, else from `.dockerignore`; without either there are none.
    ///
    /// # Errors
    /// If the file cannot be read, or a pattern is malformed; the message names the file.
    pub(super) fn of_folder(folder: &Path) -> Result<Self, String> {
        for name in ["Dockerfile.dockerignore", ".dockerignore"] {
            let file = folder.join(name);
            match fs::read(&file) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    return Self::parse(&text).map_err(|why| format!("{}:{why}", file.display()));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("failed to read {}: {error}", file.display())),
            }
        }
        Ok(Self::default())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            // A comment starts in the first column only.
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let line = line.trim();
            let (includes, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let pattern = clean(pattern);
            if pattern.is_empty() {
                continue;
            }
            let pattern = Regex::new(&expression(&pattern))
                .map_err(|_| format!("{}: `{line}` is not a valid pattern", index + 1))?;
            rules.push(Rule { pattern, includes });
        }
        Ok(Self { rules })
    }

    /// Whether the file or folder at `path` is excluded. The last rule that matches the path or a folder above it decides.
    pub(super) fn excludes(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(index, _)| &path[..index]);
        let candidates: Vec<&str> = above.chain([path]).collect();
        self.rules.iter().fold(false, |excluded, rule| {
            if candidates.iter().any(|candidate| rule.pattern.is_match(candidate)) {
                !rule.includes
            } else {
                excluded
            }
        })
    }

    /// Whether no rule can include files below an excluded folder again.
    pub(super) fn can_prune(&self) -> bool {
        !self.rules.iter().any(|rule| rule.includes)
    }
}

/// Returns a pattern without `.`, `..`, and repeated, leading or trailing slashes.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Converts a pattern to a regular expression: `*` and `?` stop at `/`, `**` does not, classes and escapes as in Go's `filepath.Match`.
fn expression(pattern: &str) -> String {
    let mut expression = String::from("(?s)^");
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.peek() == Some(&'*') => {
                rest.next();
                if rest.peek() == Some(&'/') {
                    rest.next();
                    expression.push_str("(.*/)?");
                } else {
                    expression.push_str(".*");
                }
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => {
                expression.push('[');
                for c in rest.by_ref() {
                    // Go's classes have neither nesting nor set operations.
                    if matches!(c, '[' | '&' | '~') {
                        expression.push('\\');
                    }
                    expression.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '\\' => {
                if let Some(escaped) = rest.next() {
                    expression.push_str(&regex::escape(&escaped.to_string()));
                }
            }
            c => expression.push_str(&regex::escape(&c.to_string())),
        }
    }
    expression.push('$');
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_docker() {
        for (rules, path, excluded) in [
            ("secret.env", "secret.env", true),
            ("secret.env", "sub/secret.env", false),
            ("**/secret.env", "a/b/secret.env", true),
            ("**/secret.env", "secret.env", true),
            ("*.key", "a.key", true),
            ("*.key", "sub/a.key", false),
            ("*/*.key", "sub/a.key", true),
            ("/target", "target/debug/x", true),
            ("target/", "target", true),
            ("./a/../target", "target/x", true),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("[a-c].txt", "b.txt", true),
            ("[^a-c].txt", "b.txt", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*\n!README.md", "README.md", false),
            ("*\n!README.md", "x.py", true),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("docs\n!docs/keep", "docs/keep/a", false),
            ("docs\n!docs/keep", "docs/other", true),
            ("# comment\n\n  spaced  ", "spaced", true),
            ("logs/**", "logs/a/b", true),
            ("**", "anything/at/all", true),
            ("a.b", "axb", false),
        ] {
            assert_eq!(
                Ignore::parse(rules).unwrap().excludes(path),
                excluded,
                "{rules:?} {path}"
            );
        }
    }

    #[test]
    fn malformed_pattern_is_reported_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".dockerignore"), "fine\n[a-\n").unwrap();
        let error = Ignore::of_folder(folder.path()).unwrap_err();
        assert!(error.contains(".dockerignore:2: `[a-`"), "{error}");
    }
}
