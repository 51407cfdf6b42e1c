//! Which versions are installed beside a Python.

use std::collections::BTreeMap;

/// Prints `name==version` for Python and each package; needs no pip.
pub(crate) const SCRIPT: &str = "\
import platform
from importlib import metadata
print('python==' + platform.python_version())
for package in metadata.distributions():
    if package.metadata['Name']:
        print(package.metadata['Name'].lower() + '==' + package.version)
";

/// Reads what [`SCRIPT`] printed. Lines of another form are passed over.
pub(crate) fn parse(output: &str) -> BTreeMap<String, String> {
    output
        .lines()
        .filter_map(|line| line.trim().split_once("=="))
        .filter(|(name, version)| !name.is_empty() && !version.is_empty() && !name.contains(' '))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        let versions = parse("a warning: x == y\npython==3.11.2\ngunicorn==27.0.1\n\n");
        assert_eq!(versions.len(), 2);
        assert_eq!(versions["gunicorn"], "27.0.1");
    }
}
