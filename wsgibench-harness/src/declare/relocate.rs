//! Relocation of declarations to another checkout than that in which the bench was built.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Command, Declarations, Server, Source};

impl Declarations {
    /// Replaces the folder `from` by `to` in all places of servers: the folder of their crate, and paths in folders, commands
    /// and environments.
    pub fn relocate(&mut self, from: &Path, to: &Path) {
        for declared in &mut self.servers {
            declared.manifest_dir = in_path(&declared.manifest_dir, from, to);
            relocate(&mut declared.server, from, to);
        }
    }
}

fn relocate(server: &mut Server, from: &Path, to: &Path) {
    let in_source = |source: &mut Source| {
        if let Source::Folder(folder) = source {
            *folder = in_path(folder, from, to);
        }
    };
    let in_texts = |texts: &mut Vec<String>| texts.iter_mut().for_each(|text| *text = in_text(text, from, to));
    let in_env = |env: &mut Vec<(String, String)>| {
        for (_, value) in env {
            *value = in_text(value, from, to);
        }
    };
    in_source(&mut server.source);
    if let Some(tls) = &mut server.tls {
        tls.map_file(|file| in_path(file, from, to));
    }
    server.app = server.app.as_deref().map(|app| in_path(app, from, to));
    match &mut server.command {
        Command::Fixed(words) => in_texts(words),
        Command::PerCpus(make) => {
            let (make, from, to) = (Arc::clone(make), from.to_owned(), to.to_owned());
            server.command = Command::PerCpus(Arc::new(move |cpus| {
                make(cpus).iter().map(|word| in_text(word, &from, &to)).collect()
            }));
        }
    }
    in_env(&mut server.env);
    for companion in &mut server.companions {
        in_source(&mut companion.source);
        in_texts(&mut companion.command);
        in_env(&mut companion.env);
    }
}

fn in_path(path: &Path, from: &Path, to: &Path) -> PathBuf {
    path.strip_prefix(from)
        .map_or_else(|_| path.to_owned(), |rest| to.join(rest))
}

/// Replaces whole paths only: `/w/one` does not match `/w/one-more`.
pub(crate) fn in_text(text: &str, from: &Path, to: &Path) -> String {
    let (Some(from), Some(to)) = (from.to_str(), to.to_str()) else {
        return text.to_owned();
    };
    let belongs_to_name = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let mut replaced = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(from) {
        let whole = !before.ends_with(belongs_to_name) && !after.starts_with(belongs_to_name);
        replaced.push_str(before);
        replaced.push_str(if whole { to } else { from });
        rest = after;
    }
    replaced + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::{DeclaredServer, Location, server::Companion};

    #[test]
    fn every_path_of_a_server_is_relocated() {
        let companion = Companion::new("store", Source::Folder("/w/one/store".into())).command(["/w/one/store/run"]);
        let server = Server::dockerfile("/w/one/image")
            .app("app")
            .command_for_cpus(|cpus| ["--config=/w/one/conf".to_owned(), cpus.to_string()])
            .env("PATH", "/bin:/w/one/bin:/w/one-more/bin")
            .with_companion(companion);
        let mut declarations = Declarations {
            servers: vec![DeclaredServer {
                name: "a".into(),
                description: String::new(),
                location: Location {
                    file: "f",
                    line: 1,
                    column: 1,
                },
                manifest_dir: "/w/one/suites".into(),
                setting: None,
                server,
            }],
            scenarios: Vec::new(),
            profiles: Vec::new(),
        };
        declarations.relocate(Path::new("/w/one"), Path::new("/w/two"));
        let declared = &declarations.servers[0];
        assert_eq!(declared.manifest_dir, Path::new("/w/two/suites"));
        assert_eq!(declared.server.source, Source::Folder("/w/two/image".into()));
        assert_eq!(declared.server.app.as_deref(), Some(Path::new("app")));
        assert_eq!(
            declared.server.env,
            [("PATH".to_owned(), "/bin:/w/two/bin:/w/one-more/bin".to_owned())]
        );
        let Command::PerCpus(make) = &declared.server.command else {
            panic!("another kind of command")
        };
        assert_eq!(make(3), ["--config=/w/two/conf", "3"]);
        assert_eq!(
            declared.server.companions[0].source,
            Source::Folder("/w/two/store".into())
        );
        assert_eq!(declared.server.companions[0].command, ["/w/two/store/run"]);
    }
}
