//! Layouts of the interpreter's structures on 64-bit machines.
//!
//! From Python 3.13 on, an interpreter publishes them in its own memory (`_Py_DebugOffsets`); only where they stand differs by
//! version. Those of earlier versions were computed with `offsetof` from the headers of 3.8.18, 3.9.18, 3.10.13, 3.11.7 and
//! 3.12.1, and are taken to hold for all maintenance releases: a walk that finds anything else than frames with readable code is
//! discarded, and counted as such.

use super::lines::LineTable;

/// Size of the part of `_Py_DebugOffsets` that is read, bytes.
pub(super) const DEBUG_OFFSETS: usize = 81 * 8;
/// First bytes of `_Py_DebugOffsets`.
const COOKIE: &[u8] = b"xdebugpy";

/// Why there is no layout.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// No layout of this version is known.
    #[error("Python {major}.{minor} is not supported: its stacks can be read from 3.8 to 3.14")]
    Version {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
    },
    /// A build without the global interpreter lock.
    #[error("free-threaded Python is not supported: its stacks cannot be read")]
    FreeThreaded,
    /// The version could not be determined.
    #[error("failed to determine the version of Python from `{path}`")]
    Unknown {
        /// The file that has the interpreter.
        path: String,
    },
}

/// Offsets of one version, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) minor: u32,
    /// In the runtime: the first interpreter.
    pub(super) interpreters_head: usize,
    /// In an interpreter: the next one.
    pub(super) interpreter_next: usize,
    /// In an interpreter: the first thread.
    pub(super) threads_head: usize,
    /// In a thread: the next one.
    pub(super) thread_next: usize,
    /// In a thread: the C library's id.
    pub(super) thread_id: usize,
    /// In a thread: the kernel's id, where the version has it.
    pub(super) native_thread_id: Option<usize>,
    /// The innermost frame.
    pub(super) top: Top,
    pub(super) frame: FrameLayout,
    pub(super) code: CodeLayout,
    pub(super) string: StringLayout,
    pub(super) bytes: BytesLayout,
}

