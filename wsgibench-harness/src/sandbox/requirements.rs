//! Requirement files: their includes, and a hash of all files that pip will read.
//!
//! pip reads the files itself; this parser reads only enough to decide whether an environment is up to date. The rules
//! are those of pip's `req_file.py`: continuation lines, comments, variables, quoting and encodings.

use std::{
    collections::BTreeSet,
    env, fs, io, iter,
    path::{Path, PathBuf},
};

use ring::digest;

/// Folders and files that builds, Python, git and editors leave in a project.
const BY_PRODUCTS: &[&str] = &[
    "__pycache__",
    ".git",
    ".hg",
    ".venv",
    ".tox",
    ".nox",
    ".pytest_cache",
    ".mypy_cache",
    ".DS_Store",
    "build",
    "dist",
    "node_modules",
    "target",
];

/// A requirement file with all its includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirements {
    /// Input of an environment's hash, in the order of reading.
    content: Vec<u8>,
    /// Whether any line names a package, so that pip is needed.
    pub(crate) has_packages: bool,
    /// pip's working folder, that of the first file. Local projects are relative to it, whichever file names them.
    folder: PathBuf,
    /// Files read, and whether as constraints, since includes may form a cycle.
    seen: BTreeSet<(PathBuf, bool)>,
}

/// The kind of one logical line.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Another requirement file, or a constraint file.
    Include { path: String, constraint: bool },
    /// A folder or archive on this machine.
    Local(String),
    /// A folder, file or URL with archives of packages (`--find-links`).
    Links(String),
    /// A package by name or URL.
    Package,
    /// An option of pip.
    Option,
}

