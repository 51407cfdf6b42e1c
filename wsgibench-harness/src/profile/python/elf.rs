//! Looks up symbols in a loaded ELF image, in the memory of its process.
//!
//! The dynamic symbol table is loaded with the program and survives `strip`, and needs no file: the image may be in a container
//! or deleted.

use std::io;

use super::memory::Memory;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
/// Size of a symbol.
const SYMBOL: u64 = 24;
/// Most entries of a table or chain that are read, so that damaged tables end.
const MOST: u32 = 100_000;

/// A loaded ELF image of 64 bits.
#[derive(Debug)]
pub(super) struct Image {
    bias: u64,
    strings: u64,
    symbols: u64,
    gnu_hash: Option<u64>,
    hash: Option<u64>,
}

impl Image {
    /// Reads the headers of the image that is mapped at an address; `None` if there is none of 64 bits with symbols.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub(super) fn read(memory: &impl Memory, start: u64) -> io::Result<Option<Self>> {
        let header = memory.bytes(start, 64)?;
        let is_elf64 =
            header.starts_with(b"\x7fELF\x02") && header[5] == if cfg!(target_endian = "big") { 2 } else { 1 };
        if !is_elf64 {
            return Ok(None);
        }
        let half = |at: usize| u64::from(u16::from_ne_bytes([header[at], header[at + 1]]));
        let table = start + memory.word(start + 32)?;
        let (size, count) = (half(54), half(56));
        let (mut bias, mut dynamic) = (None, None);
        for index in 0..count {
            let at = table + index * size;
            let (kind, offset, address) = (memory.half(at)?, memory.word(at + 8)?, memory.word(at + 16)?);
            match kind {
                PT_LOAD if offset == 0 => bias = Some(start.wrapping_sub(address)),
                PT_DYNAMIC => dynamic = Some(address),
                _ => {}
            }
        }
        let (Some(bias), Some(dynamic)) = (bias, dynamic) else {
            return Ok(None);
        };
        let dynamic = dynamic.wrapping_add(bias);
        let (mut strings, mut symbols, mut gnu_hash, mut hash) = (None, None, None, None);
        for index in 0..u64::from(MOST) {
            let (tag, value) = (
                memory.word(dynamic + index * 16)?,
                memory.word(dynamic + index * 16 + 8)?,
            );
            // The loader of glibc relocates these pointers, that of musl does not.
            let pointer = if value < bias { value.wrapping_add(bias) } else { value };
            match tag {
                0 => break,
                DT_STRTAB => strings = Some(pointer),
                DT_SYMTAB => symbols = Some(pointer),
                DT_GNU_HASH => gnu_hash = Some(pointer),
                DT_HASH => hash = Some(pointer),
                _ => {}
            }
        }
        Ok(strings.zip(symbols).map(|(strings, symbols)| Self {
            bias,
            strings,
            symbols,
            gnu_hash,
            hash,
        }))
    }

    /// Returns the address of a defined symbol.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub(super) fn symbol(&self, memory: &impl Memory, name: &str) -> io::Result<Option<u64>> {
        match (self.gnu_hash, self.hash) {
            (Some(table), _) => self.by_gnu_hash(memory, table, name),
            (None, Some(table)) => self.by_hash(memory, table, name),
            (None, None) => Ok(None),
        }
    }

    fn by_gnu_hash(&self, memory: &impl Memory, table: u64, name: &str) -> io::Result<Option<u64>> {
        let hash = gnu_hash(name);
        let (buckets, first, bloom) = (memory.half(table)?, memory.half(table + 4)?, memory.half(table + 8)?);
        if buckets == 0 {
            return Ok(None);
        }
        let bucket_table = table + 16 + u64::from(bloom) * 8;
        let chain_table = bucket_table + u64::from(buckets) * 4;
        let begin = memory.half(bucket_table + u64::from(hash % buckets) * 4)?;
        if begin < first {
            return Ok(None);
        }
        for index in begin..begin.saturating_add(MOST) {
            let stored = memory.half(chain_table + u64::from(index - first) * 4)?;
            if stored | 1 == hash | 1
                && let Some(address) = self.defined(memory, u64::from(index), name)?
            {
                return Ok(Some(address));
            }
            if stored & 1 == 1 {
                break;
            }
        }
        Ok(None)
    }

    fn by_hash(&self, memory: &impl Memory, table: u64, name: &str) -> io::Result<Option<u64>> {
        let symbols = u64::from(memory.half(table + 4)?).min(u64::from(MOST));
        for index in 0..symbols {
            if let Some(address) = self.defined(memory, index, name)? {
                return Ok(Some(address));
            }
        }
        Ok(None)
    }

    /// Returns the address of a symbol if it has this name and is defined here.
    fn defined(&self, memory: &impl Memory, index: u64, name: &str) -> io::Result<Option<u64>> {
        let at = self.symbols + index * SYMBOL;
        let (named, value) = (memory.half(at)?, memory.word(at + 8)?);
        let section = memory.half(at + 4)? >> 16;
        let text = memory.bytes(self.strings + u64::from(named), name.len() + 1);
        let same = text.is_ok_and(|text| text.split_last() == Some((&0, name.as_bytes())));
        Ok((same && section != 0).then(|| self.bias.wrapping_add(value)))
    }
}

