//! An incremental decoder of chunked transfer coding, with extensions and trailers.

use super::Malformed;

/// Maximum total size of chunk extensions and trailers in one response, bytes.
const EXTRAS_LIMIT: u32 = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// At the first digit of a size.
    SizeStart,
    /// In the digits of a size.
    Size,
    /// In whitespace after a size.
    Blank,
    /// In an extension, up to the end of the line.
    Extension,
    /// The line feed after a size line.
    SizeLf,
    /// In the data.
    Data,
    /// The carriage return after the data.
    DataCr,
    /// The line feed after the data.
    DataLf,
    /// At the start of a trailer line, or of the final empty line.
    TrailerStart,
    /// In a trailer line.
    Trailer,
    /// The line feed of a trailer line.
    TrailerLf,
    /// The last line feed.
    EndLf,
}

/// The state of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    step: Step,
    /// Size of the current chunk as parsed so far, then its remaining bytes.
    left: u64,
    /// Bytes of extensions and trailers so far.
    extras: u32,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            step: Step::SizeStart,
            left: 0,
            extras: 0,
        }
    }

    /// Decodes bytes and passes the content to `data`; returns the number of bytes consumed and whether the body is complete.
    pub(super) fn feed(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Result<(usize, bool), Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            if self.step == Step::Data {
                let rest = &bytes[at..];
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                data(&rest[..take]);
                self.left -= take as u64;
                at += take;
                if self.left == 0 {
                    self.step = Step::DataCr;
                }
                continue;
            }
            let byte = bytes[at];
            at += 1;
            if self.line_byte(byte)? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// Consumes one byte of the framing; returns true for the last byte of the body.
    fn line_byte(&mut self, byte: u8) -> Result<bool, Malformed> {
        self.step = match (self.step, byte) {
            (Step::SizeStart | Step::Size, digit) if digit.is_ascii_hexdigit() => {
                let value = u64::from(char::from(digit).to_digit(16).unwrap_or(0));
                self.left = self
                    .left
                    .checked_mul(16)
                    .and_then(|left| left.checked_add(value))
                    .ok_or(Malformed("a chunk size exceeds 64 bits"))?;
                Step::Size
            }
            (Step::Size | Step::Blank, b' ' | b'\t') => Step::Blank,
            (Step::Size | Step::Blank, b';') => Step::Extension,
            (Step::Size | Step::Blank | Step::Extension, b'\r') => Step::SizeLf,
            (Step::Extension, b'\n') => return Err(Malformed("a bare line feed in a chunk extension")),
            (Step::Extension, _) => {
                self.extra()?;
                Step::Extension
            }
            (Step::SizeLf, b'\n') if self.left == 0 => Step::TrailerStart,
            (Step::SizeLf, b'\n') => Step::Data,
            (Step::DataCr, b'\r') => Step::DataLf,
            (Step::DataLf, b'\n') => Step::SizeStart,
            (Step::TrailerStart, b'\r') => Step::EndLf,
            (Step::Trailer, b'\r') => Step::TrailerLf,
            (Step::TrailerStart | Step::Trailer, _) => {
                self.extra()?;
                Step::Trailer
            }
            (Step::TrailerLf, b'\n') => Step::TrailerStart,
            (Step::EndLf, b'\n') => return Ok(true),
            (Step::SizeStart | Step::Size | Step::Blank, _) => return Err(Malformed("a chunk size is not a number")),
            _ => return Err(Malformed("a chunk does not end where its size says")),
        };
        Ok(false)
    }

    fn extra(&mut self) -> Result<(), Malformed> {
        self.extras += 1;
        if self.extras > EXTRAS_LIMIT {
            return Err(Malformed("more than 16 KiB of chunk extensions and trailers"));
        }
        Ok(())
    }
}
