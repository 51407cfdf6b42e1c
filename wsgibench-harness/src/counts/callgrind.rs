//! Parser for callgrind's profile files.
//!
//! The format is described in valgrind's manual, "Callgrind Format Specification". A file has a header, then cost lines under
//! the current function (`fn=`), file (`fl=`, `fi=`, `fe=`) and object (`ob=`). A line after `calls=` is the inclusive cost of
//! a call and no cost of the function itself.

use std::collections::BTreeMap;

/// A function as callgrind names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    /// Its symbol, or an address where the object has no symbols.
    pub name: String,
    /// Source file, `???` without debug information.
    pub file: String,
    /// Object: a library or program.
    pub object: String,
}

/// One profile file: the costs of one process between two dumps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Process id.
    pub pid: u32,
    /// Reason of the dump, e.g. `dump w1` or `Program termination`.
    pub trigger: String,
    /// Instructions.
    pub instructions: u64,
    /// System calls.
    pub system_calls: u64,
    /// Instructions of each function itself, without those that it calls.
    pub functions: BTreeMap<Function, u64>,
}

/// Why a profile cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The file has no end: the process was killed while it was written.
    #[error("the profile is incomplete: the process ended while valgrind wrote it")]
    Incomplete,
    /// Not a profile.
    #[error("line {0} is not in callgrind's format")]
    Format(usize),
}

/// Names by their compressed ids, `(3) name` at first and `(3)` from then on.
#[derive(Default)]
struct Names(BTreeMap<u32, String>);

impl Names {
    fn resolve(&mut self, text: &str) -> Option<String> {
        let Some(rest) = text.strip_prefix('(') else {
            return Some(text.to_owned());
        };
        let (id, name) = rest.split_once(')')?;
        let Ok(id) = id.parse::<u32>() else {
            // A symbol such as `(below main)`.
            return Some(text.to_owned());
        };
        let name = name.trim_start();
        if name.is_empty() {
            return self.0.get(&id).cloned();
        }
        self.0.insert(id, name.to_owned());
        Some(name.to_owned())
    }
}

/// Parses a profile file.
///
/// # Errors
/// If the text is not a whole profile.
pub fn parse(text: &str) -> Result<Profile, ProfileError> {
    let mut profile = Profile::default();
    let mut events: Vec<String> = Vec::new();
    let (mut functions, mut files, mut objects) = (Names::default(), Names::default(), Names::default());
    let mut current = Function::default();
    let mut of_call = false;
    let mut complete = false;
    for (index, line) in text.lines().enumerate() {
        let wrong = || ProfileError::Format(index + 1);
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-' || c == '*') {
            if std::mem::take(&mut of_call) {
                continue;
            }
            let cost = column(&events, "Ir", line.split_ascii_whitespace().skip(1)).ok_or_else(wrong)?;
            if cost > 0 {
                *profile.functions.entry(current.clone()).or_default() += cost;
            }
        } else if let Some((key, value)) = assignment(line) {
            match key {
                "ob" => current.object = objects.resolve(value).ok_or_else(wrong)?,
                "fl" | "fi" | "fe" => current.file = files.resolve(value).ok_or_else(wrong)?,
                "fn" => current.name = functions.resolve(value).ok_or_else(wrong)?,
                "cob" => drop(objects.resolve(value).ok_or_else(wrong)?),
                "cfl" | "cfi" => drop(files.resolve(value).ok_or_else(wrong)?),
                "cfn" => drop(functions.resolve(value).ok_or_else(wrong)?),
                "calls" => of_call = true,
                _ => {}
            }
        } else if let Some((key, value)) = line.split_once(':') {
            let value = value.trim();
            match key {
                "pid" => profile.pid = value.parse().map_err(|_| wrong())?,
                "events" => events = value.split_ascii_whitespace().map(str::to_owned).collect(),
                "desc" => {
                    if let Some(trigger) = value.strip_prefix("Trigger:") {
                        trigger.trim().clone_into(&mut profile.trigger);
                    }
                }
                // `summary:` misses what ran before instrumentation was last switched on.
                "totals" => {
                    let of = |event| column(&events, event, value.split_ascii_whitespace()).ok_or_else(wrong);
                    profile.instructions = of("Ir")?;
                    profile.system_calls = of("sysCount")?;
                    complete = true;
                }
                _ => {}
            }
        }
    }
    if complete {
        Ok(profile)
    } else {
        Err(ProfileError::Incomplete)
    }
}

/// Returns key and value of a `key=value` line.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    key.chars().all(|c| c.is_ascii_lowercase()).then_some((key, value))
}

/// Returns the number of an event; trailing zeros are left out of the file, and an event that was not collected is 0.
fn column<'a>(events: &[String], event: &str, mut numbers: impl Iterator<Item = &'a str>) -> Option<u64> {
    let Some(at) = events.iter().position(|known| known == event) else {
        return Some(0);
    };
    numbers.nth(at).map_or(Some(0), |number| number.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 42
cmd:  python3 s.py
part: 2

desc: I1 cache: 
desc: Timerange: Basic block 0 - 10
desc: Trigger: dump w1

positions: line
events: Ir sysCount sysTime
summary: 100 1 2


ob=(1) /usr/lib/libc.so.6
fl=(1) malloc.c
fn=(1) malloc
16 40
+3 20
cfn=(2) (below main)
calls=2 50
19 400 7
fi=(2) inline.h
* 5

ob=(2) /usr/bin/python3
fl=(3) ???
fn=(3) 0x00001234
0 30 3 9

ob=(1)
fl=(1)
fn=(1)
20 5
totals: 100 3 9
";

    fn function(name: &str, file: &str, object: &str) -> Function {
        Function {
            name: name.into(),
            file: file.into(),
            object: object.into(),
        }
    }

    #[test]
    fn own_costs_are_attributed_and_inclusive_ones_are_not() {
        let profile = parse(FILE).unwrap();
        assert_eq!((profile.pid, profile.trigger.as_str()), (42, "dump w1"));
        assert_eq!((profile.instructions, profile.system_calls), (100, 3));
        let libc = "/usr/lib/libc.so.6";
        assert_eq!(
            profile.functions,
            BTreeMap::from([
                (function("malloc", "malloc.c", libc), 65),
                (function("malloc", "inline.h", libc), 5),
                (function("0x00001234", "???", "/usr/bin/python3"), 30),
            ])
        );
        assert_eq!(profile.functions.values().sum::<u64>(), profile.instructions);
    }

    #[test]
    fn truncated_files_are_refused() {
        let cut = &FILE[..FILE.find("totals").unwrap()];
        assert_eq!(parse(cut), Err(ProfileError::Incomplete));
        assert_eq!(parse(""), Err(ProfileError::Incomplete));
        let bad = FILE.replace("* 5", "* five");
        assert!(matches!(parse(&bad), Err(ProfileError::Format(_))));
        let unknown = FILE.replace("fn=(3) 0x00001234", "fn=(9)");
        assert!(matches!(parse(&unknown), Err(ProfileError::Format(_))));
    }
}
