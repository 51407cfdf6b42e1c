//! Lines that fit, from text that may hold anything.

use console::measure_text_width;

/// Columns of the widest line.
pub const WIDTH: usize = 100;

/// Column at which figures begin, as in criterion.
pub(super) const INDENT: usize = 24;

/// Text of a server, a log or a user on one line: control characters (and with them escape sequences) become spaces.
pub(in crate::report) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Cut to `width` columns, with an ellipsis in place of the middle: both ends of an id say something.
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

/// Text in lines of at most [`WIDTH`] columns: the first begins with `label`, the others are indented as far.
pub(in crate::report) fn wrapped(label: &str, text: &str) -> String {
    let indent = measure_text_width(label);
    let room = WIDTH.saturating_sub(indent).max(20);
    let mut lines: Vec<String> = vec![String::new()];
    for word in plain(text).split_whitespace() {
        let mut word = word.to_owned();
        loop {
            let line = lines.last_mut().expect("there is always a line");
            let gap = usize::from(!line.is_empty());
            if measure_text_width(line) + gap + measure_text_width(&word) <= room {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(&word);
                break;
            }
            if !line.is_empty() {
                lines.push(String::new());
                continue;
            }
            // A word longer than a line is broken, as there is no better place.
            let part = take_columns(word.chars(), room);
            word = word[part.len()..].to_owned();
            line.push_str(&part);
            lines.push(String::new());
        }
    }
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let start = if index == 0 {
            label.to_owned()
        } else {
            " ".repeat(indent)
        };
        text.push_str(format!("{start}{line}").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wider_than_the_page() {
        let long = "x".repeat(300);
        for text in [long.as_str(), "a b c", "", &"wörter und 漢字 ".repeat(30)] {
            for line in wrapped("  note: ", text).lines() {
                assert!(measure_text_width(line) <= WIDTH, "{line}");
            }
            assert!(measure_text_width(&cut(text, 22)) <= 22);
        }
    }

    #[test]
    fn escape_sequences_of_a_server_do_not_reach_the_terminal() {
        assert!(!wrapped("", "\u{1b}[31mred\u{7}\r\n").contains(['\u{1b}', '\u{7}', '\r']));
        assert_eq!(cut("a\nb", 10), "a b");
    }
}
