//! `--against` in real git repositories, with a bench that does not need building: this program is the bench, and a script replaces
//! `cargo bench`.

#[path = "../needs/mod.rs"]
mod needs;
mod project;

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use libtest_mimic::Trial;
use needs::Need;
use project::{BAKED, Project, SERVE};
use wsgibench_harness::prelude::*;

/// Prints, like a declaration with a leftover debug line.
#[server]
fn printing() -> Server {
    println!("printed by a declaration");
    // The attribute compiles in this test's crate.
    let folder = Path::new(&std::env::var_os(BAKED).unwrap_or_default()).to_owned();
    Server::dockerfile(folder.join("server"))
        .app(folder.join("app"))
        .command(["python", "serve.py", "{port}"])
}

#[scenario(connections = [1])]
fn ping(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

fn main() -> ExitCode {
    if let Some(baked) = std::env::var_os(BAKED) {
        return wsgibench_harness::cli::run_main(baked.to_str().unwrap_or_default(), "job", "against");
    }
    let anywhere = Need::nothing();
    let tests: Vec<(&str, fn())> = vec![
        (
            "nothing_is_built_where_only_the_application_differs",
            only_the_application,
        ),
        ("a_changed_source_brings_the_build_back", changed_source),
        ("cargo_builds_the_base_in_its_checkout", real_cargo),
        ("the_base_has_its_own_workspace_toolchain_and_lock", own_settings),
        ("the_base_is_built_with_the_features_of_the_call", features),
        ("the_bench_and_the_command_find_one_target_folder", target_folder),
        ("variables_of_a_git_hook_do_not_change_the_base", hook_variables),
        ("a_commit_without_the_benchmark_is_refused", without_benchmark),
        ("a_base_that_declares_the_working_tree_is_refused", working_tree_in_base),
        ("a_bench_of_another_checkout_is_relocated_or_refused", two_checkouts),
        ("listings_hold_cases_only", listings),
    ];
    let mut trials: Vec<Trial> = tests
        .into_iter()
        .map(|(name, test)| anywhere.trial(name, test))
        .collect();
    let python = Need::python();
    trials.push(python.trial("a_generated_file_that_the_base_lacks_is_named", generated_file));
    trials.push(python.trial("an_interrupt_before_the_first_look_ends_with_130", interrupted));
    trials.push(python.trial("a_failed_gate_names_the_slower_function", explained));
    needs::run(trials)
}

fn only_the_application() {
    let project = Project::new();
    project.write("app/application.py", "changed");
    let ended = project.compare("HEAD", &[]);
    assert!(ended.err.contains("so no build is needed"), "{}", ended.err);
    assert_eq!(project.builds(), "");
    // Folders declared for a checkout are in that checkout.
    let checkout = project.checkout();
    let declared = project.declarations(&checkout);
    assert_eq!(declared["manifest_dir"], checkout.to_str().unwrap());
    assert_eq!(declared["servers"][0]["app"], checkout.join("app").to_str().unwrap());
    assert_eq!(fs::read_to_string(checkout.join("app/application.py")).unwrap(), "");
}

fn changed_source() {
    let project = Project::new();
    project.write("benches/against.rs", "fn main() { changed() }");
    let ended = project.compare("HEAD", &[]);
    assert!(
        ended.err.contains("building its bench") && ended.err.contains("benches/against.rs differs"),
        "{}",
        ended.err
    );
    let checkout = project.checkout();
    let builds = project.builds();
    let manifest = format!("--manifest-path {}", checkout.join("Cargo.toml").display());
    assert!(builds.contains(&manifest), "{builds}");
    assert!(builds.contains(&format!("in {}", checkout.display())), "{builds}");
    assert!(!checkout.starts_with(project.root()));
    // git ignores it, but the build needs it.
    assert!(ended.err.contains("HEAD has no Cargo.lock"), "{}", ended.err);
    assert!(checkout.join("Cargo.lock").is_file());
}

fn real_cargo() {
    // A bench that takes no time to build, and declares nothing.
    const BENCH: &str = r#"fn main() {
        let file = std::env::var_os("WSGIBENCH_WRITE_DECLARATIONS").expect("asked for declarations");
        println!("printed");
        let declared = concat!(
            "{\"version\":2,\"servers\":[],\"cases\":[],\"manifest_dir\":\"", env!("CARGO_MANIFEST_DIR"), "\"}"
        );
        std::fs::write(file, declared).unwrap();
    }"#;
    let project = Project::new();
    project.write("benches/against.rs", BENCH);
    project.git(&["commit", "-qam", "declares nothing"]);
    project.write("benches/against.rs", "fn main() {}");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let ended = project.compare("HEAD", &[("CARGO", &cargo)]);
    assert!(
        ended.err.contains("HEAD has none of the selected cases"),
        "{}",
        ended.err
    );
    // Two commits are built in turn in one target folder.
    let first = project.git(&["rev-parse", "HEAD"]);
    project.write("benches/against.rs", "fn main() { std::process::exit(7) }");
    project.git(&["commit", "-qam", "fails"]);
    project.write("benches/against.rs", "fn main() {}");
    for (reference, told) in [
        ("HEAD", "exit status: 7"),
        (first.as_str(), "none of the selected cases"),
        ("HEAD", "exit status: 7"),
    ] {
        let ended = project.compare(reference, &[("CARGO", &cargo)]);
        assert!(ended.err.contains(told), "{reference}: {}", ended.err);
    }
    // A compile error is reported with cargo's output.
    project.write("benches/against.rs", "fn main() { missing() }");
    project.git(&["commit", "-qam", "broken"]);
    project.write("benches/against.rs", "fn main() {}");
    let ended = project.compare("HEAD", &[("CARGO", &cargo)]);
    assert_eq!(ended.status, Some(2));
    assert!(ended.err.contains("cannot find function `missing`"), "{}", ended.err);
}

