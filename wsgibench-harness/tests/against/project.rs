//! A project in its own repository, with this program as its built bench.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
    thread,
    time::Duration,
};

/// Environment variable that makes this program the bench built in the named folder.
pub(crate) const BAKED: &str = "WSGIBENCH_TEST_BAKED_FOLDER";

/// A server that needs only the standard library.
pub(crate) const SERVE: &str = include_str!("../whole_bench/app/serve.py");

const FILES: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[package]\nname = \"job\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[[bench]]\nname = \"against\"\nharness = false\n\n[workspace]\n",
    ),
    ("benches/against.rs", "fn main() {}"),
    ("server/Dockerfile", "FROM scratch"),
    ("app/application.py", ""),
    ("app/serve.py", SERVE),
    (".gitignore", "/target\nCargo.lock\n"),
];

/// An address without an engine.
const NO_ENGINE: &str = "unix:///nonexistent/docker.sock";

/// Replaces cargo: `bench` builds nothing and records its command line.
const CARGO: &str = r#"#!/bin/sh
for word in "$@"; do
    case "$previous" in --manifest-path) manifest=$word;; esac
    previous=$word
done
case " $* " in
    *" metadata "*) exec "$REAL_CARGO" "$@" ;;
esac
case "${RUSTUP_TOOLCHAIN+set}" in
    set) chosen="toolchain of the bench";;
    *) chosen="toolchain of the folder";;
esac
echo "in $PWD: $* ($chosen)" >> "$BUILDS"
folder=$(dirname "$manifest")
wrapper=$BUILDS.bench
printf '#!/bin/sh\nWSGIBENCH_TEST_BAKED_FOLDER="%s" exec "%s" "$@"\n' "${BUILT_IN:-$folder}" "$BENCH" > "$wrapper"
chmod +x "$wrapper"
printf '{"reason":"compiler-artifact","target":{"name":"against","src_path":"%s"},"executable":"%s"}\n' \
    "$folder/benches/against.rs" "$wrapper"
"#;

pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct Project {
    root: PathBuf,
    folder: Rc<tempfile::TempDir>,
    /// Folder of the base's checkout: not below this crate, whose cargo settings would apply.
    outside: Rc<tempfile::TempDir>,
}

