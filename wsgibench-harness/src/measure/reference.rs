//! A null server on the same network path as the measured servers, for the load generator's ceiling and the reference
//! load before and after each launch.

use std::{
    collections::BTreeSet,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::runtime::Runtime;

use crate::{
    declare::{DeclaredServer, Location, Machine, Server, ServerSpec, resolve},
    load::{
        Load, LoadError, LoadPlan, RoundResult, Session, Stripe, Target, get,
        script::{ScriptSession, script},
    },
    null_server::{self, NullServerProcess},
    sandbox::{Launch, Sandbox, SandboxKind},
    store::record::Ceiling,
};

/// Connections of the reference load: enough to saturate one core on either side.
const CONNECTIONS: usize = 64;
const PORT: u16 = 8000;
/// Folder of its files in the image.
const FOLDER: &str = "/null";

/// A null server that runs as long as the benchmark. It uses no CPU time between reference loads.
pub struct Reference {
    home: Home,
    address: SocketAddr,
}

enum Home {
    Container(Launch),
    Process(NullServerProcess),
}

impl Reference {
    /// Starts a null server in the sandbox: in a container, or as a local process.
    ///
    /// # Errors
    /// Returns the reason if it does not start; the run continues without it and prints a notice.
    pub fn start(sandbox: &Sandbox, runtime: &Runtime, server_cpus: &[usize], run_dir: &Path) -> Result<Self, String> {
        if sandbox.kind() != SandboxKind::Docker {
            let process = NullServerProcess::spawn(server_cpus.first().copied()).map_err(|e| e.to_string())?;
            return Ok(Self {
                address: process.address(),
                home: Home::Process(process),
            });
        }
        let temporary = tempfile::tempdir_in(run_dir).map_err(|e| format!("{}: {e}", run_dir.display()))?;
        // The image is named after its folder.
        let folder = temporary.path().join("null_server");
        fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let command = write_context(&folder).map_err(|e| format!("failed to write its build context: {e}"))?;
        let spec = spec(&folder, command);
        let prepared = runtime.block_on(sandbox.prepare(&spec)).map_err(|e| e.to_string())?;
        let launch = runtime
            .block_on(sandbox.launch(&prepared, &run_dir.join("logs/null-server.log")))
            .map_err(|e| e.to_string())?;
        Ok(Self {
            address: launch.address(),
            home: Home::Container(launch),
        })
    }

    /// Measures its throughput under a declared load for `length`, with all load CPUs.
    ///
    /// # Errors
    /// The load generator did not start, or no request was answered.
    pub fn measure(&self, load_cpus: &[usize], warm_up: Duration, length: Duration) -> Result<Ceiling, String> {
        let load = Load::closed(CONNECTIONS).request(get("/").expect_status(200));
        let plan = self.plan(load, load_cpus, warm_up, length);
        ceiling(declared(&plan))
    }

    /// Measures its throughput under scripted users, whose requests cost the load generator more CPU time.
    ///
    /// # Errors
    /// As [`measure`](Self::measure).
    pub fn measure_scripted(
        &self,
        load_cpus: &[usize],
        warm_up: Duration,
        length: Duration,
    ) -> Result<Ceiling, String> {
        let plan = self.plan(Load::closed(CONNECTIONS).for_script(), load_cpus, warm_up, length);
        ceiling(scripted(&plan))
    }

    fn plan(&self, load: Load, load_cpus: &[usize], warm_up: Duration, length: Duration) -> LoadPlan {
        LoadPlan {
            target: Target {
                address: self.address,
                host: "null".to_owned(),
                tls: None,
            },
            load,
            warm_up,
            rounds: 1,
            measurement_time: length,
            cpus: load_cpus.to_vec(),
            seed: 0,
            stripe: Stripe::default(),
            busy_poll: false,
            before_request: None,
        }
    }

    /// Stops and removes it.
    pub fn stop(self, runtime: &Runtime) {
        match self.home {
            // If this fails, the sandbox removes the container by its label when it closes.
            Home::Container(launch) => drop(runtime.block_on(launch.stop())),
            Home::Process(process) => drop(process),
        }
    }
}

fn declared(plan: &LoadPlan) -> Result<RoundResult, LoadError> {
    let mut session = Session::start(plan)?;
    let round = session
        .warm_up(plan.warm_up)
        .and_then(|_| session.round(plan.measurement_time));
    session.finish()?;
    round
}

fn scripted(plan: &LoadPlan) -> Result<RoundResult, LoadError> {
    let asking = script(|user| {
        Box::pin(async move {
            user.get("/").await?.expect_status(200)?;
            Ok(())
        })
    });
    let mut session = ScriptSession::start(plan, asking)?;
    let round = session
        .warm_up(plan.warm_up)
        .and_then(|_| session.round(plan.measurement_time));
    session.finish()?;
    round
}

fn ceiling(round: Result<RoundResult, LoadError>) -> Result<Ceiling, String> {
    let round = round.map_err(|e| e.to_string())?;
    if round.counts.done == 0 || round.seconds <= 0.0 {
        return Err("the null server answered no request".to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "requests of a few seconds are far below 2^52")]
    let done = round.counts.done as f64;
    Ok(Ceiling {
        requests_per_second: done / round.seconds,
        engine_cpu_us_per_request: round.engine_cpu_seconds * 1e6 / done,
    })
}

/// Writes a build context `FROM scratch` with this executable and its loaded libraries, so that it does not depend on the C
/// library of a base image. Returns the command that starts it.
fn write_context(folder: &Path) -> io::Result<Vec<String>> {
    let executable = std::env::current_exe()?;
    fs::copy(&executable, folder.join("wsgibench"))?;
    let mut loader = None;
    let mut files = vec!["wsgibench".to_owned()];
    for library in loaded_libraries()? {
        let Some(name) = library.file_name().and_then(|n| n.to_str()) else {
            continue;
        };
        fs::copy(&library, folder.join(name))?;
        if name.starts_with("ld-") {
            loader = Some(name.to_owned());
        }
        files.push(name.to_owned());
    }
    let dockerfile = format!("FROM scratch\nCOPY {} {FOLDER}/\n", files.join(" "));
    fs::write(folder.join("Dockerfile"), dockerfile)?;
    let program = format!("{FOLDER}/wsgibench");
    Ok(match loader {
        Some(loader) => vec![
            format!("{FOLDER}/{loader}"),
            "--library-path".to_owned(),
            FOLDER.to_owned(),
            program,
        ],
        // Linked statically.
        None => vec![program],
    })
}

fn loaded_libraries() -> io::Result<BTreeSet<PathBuf>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    Ok(libraries_in(&maps))
}

