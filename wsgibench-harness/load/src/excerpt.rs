//! Excerpts of responses for error messages.

/// Characters of a response that an error message shows.
pub(crate) const SHOWN: usize = 200;
/// Longest text that [`shorten`] leaves as it is, characters: an excerpt with its status and length fits.
const SHORT: usize = 300;

/// Returns the first [`SHOWN`] characters of `bytes` as printable text, with the whole length where they were cut.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    // A character has at most four bytes; one that the cut splits is left out below.
    let start = &bytes[..bytes.len().min(SHOWN * 4)];
    let text = String::from_utf8_lossy(start);
    let shown: String = text.chars().take(SHOWN).map(printable).collect();
    if text.chars().nth(SHOWN).is_some() || start.len() < bytes.len() {
        return format!("{shown}... ({} bytes)", bytes.len());
    }
    shown
}

/// Cuts a long text to its first [`SHOWN`] characters and adds its length.
pub(crate) fn shorten(text: &str) -> String {
    if text.chars().nth(SHORT).is_none() {
        return text.to_owned();
    }
    excerpt(text.as_bytes())
}

/// Returns the first line of a response, at most [`SHOWN`] characters, quoted.
pub(crate) fn first_line(bytes: &[u8]) -> String {
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(0);
    let line = bytes[start..].split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    format!("\"{}\"", excerpt(&line[..line.len().min(SHOWN)]).escape_debug())
}

fn printable(character: char) -> char {
    if character.is_control() && !matches!(character, '\n' | '\t') {
        char::REPLACEMENT_CHARACTER
    } else {
        character
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_cut_to_200_characters_and_its_length_is_stated() {
        assert_eq!(excerpt(b"short"), "short");
        assert_eq!(excerpt(&[b'x'; 200]), "x".repeat(200));
        assert_eq!(
            excerpt(&vec![b'x'; 70_000]),
            format!("{}... (70000 bytes)", "x".repeat(200))
        );
        let wide = "\u{4e2d}".repeat(70_000);
        assert_eq!(
            excerpt(wide.as_bytes()),
            format!("{}... (210000 bytes)", "\u{4e2d}".repeat(200))
        );
        assert_eq!(shorten(&"y".repeat(300)), "y".repeat(300));
        assert_eq!(shorten(&"y".repeat(301)), format!("{}... (301 bytes)", "y".repeat(200)));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(excerpt(b"\x1b[31mred\x07\tx\n"), "\u{fffd}[31mred\u{fffd}\tx\n");
    }
}
