//! Walks the frames of a Python thread in the memory of its process.
//!
//! The process runs meanwhile, so a walk may meet a frame that has just been reused. The frames are therefore read by whole pages
//! before anything else: most stacks lie in one or two. A walk that does not end at the bottom of the stack, or meets a frame
//! without readable code, is discarded.

use std::{collections::HashMap, io};

use super::{
    layout::{Instruction, Layout, Top},
    memory::{Block, Memory, Snapshot},
};

/// Most walks for one sample.
const ATTEMPTS: usize = 3;
/// Most frames of a stack.
const MOST_FRAMES: usize = 600;
/// Most threads and interpreters of a process.
const MOST_THREADS: usize = 20_000;
/// Most characters of a name that are read.
const MOST_CHARACTERS: u64 = 400;
/// Most bytes of a line table.
const MOST_TABLE: u64 = 1 << 20;
/// Cached code objects, after which the cache starts again.
const CACHED: usize = 20_000;
/// Bytes of the C library's thread structure that are searched for the thread's id.
const THREAD_STRUCTURE: usize = 1_024;

/// A frame as the interpreter knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawFrame {
    /// Qualified name of the function where the interpreter has one, otherwise its name.
    pub function: String,
    /// Source file.
    pub file: String,
    /// Line that runs.
    pub line: i32,
    /// Line at which the function begins.
    pub first_line: i32,
}

/// A thread of the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThreadState {
    /// Address of its `PyThreadState`.
    pub(super) address: u64,
    /// Thread id in the innermost pid namespace.
    pub(super) native_id: u32,
}

/// The used parts of a code object.
#[derive(Clone, Debug)]
struct Code {
    filename: u64,
    name: u64,
    first_line: i32,
    function: String,
    file: String,
    table: Vec<u8>,
}

/// Reads the stacks of one interpreter, and remembers its code objects.
#[derive(Debug)]
pub(super) struct Walker {
    layout: Layout,
    runtime: u64,
    codes: HashMap<u64, Code>,
}

