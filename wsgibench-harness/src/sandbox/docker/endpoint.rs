//! Address of the container engine, by the rules of the `docker` command.
//!
//! testcontainers reads only `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`, treats an empty value as an address, and
//! panics if certificates are missing. So the endpoint is resolved here first, and [`Endpoint::check`] rejects settings that
//! testcontainers would read differently.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
};

use ring::digest;
use serde::Deserialize;

/// The engine that the `docker` command would use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// An address such as `unix:///var/run/docker.sock`; with `None`, testcontainers tries the usual sockets.
    pub(crate) host: Option<String>,
    /// Folder with `ca.pem`, `cert.pem` and `key.pem`.
    certificates: Option<PathBuf>,
    /// Name of the Docker context, unless it is the default one.
    context: Option<String>,
}

/// Inputs of the resolution.
struct Settings<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    home: Option<PathBuf>,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints", default)]
    endpoints: HashMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

impl Endpoint {
    /// Resolves the endpoint of this process.
    ///
    /// # Errors
    /// If a context does not exist, a scheme is not supported, or certificates are missing; the message has the remedy.
    pub(crate) fn resolve() -> Result<Self, String> {
        resolve(&Settings {
            variable: &|name| env::var(name).ok(),
            home: env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
        })
    }

    /// Whether the user named an engine by a variable or a context. Local processes must not replace it silently.
    pub(crate) fn is_named() -> bool {
        Self::resolve().map_or(true, |endpoint| endpoint.host.is_some())
    }

    /// The engine's address, for messages.
    pub(crate) fn address(&self) -> &str {
        self.host.as_deref().unwrap_or("the default socket")
    }

    /// Whether the engine may be on another machine.
    pub(crate) fn is_remote(&self) -> bool {
        self.host
            .as_deref()
            .is_some_and(|host| !host.starts_with("unix:") && !host.starts_with("npipe:"))
    }

    /// Checks that testcontainers, which reads the variables of this process, will use the same engine.
    ///
    /// # Errors
    /// If it would not; the message lists the variables to set.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.check_against(&|name| env::var(name).ok())
    }

    fn check_against(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
        let required = [
            ("DOCKER_HOST", self.host.clone()),
            ("DOCKER_TLS_VERIFY", self.certificates.as_ref().map(|_| "1".to_owned())),
            (
                "DOCKER_CERT_PATH",
                self.certificates.as_ref().map(|folder| folder.display().to_string()),
            ),
        ];
        let differs = |name: &str, value: &Option<String>| match (value, variable(name)) {
            (Some(value), now) => now.as_deref() != Some(value),
            // testcontainers treats an empty value as an address, and ignores the other two variables without an address.
            (None, now) => name == "DOCKER_HOST" && now.is_some(),
        };
        if !required.iter().any(|(name, value)| differs(name, value)) {
            return Ok(());
        }
        let remedy: Vec<String> = required
            .iter()
            .filter(|(name, value)| differs(name, value))
            .map(|(name, value)| match value {
                Some(value) => format!("set {name}={value}"),
                None => format!("unset {name}"),
            })
            .collect();
        let what = match &self.context {
            Some(context) => format!("the Docker context `{context}` is not followed automatically"),
            None => "the engine's address is not in the form that testcontainers needs".to_owned(),
        };
        Err(format!("{what}; {}", remedy.join(" and ")))
    }
}

fn resolve(settings: &Settings<'_>) -> Result<Endpoint, String> {
    let variable = |name: &str| (settings.variable)(name).filter(|value| !value.trim().is_empty());
    let folder = variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| settings.home.as_ref().map(|home| home.join(".docker")));
    let context = match variable("DOCKER_HOST") {
        Some(_) => None,
        None => variable("DOCKER_CONTEXT").or_else(|| current_context(folder.as_deref())),
    };
    if let Some(context) = context.filter(|context| context != "default") {
        let folder = folder.ok_or_else(|| format!("Docker context `{context}` not found; set DOCKER_HOST"))?;
        return of_context(&context, &folder);
    }
    // As in docker, any value except an empty one enables it.
    let tls = variable("DOCKER_TLS_VERIFY").is_some();
    let host = match variable("DOCKER_HOST") {
        Some(host) => Some(normalize(host.trim(), tls, "DOCKER_HOST")?),
        None if tls => Some("tcp://localhost:2376".to_owned()),
        None => None,
    };
    let is_tcp = host.as_deref().is_some_and(|host| host.starts_with("tcp:"));
    let certificates = (tls && is_tcp)
        .then(|| {
            variable("DOCKER_CERT_PATH")
                .map(PathBuf::from)
                .or(folder)
                .ok_or("DOCKER_TLS_VERIFY is set, but no folder of certificates was found; set DOCKER_CERT_PATH")
        })
        .transpose()?;
    if let Some(folder) = &certificates {
        check_certificates(folder, "DOCKER_TLS_VERIFY is set")?;
    }
    Ok(Endpoint {
        host,
        certificates,
        context: None,
    })
}

