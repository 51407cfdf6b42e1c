use std::fmt::Write as _;

use super::*;

fn run_git(dir: &Path, args: &[&str]) -> String {
    let output = run(subprocess::git(dir).args(args)).unwrap_or_else(|e| panic!("git {args:?}: {e}"));
    text(&output)
}

fn write(file: PathBuf, content: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

fn commit(repo: &Path, message: &str) -> String {
    run_git(repo, &["add", "-A"]);
    run_git(repo, &["commit", "-qm", message]);
    run_git(repo, &["rev-parse", "HEAD"])
}

fn repository() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    run_git(dir.path(), &["init", "-q", "-b", "main"]);
    run_git(dir.path(), &["config", "user.name", "t"]);
    run_git(dir.path(), &["config", "user.email", "t@example.org"]);
    write(dir.path().join("Cargo.toml"), "");
    write(dir.path().join("crate/Cargo.toml"), "");
    write(dir.path().join("crate/file"), "old");
    commit(dir.path(), "first");
    write(dir.path().join("crate/file"), "new");
    dir
}

fn tip(repo: &Path, reference: &str, folder: &Path) -> Result<Checkout, AgainstError> {
    check_out(Base::Tip(reference), repo, folder)
}

/// Returns every file below a folder except git's own, with its content.
fn snapshot(folder: &Path) -> String {
    let mut listing = String::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten() {
        let content = fs::read(entry.path()).unwrap_or_default();
        let modified = entry.metadata().unwrap().modified().unwrap();
        writeln!(listing, "{} {modified:?} {content:?}", entry.path().display()).unwrap();
    }
    listing
}

