//! `--server-url`: external servers, named on the command line.

use std::{path::Path, time::Duration};

use crate::load::Tls;

use super::{Declarations, DeclaredServer, Location, Server, Source, check};

/// Time limit for the first response of an external server.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Name of a server without a name on the command line.
const UNNAMED: &str = "url";

/// A server on the command line: `[NAME=]URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningServer {
    /// Its name, in ids and tables.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// Whether it speaks TLS (`https://`).
    pub tls: bool,
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
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => {
                return Err(format!(
                    "`{scheme}://` is not supported, only http and https; {example}"
                ));
            }
        };
        if rest.contains('@') {
            return Err(format!(
                "a user name and a password are not supported in a server's URL; set the `Authorization` header in the scenarios, and {example}"
            ));
        }
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
            format!("{host}:{}", if tls { 443 } else { 80 })
        };
        if host.is_empty() || !check::is_address(&address) {
            return Err(format!("`{url}` is not a server address; {example}"));
        }
        Ok(Self {
            name: name.to_owned(),
            address,
            tls,
        })
    }
}

impl Declarations {
    /// Checks that an external server does not take the name of a server with parameters.
    ///
    /// # Errors
    /// It does; the message suggests another name.
    pub fn check_running(&self, running: &RunningServer) -> Result<(), String> {
        let has_parameters = |server: &DeclaredServer| server.setting.is_some() && server.function() == running.name;
        if self.servers.iter().any(has_parameters) {
            return Err(format!(
                "server `{0}` has parameters, so no single server replaces it; choose another name, e.g. `{0}_running=http://{1}`",
                running.name, running.address
            ));
        }
        Ok(())
    }

    /// Adds an external server. If a server of this name is declared, its description and readiness path are kept, and
    /// it is probed there and not started.
    pub fn add_running(&mut self, running: &RunningServer, manifest_dir: &Path) {
        let source = Source::Running(running.address.clone());
        if let Some(declared) = self.servers.iter_mut().find(|server| server.name == running.name) {
            declared.server.source = source;
            declared.server.companions.clear();
            // The URL says whether it speaks TLS; the declaration, how.
            declared.server.tls = running.tls.then(|| declared.server.tls.take().unwrap_or_default());
            declared.server.ready_within = declared.server.ready_within.min(READY_WITHIN);
            return;
        }
        let mut server = Server::running(running.address.clone()).readiness("/", READY_WITHIN);
        server.tls = running.tls.then(Tls::new);
        self.servers.push(DeclaredServer {
            name: running.name.clone(),
            description: format!("External server at {}.", running.address),
            location: Location {
                file: "the command line",
                line: 1,
                column: 1,
            },
            manifest_dir: manifest_dir.to_owned(),
            setting: None,
            server,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::RunningServer;

    fn read(text: &str) -> Result<(String, String, bool), String> {
        text.parse()
            .map(|running: RunningServer| (running.name, running.address, running.tls))
    }

    #[test]
    fn server_url_is_parsed_with_and_without_a_name() {
        for (text, name, address, tls) in [
            ("http://127.0.0.1:8000", "url", "127.0.0.1:8000", false),
            ("127.0.0.1:8000", "url", "127.0.0.1:8000", false),
            ("http://app.test/", "url", "app.test:80", false),
            ("http://[::1]:8000", "url", "[::1]:8000", false),
            ("staging=http://10.0.0.7:8080/", "staging", "10.0.0.7:8080", false),
            ("https://127.0.0.1:8443", "url", "127.0.0.1:8443", true),
            ("https://app.test/", "url", "app.test:443", true),
            ("staging=https://[::1]", "staging", "[::1]:443", true),
            ("HTTPS://App.test", "url", "App.test:443", true),
        ] {
            assert_eq!(read(text), Ok((name.into(), address.into(), tls)), "{text}");
        }
    }

    #[test]
    fn invalid_server_url_is_reported_with_a_remedy() {
        for (text, message) in [
            ("http://127.0.0.1:8000/login", "a path is not supported"),
            ("http://", "not a server address"),
            ("http://:8000", "not a server address"),
            ("a b=127.0.0.1:1", "not a valid server name"),
            ("=127.0.0.1:1", "not a valid server name"),
            ("127.0.0.1:99999", "not a server address"),
            ("http:127.0.0.1:8000", "not a server address"),
            ("::1", "not a server address"),
            ("http://[shop]:8000", "not a server address"),
            ("http://app.test?x=1", "not a server address"),
            ("http://app test", "not a server address"),
            ("ws://127.0.0.1:8000", "`ws://` is not supported"),
            ("unix:///run/app.sock", "`unix://` is not supported"),
            (
                "http://user:secret@app.test",
                "a user name and a password are not supported",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.contains(message) && error.contains("127.0.0.1:8000") && !error.contains("secret"),
                "{text}: {error}"
            );
        }
    }
}