fn current_context(folder: Option<&Path>) -> Option<String> {
    let text = fs::read(folder?.join("config.json")).ok()?;
    let config: DockerConfig = serde_json::from_slice(&text).ok()?;
    config.current_context.filter(|name| !name.is_empty())
}

/// Returns the name of a context's folder.
fn context_id(name: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, name.as_bytes()))
}

fn of_context(name: &str, folder: &Path) -> Result<Endpoint, String> {
    let id = context_id(name);
    let file = folder.join("contexts/meta").join(&id).join("meta.json");
    let text = fs::read(&file).map_err(|error| {
        format!(
            "failed to read the Docker context `{name}` ({}: {error}); `docker context use default`, or set DOCKER_HOST",
            file.display()
        )
    })?;
    let meta: ContextMeta = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let host = meta
        .endpoints
        .get("docker")
        .map(|endpoint| endpoint.host.as_str())
        .filter(|host| !host.is_empty())
        .ok_or_else(|| format!("the Docker context `{name}` has no endpoint; set DOCKER_HOST"))?;
    let tls = folder.join("contexts/tls").join(&id).join("docker");
    let certificates = tls.is_dir().then_some(tls);
    let host = normalize(host, certificates.is_some(), &format!("the Docker context `{name}`"))?;
    if let Some(folder) = &certificates {
        check_certificates(folder, &format!("the Docker context `{name}` uses TLS"))?;
    }
    Ok(Endpoint {
        host: Some(host),
        certificates,
        context: Some(name.to_owned()),
    })
}

/// Returns an address with its scheme and port completed as docker does.
fn normalize(host: &str, tls: bool, source: &str) -> Result<String, String> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    match scheme {
        "unix" if rest.is_empty() => Ok("unix:///var/run/docker.sock".into()),
        "unix" | "npipe" => Ok(host.to_owned()),
        "tcp" | "http" | "https" if !rest.starts_with('/') => {
            let tls = tls || scheme == "https";
            let rest = rest.trim_end_matches('/');
            let (name, port) = match rest.rsplit_once(':') {
                Some((name, port)) if !port.contains(']') => (name, port),
                _ => (rest, ""),
            };
            let name = if name.is_empty() { "localhost" } else { name };
            let port = match (port, tls) {
                ("", true) => "2376",
                ("", false) => "2375",
                (port, _) => port,
            };
            if port.parse::<u16>().is_err() {
                return Err(format!(
                    "{source} is `{host}`, but its port is not a number; write tcp://HOST:PORT"
                ));
            }
            Ok(format!("tcp://{name}:{port}"))
        }
        "ssh" => Err(format!(
            "{source} is `{host}`, and ssh is not supported; forward the socket (ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock \
             {}) and set DOCKER_HOST=unix:///tmp/docker.sock",
            rest.trim_end_matches('/')
        )),
        _ => Err(format!("{source} is `{host}`; write unix:///PATH or tcp://HOST:PORT")),
    }
}