/// Where a thread has its innermost frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Top {
    /// A pointer in the thread.
    Frame(usize),
    /// A pointer in the structure that the thread points to.
    Through { cframe: usize, current: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameLayout {
    pub(super) previous: usize,
    pub(super) code: usize,
    pub(super) instruction: Instruction,
    /// A byte that is 3 or more for entries from C.
    pub(super) owner: Option<usize>,
}

/// Where a frame has the running instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    /// Bytes from the first instruction.
    Bytes(usize),
    /// Instructions of two bytes from the first one.
    Units(usize),
    /// An address in the code object.
    Pointer(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodeLayout {
    pub(super) filename: usize,
    pub(super) name: usize,
    pub(super) line_table: usize,
    pub(super) first_line: usize,
    /// Offset of the first instruction, if instructions are addresses.
    pub(super) instructions: i64,
    pub(super) lines: LineTable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StringLayout {
    pub(super) length: usize,
    pub(super) state: usize,
    /// Characters of an ASCII string.
    pub(super) ascii: usize,
    /// Characters of another one.
    pub(super) compact: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BytesLayout {
    pub(super) size: usize,
    pub(super) data: usize,
}

const BYTES: BytesLayout = BytesLayout { size: 16, data: 32 };
/// Strings up to 3.11.
const STRING: StringLayout = StringLayout {
    length: 16,
    state: 32,
    ascii: 48,
    compact: 72,
};

impl FrameLayout {
    /// Fields to be read at once.
    pub(super) fn fields(&self) -> [usize; 4] {
        let instruction = match self.instruction {
            Instruction::Bytes(at) | Instruction::Units(at) | Instruction::Pointer(at) => at,
        };
        [self.previous, self.code, instruction, self.owner.unwrap_or(0)]
    }
}

impl CodeLayout {
    /// Fields to be read at once.
    pub(super) fn fields(&self) -> [usize; 4] {
        [self.filename, self.name, self.line_table, self.first_line]
    }
}

impl Layout {
    /// `3.11`.
    pub(super) fn version(&self) -> String {
        format!("3.{}", self.minor)
    }

    /// Returns the layout of a version (major, minor) that does not publish its own.
    pub(super) fn of_version((major, minor): (u32, u32)) -> Result<Self, LayoutError> {
        match (major, minor) {
            (3, 8..=10) => Ok(Self::linked_frames(minor)),
            (3, 11) => Ok(Self {
                minor,
                interpreters_head: 40,
                interpreter_next: 0,
                threads_head: 16,
                thread_next: 8,
                thread_id: 152,
                native_thread_id: Some(160),
                top: Top::Through { cframe: 56, current: 8 },
                frame: FrameLayout {
                    previous: 48,
                    code: 32,
                    instruction: Instruction::Pointer(56),
                    owner: Some(69),
                },
                code: CodeLayout {
                    filename: 112,
                    name: 128,
                    line_table: 136,
                    first_line: 72,
                    instructions: 184,
                    lines: LineTable::Locations,
                },
                string: STRING,
                bytes: BYTES,
            }),
            (3, 12) => Ok(Self {
                minor,
                interpreters_head: 40,
                interpreter_next: 0,
                threads_head: 72,
                thread_next: 8,
                thread_id: 136,
                native_thread_id: Some(144),
                top: Top::Through { cframe: 56, current: 0 },
                frame: FrameLayout {
                    previous: 8,
                    code: 0,
                    instruction: Instruction::Pointer(56),
                    owner: Some(70),
                },
                code: CodeLayout {
                    filename: 112,
                    name: 128,
                    line_table: 136,
                    first_line: 68,
                    instructions: 192,
                    lines: LineTable::Locations,
                },
                string: StringLayout {
                    ascii: 40,
                    compact: 56,
                    ..STRING
                },
                bytes: BYTES,
            }),
            _ => Err(LayoutError::Version { major, minor }),
        }
    }

    /// Python 3.8 to 3.10: frames are objects linked by `f_back`.
    fn linked_frames(minor: u32) -> Self {
        Self {
            minor,
            interpreters_head: 32,
            interpreter_next: 0,
            threads_head: 8,
            thread_next: 8,
            thread_id: 176,
            native_thread_id: None,
            top: Top::Frame(24),
            frame: FrameLayout {
                previous: 24,
                code: 32,
                instruction: if minor == 10 {
                    Instruction::Units(96)
                } else {
                    Instruction::Bytes(104)
                },
                owner: None,
            },
            code: CodeLayout {
                filename: 104,
                name: 112,
                line_table: 120,
                first_line: 40,
                instructions: 0,
                lines: if minor == 10 {
                    LineTable::Pairs
                } else {
                    LineTable::Lnotab
                },
            },
            string: STRING,
            bytes: BYTES,
        }
    }

    /// Returns the layout of the version in the name of the interpreter's file: `libpython3.9.so.1.0`, `python3.9`.
    pub(super) fn of_path(path: &str) -> Result<Self, LayoutError> {
        let unknown = || LayoutError::Unknown { path: path.to_owned() };
        let (_, rest) = path.rsplit_once("python3.").ok_or_else(unknown)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let minor = rest[..digits].parse().map_err(|_| unknown())?;
        Self::of_version((3, minor))
    }

    /// Parses `_Py_DebugOffsets`; `None` if the runtime does not begin with them.
    pub(super) fn published(words: &[u8]) -> Option<Result<Self, LayoutError>> {
        if !words.starts_with(COOKIE) {
            return None;
        }
        let word = |index: usize| -> u64 {
            let bytes = words.get(index * 8..index * 8 + 8);
            bytes
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u64::from_ne_bytes)
        };
        // PY_VERSION_HEX.
        let (major, minor) = ((word(1) >> 24) & 255, (word(1) >> 16) & 255);
        let positions = match (major, minor) {
            (3, 13) => Positions::PYTHON_3_13,
            (3, 14) => Positions::PYTHON_3_14,
            _ => {
                let number = |part: u64| u32::try_from(part).unwrap_or(0);
                return Some(Err(LayoutError::Version {
                    major: number(major),
                    minor: number(minor),
                }));
            }
        };
        if word(2) != 0 {
            return Some(Err(LayoutError::FreeThreaded));
        }
        let at = |index: usize| usize::try_from(word(index)).unwrap_or(0);
        Some(Ok(Self {
            minor: u32::try_from(minor).unwrap_or(0),
            interpreters_head: at(5),
            interpreter_next: at(8),
            threads_head: at(9),
            thread_next: at(positions.thread + 2),
            thread_id: at(positions.thread + 5),
            native_thread_id: Some(at(positions.thread + 6)),
            top: Top::Frame(at(positions.thread + 4)),
            frame: FrameLayout {
                previous: at(positions.frame + 1),
                code: at(positions.frame + 2),
                instruction: Instruction::Pointer(at(positions.frame + 3)),
                owner: Some(at(positions.frame + 5)),
            },
            code: CodeLayout {
                filename: at(positions.code + 1),
                name: at(positions.code + 3),
                line_table: at(positions.code + 4),
                first_line: at(positions.code + 5),
                instructions: i64::try_from(word(positions.code + 9)).unwrap_or(0),
                lines: LineTable::Locations,
            },
            string: StringLayout {
                state: at(positions.unicode + 1),
                length: at(positions.unicode + 2),
                ascii: at(positions.unicode + 3),
                // The length of the UTF-8 form and a pointer to it.
                compact: at(positions.unicode + 3) + 16,
            },
            bytes: BytesLayout {
                size: at(positions.bytes + 1),
                data: at(positions.bytes + 2),
            },
        }))
    }
}

/// Indexes of the words at which the parts of `_Py_DebugOffsets` begin; each begins with a size.
#[derive(Clone, Copy, Debug)]
struct Positions {
    thread: usize,
    frame: usize,
    code: usize,
    bytes: usize,
    unicode: usize,
}

impl Positions {
    const PYTHON_3_13: Self = Self {
        thread: 19,
        frame: 28,
        code: 34,
        bytes: 64,
        unicode: 67,
    };
    const PYTHON_3_14: Self = Self {
        thread: 22,
        frame: 31,
        code: 39,
        bytes: 74,
        unicode: 77,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_paths() {
        let minor = |path: &str| Layout::of_path(path).map(|layout| layout.minor);
        assert_eq!(minor("/usr/lib/x86_64-linux-gnu/libpython3.9.so.1.0"), Ok(9));
        assert_eq!(minor("/opt/python3.8/bin/python3.10"), Ok(10));
        assert_eq!(
            minor("/usr/bin/python3.7m"),
            Err(LayoutError::Version { major: 3, minor: 7 })
        );
        assert!(matches!(minor("/usr/bin/python3"), Err(LayoutError::Unknown { .. })));
        assert!(matches!(minor("/usr/bin/python3.x"), Err(LayoutError::Unknown { .. })));
    }

    fn debug_offsets(version: u64, free_threaded: u64) -> Vec<u8> {
        let mut bytes = COOKIE.to_vec();
        bytes.extend(version.to_ne_bytes());
        bytes.extend(free_threaded.to_ne_bytes());
        bytes.extend((3..81_u64).flat_map(u64::to_ne_bytes));
        bytes
    }

    #[test]
    fn published_offsets_are_read_by_version() {
        let read = |version, free| Layout::published(&debug_offsets(version, free)).unwrap();
        let old = read(0x030d_00f0, 0).unwrap();
        assert_eq!((old.minor, old.thread_next, old.top), (13, 21, Top::Frame(23)));
        assert_eq!((old.frame.previous, old.frame.code, old.code.line_table), (29, 30, 38));
        assert_eq!((old.bytes.size, old.string.state, old.string.ascii), (65, 68, 70));
        let new = read(0x030e_00f0, 0).unwrap();
        assert_eq!((new.minor, new.thread_next, new.code.instructions), (14, 24, 48));
        assert_eq!((new.bytes.data, new.string.length), (76, 79));
        assert_eq!(read(0x030d_00f0, 1), Err(LayoutError::FreeThreaded));
        assert_eq!(read(0x0310_00f0, 0), Err(LayoutError::Version { major: 3, minor: 16 }));
        assert!(Layout::published(b"something").is_none());
        // A structure that ends early is no reason to panic.
        assert!(Layout::published(COOKIE).unwrap().is_err());
    }
}