#[test]
fn checkout_writes_the_commit_and_keeps_the_repository_unchanged() {
    let repo = repository();
    let folder = tempfile::tempdir().unwrap();
    let hook = repo.path().join(".git/hooks/post-index-change");
    write(hook.clone(), "#!/bin/sh\ntouch \"$GIT_DIR/hooked\"\n");
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let before = snapshot(repo.path());
    let checkout = tip(&repo.path().join("crate"), "HEAD", folder.path()).unwrap();
    assert_eq!(fs::read_to_string(checkout.manifest_dir.join("file")).unwrap(), "old");
    let modified = |checkout: &Checkout| {
        fs::metadata(checkout.manifest_dir.join("file"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let written = modified(&checkout);
    let again = tip(&repo.path().join("crate"), "HEAD", folder.path()).unwrap();
    assert_eq!(modified(&again), written, "an unchanged tree is used again");
    assert_eq!(checkout.changed_files(&[]).unwrap(), [Path::new("crate/file")]);
    assert_eq!(snapshot(repo.path()), before);
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [checkout.commit.clone(), format!("{}.index", checkout.commit)]);
}

#[test]
fn changed_or_partial_tree_is_replaced_and_other_commits_removed() {
    let repo = repository();
    let folder = tempfile::tempdir().unwrap();
    let first = tip(repo.path(), "HEAD", folder.path()).unwrap();
    write(first.root.join("crate/file"), "touched by a build");
    let again = tip(repo.path(), "HEAD", folder.path()).unwrap();
    assert_eq!(fs::read_to_string(again.root.join("crate/file")).unwrap(), "old");
    // Remains of a killed run, and an unrelated file.
    write(folder.path().join(format!("{}.tmp/half", first.commit)), "");
    write(folder.path().join(format!("{}.index.lock", first.commit)), "");
    write(folder.path().join("target/keep"), "");
    let second = commit(repo.path(), "second");
    tip(repo.path(), "HEAD", folder.path()).unwrap();
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected = [second.clone(), format!("{second}.index"), "target".to_owned()];
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn checkout_ignores_attributes_and_sparse_patterns() {
    let repo = repository();
    let root = repo.path();
    write(
        root.join(".gitattributes"),
        "crate/fixture export-ignore\ncrate/version export-subst\n*.crlf text eol=crlf\n",
    );
    write(root.join("crate/fixture/data"), "data");
    write(root.join("crate/version"), "$Format:%H$\n");
    write(root.join("crate/lines.crlf"), "a\r\nb\r\n");
    write(root.join("crate/naïve ファイル.py"), "name");
    std::os::unix::fs::symlink("file", root.join("crate/link")).unwrap();
    let full = commit(root, "attributes");
    // Neither attributes of the working tree nor a sparse checkout affect the tree.
    write(root.join(".gitattributes"), "* text eol=lf\n");
    run_git(root, &["sparse-checkout", "set", "--no-cone", "/.gitattributes"]);
    let folder = tempfile::tempdir().unwrap();
    let checkout = tip(root, &full, folder.path()).unwrap();
    let read = |name: &str| fs::read_to_string(checkout.root.join("crate").join(name)).unwrap();
    assert_eq!(read("fixture/data"), "data");
    assert_eq!(read("version"), "$Format:%H$\n");
    assert_eq!(read("lines.crlf"), "a\r\nb\r\n");
    assert_eq!(read("naïve ファイル.py"), "name");
    assert_eq!(
        fs::read_link(checkout.root.join("crate/link")).unwrap(),
        Path::new("file")
    );
}

#[test]
fn changed_new_and_ignored_files_are_distinguished() {
    let repo = repository();
    let root = repo.path();
    write(root.join(".gitignore"), "_version.py\n");
    write(root.join("crate/gone"), "");
    let folder = tempfile::tempdir().unwrap();
    commit(root, "second");
    let checkout = tip(root, "HEAD", folder.path()).unwrap();
    assert_eq!(checkout.changed_files(&[]).unwrap(), [] as [PathBuf; 0]);
    write(root.join("crate/[new] *"), "");
    write(root.join("other/file"), "");
    write(root.join("crate/_version.py"), "");
    fs::remove_file(root.join("crate/gone")).unwrap();
    // Staged or not, and with entries that the user's index hides.
    write(root.join("crate/file"), "newer");
    run_git(root, &["update-index", "--assume-unchanged", "crate/file"]);
    let changed = ["crate/[new] *", "crate/file", "crate/gone"].map(PathBuf::from);
    assert_eq!(checkout.changed_files(&["crate".into()]).unwrap(), changed);
    assert_eq!(checkout.changed_files(&["crate/[new] *".into()]).unwrap(), changed[..1]);
    assert_eq!(
        checkout.ignored_files(&["crate".into()]).unwrap(),
        [Path::new("crate/_version.py")]
    );
}

#[test]
fn base_is_the_merge_base_unless_the_tip_is_requested() {
    let repo = repository();
    let root = repo.path();
    let fork = run_git(root, &["rev-parse", "HEAD"]);
    run_git(root, &["checkout", "-qb", "topic"]);
    commit(root, "on the branch");
    run_git(root, &["checkout", "-q", "main"]);
    write(root.join("speed-up"), "");
    let main = commit(root, "on main");
    run_git(root, &["checkout", "-q", "topic"]);
    let folder = tempfile::tempdir().unwrap();
    let checkout = check_out(Base::MergeBase("main"), root, folder.path()).unwrap();
    assert_eq!(checkout.commit, fork);
    let choice = checkout.choice.unwrap();
    assert!(
        choice.contains("merge base of HEAD and main, which has 1 commit more; --against-tip main"),
        "{choice}"
    );
    assert_eq!(tip(root, "main", folder.path()).unwrap().commit, main);
    let head = check_out(Base::MergeBase("HEAD"), root, folder.path()).unwrap();
    assert_eq!(
        (head.commit, head.choice),
        (run_git(root, &["rev-parse", "HEAD"]), None)
    );
    // Without a common commit only the tip is left.
    run_git(root, &["checkout", "-q", "--orphan", "alone"]);
    commit(root, "alone");
    let unrelated = check_out(Base::MergeBase("main"), root, folder.path()).unwrap();
    assert_eq!(unrelated.commit, main);
    assert!(unrelated.choice.unwrap().contains("no commit in common"));
    // git warns that HEAD is ambiguous.
    run_git(root, &["update-ref", "refs/heads/HEAD", "HEAD"]);
    let warned = check_out(Base::MergeBase("main"), root, folder.path()).unwrap();
    assert_eq!(warned.commit, main);
}

#[test]
fn commit_without_the_crate_is_rejected() {
    let repo = repository();
    write(repo.path().join("new/Cargo.toml"), "");
    let folder = tempfile::tempdir().unwrap();
    let error = tip(&repo.path().join("new"), "HEAD", folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("HEAD has no new/Cargo.toml"), "{error}");
}

#[test]
fn shallow_clone_is_reported_with_a_remedy() {
    let repo = repository();
    run_git(repo.path(), &["checkout", "-qb", "topic"]);
    commit(repo.path(), "on the branch");
    run_git(repo.path(), &["checkout", "-q", "main"]);
    write(repo.path().join("speed-up"), "");
    commit(repo.path(), "on main");
    let (clone, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = format!("file://{}", repo.path().display());
    let target = clone.path().join("clone");
    run_git(
        clone.path(),
        &[
            "clone",
            "-q",
            "--depth=1",
            "--no-single-branch",
            "-b",
            "topic",
            &url,
            target.to_str().unwrap(),
        ],
    );
    let error = check_out(Base::MergeBase("origin/main"), &target, folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("git fetch --unshallow") && error.contains("fetch-depth: 0"),
        "{error}"
    );
    assert!(error.contains("--against-tip origin/main"), "{error}");
    let error = tip(&target, "HEAD~1", folder.path()).unwrap_err().to_string();
    assert!(error.contains("git fetch --unshallow"), "{error}");
    assert!(tip(&target, "origin/main", folder.path()).is_ok());
}

#[test]
fn unknown_reference_and_missing_repository_are_reported() {
    let repo = repository();
    let folder = tempfile::tempdir().unwrap();
    let error = tip(repo.path(), "nowhere", folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("`nowhere` is not a commit") && error.contains("Needed a single revision"),
        "{error}"
    );
    let outside = tempfile::tempdir().unwrap();
    let error = tip(outside.path(), "HEAD", folder.path()).unwrap_err();
    assert!(matches!(error, AgainstError::NoRepository(_)), "{error}");
    assert!(error.to_string().contains("git init"), "{error}");
}

#[test]
fn git_failures_include_its_error_message() {
    let repo = repository();
    write(repo.path().join(".gitattributes"), "*.secret filter=locked\n");
    write(repo.path().join("a.secret"), "x");
    commit(repo.path(), "filtered");
    run_git(
        repo.path(),
        &["config", "filter.locked.smudge", "echo the key is missing >&2; false"],
    );
    run_git(repo.path(), &["config", "filter.locked.required", "true"]);
    let folder = tempfile::tempdir().unwrap();
    let error = tip(repo.path(), "HEAD", folder.path()).unwrap_err().to_string();
    assert!(error.contains("the key is missing"), "{error}");
}

#[test]
fn lfs_pointers_are_rejected_if_the_working_tree_has_the_content() {
    let repo = repository();
    let folder = tempfile::tempdir().unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    write(repo.path().join("crate/model.bin"), pointer);
    commit(repo.path(), "pointer");
    tip(repo.path(), "HEAD", folder.path()).unwrap();
    write(repo.path().join("crate/model.bin"), "content");
    let error = tip(repo.path(), "HEAD", folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("crate/model.bin is an unresolved Git LFS pointer"),
        "{error}"
    );
}

#[test]
fn submodules_are_checked_out_at_the_bases_commit() {
    let (repo, other) = (repository(), repository());
    let folder = tempfile::tempdir().unwrap();
    let url = other.path().to_str().unwrap();
    let add = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        url,
        "lib",
    ];
    run_git(repo.path(), &add);
    commit(repo.path(), "submodule");
    let first = tip(repo.path(), "HEAD", folder.path()).unwrap();
    assert_eq!(fs::read_to_string(first.root.join("lib/crate/file")).unwrap(), "old");
    // The submodule advances; the base still names its first commit.
    let module = repo.path().join("lib");
    write(module.join("crate/file"), "moved on");
    run_git(
        &module,
        &[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "commit",
            "-qam",
            "second",
        ],
    );
    let again = tip(repo.path(), "HEAD", folder.path()).unwrap();
    assert_eq!(fs::read_to_string(again.root.join("lib/crate/file")).unwrap(), "old");
    commit(repo.path(), "move the submodule");
    let moved = tip(repo.path(), "HEAD", folder.path()).unwrap();
    assert_eq!(
        fs::read_to_string(moved.root.join("lib/crate/file")).unwrap(),
        "moved on"
    );
    // Not initialised here, so it is in neither arm.
    fs::remove_dir_all(&module).unwrap();
    let without = tip(repo.path(), "HEAD", folder.path()).unwrap();
    assert!(!without.root.join("lib/crate").exists());
}

#[test]
fn changed_files_inside_of_submodules_are_found() {
    let (repo, other) = (repository(), repository());
    let folder = tempfile::tempdir().unwrap();
    let url = other.path().to_str().unwrap();
    let allow = ["-c", "protocol.file.allow=always"];
    run_git(
        repo.path(),
        &[&allow[..], &["submodule", "--quiet", "add", url, "lib"]].concat(),
    );
    // Users hide the state of submodules that they do not work on.
    run_git(repo.path(), &["config", "diff.ignoreSubmodules", "all"]);
    commit(repo.path(), "submodule");
    let checkout = tip(repo.path(), "HEAD", folder.path()).unwrap();
    let none: [PathBuf; 0] = [];
    assert_eq!(checkout.changed_files(&[]).unwrap(), none);
    write(repo.path().join("lib/crate/file"), "changed");
    write(repo.path().join("lib/crate/new"), "new");
    write(repo.path().join("lib/.gitignore"), "made\n");
    write(repo.path().join("lib/crate/made"), "ignored");
    let changed = [PathBuf::from("lib/crate/file"), PathBuf::from("lib/crate/new")];
    let all = [&[PathBuf::from("lib/.gitignore")], &changed[..]].concat();
    assert_eq!(checkout.changed_files(&[]).unwrap(), all);
    assert_eq!(checkout.changed_files(&["lib".into()]).unwrap(), all);
    assert_eq!(checkout.changed_files(&["lib/crate".into()]).unwrap(), changed);
    assert_eq!(checkout.changed_files(&["crate".into()]).unwrap(), none);
    let made = [PathBuf::from("lib/crate/made")];
    assert_eq!(checkout.ignored_files(&["lib/crate".into()]).unwrap(), made);
}

#[test]
fn linked_worktree_and_subfolder_are_supported() {
    let repo = repository();
    let (place, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let linked = place.path().join("linked");
    run_git(
        repo.path(),
        &["worktree", "add", "-q", linked.to_str().unwrap(), "-b", "other"],
    );
    write(linked.join("crate/file"), "in the linked tree");
    commit(&linked, "there");
    let checkout = tip(&linked.join("crate"), "HEAD", folder.path()).unwrap();
    assert_eq!(
        fs::read_to_string(checkout.manifest_dir.join("file")).unwrap(),
        "in the linked tree"
    );
    let main = tip(&repo.path().join("crate"), "HEAD", folder.path()).unwrap();
    assert_eq!(fs::read_to_string(main.manifest_dir.join("file")).unwrap(), "old");
}
