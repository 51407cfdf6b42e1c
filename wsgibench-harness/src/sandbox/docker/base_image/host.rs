//! Configuration of this machine that a base image needs for apt and pip to work inside a build. Pure.

use std::fmt::Write;

/// apt options that are copied: network access only.
const APT_OPTIONS: [&str; 4] = [
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::Retries",
    "Acquire::ForceIPv4",
];
/// The same, below `Acquire::http` and `Acquire::https`, for all servers or one.
const APT_PROTOCOL_OPTIONS: [&str; 3] = ["Proxy", "Verify-Peer", "Verify-Host"];
/// pip options that are copied. Excludes `find-links` and other options that name folders of this machine.
const PIP_OPTIONS: [&str; 6] = [
    "index-url",
    "extra-index-url",
    "trusted-host",
    "proxy",
    "default-timeout",
    "retries",
];
/// Certificates in the image.
pub(super) const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Returns apt's configuration for the image, from the output of `apt-config dump`.
pub(super) fn apt_configuration(dump: &str) -> String {
    let mut text = String::from("Acquire::Languages \"none\";\n");
    for line in dump.lines() {
        let Some((name, value)) = line.split_once(' ') else {
            continue;
        };
        let protocol = ["Acquire::http::", "Acquire::https::"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix));
        let carried = APT_OPTIONS.contains(&name)
            || protocol.is_some_and(|rest| {
                APT_PROTOCOL_OPTIONS
                    .iter()
                    .any(|option| rest.rsplit("::").next() == Some(option))
            });
        // Lists end in `::`, and an empty value sets nothing.
        if carried && !name.ends_with("::") && value != "\"\";" {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// Returns pip's configuration for the image, from the output of `pip config list`. Environment variables override pip's files.
pub(super) fn pip_configuration(list: &str) -> String {
    let mut text = format!("[global]\ncert = {BUNDLE}\ndisable-pip-version-check = true\n");
    for option in PIP_OPTIONS {
        let value = |scope: &str| {
            list.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                let value = value.trim().trim_matches(['\'', '"']).replace("\\n", "\n    ");
                (name == format!("{scope}.{option}")).then_some(value)
            })
        };
        if let Some(value) = value(":env:").or_else(|| value("global")).or_else(|| value("install")) {
            let _ = writeln!(text, "{option} = {value}");
        }
    }
    text
}

/// Returns the Debian mirror of this machine from the texts of its apt sources; `None` if it does not run Debian.
pub(super) fn mirror(os_release: &str, sources: &[String]) -> Option<String> {
    let field = |name: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    let codename = field("VERSION_CODENAME").filter(|_| field("ID") == Some("debian"))?;
    sources
        .iter()
        .find_map(|text| one_line_mirror(text, codename).or_else(|| stanza_mirror(text, codename)))
}

/// Parses a line `deb [options] URI suite components`.
fn one_line_mirror(text: &str, codename: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = if rest.starts_with('[') {
            rest.split_once(']')?.1
        } else {
            rest
        };
        let mut words = rest.split_ascii_whitespace();
        let (uri, suite, component) = (words.next()?, words.next()?, words.next()?);
        (suite == codename && component == "main").then(|| uri.to_owned())
    })
}

/// Parses a stanza with `URIs:`, `Suites:` and `Components:`.
fn stanza_mirror(text: &str, codename: &str) -> Option<String> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        let has = |name: &str, word: &str| {
            field(name).is_some_and(|value| value.split_ascii_whitespace().any(|it| it == word))
        };
        let enabled = field("Enabled").is_none_or(|value| value.trim() != "no");
        let found = enabled && has("Types", "deb") && has("Suites", codename) && has("Components", "main");
        found.then(|| field("URIs")?.split_ascii_whitespace().next().map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_configuration_keeps_only_network_options() {
        let dump = "APT::Architecture \"amd64\";\nAcquire::Check-Date \"false\";\nAcquire::http \"\";\n\
            Acquire::http::Proxy \"http://proxy.example:3128\";\nAcquire::http::Proxy::mirror.example \"DIRECT\";\n\
            Acquire::https::Verify-Peer \"true\";\nAcquire::https::CaInfo \"/host/only.pem\";\nDPkg::Path \"/x\";\n";
        assert_eq!(
            apt_configuration(dump),
            "Acquire::Languages \"none\";\nAcquire::Check-Date \"false\";\n\
             Acquire::http::Proxy \"http://proxy.example:3128\";\nAcquire::https::Verify-Peer \"true\";\n"
        );
    }

    #[test]
    fn pip_configuration_keeps_the_index_but_no_local_folders() {
        let list = ":env:.find-links='/host/wheels'\n:env:.index-url='https://env.example/simple'\nglobal.cert='/host/only.pem'\n\
            global.index-url='https://file.example/simple'\nglobal.trusted-host='a.example\\nb.example'\n";
        assert_eq!(
            pip_configuration(list),
            "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\ndisable-pip-version-check = true\n\
             index-url = https://env.example/simple\ntrusted-host = a.example\n    b.example\n"
        );
    }

    #[test]
    fn debian_mirror_is_read_from_both_source_formats() {
        let debian = "ID=debian\nVERSION_CODENAME=bookworm\n";
        let stanzas = "Types: deb\nURIs: http://m.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
            Types: deb deb-src\n# a comment\nURIs: http://m.example/debian http://n.example\nSuites: bookworm bookworm-updates\nComponents: main\n";
        let line =
            "# deb http://no.example bookworm main\ndeb [arch=amd64] http://o.example/debian bookworm main contrib\n";
        let found = |release: &str, text: &str| mirror(release, &[text.to_owned()]);
        assert_eq!(found(debian, stanzas).as_deref(), Some("http://m.example/debian"));
        assert_eq!(found(debian, line).as_deref(), Some("http://o.example/debian"));
        assert_eq!(found("ID=ubuntu\nVERSION_CODENAME=noble\n", line), None);
        assert_eq!(
            found(
                debian,
                "Types: deb\nEnabled: no\nURIs: http://x.example\nSuites: bookworm\nComponents: main\n"
            ),
            None
        );
    }
}
