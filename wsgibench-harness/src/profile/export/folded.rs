//! Folded stacks: one line a stack, as flame graph tools read them.

use std::fmt::Write as _;

use super::{arms, nanoseconds};
use crate::profile::{Explanation, Frame};

/// Formats `case;arm;running;caller;function N`, with the nanoseconds per request of each stack.
#[must_use]
pub fn folded(explanation: &Explanation) -> String {
    let mut text = String::new();
    for (case, arm, profile) in arms(explanation) {
        profile.tree.stacks(|stack, node| {
            let names: Vec<String> = stack.iter().map(|frame| name(frame)).collect();
            for (state, time) in [("running", node.running), ("waiting", node.waiting)] {
                let time = nanoseconds(time);
                if time > 0 {
                    let _ = writeln!(text, "{};{arm};{state};{} {time}", plain(case), names.join(";"));
                }
            }
        });
    }
    text
}

fn name(frame: &Frame) -> String {
    plain(&frame.title())
}

/// Semicolons separate frames, line breaks stacks.
fn plain(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            ';' => ',',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stack_is_one_line() {
        let text = folded(&super::super::samples::explanation());
        let expected = "\
ping/one/c1;base;running;main (./app,x.py:3) 1500
ping/one/c1;base;running;main (./app,x.py:3);a,b \"<script> (./app,x.py:9) 2000
ping/one/c1;base;waiting;main (./app,x.py:3);a,b \"<script> (./app,x.py:9);[futex] 40000
ping/one/c1;candidate;running;main (./app,x.py:3) 1500
ping/one/c1;candidate;running;main (./app,x.py:3);a,b \"<script> (./app,x.py:9) 7250
ping/one/c1;candidate;waiting;main (./app,x.py:3);a,b \"<script> (./app,x.py:9);[futex] 40000
";
        assert_eq!(text, expected);
    }
}
