//! Suggestions for unknown names.

/// Returns the name most similar to `word`, if one is similar enough.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= name.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Returns up to three ids similar to a filter: those that contain it ignoring case, otherwise the most similar.
pub(crate) fn near_ids<'a>(filter: &str, ids: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = filter.to_lowercase();
    let mut scored: Vec<(f64, &str)> = ids
        .into_iter()
        .map(|id| {
            // The filter may name one part only: compare with the whole and with each part.
            let best = id
                .split('/')
                .chain([id])
                .map(|part| strsim::jaro_winkler(&wanted, &part.to_lowercase()))
                .fold(0.0, f64::max);
            let contained = !wanted.is_empty() && id.to_lowercase().contains(&wanted);
            (if contained { 2.0 } else { best }, id)
        })
        .filter(|(score, _)| *score > 0.7)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, id)| id).collect()
}

/// Returns `; did you mean ...?`, or nothing.
pub(crate) fn did_you_mean(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

#[cfg(test)]
mod tests {
    use super::{did_you_mean, near_ids, nearest};

    #[test]
    fn similar_names_are_suggested() {
        assert_eq!(
            nearest("gunicron_sync", ["gunicorn_sync", "uwsgi"]),
            Some("gunicorn_sync")
        );
        assert_eq!(nearest("nginx", ["gunicorn_sync", "uwsgi"]), None);
        assert_eq!(did_you_mean(Some("x")), "; did you mean `x`?");
        assert_eq!(did_you_mean(None), "");
    }

    #[test]
    fn filters_find_ids_by_part_and_without_case() {
        let ids = ["ping/bjoern/c64", "ping/uwsgi/c64", "json/bjoern/c64"];
        assert_eq!(near_ids("bjorn", ids), ["json/bjoern/c64", "ping/bjoern/c64"]);
        assert_eq!(near_ids("UWSGI", ids), ["ping/uwsgi/c64"]);
        assert!(near_ids("zzz", ids).is_empty());
    }
}
