//! Ids of cases, readable and safe as file names on every system.

use ring::digest::{SHA256, digest};

/// Longest part of an id in bytes, Criterion's limit of a folder's name. Three parts with the arm and the number of a launch stay below
/// the 255 bytes that file systems allow for a name.
const LONGEST: usize = 64;
/// Bytes of a cut part's end: a hyphen and eight digits.
const DIGEST: usize = 9;

/// Returns the text as one part of an id: other characters than letters, digits and `. _ - + = , @` become `_`; a long text is
/// cut and ends with a digest of the whole. Different texts can have the same id; see [`folded`].
#[must_use]
pub fn safe(text: &str) -> String {
    let mut safe: String = text
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "._-+=,@".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    if safe.len() > LONGEST {
        let digest = digest(&SHA256, text.as_bytes());
        safe.truncate(safe.floor_char_boundary(LONGEST - DIGEST));
        safe.push('-');
        safe.push_str(&hex::encode(&digest.as_ref()[..4]));
    }
    // `.`, `..` and a trailing dot have a special meaning in file systems.
    while safe.ends_with('.') {
        safe.pop();
        safe.push('_');
        if safe.chars().all(|c| c == '_' || c == '.') {
            safe = safe.replace('.', "_");
        }
    }
    if safe.is_empty() { "_".into() } else { safe }
}

/// Folds the case of an id: on a file system that ignores case, ids with the same folded form share their files.
#[must_use]
pub fn folded(id: &str) -> String {
    id.to_lowercase()
}

/// Returns the last part of a case's id. The name of a named case replaces its parameters; the others follow as
/// `connections` -> `c100`, `users` -> `u100`, `rate` -> `r2000`, any other -> `name=value`.
#[must_use]
pub fn param_id(case: Option<(&str, &[&str])>, values: &[(String, String)]) -> String {
    let covered = |name: &str| case.is_some_and(|(_, gives)| gives.contains(&name));
    let mut parts: Vec<String> = case.iter().map(|(name, _)| (*name).to_owned()).collect();
    parts.extend(
        values
            .iter()
            .filter(|(name, _)| !covered(name))
            .map(|(name, value)| match name.as_str() {
                "connections" => format!("c{value}"),
                "users" => format!("u{value}"),
                "rate" => format!("r{value}"),
                other => format!("{other}={value}"),
            }),
    );
    if parts.is_empty() {
        "default".into()
    } else {
        safe(&parts.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::{folded, param_id, safe};

    fn values(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn usual_parameters_have_short_names() {
        assert_eq!(param_id(None, &values(&[("connections", "100")])), "c100");
        assert_eq!(
            param_id(None, &values(&[("users", "10"), ("rate", "2000")])),
            "u10-r2000"
        );
        assert_eq!(
            param_id(
                None,
                &values(&[("connections", "8"), ("size", "1024"), ("kind", "a b/c")])
            ),
            "c8-size=1024-kind=a_b_c"
        );
        assert_eq!(param_id(None, &[]), "default");
    }

    #[test]
    fn named_case_replaces_its_parameters_in_the_id() {
        let values = values(&[("size", "1"), ("connections", "10")]);
        assert_eq!(param_id(Some(("small", &["size"])), &values), "small-c10");
        assert_eq!(param_id(Some(("small", &["size", "connections"])), &values), "small");
    }

    #[test]
    fn id_is_safe_as_a_file_name() {
        for text in ["..", ".", "", "a/../b", "x.", "C:\\x", "a\0b", "..."] {
            let safe = safe(text);
            assert!(
                !safe.is_empty() && !safe.contains(['/', '\\', ':', '\0']) && !safe.ends_with('.'),
                "{text:?} gave {safe:?}"
            );
        }
        assert_eq!(safe("prüfung"), "prüfung");
    }

    #[test]
    fn long_texts_are_cut_and_remain_distinct() {
        for letter in ["x", "ü", "日", "𝒳"] {
            let (a, b) = (safe(&(letter.repeat(500) + "a")), safe(&(letter.repeat(500) + "b")));
            assert_ne!(a, b);
            // A case's log is the longest name.
            let log = format!("{a}_{a}_{a}-candidate-{}-{}.hdr", u32::MAX, u32::MAX);
            assert!(a.len() <= super::LONGEST && log.len() <= 255, "{log}");
            assert_eq!(safe(&letter.repeat(16)), letter.repeat(16));
        }
    }

    #[test]
    fn case_is_folded_for_comparison_only() {
        assert_eq!(folded("Ping/A"), "ping/a");
        assert_eq!(safe("Ping"), "Ping");
    }
}