impl Requirements {
    /// Reads a file and all its includes; a missing file is empty.
    ///
    /// # Errors
    /// If an include or a local path is missing or unreadable; the message names the file and the line.
    pub(crate) fn of_file(file: &Path) -> Result<Self, String> {
        let mut all = Self {
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
            seen: BTreeSet::from([(canonical(file), false)]),
            ..Self::default()
        };
        match fs::read(file) {
            Ok(bytes) => all.read(file, &bytes, false)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("failed to read {}: {error}", file.display())),
        }
        Ok(all)
    }

    /// Parses lines that are not in a file.
    ///
    /// # Errors
    /// If a line includes a file by a relative path, since there is no file that it could be relative to.
    pub(crate) fn of_lines(lines: &[String]) -> Result<Self, String> {
        for text in lines {
            for (_, line) in logical_lines(text) {
                let (Line::Include { path, .. } | Line::Local(path)) = classify(&line) else {
                    continue;
                };
                if !is_url(&path) && Path::new(&path).is_relative() {
                    return Err(format!(
                        "requirement `{line}` names a file relative to a requirements.txt; move the lines to a folder with a \
                         requirements.txt and name that with Server::dockerfile, or write an absolute path"
                    ));
                }
            }
        }
        let mut all = Self::default();
        all.read(Path::new("requirements"), lines.join("\n").as_bytes(), false)?;
        Ok(all)
    }

    /// Adds all files to a hash.
    pub(crate) fn add_to(&self, hash: &mut digest::Context) {
        hash.update(&self.content);
    }

    fn add(&mut self, bytes: &[u8]) {
        self.content.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.content.extend_from_slice(bytes);
    }

    /// Reads one file. A `constraint` file only limits versions and requests no package.
    fn read(&mut self, file: &Path, bytes: &[u8], constraint: bool) -> Result<(), String> {
        self.add(bytes);
        for (number, line) in logical_lines(&decode(bytes)) {
            let at = |what: &str, path: &Path, error: io::Error| {
                format!(
                    "{}:{number}: failed to read the {what} {}: {error}",
                    file.display(),
                    path.display()
                )
            };
            if !names_index(&line) {
                // With variables expanded, so index options are left out: their variables may be tokens that change with each run.
                self.add(line.as_bytes());
            }
            match classify(&line) {
                Line::Include { path, .. } if is_url(&path) => self.has_packages |= !constraint,
                Line::Include {
                    path,
                    constraint: of_constraints,
                } => {
                    let path = file.parent().unwrap_or(Path::new("")).join(path);
                    let as_constraint = constraint || of_constraints;
                    if self.seen.insert((canonical(&path), as_constraint)) {
                        let what = if of_constraints {
                            "constraint file"
                        } else {
                            "requirement file"
                        };
                        let bytes = fs::read(&path).map_err(|error| at(what, &path, error))?;
                        self.read(&path, &bytes, as_constraint)?;
                    }
                }
                Line::Local(path) => {
                    self.has_packages |= !constraint;
                    let path = self.folder.join(path);
                    self.add_project(&path)
                        .map_err(|error| at("local package", &path, error))?;
                }
                Line::Links(path) => {
                    if let Some(path) = self.links(file, &path) {
                        self.add_project(&path)
                            .map_err(|error| at("packages of", &path, error))?;
                    }
                }
                Line::Package => self.has_packages |= !constraint,
                Line::Option => {}
            }
        }
        Ok(())
    }

    /// Returns where pip finds the archives of `--find-links`: relative to the file that has the option, else to pip's working
    /// folder. `None` for a URL, and for a missing path, which pip ignores.
    fn links(&self, file: &Path, path: &str) -> Option<PathBuf> {
        let path = match path.strip_prefix("file:") {
            Some(_) => local(path)?,
            None if is_url(path) => return None,
            None => path.to_owned(),
        };
        let relative = file.parent().unwrap_or(Path::new("")).join(&path);
        [relative, self.folder.join(&path)]
            .into_iter()
            .find(|path| path.exists())
    }

    /// Adds the names and contents of a local project or archive.
    fn add_project(&mut self, path: &Path) -> io::Result<()> {
        fs::metadata(path)?;
        let walk = walkdir::WalkDir::new(path)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| {
                let name = entry.file_name().to_string_lossy();
                entry.depth() == 0
                    || !(BY_PRODUCTS.contains(&&*name) || name.ends_with(".pyc") || name.ends_with(".egg-info"))
            });
        for entry in walk {
            let entry = entry?;
            if entry.path().is_file() {
                let below = entry.path().strip_prefix(path).unwrap_or(entry.path());
                self.add(below.as_os_str().as_encoded_bytes());
                self.add(&fs::read(entry.path())?);
            }
        }
        Ok(())
    }
}

/// Returns the path without `..` and links if the file exists.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Decodes a file by its byte order mark, else as UTF-8, else as Latin-1, which is valid for any bytes.
fn decode(bytes: &[u8]) -> String {
    let wide = |rest: &[u8], value: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| value([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        bytes => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        },
    }
}

/// Returns the lines with continuations joined, comments removed and variables expanded, each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut joined: Option<(usize, String)> = None;
    // A carriage return alone ends a line, too.
    let text = text.replace("\r\n", "\n");
    for (index, line) in text.split(['\n', '\r']).enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let (number, mut text) = joined.take().unwrap_or((index + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(begun) if !is_comment => {
                text.push_str(begun);
                joined = Some((number, text));
            }
            _ => {
                // A comment ends a continuation.
                text.push_str(if is_comment && !text.is_empty() { " " } else { "" });
                text.push_str(line);
                lines.push((number, text));
            }
        }
    }
    lines.extend(joined);
    lines
        .into_iter()
        .map(|(number, line)| (number, expand(without_comment(&line).trim())))
        .filter(|(_, line)| !line.is_empty())
        .collect()
}

/// Removes a comment. A `#` begins one at the start of a line and after a space; in a URL it begins a fragment.
fn without_comment(line: &str) -> &str {
    let begins = |(index, _): &(usize, &str)| *index == 0 || line[..*index].ends_with(char::is_whitespace);
    match line.match_indices('#').find(begins) {
        Some((index, _)) => &line[..index],
        None => line,
    }
}

