//! Sanitizing, shortening and wrapping of untrusted text.

use console::measure_text_width;
use textwrap::{Options, WordSeparator, WordSplitter};

/// Maximum columns of a line.
pub const WIDTH: usize = 100;

/// Column at which figures begin, as in Criterion.
pub(super) const INDENT: usize = 24;

/// Replaces control characters (and thereby escape sequences) in text of a server, log or user with spaces, on one line.
pub(in crate::report) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Cuts text to `width` columns with an ellipsis in the middle, since both ends of an id are informative.
pub(super) fn cut(text: &str, width: usize) -> String {
    let text = plain(text);
    if measure_text_width(&text) <= width {
        return text;
    }
    let half = (width - 1) / 2;
    let head: String = take_columns(text.chars(), width - 1 - half);
    let tail: String = take_columns(text.chars().rev(), half).chars().rev().collect();
    format!("{head}…{tail}")
}

fn take_columns(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut taken = String::new();
    for c in chars {
        taken.push(c);
        if measure_text_width(&taken) > columns {
            taken.pop();
            break;
        }
    }
    taken
}

/// Wraps text into lines of at most [`WIDTH`] columns: the first begins with `label`, the others are indented to match.
pub(in crate::report) fn wrapped(label: &str, text: &str) -> String {
    let indent = measure_text_width(label);
    let spaces = " ".repeat(indent);
    // A long label still leaves space for words.
    let options = Options::new(WIDTH.max(indent + 20))
        .initial_indent(label)
        .subsequent_indent(&spaces)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    let text = plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = String::new();
    for line in textwrap::wrap(&text, options) {
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_the_page_width() {
        let long = "x".repeat(300);
        for text in [long.as_str(), "a b c", "", &"wörter und 漢字 ".repeat(30)] {
            for line in wrapped("  note: ", text).lines() {
                assert!(measure_text_width(line) <= WIDTH, "{line}");
            }
            assert!(measure_text_width(&cut(text, 22)) <= 22);
        }
    }

    #[test]
    fn escape_sequences_are_removed() {
        assert!(!wrapped("", "\u{1b}[31mred\u{7}\r\n").contains(['\u{1b}', '\u{7}', '\r']));
        assert_eq!(cut("a\nb", 10), "a b");
    }
}
