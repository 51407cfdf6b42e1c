//! Reads the memory of another process through `/proc/<pid>/mem`, without stopping it.

use std::{fs::File, io, os::unix::fs::FileExt as _};

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
