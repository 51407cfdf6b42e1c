//! Figures per request from the windows of one launch.

use std::collections::BTreeMap;

use super::{
    attribution::FunctionCost,
    callgrind::{Function, Profile},
};

/// Most functions that a launch keeps.
const KEPT_FUNCTIONS: usize = 400;

/// Instructions and system calls of a server between two idle moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Requests answered in it.
    pub requests: u64,
    /// Its length, seconds.
    pub seconds: f64,
    /// Instructions of all processes.
    pub instructions: u64,
    /// System calls of all processes.
    pub system_calls: u64,
    /// Instructions by function, all processes.
    pub functions: BTreeMap<Function, u64>,
}

impl Window {
    /// Adds the profile of one process.
    pub fn add(&mut self, profile: &Profile) {
        self.instructions += profile.instructions;
        self.system_calls += profile.system_calls;
        for (function, cost) in &profile.functions {
            *self.functions.entry(function.clone()).or_default() += cost;
        }
    }
}

/// Figures per request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerRequest {
    /// Instructions.
    pub instructions: f64,
    /// System calls.
    pub system_calls: f64,
    /// Instructions per second of the idle server.
    pub idle_per_second: f64,
    /// Functions with the most instructions.
    pub functions: Vec<FunctionCost>,
}

/// Returns figures per request: the slope from the small to the large window, less the work per second of the idle window.
///
/// What happens once a window (opening the connection, the dump) cancels. Heartbeats and timers grow with time, which a slow
/// machine takes more of, so they are subtracted by the second.
///
/// # Errors
/// If the windows are the wrong way round, or the server executed nothing in them.
#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
pub fn per_request(small: &Window, idle: &Window, large: &Window) -> Result<PerRequest, String> {
    if large.requests <= small.requests {
        return Err(format!(
            "the second window had {} requests and the first {}: the slope needs more in the second",
            large.requests, small.requests
        ));
    }
    if large.instructions == 0 {
        return Err("no instructions were counted while requests were answered".to_owned());
    }
    let span = (large.requests - small.requests) as f64;
    let per_second = |count: u64| {
        if idle.seconds > 0.0 {
            count as f64 / idle.seconds
        } else {
            0.0
        }
    };
    let longer = large.seconds - small.seconds;
    let slope = |small: u64, idle: u64, large: u64| (large as f64 - small as f64 - per_second(idle) * longer) / span;
    let own = |window: &Window, function: &Function| window.functions.get(function).copied().unwrap_or(0);
    let mut functions: Vec<FunctionCost> = large
        .functions
        .keys()
        .map(|function| FunctionCost {
            function: function.name.clone(),
            file: function.file.clone(),
            object: function.object.clone(),
            instructions: slope(own(small, function), own(idle, function), own(large, function)),
        })
        .filter(|function| function.instructions.abs() >= 0.5)
        .collect();
    functions.sort_by(|a, b| b.instructions.total_cmp(&a.instructions));
    functions.truncate(KEPT_FUNCTIONS);
    Ok(PerRequest {
        instructions: slope(small.instructions, idle.instructions, large.instructions),
        system_calls: slope(small.system_calls, idle.system_calls, large.system_calls),
        idle_per_second: per_second(idle.instructions),
        functions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(requests: u64, seconds: f64, instructions: u64, system_calls: u64) -> Window {
        Window {
            requests,
            seconds,
            instructions,
            system_calls,
            functions: BTreeMap::from([(Function::default(), instructions)]),
        }
    }

    #[test]
    fn costs_of_a_window_cancel_and_those_of_a_second_are_subtracted() {
        // 1,000 a request, 5,000 a window, 200 a second; 4 calls a request, 3 a window, 2 a second.
        let small = window(10, 1.0, 10 * 1_000 + 5_000 + 200, 43 + 2);
        let large = window(110, 11.0, 110 * 1_000 + 5_000 + 2_200, 443 + 22);
        let idle = window(0, 2.0, 400, 4);
        let figures = per_request(&small, &idle, &large).unwrap();
        assert!((figures.instructions - 1_000.0).abs() < 1e-9);
        assert!((figures.system_calls - 4.0).abs() < 1e-9);
        assert!((figures.idle_per_second - 200.0).abs() < 1e-9);
        assert!((figures.functions[0].instructions - 1_000.0).abs() < 1e-9);
    }

    #[test]
    fn windows_that_show_nothing_are_refused() {
        let idle = Window::default();
        let one = window(10, 1.0, 100, 1);
        assert!(per_request(&one, &idle, &one).unwrap_err().contains("slope"));
        let nothing = window(100, 1.0, 0, 0);
        assert!(
            per_request(&one, &idle, &nothing)
                .unwrap_err()
                .contains("no instructions")
        );
    }
}
