//! Command builders for the programs of the user's tool chain, each with a defined environment.
//!
//! A bench is started by cargo, and cargo by a shell, a git hook or a CI runner. Each of them leaves variables behind
//! that point git, cargo or pip at another repository, package or folder, so every call goes through one of these builders.

mod cargo;
mod git;
mod invocation;
mod metadata;
mod python;
mod target;

pub(crate) use cargo::{Toolchain, cargo};
pub(crate) use git::{git, remove_local_variables};
pub(crate) use invocation::Invocation;
pub(crate) use metadata::Metadata;
pub(crate) use python::{pip, python};
pub(crate) use target::{target_of_bench, target_of_project};

/// The end of a program's output, for an error message.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
