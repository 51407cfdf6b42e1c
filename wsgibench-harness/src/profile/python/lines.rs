//! Line tables of code objects: which line an instruction belongs to.

/// The format of a line table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineTable {
    /// Pairs of bytes, `co_lnotab`: Python 3.8 and 3.9.
    Lnotab,
    /// Pairs of bytes, `co_linetable` of Python 3.10.
    Pairs,
    /// Locations, `co_linetable` from Python 3.11 on.
    Locations,
}

impl LineTable {
    /// Returns the line of the instruction at a byte offset, `first` for one before the table or without a line.
    pub(super) fn line(self, table: &[u8], first: i32, offset: i64) -> i32 {
        match self {
            Self::Lnotab => lnotab(table, first, offset),
            Self::Pairs => pairs(table, first, offset),
            Self::Locations => locations(table, first, offset),
        }
    }
}

fn lnotab(table: &[u8], first: i32, offset: i64) -> i32 {
    let (mut line, mut start) = (first, 0_i64);
    for pair in table.chunks_exact(2) {
        start += i64::from(pair[0]);
        if start > offset {
            break;
        }
        line += i32::from(pair[1].cast_signed());
    }
    line
}

fn pairs(table: &[u8], first: i32, offset: i64) -> i32 {
    let (mut line, mut end) = (first, 0_i64);
    for pair in table.chunks_exact(2) {
        let delta = pair[1].cast_signed();
        let no_line = delta == i8::MIN;
        if !no_line {
            line += i32::from(delta);
        }
        end += i64::from(pair[0]);
        if offset < end {
            return line;
        }
    }
    line
}

fn locations(table: &[u8], first: i32, offset: i64) -> i32 {
    let mut bytes = table.iter().copied();
    let (mut line, mut end) = (first, 0_i64);
    let mut seen = first;
    while let Some(head) = bytes.next() {
        let code = (head >> 3) & 15;
        end += (i64::from(head & 7) + 1) * 2;
        let has_line = code != 15;
        match code {
            15 => {}
            14 => {
                line = line.saturating_add(signed(&mut bytes));
                for _ in 0..3 {
                    varint(&mut bytes);
                }
            }
            13 => line = line.saturating_add(signed(&mut bytes)),
            10..=12 => {
                line = line.saturating_add(i32::from(code - 10));
                bytes.nth(1);
            }
            _ => {
                bytes.next();
            }
        }
        if has_line {
            seen = line;
        }
        if offset < end {
            break;
        }
    }
    seen
}

fn varint(bytes: &mut impl Iterator<Item = u8>) -> u32 {
    let (mut value, mut shift) = (0_u32, 0);
    for byte in bytes {
        value |= u32::from(byte & 63).checked_shl(shift).unwrap_or(0);
        shift += 6;
        if byte & 64 == 0 {
            break;
        }
    }
    value
}

fn signed(bytes: &mut impl Iterator<Item = u8>) -> i32 {
    let value = varint(bytes);
    let size = (value >> 1).cast_signed();
    if value & 1 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lnotab_adds_up_pairs() {
        // Line 10 until byte 4, then 12, then back to 11.
        let table = [0, 0, 4, 2, 6, 0xff];
        let line = |offset| LineTable::Lnotab.line(&table, 10, offset);
        assert_eq!([line(-1), line(0), line(4), line(9), line(10)], [10, 10, 12, 12, 11]);
    }

    #[test]
    fn pairs_end_where_the_next_begins() {
        let table = [4, 0, 6, 2, 2, 0x80, 4, 0xff];
        let line = |offset| LineTable::Pairs.line(&table, 10, offset);
        assert_eq!([line(0), line(3), line(4), line(10), line(12)], [10, 10, 12, 12, 11]);
    }

    #[test]
    fn locations_of_every_form() {
        let table = [
            0x80 | 11 << 3, // one line further, one instruction, two columns
            1,
            2,
            0x80 | 3 << 3 | 1, // the same line, two instructions
            0,
            0x80 | 13 << 3, // three lines back, without columns
            0b00_0111,
            0x80 | 15 << 3, // no line
            0x80 | 14 << 3, // 40 lines further
            0x40 | 16,
            1,
            0,
            0,
            0,
        ];
        let line = |offset| LineTable::Locations.line(&table, 10, offset);
        assert_eq!(
            [line(0), line(2), line(5), line(6), line(8), line(10)],
            [11, 11, 11, 8, 8, 48]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_tables_end(table in proptest::collection::vec(any::<u8>(), 0..200), first in 0..100_000, offset in -9_i64..9_999) {
            for form in [LineTable::Lnotab, LineTable::Pairs, LineTable::Locations] {
                form.line(&table, first, offset);
            }
        }
    }
}
