//! Reads the memory of another process through `/proc/<pid>/mem`, without stopping it.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt as _};

/// The memory of a process.
pub(super) trait Memory {
    /// Fills `buffer` from an address.
    ///
    /// # Errors
    /// If a part is not mapped, or the process has ended.
    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Reads so many bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn bytes(&self, address: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; count];
        self.read(address, &mut buffer)?;
        Ok(buffer)
    }

    /// Reads a 64-bit word in the machine's byte order.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn word(&self, address: u64) -> io::Result<u64> {
        let mut buffer = [0; 8];
        self.read(address, &mut buffer)?;
        Ok(u64::from_ne_bytes(buffer))
    }

    /// Reads a 32-bit word in the machine's byte order.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn half(&self, address: u64) -> io::Result<u32> {
        let mut buffer = [0; 4];
        self.read(address, &mut buffer)?;
        Ok(u32::from_ne_bytes(buffer))
    }
}

/// `/proc/<pid>/mem`.
#[derive(Debug)]
pub(super) struct ProcessMemory(File);

impl ProcessMemory {
    /// Opens the memory of a process.
    ///
    /// # Errors
    /// `PermissionDenied` if this process may not trace it; `NotFound` if it has ended.
    pub(super) fn open(pid: u32) -> io::Result<Self> {
        File::open(format!("/proc/{pid}/mem")).map(Self)
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, address)
    }
}

/// Bytes of a page.
const PAGE: usize = 4_096;

/// Pages of another memory as they were when they were first read, so that neighbouring structures belong to nearly one moment.
#[derive(Debug)]
pub(super) struct Snapshot<'a, M> {
    memory: &'a M,
    pages: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl<'a, M: Memory> Snapshot<'a, M> {
    /// Creates a snapshot without pages.
    pub(super) fn of(memory: &'a M) -> Self {
        Self {
            memory,
            pages: RefCell::default(),
        }
    }

    /// Copies the part of `buffer` that lies in the page at `page`.
    fn copy(page: u64, bytes: &[u8], address: u64, buffer: &mut [u8]) {
        for (at, byte) in (address..).zip(buffer) {
            let index = at.checked_sub(page).and_then(|offset| usize::try_from(offset).ok());
            if let Some(read) = index.and_then(|index| bytes.get(index)) {
                *byte = *read;
            }
        }
    }
}

impl<M: Memory> Memory for Snapshot<'_, M> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        let last = address.wrapping_add((buffer.len() as u64).saturating_sub(1));
        let mut pages = self.pages.borrow_mut();
        for page in [address, last].map(|address| address - address % PAGE as u64) {
            if pages.iter().any(|(known, _)| *known == page) {
                continue;
            }
            match self.memory.bytes(page, PAGE) {
                Ok(bytes) => pages.push((page, bytes)),
                Err(_) => return self.memory.read(address, buffer),
            }
        }
        for (page, bytes) in pages.iter() {
            Self::copy(*page, bytes, address, buffer);
        }
        Ok(())
    }
}

/// A structure read at once: its fields belong to one moment.
#[derive(Debug)]
pub(super) struct Block(Vec<u8>);

impl Block {
    /// Reads a structure up to the end of the last of these 8-byte fields.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub(super) fn read(memory: &impl Memory, address: u64, fields: &[usize]) -> io::Result<Self> {
        let size = fields.iter().max().map_or(0, |last| last + 8);
        memory.bytes(address, size).map(Self)
    }

    /// The 64-bit field at an offset.
    pub(super) fn word(&self, offset: usize) -> u64 {
        self.0
            .get(offset..offset + 8)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_ne_bytes)
    }

    /// The signed 32-bit field at an offset.
    pub(super) fn signed_half(&self, offset: usize) -> i32 {
        self.0
            .get(offset..offset + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, i32::from_ne_bytes)
    }

    /// The byte at an offset.
    pub(super) fn byte(&self, offset: usize) -> u8 {
        self.0.get(offset).copied().unwrap_or(0)
    }
}

/// Memory of tests: bytes at addresses.
#[cfg(test)]
pub(super) mod fake {
    use std::{collections::BTreeMap, io};

    use super::Memory;

    #[derive(Debug, Default)]
    pub(in crate::profile::python) struct FakeMemory(pub(in crate::profile::python) BTreeMap<u64, u8>);

    impl FakeMemory {
        pub(in crate::profile::python) fn put(&mut self, address: u64, bytes: &[u8]) {
            let numbered = bytes.iter().zip(address..);
            self.0.extend(numbered.map(|(byte, address)| (address, *byte)));
        }

        pub(in crate::profile::python) fn put_word(&mut self, address: u64, word: u64) {
            self.put(address, &word.to_ne_bytes());
        }
    }

    impl Memory for FakeMemory {
        fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
            for (byte, address) in buffer.iter_mut().zip(address..) {
                *byte = *self
                    .0
                    .get(&address)
                    .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{fake::FakeMemory, *};

    /// Address of a page.
    const START: u64 = PAGE as u64;

    /// Memory that changes after each read.
    struct Changing(Cell<u8>);

    impl Memory for Changing {
        fn read(&self, _: u64, buffer: &mut [u8]) -> io::Result<()> {
            buffer.fill(self.0.get());
            self.0.set(self.0.get() + 1);
            Ok(())
        }
    }

    #[test]
    fn a_snapshot_keeps_the_first_state_of_each_page() {
        let memory = Changing(Cell::new(1));
        let snapshot = Snapshot::of(&memory);
        let read = |address: u64| snapshot.bytes(address, 4).unwrap();
        assert_eq!(read(START), [1; 4]);
        assert_eq!(read(2 * START - 4), [1; 4]);
        assert_eq!(read(2 * START - 2), [1, 1, 2, 2]);
        assert_eq!(read(3 * START), [3; 4]);
        assert_eq!(read(START + 8), [1; 4]);
    }

    #[test]
    fn a_page_that_is_not_readable_as_a_whole_is_read_in_part() {
        let mut memory = FakeMemory::default();
        memory.put_word(START + 16, 7);
        let snapshot = Snapshot::of(&memory);
        assert_eq!(snapshot.word(START + 16).unwrap(), 7);
        assert!(snapshot.word(START).is_err());
    }
}
