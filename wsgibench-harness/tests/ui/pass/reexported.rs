//! A crate that re-exports the harness under another path.
#![deny(missing_docs, unsafe_code, unreachable_pub, dead_code)]

mod toolkit {
    pub(crate) use wsgibench_harness as bench;
}

use toolkit::bench::prelude::{Load, Server, get, scenario, server};

#[server(crate = toolkit::bench)]
fn gunicorn() -> Server {
    Server::dockerfile("images/gunicorn")
}

#[scenario(crate = toolkit::bench, servers = [gunicorn])]
fn ping() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {
    let declared = toolkit::bench::declare::Declarations::collect().unwrap();
    assert_eq!(declared.cases()[0].id, "ping/gunicorn/default");
}
