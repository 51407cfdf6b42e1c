//! Stacks merged into a tree, as flame graphs and exports need them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Frame;

/// Share of the whole below which a branch is folded into its parent.
const LEAST_SHARE: f64 = 0.000_2;

/// A tree of stacks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// Frames that nodes refer to.
    pub frames: Vec<Frame>,
    /// Nodes; each stands after its parent.
    pub nodes: Vec<Node>,
}

/// A frame in its context.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(i64, u32, f64, f64)", into = "(i64, u32, f64, f64)")]
pub struct Node {
    /// Index of the caller; `None` for an outermost frame.
    pub parent: Option<u32>,
    /// Index of the frame.
    pub frame: u32,
    /// Microseconds per request that the frame itself runs.
    pub running: f64,
    /// Microseconds per request that the frame itself waits, summed over threads.
    pub waiting: f64,
}

impl From<Node> for (i64, u32, f64, f64) {
    fn from(node: Node) -> Self {
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        (
            node.parent.map_or(-1, i64::from),
            node.frame,
            rounded(node.running),
            rounded(node.waiting),
        )
    }
}

impl From<(i64, u32, f64, f64)> for Node {
    fn from((parent, frame, running, waiting): (i64, u32, f64, f64)) -> Self {
        Self {
            parent: u32::try_from(parent).ok(),
            frame,
            running,
            waiting,
        }
    }
}

/// A stack with its times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightedStack<'a> {
    /// Frames, outermost first.
    pub frames: &'a [&'a Frame],
    /// Microseconds per request on a CPU.
    pub running: f64,
    /// Microseconds per request of waiting.
    pub waiting: f64,
}

/// Merges stacks into a tree.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    tree: Tree,
    frames: HashMap<Frame, u32>,
    children: HashMap<(Option<u32>, u32), u32>,
}

impl TreeBuilder {
    /// Adds a stack.
    pub fn add(&mut self, stack: &WeightedStack<'_>) {
        let mut parent = None;
        for frame in stack.frames {
            let next = number(self.tree.frames.len());
            let known = self.frames.get(*frame).copied();
            let frame = known.unwrap_or_else(|| {
                self.frames.insert((*frame).clone(), next);
                self.tree.frames.push((*frame).clone());
                next
            });
            let next = number(self.tree.nodes.len());
            let node = *self.children.entry((parent, frame)).or_insert(next);
            if node == next {
                self.tree.nodes.push(Node {
                    parent,
                    frame,
                    running: 0.0,
                    waiting: 0.0,
                });
            }
            parent = Some(node);
        }
        if let Some(node) = parent.and_then(|node| self.tree.nodes.get_mut(node as usize)) {
            node.running += stack.running;
            node.waiting += stack.waiting;
        }
    }

    /// Returns the tree, with the smallest branches folded into their parents.
    #[must_use]
    pub fn finish(self) -> Tree {
        self.tree.pruned()
    }
}

impl Tree {
    /// Whether it has no stacks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Times of each node with all that it calls.
    #[must_use]
    pub fn totals(&self) -> Vec<(f64, f64)> {
        let mut totals: Vec<(f64, f64)> = self.nodes.iter().map(|node| (node.running, node.waiting)).collect();
        for index in (0..self.nodes.len()).rev() {
            let (running, waiting) = totals[index];
            if let Some(parent) = self.nodes[index]
                .parent
                .and_then(|parent| totals.get_mut(parent as usize))
            {
                parent.0 += running;
                parent.1 += waiting;
            }
        }
        totals
    }

    /// Calls `visit` with each stack that has a time of its own, outermost frame first.
    pub fn stacks(&self, mut visit: impl FnMut(&[&Frame], &Node)) {
        for node in &self.nodes {
            if node.running <= 0.0 && node.waiting <= 0.0 {
                continue;
            }
            let mut stack = Vec::new();
            let mut next = Some(node);
            while let Some(node) = next {
                stack.extend(self.frames.get(node.frame as usize));
                // A damaged record must not loop.
                if stack.len() > self.nodes.len() {
                    break;
                }
                next = node.parent.and_then(|parent| self.nodes.get(parent as usize));
            }
            stack.reverse();
            visit(&stack, node);
        }
    }

