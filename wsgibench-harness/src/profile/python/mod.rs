//! Reads the stacks of a running Python interpreter from outside, without stopping it.
//!
//! An interpreter exports the address of its runtime, from which its threads and their frames can be reached; the layout of
//! these structures is that of its version (`layout`). Nothing is written to the process and none of its threads is traced, so
//! that it answers requests meanwhile.

mod elf;
mod layout;
mod lines;
mod memory;
mod stack;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

pub use self::stack::RawFrame;
use self::{
    elf::Image,
    layout::{Layout, LayoutError},
    memory::{Memory, ProcessMemory},
    stack::{ThreadState, Walker},
};

/// Why the stacks of a process cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// This process may not read the memory of the other.
    #[error("cannot read the memory of process {pid}: permission denied")]
    Permission {
        /// The process.
        pid: u32,
    },
    /// The process runs no Python interpreter that exports its runtime.
    #[error("process {pid} runs no Python interpreter")]
    NoPython {
        /// The process.
        pid: u32,
    },
    /// The version is not supported.
    #[error("process {pid}: {source}")]
    Version {
        /// The process.
        pid: u32,
        /// The version and the supported ones.
        source: LayoutError,
    },
    /// The process has ended, or is starting.
    #[error("cannot read process {pid}: {source}")]
    Gone {
        /// The process.
        pid: u32,
        /// The cause.
        source: io::Error,
    },
}

/// A running interpreter.
#[derive(Debug)]
pub(super) struct Interpreter {
    pid: u32,
    memory: ProcessMemory,
    walker: Walker,
    version: String,
    /// States of the interpreter's threads, by thread id on this machine.
    threads: BTreeMap<u32, ThreadState>,
}

impl Interpreter {
    /// Finds the interpreter of a process.
    ///
    /// # Errors
    /// [`AttachError`].
    pub(super) fn attach(pid: u32) -> Result<Self, AttachError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::PermissionDenied => AttachError::Permission { pid },
            _ => AttachError::Gone { pid, source },
        };
        let memory = ProcessMemory::open(pid).map_err(failed)?;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(failed)?;
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        for (start, path) in images(&maps) {
            if !path.contains("python") && *path != *program.to_string_lossy() {
                continue;
            }
            // A file that is mapped but no program, or is unmapped meanwhile, is none.
            let Ok(Some(image)) = Image::read(&memory, start) else {
                continue;
            };
            let Ok(Some(runtime)) = image.symbol(&memory, "_PyRuntime") else {
                continue;
            };
            let layout =
                layout(&memory, &image, runtime, path).map_err(|source| AttachError::Version { pid, source })?;
            return Ok(Self {
                pid,
                memory,
                version: layout.version(),
                walker: Walker::new(layout, runtime),
                threads: BTreeMap::new(),
            });
        }
        Err(AttachError::NoPython { pid })
    }

    /// `3.11`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Reads the list of threads again; `tasks` are the thread ids of the process on this machine.
    ///
    /// # Errors
    /// If the list changed while it was read, or the process now runs another program.
    pub(super) fn refresh(&mut self, tasks: &[u32]) -> io::Result<()> {
        let by_inner: BTreeMap<u32, u32> = tasks
            .iter()
            .map(|task| (inner_id(self.pid, *task).unwrap_or(*task), *task))
            .collect();
        let inner: BTreeSet<u32> = by_inner.keys().copied().collect();
        let states = self.walker.threads(&self.memory, |id| inner.contains(&id))?;
        self.threads = states
            .into_iter()
            .filter_map(|state| Some((*by_inner.get(&state.native_id)?, state)))
            .collect();
        Ok(())
    }

    /// Returns the frames of a thread, innermost first; `None` if it is no Python thread.
    ///
    /// # Errors
    /// If the stack changed while it was read.
    pub(super) fn frames(&mut self, task: u32) -> Option<io::Result<Vec<RawFrame>>> {
        let state = self.threads.get(&task)?;
        Some(self.walker.frames(&self.memory, state))
    }
}

fn layout(memory: &impl Memory, image: &Image, runtime: u64, path: &str) -> Result<Layout, LayoutError> {
    let words = memory.bytes(runtime, layout::DEBUG_OFFSETS).unwrap_or_default();
    if let Some(published) = Layout::published(&words) {
        return published;
    }
    let version = image
        .symbol(memory, "Py_Version")
        .ok()
        .flatten()
        .and_then(|address| memory.half(address).ok());
    match version {
        Some(version) => Layout::of_version((version >> 24, (version >> 16) & 255)),
        None => Layout::of_path(path),
    }
}

/// Returns the first address and the path of each mapped file, from the text of `/proc/<pid>/maps`.
fn images(maps: &str) -> impl Iterator<Item = (u64, &str)> {
    maps.lines().filter_map(|line| {
        let mut fields = line.splitn(6, ' ');
        let range = fields.next()?;
        let offset = fields.nth(1)?;
        let path = fields.nth(2)?.trim_start();
        let start = u64::from_str_radix(range.split_once('-')?.0, 16).ok()?;
        (offset.bytes().all(|byte| byte == b'0') && path.starts_with('/')).then_some((start, path))
    })
}

