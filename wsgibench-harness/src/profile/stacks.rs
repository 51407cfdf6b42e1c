//! Stacks of single threads of a Python process, for observers other than the sampler.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
};

use super::{
    place,
    python::{Interpreter, RawFrame},
    sampler::{folder, shortened},
};

/// The stacks of a process.
#[derive(Debug)]
pub(crate) struct Stacks {
    interpreter: Interpreter,
    folder: String,
}

/// Python frames of a thread, innermost first.
#[derive(Debug, Default)]
pub(crate) struct Stack(Vec<RawFrame>);

impl Stacks {
    /// Finds the interpreter of a process; `None` if there is none, or it may not be read.
    pub(crate) fn attach(pid: u32) -> Option<Self> {
        Some(Self {
            interpreter: Interpreter::attach(pid).ok()?,
            folder: folder(pid),
        })
    }

    /// Reads the list of threads again; `tasks` are the thread ids of the process.
    ///
    /// # Errors
    /// If the list changed while it was read, or the process now runs another program.
    pub(crate) fn refresh(&mut self, tasks: &[u32]) -> io::Result<()> {
        self.interpreter.refresh(tasks)
    }

    /// Returns the stack of a thread; empty if it runs no Python code, `None` if it changed while it was read.
    pub(crate) fn of(&mut self, task: u32) -> Option<Stack> {
        match self.interpreter.frames(task) {
            Some(frames) => Some(Stack(frames.ok()?)),
            None => Some(Stack::default()),
        }
    }

    /// Returns function, file and line of the innermost frame outside of the standard library, or else of the innermost.
    pub(crate) fn place(&self, stack: &Stack) -> String {
        let portable = |frame: &RawFrame| place::portable(&frame.file, &self.folder);
        let own = |frame: &&RawFrame| place::package(&portable(frame)) != place::STANDARD_LIBRARY;
        let frame = stack.0.iter().find(own).or(stack.0.first());
        frame.map_or_else(String::new, |frame| {
            format!(
                "{} {}:{}",
                shortened(&frame.function),
                shortened(&portable(frame)),
                frame.line
            )
        })
    }
}

impl Stack {
    /// Identifies the functions of the stack, whatever their lines; `None` without any.
    pub(crate) fn key(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        for frame in &self.0 {
            (&frame.function, &frame.file).hash(&mut hasher);
        }
        (!self.0.is_empty()).then(|| hasher.finish())
    }
}