fn discard(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn at(address: u64, offset: usize) -> u64 {
    address.wrapping_add(offset as u64)
}

impl Walker {
    /// Creates a walker for the runtime at an address.
    pub(super) fn new(layout: Layout, runtime: u64) -> Self {
        Self {
            layout,
            runtime,
            codes: HashMap::new(),
        }
    }

    /// Returns the threads of all interpreters. `is_thread` returns whether a number is the id of a thread of the process; versions
    /// of Python without that id are searched for one.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub(super) fn threads(
        &self,
        memory: &impl Memory,
        is_thread: impl Fn(u32) -> bool,
    ) -> io::Result<Vec<ThreadState>> {
        let layout = &self.layout;
        let mut found = Vec::new();
        let mut interpreter = memory.word(at(self.runtime, layout.interpreters_head))?;
        let mut steps = 0;
        while interpreter != 0 && steps < MOST_THREADS {
            let mut thread = memory.word(at(interpreter, layout.threads_head))?;
            while thread != 0 && steps < MOST_THREADS {
                steps += 1;
                let native_id = match layout.native_thread_id {
                    Some(offset) => u32::try_from(memory.word(at(thread, offset))?).ok(),
                    None => thread_id(memory, memory.word(at(thread, layout.thread_id))?, &is_thread),
                };
                found.extend(native_id.map(|native_id| ThreadState {
                    address: thread,
                    native_id,
                }));
                thread = memory.word(at(thread, layout.thread_next))?;
            }
            interpreter = memory.word(at(interpreter, layout.interpreter_next))?;
            steps += 1;
        }
        Ok(found)
    }

    /// Returns the frames of a thread, innermost first; empty if it runs no Python code.
    ///
    /// A walk that fails is repeated at once. It then finds the thread some microseconds later, most often in the same caller:
    /// without that, code that calls short functions would have too few samples.
    ///
    /// # Errors
    /// If the stack changed while it was read, each time.
    pub(super) fn frames(&mut self, memory: &impl Memory, thread: &ThreadState) -> io::Result<Vec<RawFrame>> {
        let mut walked = self.walk(memory, thread);
        for _ in 1..ATTEMPTS {
            if walked.is_ok() {
                break;
            }
            walked = self.walk(memory, thread);
        }
        walked
    }

    fn walk(&mut self, memory: &impl Memory, thread: &ThreadState) -> io::Result<Vec<RawFrame>> {
        let frame_layout = self.layout.frame;
        let mut address = match self.layout.top {
            Top::Frame(offset) => memory.word(at(thread.address, offset))?,
            Top::Through { cframe, current } => {
                let cframe = memory.word(at(thread.address, cframe))?;
                memory.word(at(cframe, current))?
            }
        };
        let snapshot = Snapshot::of(memory);
        let mut running = Vec::new();
        for _ in 0..MOST_FRAMES {
            if address == 0 {
                return self.named(memory, &running);
            }
            let frame = Block::read(&snapshot, address, &frame_layout.fields())?;
            let previous = frame.word(frame_layout.previous);
            // Entry points from C have no code of their own.
            let is_entry = frame_layout.owner.is_some_and(|offset| frame.byte(offset) >= 3);
            if !is_entry {
                let code = frame.word(frame_layout.code) & !7;
                running.push((code, frame_layout.instruction.offset(&frame, code)));
            }
            if previous == address {
                return Err(discard("a frame that calls itself"));
            }
            address = previous;
        }
        Err(discard("a stack without an end"))
    }

    /// Returns the frames of these code objects and instructions.
    fn named(&mut self, memory: &impl Memory, running: &[(u64, i64)]) -> io::Result<Vec<RawFrame>> {
        let mut frames = Vec::with_capacity(running.len());
        for (code, instruction) in running {
            frames.extend(self.frame(memory, *code, *instruction)?);
        }
        Ok(frames)
    }

    /// Returns the frame of a code object; `None` for the interpreter's own shims.
    fn frame(&mut self, memory: &impl Memory, address: u64, instruction: i64) -> io::Result<Option<RawFrame>> {
        let layout = self.layout.code;
        let block = Block::read(memory, address, &layout.fields())?;
        let (filename, name) = (block.word(layout.filename), block.word(layout.name));
        let first_line = block.signed_half(layout.first_line);
        let known = self
            .codes
            .get(&address)
            .is_some_and(|code| code.filename == filename && code.name == name && code.first_line == first_line);
        if !known {
            let code = Code {
                filename,
                name,
                first_line,
                function: self.string(memory, name)?,
                file: self.string(memory, filename)?,
                table: self.table(memory, block.word(layout.line_table))?,
            };
            if self.codes.len() >= CACHED {
                self.codes.clear();
            }
            self.codes.insert(address, code);
        }
        let Some(code) = self.codes.get(&address) else {
            return Ok(None);
        };
        if code.file.is_empty() || code.file == "<shim>" || code.function == "<shim>" {
            return Ok(None);
        }
        let line = layout
            .lines
            .line(&code.table, first_line, instruction - layout.instructions);
        Ok(Some(RawFrame {
            function: code.function.clone(),
            file: code.file.clone(),
            line,
            first_line,
        }))
    }

    fn string(&self, memory: &impl Memory, address: u64) -> io::Result<String> {
        let layout = self.layout.string;
        let state = memory.half(at(address, layout.state))?;
        let length = memory.word(at(address, layout.length))?;
        let (kind, is_compact, is_ascii) = ((state >> 2) & 7, state & 32 != 0, state & 64 != 0);
        if !is_compact || !matches!(kind, 1 | 2 | 4) || length > u64::from(u32::MAX) {
            return Err(discard("a name that is no string"));
        }
        let data = at(address, if is_ascii { layout.ascii } else { layout.compact });
        let (shown, kind) = (length.min(MOST_CHARACTERS), u64::from(kind));
        let size = usize::try_from(shown * kind).map_err(|_| discard("a long name"))?;
        let bytes = memory.bytes(data, size)?;
        let mut text: String = match kind {
            1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            2 => char::decode_utf16(bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])))
                .map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
            _ => bytes
                .chunks_exact(4)
                .map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
                .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        };
        if length > shown {
            text.push('…');
        }
        Ok(text)
    }

    fn table(&self, memory: &impl Memory, address: u64) -> io::Result<Vec<u8>> {
        let layout = self.layout.bytes;
        let size = memory.word(at(address, layout.size))?;
        if size > MOST_TABLE {
            return Err(discard("a line table without an end"));
        }
        memory.bytes(at(address, layout.data), usize::try_from(size).unwrap_or(0))
    }
}

/// Finds the thread id in the C library's structure of a thread, to which the interpreter has a pointer (`pthread_t`).
fn thread_id(memory: &impl Memory, pthread: u64, is_thread: &impl Fn(u32) -> bool) -> Option<u32> {
    let read = |size: usize| memory.bytes(pthread, size).ok();
    // A page border may follow.
    let bytes = read(THREAD_STRUCTURE).or_else(|| read(THREAD_STRUCTURE / 2))?;
    let mut words = bytes
        .chunks_exact(4)
        .map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]));
    words.find(|word| *word > 0 && is_thread(*word))
}

impl Instruction {
    /// The offset of the running instruction from the code object or from its first instruction, bytes.
    fn offset(self, frame: &Block, code: u64) -> i64 {
        match self {
            Self::Bytes(at) => i64::from(frame.signed_half(at)),
            Self::Units(at) => i64::from(frame.signed_half(at)) * 2,
            Self::Pointer(at) => frame.word(at).wrapping_sub(code).cast_signed(),
        }
    }
}
