//! `--server-url`: external servers, named on the command line.

use std::{path::Path, time::Duration};

use super::{Declarations, DeclaredServer, Location, Server, Source, check};

/// Time limit for the first response of an external server.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Name of a server without a name on the command line.
const UNNAMED: &str = "url";

/// A server on the command line: `[NAME=]URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningServer {
    /// Its name, in ids and tables.
    pub name: String,
    /// `host:port`.
    pub address: String,
}

impl std::str::FromStr for RunningServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) = match text.split_once('=') {
            Some((name, url)) if !name.contains(['/', ':']) => (name.trim(), url.trim()),
            _ => (UNNAMED, text.trim()),
        };
        let example = "write `http://127.0.0.1:8000` or `NAME=http://127.0.0.1:8000`";
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            return Err(format!(
                "`{name}` is not a valid server name: use letters, digits, `_` and `-`; {example}"
            ));
        }
        if url.starts_with("https://") {
            return Err(format!(
                "`{url}`: external servers are loaded without TLS; give the address behind the TLS proxy, {example}"
            ));
        }
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(format!(
                "`{url}`: a path is not supported, since scenarios set the requests; {example}"
            ));
        }
        // The colons of an IPv6 address are in brackets.
        let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
        let address = if behind.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        if host.is_empty() || !check::is_address(&address) {
            return Err(format!("`{url}` is not a server address; {example}"));
        }
        Ok(Self {
            name: name.to_owned(),
            address,
        })
    }
}

impl Declarations {
    /// Adds an external server. If a server of this name is declared, its description and readiness path are kept, and
    /// it is probed there and not started.
    pub fn add_running(&mut self, running: &RunningServer, manifest_dir: &Path) {
        let source = Source::Running(running.address.clone());
        if let Some(declared) = self.servers.iter_mut().find(|server| server.name == running.name) {
            declared.server.source = source;
            declared.server.companions.clear();
            declared.server.ready_within = declared.server.ready_within.min(READY_WITHIN);
            return;
        }
        self.servers.push(DeclaredServer {
            name: running.name.clone(),
            description: format!("External server at {}.", running.address),
            location: Location {
                file: "the command line",
                line: 1,
                column: 1,
            },
            manifest_dir: manifest_dir.to_owned(),
            server: Server::running(running.address.clone()).readiness("/", READY_WITHIN),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::RunningServer;

    fn read(text: &str) -> Result<(String, String), String> {
        text.parse()
            .map(|running: RunningServer| (running.name, running.address))
    }

    #[test]
    fn server_url_is_parsed_with_and_without_a_name() {
        for (text, name, address) in [
            ("http://127.0.0.1:8000", "url", "127.0.0.1:8000"),
            ("127.0.0.1:8000", "url", "127.0.0.1:8000"),
            ("http://app.test/", "url", "app.test:80"),
            ("http://[::1]:8000", "url", "[::1]:8000"),
            ("staging=http://10.0.0.7:8080/", "staging", "10.0.0.7:8080"),
        ] {
            assert_eq!(read(text), Ok((name.into(), address.into())), "{text}");
        }
    }

    #[test]
    fn invalid_server_url_is_reported_with_a_remedy() {
        for (text, told) in [
            ("https://127.0.0.1:8443", "without TLS"),
            ("http://127.0.0.1:8000/login", "a path is not supported"),
            ("http://", "not a server address"),
            ("http://:8000", "not a server address"),
            ("a b=127.0.0.1:1", "not a valid server name"),
            ("=127.0.0.1:1", "not a valid server name"),
            ("127.0.0.1:99999", "not a server address"),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.contains(told) && error.contains("127.0.0.1:8000"),
                "{text}: {error}"
            );
        }
    }
}