fn own_settings() {
    let project = Project::new();
    let manifest = fs::read_to_string(project.root().join("Cargo.toml")).unwrap();
    // The commit is a package; the working tree turned it into a workspace with another toolchain and configuration.
    project.write("Cargo.toml", &manifest.replace("\n[workspace]\n", ""));
    project.write("rust-toolchain.toml", "[toolchain]\nchannel = \"1.90\"\n");
    project.git(&["add", "-A"]);
    project.git(&["commit", "-qm", "a package"]);
    project.write("Cargo.toml", &manifest);
    project.write("rust-toolchain.toml", "[toolchain]\nchannel = \"stable\"\n");
    project.write(".cargo/config.toml", "[build]\ntarget-dir = \"elsewhere\"\n");
    let ended = project.compare("HEAD", &[("RUSTUP_TOOLCHAIN", "stable")]);
    assert!(ended.err.contains("building its bench"), "{}", ended.err);
    let builds = project.builds();
    assert!(builds.contains("toolchain of the folder"), "{builds}");
    // Another lock file the next time.
    let lock = project.checkout().join("Cargo.lock");
    assert_eq!(fs::read_to_string(&lock).unwrap(), "version = 4\n");
    project.write("Cargo.lock", "version = 3\n");
    let ended = project.compare("HEAD", &[("RUSTUP_TOOLCHAIN", "stable")]);
    assert!(ended.err.contains("HEAD has no Cargo.lock"), "{}", ended.err);
    assert_eq!(fs::read_to_string(&lock).unwrap(), "version = 3\n");
}

fn features() {
    let project = Project::new();
    let manifest = fs::read_to_string(project.root().join("Cargo.toml")).unwrap();
    project.write("Cargo.toml", &(manifest.clone() + "\n[features]\nfast = []\n"));
    project.git(&["commit", "-qam", "a feature"]);
    project.write("Cargo.toml", &(manifest + "\n[features]\nfast = []\nnew = []\n"));
    let ended = project.compare_called_by_cargo(&["bench", "--features", "fast,new", "--offline"], &[]);
    assert!(ended.err.contains("Cargo.toml differs"), "{}", ended.err);
    assert!(ended.err.contains("HEAD has no feature new"), "{}", ended.err);
    let builds = project.builds();
    assert!(builds.contains("--features=fast --offline ("), "{builds}");
}