/// Replaces `${NAME}` where the variable is set, as pip does.
fn expand(line: &str) -> String {
    let mut expanded = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let value = after.split_once('}').and_then(|(name, after)| {
            let is_name = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            let value = is_name
                .then(|| env::var(name).ok().filter(|value| !value.is_empty()))
                .flatten()?;
            Some((value, after))
        });
        if let Some((value, after)) = value {
            expanded.push_str(&value);
            rest = after;
        } else {
            expanded.push_str("${");
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

fn classify(line: &str) -> Line {
    if !line.starts_with('-') {
        return local(line).map_or(Line::Package, Line::Local);
    }
    // An option that matters may follow others: `--pre -r base.txt`.
    let starts = line.match_indices(" -").map(|(index, _)| index + 1);
    let mut options = iter::once(0).chain(starts).map(|index| classify_option(&line[index..]));
    options.find(|kind| *kind != Line::Option).unwrap_or(Line::Option)
}

fn classify_option(line: &str) -> Line {
    if let Some(path) = option(line, 'r', "--requirement", "--requirem") {
        return Line::Include {
            path,
            constraint: false,
        };
    }
    if let Some(path) = option(line, 'c', "--constraint", "--cons") {
        return Line::Include { path, constraint: true };
    }
    if let Some(path) = option(line, 'e', "--editable", "--e") {
        // A URL of a version control system, else a folder, also without a slash.
        let path = local(&path).or_else(|| {
            let folder = path.split(['[', '#']).next().unwrap_or_default();
            (!is_url(&path)).then(|| folder.trim_end().to_owned())
        });
        return path.map_or(Line::Package, Line::Local);
    }
    if let Some(path) = option(line, 'f', "--find-links", "--f") {
        return Line::Links(path);
    }
    Line::Option
}

/// Returns the value of an option in any form that pip's parser accepts: `-r x`, `-rx`, `--requirement x`, `--requirement=x`,
/// and the long form abbreviated to no less than `shortest`.
fn option(line: &str, short: char, long: &str, shortest: &str) -> Option<String> {
    let value = if line.starts_with("--") {
        let end = line.find(|c: char| c == '=' || c.is_whitespace())?;
        let name = &line[..end];
        (long.starts_with(name) && name.starts_with(shortest)).then(|| &line[end + 1..])?
    } else {
        line.strip_prefix('-')?.strip_prefix(short)?
    };
    let value = value.trim();
    let quoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.split_once(quote));
    Some(match quoted {
        Some((inside, _)) => inside.to_owned(),
        // Other options may follow.
        None => value.split(" -").next().unwrap_or(value).trim_end().to_owned(),
    })
}

/// Returns the path of a requirement that is a folder or an archive on this machine.
fn local(requirement: &str) -> Option<String> {
    let requirement = match requirement.split_once('@') {
        // `name @ URL` and `name[extra]@URL`; an `@` in a URL or a path follows other characters, too.
        Some((name, url)) if is_name(name.trim_end()) && url.contains(':') => url.trim_start(),
        _ => requirement,
    };
    // Markers and options such as `--hash` follow a space; extras in brackets are at the end. A path may contain spaces.
    let words = requirement.split_inclusive(char::is_whitespace);
    let path: String = words.take_while(|word| !word.starts_with(['-', ';'])).collect();
    let path = path.split("; ").next()?.trim_end().trim_end_matches(';');
    if let Some(path) = path.strip_prefix("file:") {
        let path = path.split('#').next().unwrap_or(path);
        let path = path.strip_prefix("//localhost").unwrap_or(path);
        return Some(decoded(path.strip_prefix("//").unwrap_or(path)));
    }
    if is_url(path) {
        return None;
    }
    let path = path.split_once('[').map_or(path, |(path, _)| path);
    let archive = [".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz"];
    let is_path = path == "."
        || path == ".."
        || path.starts_with("./")
        || path.starts_with("../")
        || path.contains('/')
        || archive.iter().any(|end| path.to_ascii_lowercase().ends_with(end));
    is_path.then(|| path.to_owned())
}

/// Whether a text is a package's name, perhaps with extras.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '[' | ']' | ',' | ' '))
}

