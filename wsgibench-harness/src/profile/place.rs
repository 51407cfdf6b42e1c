//! Names of source files that are the same in both arms of a comparison.

/// Name of the package of files that belong to no installed package.
pub(super) const APPLICATION: &str = "application";
/// Name of the package of Python's own modules.
pub(crate) const STANDARD_LIBRARY: &str = "standard library";

/// Returns a file's path relative to the folder that it was imported from: the folder of packages, the standard library, or the
/// working folder of the server. The arms of a comparison may have different folders.
pub(super) fn portable(file: &str, working_folder: &str) -> String {
    for folder in ["/site-packages/", "/dist-packages/"] {
        if let Some((_, rest)) = file.rsplit_once(folder) {
            return rest.to_owned();
        }
    }
    if let Some(rest) = standard_library(file) {
        return format!("{STANDARD_MARK}{rest}");
    }
    let folder = working_folder.trim_end_matches('/');
    match file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) if !folder.is_empty() => format!("{OWN_MARK}{rest}"),
        _ => file.to_owned(),
    }
}

/// Beginning of the path of a module of the standard library.
const STANDARD_MARK: &str = "python/";
/// Beginning of the path of a file below the working folder.
const OWN_MARK: &str = "./";

/// Returns the path below `lib/python3.N/`.
fn standard_library(file: &str) -> Option<&str> {
    let (_, rest) = file.rsplit_once("/python3.")?;
    let (minor, rest) = rest.split_once('/')?;
    minor.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
}

/// Returns the package of a portable path.
pub(crate) fn package(file: &str) -> &str {
    if file.starts_with(STANDARD_MARK) || file.starts_with("<frozen ") {
        return STANDARD_LIBRARY;
    }
    if file.starts_with('/') || file.starts_with(OWN_MARK) || file.starts_with('<') {
        return APPLICATION;
    }
    match file.split_once('/') {
        Some((package, _)) => package,
        None => file.strip_suffix(".py").unwrap_or(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_both_arms_have_one_name() {
        let of = |file: &str| portable(file, "/base/server/");
        assert_eq!(
            of("/usr/lib/python3/dist-packages/jinja2/filters.py"),
            "jinja2/filters.py"
        );
        assert_eq!(of("/venv/lib/python3.11/site-packages/flask/app.py"), "flask/app.py");
        assert_eq!(
            of("/opt/pyenv/versions/3.9.1/lib/python3.9/json/encoder.py"),
            "python/json/encoder.py"
        );
        assert_eq!(of("/base/server/app/views.py"), "./app/views.py");
        assert_eq!(of("/base/server2/app/views.py"), "/base/server2/app/views.py");
        assert_eq!(portable("/app/views.py", ""), "/app/views.py");
        assert_eq!(portable("/app/views.py", "/"), "/app/views.py");
        assert_eq!(of("<string>"), "<string>");
    }

    #[test]
    fn packages_are_the_first_folder() {
        let of = |file: &str| package(&portable(file, "/srv")).to_owned();
        assert_eq!(of("/venv/lib/python3.11/site-packages/flask/json/tag.py"), "flask");
        assert_eq!(of("/venv/lib/python3.11/site-packages/six.py"), "six");
        assert_eq!(of("/usr/lib/python3.11/json/encoder.py"), STANDARD_LIBRARY);
        assert_eq!(of("<frozen importlib._bootstrap>"), STANDARD_LIBRARY);
        assert_eq!(of("/srv/views.py"), APPLICATION);
        assert_eq!(of("/opt/other.py"), APPLICATION);
    }
}