fn check_certificates(folder: &Path, why: &str) -> Result<(), String> {
    match ["ca.pem", "cert.pem", "key.pem"]
        .iter()
        .find(|name| !folder.join(name).is_file())
    {
        None => Ok(()),
        Some(name) => Err(format!(
            "{why}, but {} was not found; set DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem",
            folder.join(name).display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], home: &Path) -> Result<Endpoint, String> {
        resolve(&Settings {
            variable: &|name| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            },
            home: Some(home.to_owned()),
        })
    }

    fn host(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let home = tempfile::tempdir().unwrap();
        of(variables, home.path()).map(|endpoint| endpoint.host)
    }

    #[test]
    fn addresses_are_completed_as_docker_does() {
        for (given, wanted) in [
            ("", None),
            ("  ", None),
            ("unix:///run/x.sock", Some("unix:///run/x.sock")),
            ("unix://", Some("unix:///var/run/docker.sock")),
            ("10.0.0.1:2375", Some("tcp://10.0.0.1:2375")),
            ("tcp://box", Some("tcp://box:2375")),
            ("tcp://:2375", Some("tcp://localhost:2375")),
            ("tcp://[::1]", Some("tcp://[::1]:2375")),
        ] {
            assert_eq!(
                host(&[("DOCKER_HOST", given)]),
                Ok(wanted.map(str::to_owned)),
                "{given}"
            );
        }
        for wrong in ["ssh://me@box", "/var/run/docker.sock", "fd://x", "tcp://box:port"] {
            let error = host(&[("DOCKER_HOST", wrong)]).unwrap_err();
            assert!(error.starts_with("DOCKER_HOST is ") && error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn certificate_folder_is_the_one_that_docker_uses() {
        let home = tempfile::tempdir().unwrap();
        let tls = [("DOCKER_HOST", "tcp://box"), ("DOCKER_TLS_VERIFY", "1")];
        let error = of(&tls, home.path()).unwrap_err();
        assert!(
            error.contains(".docker/ca.pem") && error.contains("DOCKER_CERT_PATH"),
            "{error}"
        );
        let folder = home.path().join(".docker");
        fs::create_dir(&folder).unwrap();
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let endpoint = of(&tls, home.path()).unwrap();
        assert_eq!(endpoint.host.as_deref(), Some("tcp://box:2376"));
        assert_eq!(endpoint.certificates, Some(folder));
        let endpoint = of(&[("DOCKER_TLS_VERIFY", "")], home.path()).unwrap();
        assert_eq!((endpoint.host, endpoint.certificates), (None, None));
        let socket = [("DOCKER_HOST", "unix:///x"), ("DOCKER_TLS_VERIFY", "1")];
        assert_eq!(of(&socket, home.path()).unwrap().certificates, None);
    }

    #[test]
    fn docker_host_overrides_contexts() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".docker");
        let meta = folder.join("contexts/meta").join(context_id("box"));
        fs::create_dir_all(&meta).unwrap();
        fs::write(
            meta.join("meta.json"),
            r#"{"Name":"box","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/box.sock","SkipTLSVerify":false}}}"#,
        )
        .unwrap();
        fs::write(folder.join("config.json"), r#"{"currentContext":"box"}"#).unwrap();
        let endpoint = of(&[("DOCKER_HOST", "")], home.path()).unwrap();
        assert_eq!(endpoint.host.as_deref(), Some("unix:///run/box.sock"));
        let error = endpoint.check_against(&|_| None).unwrap_err();
        assert!(
            error.contains("`box`") && error.contains("set DOCKER_HOST=unix:///run/box.sock"),
            "{error}"
        );
        let set = |name: &str| (name == "DOCKER_HOST").then(|| "unix:///run/box.sock".to_owned());
        assert_eq!(endpoint.check_against(&set), Ok(()));
        let given = of(&[("DOCKER_HOST", "tcp://a:1")], home.path()).unwrap();
        assert_eq!(given.host.as_deref(), Some("tcp://a:1"));
        assert_eq!(of(&[("DOCKER_CONTEXT", "default")], home.path()).unwrap().host, None);
        let error = of(&[("DOCKER_CONTEXT", "none")], home.path()).unwrap_err();
        assert!(error.contains("`none`") && error.contains("DOCKER_HOST"), "{error}");
    }

    #[test]
    fn empty_address_is_rejected_with_a_remedy() {
        let home = tempfile::tempdir().unwrap();
        let endpoint = of(&[("DOCKER_HOST", "")], home.path()).unwrap();
        let empty = |name: &str| (name == "DOCKER_HOST").then(String::new);
        assert!(
            endpoint
                .check_against(&empty)
                .unwrap_err()
                .contains("unset DOCKER_HOST")
        );
        assert_eq!(endpoint.check_against(&|_| None), Ok(()));
    }
}
