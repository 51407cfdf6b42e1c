//! Sample servers for tests.

use super::{DeclaredServer, Location, Machine, Server, ServerSpec, resolve};

/// Returns a server from an image, on a machine with one CPU for servers.
pub(crate) fn spec() -> ServerSpec {
    let declared = DeclaredServer {
        name: "one".into(),
        description: String::new(),
        location: Location {
            file: "here",
            line: 1,
            column: 1,
        },
        manifest_dir: "/".into(),
        setting: None,
        server: Server::dockerfile("one"),
    };
    let machine = Machine {
        server_cpus: 1,
        memory: u64::MAX,
    };
    resolve(&declared, None, &machine).0
}