/// Returns a thread's id in the innermost pid namespace that it belongs to.
fn inner_id(pid: u32, task: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/task/{task}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Child, Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn maps_name_files_at_their_start() {
        let maps = "\
00400000-00452000 r--p 00000000 08:02 173521      /usr/bin/python3.11
00452000-00460000 r-xp 00052000 08:02 173521      /usr/bin/python3.11
7f1c00000000-7f1c00021000 rw-p 00000000 00:00 0
7f1c01000000-7f1c01021000 r--p 00000000 08:02 9   /app/with space/libpython3.9.so (deleted)
7ffe1000-7ffe2000 rw-p 00000000 00:00 0           [stack]
";
        let found: Vec<_> = images(maps).collect();
        assert_eq!(
            found,
            [
                (0x0040_0000, "/usr/bin/python3.11"),
                (0x7f1c_0100_0000, "/app/with space/libpython3.9.so (deleted)")
            ]
        );
    }

    /// A program that is inside `inner`, called by `Outer.method` on a known line, in its main thread and in another one.
    const PROGRAM: &str = "\
import sys, threading, time
def inner(seconds):
    print('ready', flush=True)
    time.sleep(seconds)

class Outer:
    def method(self):
        inner(
            60
        )

thread = threading.Thread(target=Outer().method, daemon=True)
thread.start()
Outer().method()
";

    struct Program(Child);

    impl Drop for Program {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn start(python: &str) -> Option<Program> {
        let child = Command::new(python)
            .args(["-c", PROGRAM])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut program = Program(child.ok()?);
        let lines = BufReader::new(program.0.stdout.take()?).lines();
        let ready = lines
            .map_while(Result::ok)
            .take(2)
            .filter(|line| line == "ready")
            .count();
        (ready == 2).then_some(program)
    }

    fn tasks(pid: u32) -> Vec<u32> {
        fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// Interpreters that this machine has, of each supported version.
    fn interpreters() -> Vec<String> {
        let on_path = (8..=14).map(|minor| format!("python3.{minor}"));
        let pyenv = std::env::var_os("HOME").map(|home| std::path::Path::new(&home).join(".pyenv/versions"));
        let installed = pyenv.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten();
        let installed = installed
            .filter_map(|entry| Some(entry.ok()?.path().join("bin/python3").to_str()?.to_owned()))
            .filter(|path| ["3.6", "3.7"].iter().all(|old| !path.contains(&format!("/{old}."))));
        on_path.chain(["python3".to_owned()]).chain(installed).collect()
    }

    #[test]
    fn stacks_of_every_installed_interpreter_are_read() {
        let mut tried = BTreeSet::new();
        for python in interpreters() {
            let Some(program) = start(&python) else {
                continue;
            };
            let pid = program.0.id();
            // The program may be started by a script that replaces itself.
            let mut interpreter = Interpreter::attach(pid).unwrap_or_else(|error| panic!("{python}: {error}"));
            let tasks = tasks(pid);
            assert_eq!(tasks.len(), 2, "{python}");
            interpreter.refresh(&tasks).unwrap();
            for task in tasks {
                let mut read = || {
                    interpreter
                        .frames(task)
                        .unwrap_or_else(|| panic!("{python}: no thread"))
                };
                // It prints before it sleeps.
                let until = Instant::now() + Duration::from_secs(20);
                while !matches!(&read(), Ok(frames) if frames[0].line == 4) && Instant::now() < until {
                    thread::sleep(Duration::from_millis(5));
                }
                let frames = read().unwrap();
                let version = interpreter.version().to_owned();
                let names: Vec<(&str, i32)> = frames.iter().map(|f| (f.function.as_str(), f.line)).collect();
                let has_qualified_names =
                    version.as_str() != "3.8" && version.as_str() != "3.9" && version.as_str() != "3.10";
                let method = if has_qualified_names { "Outer.method" } else { "method" };
                assert_eq!(names[0], ("inner", 4), "{python} {version}: {names:?}");
                assert_eq!(names[1].0, method, "{python} {version}: {names:?}");
                assert!((8..=10).contains(&names[1].1), "{python} {version}: {names:?}");
                assert_eq!(frames[1].first_line, 7, "{python} {version}");
                assert_eq!(frames[0].file, "<string>");
                if task == pid {
                    assert_eq!(names.last().unwrap().0, "<module>", "{python} {version}: {names:?}");
                }
                tried.insert(version);
            }
        }
        assert!(!tried.is_empty(), "no Python interpreter was found");
        println!("read stacks of Python {tried:?}");
    }

    #[test]
    fn processes_without_an_interpreter_are_refused() {
        let own = Interpreter::attach(std::process::id());
        assert!(matches!(own, Err(AttachError::NoPython { .. })), "{own:?}");
        let gone = Interpreter::attach(u32::MAX / 2).unwrap_err();
        assert!(matches!(gone, AttachError::Gone { .. }), "{gone}");
    }
}