/// Decodes the `%20` of a URL.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let value = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

fn is_url(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(scheme, rest)| rest.starts_with("//") && !scheme.contains(['/', ' ']))
}

/// Whether the option configures where packages come from and not which ones.
fn names_index(line: &str) -> bool {
    ["-i", "--index-url", "--extra-index-url", "--trusted-host", "--pypi-url"]
        .iter()
        .any(|option| line.starts_with(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(file: &Path) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        Requirements::of_file(file).unwrap().add_to(&mut hash);
        crate::sandbox::short_hash(hash)
    }

    #[test]
    fn includes_are_recognized_in_every_form_that_pip_accepts() {
        let include = |path: &str, constraint| Line::Include {
            path: path.into(),
            constraint,
        };
        for (line, wanted) in [
            ("-r base.txt", include("base.txt", false)),
            ("-rbase.txt", include("base.txt", false)),
            ("--requirement base.txt", include("base.txt", false)),
            ("--requirement=base.txt", include("base.txt", false)),
            ("-r \"my base.txt\"", include("my base.txt", false)),
            ("-c constraints.txt", include("constraints.txt", true)),
            ("--constraint=../c.txt", include("../c.txt", true)),
            ("-e ./pkg", Line::Local("./pkg".into())),
            ("-e .[dev]", Line::Local(".".into())),
            ("-e pkg[dev]", Line::Local("pkg".into())),
            ("--pre -r base.txt", include("base.txt", false)),
            ("--no-binary :all: --constraint c.txt", include("c.txt", true)),
            ("-f ./wheels", Line::Links("./wheels".into())),
            ("--no-index --find-links=wheels", Line::Links("wheels".into())),
            ("pkg @ file:///srv/pkg", Line::Local("/srv/pkg".into())),
            (
                "./wheels/a-1.whl --hash=sha256:00",
                Line::Local("./wheels/a-1.whl".into()),
            ),
            ("-e git+https://example.org/a.git#egg=a", Line::Package),
            ("https://example.org/a-1.tar.gz", Line::Package),
            ("gunicorn[gevent]==27.0.1 ; python_version > '3'", Line::Package),
            ("--require-hashes", Line::Option),
            ("--index-url https://example.org/simple", Line::Option),
            ("--config-settings=a=b", Line::Option),
        ] {
            assert_eq!(classify(line), wanted, "{line}");
        }
    }

    #[test]
    fn paths_of_local_packages_are_those_that_pip_installs() {
        for (line, path) in [
            ("./my package", "./my package"),
            ("./my package --hash=sha256:00", "./my package"),
            ("./pkg[extra] ; python_version > '3'", "./pkg"),
            ("./pkg; python_version > '3'", "./pkg"),
            ("file:///srv/my%20package", "/srv/my package"),
            ("file:///srv/100%25", "/srv/100%"),
            ("file:///srv/a%zz%e9", "/srv/a%zz%e9"),
            ("pkg@file:///srv/pkg", "/srv/pkg"),
            ("pkg[a,b] @ file:///srv/pkg#egg=pkg", "/srv/pkg"),
            ("./a@b", "./a@b"),
            ("wheels/x-1.0-py3-none-any.whl", "wheels/x-1.0-py3-none-any.whl"),
        ] {
            assert_eq!(local(line).as_deref(), Some(path), "{line}");
        }
        for line in [
            "gunicorn",
            "gunicorn==27 --hash=sha256:00",
            "pkg @ git+ssh://git@host/x.git",
            "git+ssh://git@host/x.git#egg=x",
            "https://user:pass@host/x-1.0.tar.gz",
        ] {
            assert_eq!(local(line), None, "{line}");
        }
    }

    #[test]
    fn lines_end_and_options_follow_as_pip_reads_them() {
        let lines = |text: &str| {
            logical_lines(text)
                .into_iter()
                .map(|(_, line)| line)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines("a\rb\r\nc \\\r\n  d\ne"), ["a", "b", "c   d", "e"]);
        let included = |line: &str| match classify(line) {
            Line::Include { path, .. } => path,
            _ => panic!("{line}"),
        };
        assert_eq!(included("-r base.txt --extra-index-url https://x"), "base.txt");
        assert_eq!(included("-r 'with -dash.txt'"), "with -dash.txt");
        assert_eq!(included("-r with-dash.txt"), "with-dash.txt");
    }

    #[test]
    fn continuations_are_joined_and_comments_removed_as_pip_does() {
        let lines = |text: &str| -> Vec<String> { logical_lines(text).into_iter().map(|(_, line)| line).collect() };
        assert_eq!(lines("a==1 \\\r\n  --hash=x # why\r\nb"), ["a==1   --hash=x", "b"]);
        assert_eq!(lines("# only\n\n  # this\n"), [] as [&str; 0]);
        assert_eq!(lines("a \\\n# ends it\nb"), ["a", "b"]);
        assert_eq!(lines("https://h/a.git#egg=a"), ["https://h/a.git#egg=a"]);
        assert_eq!(logical_lines("\na \\\nb\nc"), [(2, "a b".into()), (4, "c".into())]);
        assert_eq!(lines("a${UNSET_BY_ALL}b ${x}"), ["a${UNSET_BY_ALL}b ${x}"]);
    }

    #[test]
    fn every_included_file_changes_the_hash() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let utf16: Vec<u8> = "\u{feff}-r more/deep.txt\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        write(
            "requirements.txt",
            b"\xef\xbb\xbf-r wide.txt\n-c limits.txt\n-e ./project\n-e bare\n--pre -f wheels\n-f no/such/folder\n",
        );
        write("wide.txt", &utf16);
        write("more/deep.txt", b"gunicorn\n-r ../requirements.txt\n");
        write("limits.txt", b"gunicorn<28\n");
        write("project/setup.py", b"1");
        write("bare/pyproject.toml", b"1");
        write("wheels/a-1-py3-none-any.whl", b"1");
        let file = folder.path().join("requirements.txt");
        let first = hash(&file);
        assert!(Requirements::of_file(&file).unwrap().has_packages);
        write("project/a.egg-info/PKG-INFO", b"left by pip");
        write("project/build/lib/a.py", b"left by pip");
        assert_eq!(hash(&file), first, "a build's by-products are no content");
        for name in [
            "more/deep.txt",
            "limits.txt",
            "project/setup.py",
            "bare/pyproject.toml",
            "wheels/a-1-py3-none-any.whl",
        ] {
            let before = hash(&file);
            write(name, b"other==1\n");
            assert_ne!(hash(&file), before, "{name}");
        }
    }

    #[test]
    fn missing_include_is_reported_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("requirements.txt");
        fs::write(&file, "# first\na==1\n-r none.txt\n").unwrap();
        let error = Requirements::of_file(&file).unwrap_err();
        assert!(
            error.contains("requirements.txt:3: ") && error.contains("none.txt"),
            "{error}"
        );
    }

    #[test]
    fn comments_and_constraints_need_no_package() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("requirements.txt");
        fs::write(folder.path().join("limits.txt"), "a==1\n").unwrap();
        fs::write(&file, "# wsgiref is part of Python\n\n-c limits.txt\n--pre\n").unwrap();
        assert!(!Requirements::of_file(&file).unwrap().has_packages);
        assert!(
            !Requirements::of_file(&folder.path().join("none.txt"))
                .unwrap()
                .has_packages
        );
    }

    #[test]
    fn inline_lines_cannot_include_relative_paths() {
        let of = |line: &str| Requirements::of_lines(&[line.to_owned()]);
        for line in ["-r base.txt", "-c c.txt", "-e .", "./pkg"] {
            let error = of(line).unwrap_err();
            assert!(error.contains(line) && error.contains("Server::dockerfile"), "{error}");
        }
        assert!(of("gunicorn==27.0.1").unwrap().has_packages);
    }
}