/// The hash of `DT_GNU_HASH`.
fn gnu_hash(name: &str) -> u32 {
    name.bytes().fold(5_381, |hash: u32, byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::{super::memory::fake::FakeMemory, *};

    #[test]
    fn hash_is_that_of_the_gnu_linker() {
        assert_eq!(gnu_hash(""), 0x1505);
        assert_eq!(gnu_hash("printf"), 0x156b_2bb8);
        assert_eq!(gnu_hash("exit"), 0x7c96_7e3f);
    }

    /// An image with one program header table, dynamic section and a table of symbols, none of them relocated.
    fn image(hash_tag: u64, table: &[u32]) -> FakeMemory {
        let base = 0x10_0000;
        let mut memory = FakeMemory::default();
        memory.put(base, &[0; 0x1000]);
        memory.put(base, b"\x7fELF\x02\x01");
        memory.put_word(base + 32, 64);
        memory.put(base + 54, &[56, 0, 2, 0]);
        for (at, kind, address) in [(64, PT_LOAD, 0), (120, PT_DYNAMIC, 0x200)] {
            memory.put(base + at, &kind.to_ne_bytes());
            memory.put_word(base + at + 8, address);
            memory.put_word(base + at + 16, address);
        }
        for (index, (tag, value)) in [(DT_STRTAB, 0x300), (DT_SYMTAB, 0x400), (hash_tag, 0x500), (0, 0)]
            .into_iter()
            .enumerate()
        {
            memory.put_word(base + 0x200 + index as u64 * 16, tag);
            memory.put_word(base + 0x208 + index as u64 * 16, value);
        }
        memory.put(base + 0x300, b"\0exit\0exited\0");
        // Undefined `exited`, defined `exit`.
        for (index, (name, section, value)) in [(0_u32, 0_u16, 0_u64), (6, 0, 0), (1, 7, 0x77)].into_iter().enumerate()
        {
            let at = base + 0x400 + index as u64 * SYMBOL;
            memory.put(at, &name.to_ne_bytes());
            memory.put(at + 6, &section.to_ne_bytes());
            memory.put_word(at + 8, value);
        }
        for (index, word) in table.iter().enumerate() {
            memory.put(base + 0x500 + index as u64 * 4, &word.to_ne_bytes());
        }
        memory
    }

    #[test]
    fn symbols_are_found_by_either_hash_table() {
        // One bucket that begins at symbol 1, a filter of one word, and the chain of symbols 1 and 2.
        let chain = [1, 1, 1, 0, 0, 0, 1, gnu_hash("exited") & !1, gnu_hash("exit") | 1];
        for (tag, table) in [(DT_GNU_HASH, &chain[..]), (DT_HASH, &[1, 3][..])] {
            let memory = image(tag, table);
            let image = Image::read(&memory, 0x10_0000).unwrap().unwrap();
            assert_eq!(image.symbol(&memory, "exit").unwrap(), Some(0x10_0077), "{tag:#x}");
            assert_eq!(image.symbol(&memory, "exited").unwrap(), None, "undefined here");
            assert_eq!(image.symbol(&memory, "_PyRuntime").unwrap(), None);
        }
    }

    #[test]
    fn other_files_are_no_images() {
        let mut memory = FakeMemory::default();
        memory.put(0, &[0; 64]);
        assert!(Image::read(&memory, 0).unwrap().is_none());
        assert!(Image::read(&FakeMemory::default(), 0).is_err());
    }
}
