//! Versions of the packages installed with a Python.

use std::collections::BTreeMap;

/// Prints `name==version` for Python and each package; does not need pip.
pub(crate) const SCRIPT: &str = "\
import platform
from importlib import metadata
print('python==' + platform.python_version())
for package in metadata.distributions():
    if package.metadata['Name']:
        print(package.metadata['Name'].lower() + '==' + package.version)
";

/// Parses the output of [`SCRIPT`]. Lines in another form are ignored.
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
    fn versions_are_parsed() {
        let versions = parse("a warning: x == y\npython==3.11.2\ngunicorn==27.0.1\n\n");
        assert_eq!(versions.len(), 2);
        assert_eq!(versions["gunicorn"], "27.0.1");
    }
}