    fn pruned(self) -> Self {
        let totals = self.totals();
        let whole = |of: fn(&Node) -> f64| self.nodes.iter().map(of).sum::<f64>();
        let (running, waiting) = (whole(|n| n.running) * LEAST_SHARE, whole(|n| n.waiting) * LEAST_SHARE);
        let mut pruned = Self::default();
        let mut frames: HashMap<u32, u32> = HashMap::new();
        // Where each node went: to a node of its own, or into its parent's.
        let mut places: Vec<Option<u32>> = Vec::with_capacity(self.nodes.len());
        for (node, total) in self.nodes.iter().zip(&totals) {
            let parent = node
                .parent
                .and_then(|parent| places.get(parent as usize).copied().flatten());
            let is_small = total.0 <= running && total.1 <= waiting;
            if let (true, Some(place)) = (is_small, parent) {
                if let Some(kept) = pruned.nodes.get_mut(place as usize) {
                    kept.running += node.running;
                    kept.waiting += node.waiting;
                }
                places.push(Some(place));
                continue;
            }
            let frame = *frames.entry(node.frame).or_insert_with(|| {
                pruned.frames.push(self.frames[node.frame as usize].clone());
                number(pruned.frames.len() - 1)
            });
            places.push(Some(number(pruned.nodes.len())));
            pruned.nodes.push(Node { parent, frame, ..*node });
        }
        pruned
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str) -> Frame {
        Frame {
            function: name.to_owned(),
            file: "./app.py".to_owned(),
            line: 3,
            first_line: 1,
        }
    }

    fn tree(stacks: &[(&[&str], f64, f64)]) -> Tree {
        let mut builder = TreeBuilder::default();
        for (names, running, waiting) in stacks {
            let frames: Vec<Frame> = names.iter().map(|name| frame(name)).collect();
            builder.add(&WeightedStack {
                frames: &frames.iter().collect::<Vec<_>>(),
                running: *running,
                waiting: *waiting,
            });
        }
        builder.finish()
    }

    #[test]
    fn common_callers_are_one_node() {
        let tree = tree(&[
            (&["main", "a"], 2.0, 0.0),
            (&["main", "b"], 3.0, 1.0),
            (&["main", "a"], 1.0, 0.0),
        ]);
        assert_eq!(tree.nodes.len(), 3);
        let totals = tree.totals();
        assert!(
            (totals[0].0 - 6.0).abs() < 1e-12 && (totals[0].1 - 1.0).abs() < 1e-12,
            "{totals:?}"
        );
        let mut seen = Vec::new();
        tree.stacks(|stack, node| {
            seen.push((
                stack.iter().map(|f| f.function.clone()).collect::<Vec<_>>().join(";"),
                node.running,
            ));
        });
        assert_eq!(seen, [("main;a".to_owned(), 3.0), ("main;b".to_owned(), 3.0)]);
    }

    #[test]
    fn negligible_branches_count_for_their_callers() {
        let tree = tree(&[
            (&["main", "a"], 1_000.0, 0.0),
            (&["main", "b", "c"], 0.01, 0.0),
            (&["main", "b"], 0.01, 0.0),
        ]);
        assert_eq!(tree.nodes.len(), 2, "{tree:?}");
        assert!((tree.nodes[0].running - 0.02).abs() < 1e-12);
    }

    #[test]
    fn trees_keep_their_form_in_files() {
        let tree = tree(&[(&["main", "a"], 2.0, 0.5), (&["main", "b"], 3.0, 1.0)]);
        let text = serde_json::to_string(&tree).unwrap();
        assert!(text.contains("[-1,0,0.0,0.0]"), "{text}");
        assert_eq!(serde_json::from_str::<Tree>(&text).unwrap(), tree);
        // A parent that does not exist, or comes later, ends a stack.
        let damaged = text.replace("[0,1,", "[7,1,").replace("[0,2,", "[2,2,");
        let damaged: Tree = serde_json::from_str(&damaged).unwrap();
        damaged.stacks(|stack, _| assert!(stack.len() <= 4));
        assert_eq!(damaged.totals().len(), 3);
    }
}