fn target_folder() {
    let project = Project::new();
    // Relative to where cargo was called, which is not the crate's folder.
    let variable = ("CARGO_TARGET_DIR", "out");
    for (words, variable, folder) in [
        (&["bench"][..], variable, "out"),
        (&["bench", "--target-dir", "other"], variable, "other"),
    ] {
        project.compare_called_by_cargo(words, &[variable]);
        assert!(
            project.called_in().join(folder).join("wsgibench/runs").is_dir(),
            "{words:?}"
        );
    }
    let listed = Command::new(env!("CARGO_BIN_EXE_wsgibench"))
        .arg("list")
        .current_dir(project.called_in())
        .env(variable.0, variable.1)
        .output()
        .unwrap();
    let run = fs::read_dir(project.called_in().join("out/wsgibench/runs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(run.file_name().to_str().unwrap()), "{listed}");
}

fn hook_variables() {
    let (project, other) = (Project::new(), Project::new());
    other.write("app/application.py", "of another repository");
    other.git(&["commit", "-qam", "another"]);
    let (commit, folder) = (project.git(&["rev-parse", "HEAD"]), other.root().display().to_string());
    for (git_dir, tree) in [
        (format!("{folder}/.git"), folder.clone()),
        (".git".to_owned(), ".".to_owned()),
    ] {
        let variables = [
            ("GIT_DIR", git_dir.as_str()),
            ("GIT_WORK_TREE", tree.as_str()),
            ("GIT_INDEX_FILE", "elsewhere"),
            ("GIT_PREFIX", "sub/"),
            ("GIT_OBJECT_DIRECTORY", "elsewhere"),
        ];
        let ended = project.compare("HEAD", &variables);
        assert!(
            ended.err.contains(&format!("commit {}", &commit[..12])),
            "{}",
            ended.err
        );
        assert!(ended.err.contains("so no build is needed"), "{}", ended.err);
        // A run that could not start is not reported as a killed run.
        assert!(!ended.err.contains("was killed"), "{}", ended.err);
    }
}

fn without_benchmark() {
    let project = Project::new();
    let first = project.git(&["rev-parse", "HEAD"]);
    project.git(&["rm", "-rq", "--cached", "Cargo.toml"]);
    project.git(&["commit", "-qm", "without"]);
    project.git(&["add", "Cargo.toml"]);
    project.git(&["commit", "-qm", "adds the benchmark"]);
    let ended = project.compare("HEAD~1", &[]);
    assert_eq!(ended.status, Some(2));
    assert!(
        ended
            .err
            .contains("HEAD~1 has no Cargo.toml: the benchmark is not part of that commit"),
        "{}",
        ended.err
    );
    assert!(project.compare(&first, &[]).err.contains("so no build is needed"));
}

fn working_tree_in_base() {
    let project = Project::new();
    project.write("benches/against.rs", "fn main() { changed() }");
    // A build that returns the working tree's bench.
    let ended = project.compare("HEAD", &[("BUILT_IN", project.root().to_str().unwrap())]);
    assert_eq!(ended.status, Some(2));
    assert!(
        ended.err.contains("the base would be compared with itself"),
        "{}",
        ended.err
    );
}

fn two_checkouts() {
    let built = Project::new();
    let called = built.clone_beside();
    let called_in = [
        ("CARGO_MANIFEST_DIR", called.root().to_str().unwrap()),
        ("CARGO_PKG_NAME", "job"),
    ];
    let ended = built.run(&["--bench", "--list"], &called_in);
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    fs::remove_dir_all(called.root().join("app")).unwrap();
    let ended = built.run(&["--bench", "--quick", "--sandbox", "process"], &called_in);
    let missing = called.root().join("app").display().to_string();
    // Messages are wrapped, at positions that depend on the length of the path.
    let text = (ended.err + &ended.out)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        text.contains("from identical files") && text.contains(&missing),
        "{text}"
    );
    called.write("benches/against.rs", "fn main() { changed() }");
    let ended = built.run(&["--bench", "--list"], &called_in);
    assert_eq!(ended.status, Some(2));
    assert!(
        ended.err.contains("benches/against.rs differs") && ended.err.contains("CARGO_TARGET_DIR"),
        "{}",
        ended.err
    );
    // Cargo started another package's program, which started this one.
    let other = [called_in[0], ("CARGO_PKG_NAME", "xtask")];
    assert_eq!(built.run(&["--bench", "--list"], &other).status, Some(0));
}

fn listings() {
    let project = Project::new();
    let terse = project.run(&["--list", "--format", "terse"], &[]);
    assert_eq!(
        (terse.status, terse.out.as_str()),
        (Some(0), "ping/printing/c1: benchmark\n")
    );
    assert!(terse.err.contains("printed by a declaration"), "{}", terse.err);
}

const GATE: &[&str] = &[
    "--bench",
    "--sandbox",
    "process",
    "--against",
    "HEAD",
    "--gate",
    "--warm-up-time",
    "100ms",
    "--measurement-time",
    "300ms",
];

fn generated_file() {
    let project = Project::new();
    project.write(".gitignore", "/target\nCargo.lock\n_version.py\n");
    project.write(
        "app/serve.py",
        &SERVE.replace("import os", "import _version\nimport os"),
    );
    project.git(&["add", "-A"]);
    project.git(&["commit", "-qm", "generated"]);
    project.write("app/_version.py", "");
    let ended = project.run(GATE, &[]);
    assert_eq!(ended.status, Some(5), "{}", ended.err);
    let verdict = project.verdict();
    let missing = verdict["missing"].to_string();
    assert!(
        missing.contains("HEAD lacks files that git ignores: app/_version.py"),
        "{missing}"
    );
}

/// The gate fails, profiles the case that failed it, and names the function, whatever its name.
fn explained() {
    let project = Project::new();
    let name = "f".repeat(4_000);
    let slower = format!(
        "exec(compile('def {name}():\\n for _ in range(60000): pass\\nserialise = {name}', '<script>alert(1)</script>', 'exec'))\n\n\nclass \
         Handler("
    );
    let slow = SERVE.replacen("class Handler(", &slower, 1).replacen(
        "    def do_GET(self):\n",
        "    def do_GET(self):\n        serialise()\n",
        1,
    );
    assert!(slow.contains("        serialise()") && slow.contains("exec(compile("));
    project.write("app/serve.py", &slow);
    let ended = project.run(&[GATE, &["--explain=on-regression", "--quick"]].concat(), &[]);
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    assert_eq!(project.verdict()["verdict"], "regression");
    let explained = fs::read_to_string(project.root().join("target/wsgibench/explain.json")).unwrap();
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    let functions = explained["cases"][0]["functions"].as_array().unwrap();
    let first = functions.iter().find(|function| function["rank"] == 1).unwrap();
    let function = first["function"].as_str().unwrap();
    assert!(
        function.starts_with("fff") && function.chars().count() <= 200,
        "{function}"
    );
    assert!(ended.out.contains("changed most"), "{}", ended.out);
    for entry in walkdir::WalkDir::new(project.root().join("target"))
        .into_iter()
        .flatten()
    {
        if entry.path().extension().is_some_and(|extension| extension == "html") {
            let page = fs::read_to_string(entry.path()).unwrap();
            assert!(!page.contains("<script>alert(1)"), "{}", entry.path().display());
        }
    }
}

fn interrupted() {
    let project = Project::new();
    let status = project.interrupted(GATE);
    assert_eq!(status, Some(130));
    let verdict = project.verdict();
    assert_eq!(verdict["verdict"], "interrupted");
    assert_eq!(verdict["exit_status"], 130);
    assert_eq!(verdict["identical"], serde_json::json!(["printing"]));
}