/// Returns the paths of the shared libraries in the memory mappings of a process.
fn libraries_in(maps: &str) -> BTreeSet<PathBuf> {
    maps.lines()
        .filter_map(|line| Some(&line[line.find('/')?..]))
        .filter(|path| {
            Path::new(path)
                .file_name()
                .is_some_and(|n| n.to_string_lossy().contains(".so"))
        })
        .map(PathBuf::from)
        .collect()
}

fn spec(folder: &Path, command: Vec<String>) -> ServerSpec {
    let (name, value) = null_server::detached_order(PORT);
    let declared = DeclaredServer {
        name: "null_server".to_owned(),
        description: "Null server: answers each request immediately.".to_owned(),
        location: Location {
            file: file!(),
            line: line!(),
            column: column!(),
        },
        manifest_dir: folder.to_owned(),
        setting: None,
        server: Server::dockerfile(folder).command(command).env(name, value).port(PORT),
    };
    let machine = Machine {
        server_cpus: 1,
        memory: u64::MAX,
    };
    resolve(&declared, None, &machine).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_libraries_are_found_in_mappings() {
        let maps = "7f00-7f01 r-xp 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f01-7f02 rw-p 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    5500-5501 r-xp 00000000 fe:00 1 /target/release/deps/wsgi-1234\n\
                    7f02-7f03 r-xp 00000000 fe:00 1 /usr/lib/ld-linux-x86-64.so.2\n\
                    7ffd-7ffe rw-p 00000000 00:00 0 [stack]\n";
        let found: Vec<_> = libraries_in(maps).into_iter().collect();
        assert_eq!(
            found,
            [
                PathBuf::from("/usr/lib/ld-linux-x86-64.so.2"),
                PathBuf::from("/usr/lib/x86_64-linux-gnu/libc.so.6")
            ]
        );
    }
}
