//! Parameter lists, cases, server paths through modules and imports, tags, hooks, docs: registered as they were written.

use wsgibench_harness::{
    declare::{Declarations, Work},
    prelude::*,
};

mod servers {
    use wsgibench_harness::prelude::*;

    pub(crate) mod fast {
        use super::{Server, server};

        #[server]
        pub(crate) fn bjoern() -> Server {
            Server::dockerfile("images/bjoern").app("app")
        }
    }

    /// Gunicorn, two sync workers.
    ///
    /// With keep-alive off.
    #[server]
    pub(crate) fn gunicorn() -> Server {
        Server::dockerfile("images/gunicorn")
    }
}

use servers::gunicorn;

#[server]
fn r#type() -> wsgibench_harness::declare::Server {
    Server::image("x")
}

const LEVELS: [usize; 2] = [100, 500];

/// Ping-pong.
#[scenario(connections = [64, 10 * 10])]
fn ping(connections: usize) -> Load {
    Load::closed(connections).request(get("/").expect_status(200).expect_body("OK"))
}

#[scenario]
fn plain() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(
    connections = LEVELS,
    wait = [secs(1), millis(1_500)],
    servers = [gunicorn, servers::fast::bjoern, r#type],
    baseline = gunicorn,
    tags = ["a", "b"],
    ignore = "slow",
    setup = fill,
    teardown = self::fill,
)]
fn crossed(connections: usize, mut wait: Duration) -> Load {
    wait += secs(1);
    Load::closed(connections).duration(wait).request(get("/"))
}

#[scenario(cases(small(size = 1, kind = "a"), large(size = 1 << 20, kind = "b")), rate = 1..=2)]
fn named(kind: &str, rate: u32, size: u64) -> Load {
    Load::rate(rate).request(post(format!("/{kind}/{size}")))
}

/// A parameter may be called as its function is.
#[scenario(idle = [10])]
fn idle(idle: usize) -> Load {
    Load::closed(1).request(get("/")).idle_connections(idle)
}

async fn fill(ctx: &mut SetupContext) -> Result<()> {
    ctx.run(["true"]).await?;
    Ok(())
}

#[cfg(any())]
#[scenario]
fn never() -> Load {
    Load::closed(0).request(get("/"))
}

#[scenario]
#[cfg(any())]
fn never_either() -> Load {
    Load::closed(0).request(get("/"))
}

fn study() -> Profile {
    Profile {
        name: "study".into(),
        ..Profile::default()
    }
}

profile!(study);

fn main() {
    let declared = Declarations::collect().unwrap();
    let names: Vec<_> = declared.servers.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["bjoern", "gunicorn", "type"]);
    assert_eq!(
        declared.servers[1].description,
        "Gunicorn, two sync workers.\n\nWith keep-alive off."
    );
    assert_eq!(declared.servers[1].location.line, 23);
    assert_eq!(declared.servers[1].manifest_dir.as_os_str(), env!("CARGO_MANIFEST_DIR"));
    assert_eq!(declared.profiles[0].name, "study");

    let ids = |scenario: &str| -> Vec<String> {
        let cases = declared.cases().into_iter();
        cases
            .filter(|c| c.scenario == scenario && c.server == "gunicorn")
            .map(|c| c.param)
            .collect()
    };
    assert_eq!(ids("ping"), ["c64", "c100"]);
    assert_eq!(ids("plain"), ["default"]);
    assert_eq!(
        ids("crossed"),
        ["c100-wait=1s", "c100-wait=1s500ms", "c500-wait=1s", "c500-wait=1s500ms"]
    );
    assert_eq!(ids("named"), ["small-r1", "small-r2", "large-r1", "large-r2"]);
    assert_eq!(declared.scenarios.len(), 5);

    let crossed = declared.scenarios.iter().find(|s| s.name == "crossed").unwrap();
    assert_eq!(crossed.servers.as_deref().unwrap(), ["gunicorn", "bjoern", "type"]);
    assert_eq!(crossed.baseline.as_deref(), Some("gunicorn"));
    assert_eq!(crossed.tags, ["a", "b"]);
    assert_eq!(crossed.ignore.as_deref(), Some("slow"));
    assert!(crossed.setup.is_some() && crossed.teardown.is_some());
    let Work::Load(load) = &crossed.params[1].work else {
        panic!("it is declared")
    };
    assert_eq!(load.measurement_time, Some(millis(2_500)));

    let by_case = declared.scenarios.iter().find(|s| s.name == "named").unwrap();
    let values: Vec<_> = by_case.params[2]
        .values
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    assert_eq!(values, ["kind=b", "rate=1", "size=1048576"]);

    // The functions are still functions.
    assert_eq!(servers::fast::bjoern().port, gunicorn().port);
    assert_eq!(ping(3), ping(3));
}