impl Project {
    /// A committed project with a built bench.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("against-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let root = folder.path().canonicalize().unwrap().join("project");
        let project = Self {
            root,
            folder: Rc::new(folder),
            outside: Rc::new(tempfile::tempdir().unwrap()),
        };
        for (file, content) in FILES {
            project.write(file, content);
        }
        project.git(&["init", "-q", "-b", "main"]);
        project.git(&["add", "-A"]);
        project.git(&["commit", "-qm", "first"]);
        project.write("Cargo.lock", "version = 4\n");
        project.write("target/release/deps/against-1.d", "against-1: benches/against.rs\n");
        fs::hard_link(env::current_exe().unwrap(), project.bench()).unwrap();
        let cargo = project.folder.path().join("cargo");
        fs::write(&cargo, CARGO).unwrap();
        fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).unwrap();
        project
    }

    /// Makes another checkout of the same repository, in which nothing was built.
    pub(crate) fn clone_beside(&self) -> Self {
        let root = self.folder.path().canonicalize().unwrap().join("clone");
        self.git(&["clone", "-q", ".", root.to_str().unwrap()]);
        Self {
            root,
            folder: Rc::clone(&self.folder),
            outside: Rc::clone(&self.outside),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn bench(&self) -> PathBuf {
        self.root.join("target/release/deps/against-1")
    }

    pub(crate) fn write(&self, file: &str, content: &str) {
        let file = self.root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.root)
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs the bench as cargo does.
    pub(crate) fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command();
        command.args(arguments).envs(variables.iter().copied());
        ended(&mut command, arguments)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.bench());
        command
            .current_dir(&self.root)
            .env(BAKED, &self.root)
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            .env("CARGO", self.folder.path().join("cargo"))
            .env(
                "PATH",
                format!(
                    "{}:{}",
                    self.folder.path().display(),
                    env::var("PATH").unwrap_or_default()
                ),
            )
            .env("REAL_CARGO", env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .env("BENCH", self.bench())
            .env("BUILDS", self.folder.path().join("builds"))
            .env("WSGIBENCH_LOCK_DIR", self.folder.path())
            .env("TMPDIR", self.outside.path());
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
            command.env_remove(name);
        }
        command
    }

    /// Compares with a commit up to the start of the measurement: no engine responds.
    pub(crate) fn compare(&self, reference: &str, variables: &[(&str, &str)]) -> Ended {
        let nowhere = ("DOCKER_HOST", NO_ENGINE);
        self.run(
            &["--bench", "--sandbox", "docker", "--against", reference],
            &[variables, &[nowhere]].concat(),
        )
    }

    /// Does the same as [`compare`](Self::compare) with `HEAD`, below a process that looks like this cargo command: a shell of that name that runs
    /// a file named like the subcommand.
    pub(crate) fn compare_called_by_cargo(&self, words: &[&str], variables: &[(&str, &str)]) -> Ended {
        let folder = self.called_in();
        fs::create_dir_all(&folder).unwrap();
        fs::copy("/bin/sh", folder.join("cargo")).unwrap();
        let call = "\"$BENCH\" --bench --sandbox docker --against HEAD\nexit $?\n";
        fs::write(folder.join(words[0]), call).unwrap();
        let bench = self.command();
        let mut command = Command::new(folder.join("cargo"));
        command.args(words).current_dir(&folder).env("DOCKER_HOST", NO_ENGINE);
        for (name, value) in bench.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        ended(command.envs(variables.iter().copied()), words)
    }

    /// Returns the folder of that command.
    pub(crate) fn called_in(&self) -> PathBuf {
        self.folder.path().join("called")
    }

    /// Requests the declarations of a checkout from the running bench.
    pub(crate) fn declarations(&self, checkout: &Path) -> serde_json::Value {
        let file = self.folder.path().join("declarations");
        let mut command = self.command();
        command
            .arg("--bench")
            .env("WSGIBENCH_WRITE_DECLARATIONS", &file)
            .env("WSGIBENCH_DECLARATIONS_OF", checkout);
        assert!(command.status().unwrap().success());
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }

    /// Runs the bench, interrupts it with Ctrl-C in its first block, and returns its status.
    pub(crate) fn interrupted(&self, arguments: &[&str]) -> Option<i32> {
        let mut running = self.command().args(arguments).spawn().unwrap();
        for _ in 0..1_200 {
            if self.journal().is_some_and(|text| text.contains("\"entry\":\"round\"")) {
                break;
            }
            assert!(
                running.try_wait().unwrap().is_none(),
                "the run ended before the interrupt"
            );
            thread::sleep(Duration::from_millis(50));
        }
        let pid = i32::try_from(running.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        running.wait().unwrap().code()
    }

    fn journal(&self) -> Option<String> {
        let mut runs = fs::read_dir(self.root.join("target/wsgibench/runs")).ok()?;
        fs::read_to_string(runs.next()?.ok()?.path().join("journal.jsonl")).ok()
    }

    pub(crate) fn verdict(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.root.join("target/wsgibench/verdict.json")).unwrap()).unwrap()
    }

    /// Returns the build commands that cargo received, one line each.
    pub(crate) fn builds(&self) -> String {
        fs::read_to_string(self.folder.path().join("builds")).unwrap_or_default()
    }

    /// Returns the checkout of the base.
    pub(crate) fn checkout(&self) -> PathBuf {
        let commit = self.git(&["rev-parse", "HEAD"]);
        let found = walkdir::WalkDir::new(self.outside.path()).into_iter().flatten();
        let found = found
            .map(walkdir::DirEntry::into_path)
            .find(|path| path.ends_with(&commit));
        found.expect("a checkout was made")
    }
}

fn ended(command: &mut Command, arguments: &[&str]) -> Ended {
    let output = command.output().unwrap();
    let ended = Ended {
        status: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    println!("--- {arguments:?}: {:?}\n{}\n{}", ended.status, ended.out, ended.err);
    ended
}
