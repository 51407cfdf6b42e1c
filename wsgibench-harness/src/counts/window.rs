//! Figures per request from the windows of one launch.

use std::collections::BTreeMap;

use super::{
    attribution::FunctionCost,
    callgrind::{Function, Profile},
};

/// Most functions that a launch keeps.
const KEPT_FUNCTIONS: usize = 400;

/// Instructions and system calls of a process between two dumps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Its length, seconds.
    pub seconds: f64,
    /// Instructions.
    pub instructions: u64,
    /// System calls.
    pub system_calls: u64,
    /// Instructions by function.
    pub functions: BTreeMap<Function, u64>,
}

impl Window {
    /// Adds a profile.
    pub fn add(&mut self, profile: &Profile) {
        self.instructions += profile.instructions;
        self.system_calls += profile.system_calls;
        for (function, cost) in &profile.functions {
            *self.functions.entry(function.clone()).or_default() += cost;
        }
    }
}

/// The two windows of one process. They are about equally long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessWindows {
    /// Many requests.
    pub large: Window,
    /// Few requests.
    pub small: Window,
}

impl ProcessWindows {
    fn is_active(&self) -> bool {
        self.large.instructions > 0 || self.small.instructions > 0
    }
}

/// Figures per request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerRequest {
    /// Instructions.
    pub instructions: f64,
    /// System calls.
    pub system_calls: f64,
    /// Instructions per second that no request causes: heartbeats and timers.
    pub background_per_second: f64,
    /// Processes that executed instructions.
    pub processes: usize,
    /// Functions with the most instructions.
    pub functions: Vec<FunctionCost>,
}

/// Returns figures per request, summed over the processes: the slope between a window of few requests and an equally long one of
/// many. `requests` are those of the small and the large window.
///
/// What happens once a window (opening the connection, the dump) cancels, and so does what happens by the second (heartbeats,
/// timers), which a slow machine does more of per request. A process dumps when it wakes, so its windows may differ in length
/// by a period of its timer; that difference is subtracted at the rate of the process.
///
/// # Errors
/// If the windows are the wrong way round, or the server executed nothing in them.
#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
pub fn per_request(processes: &[ProcessWindows], requests: [u64; 2]) -> Result<PerRequest, String> {
    let [small, large] = requests;
    if large <= small {
        return Err(format!(
            "the large window had {large} requests and the small one {small}: the slope needs more in the large one"
        ));
    }
    if processes.iter().all(|process| process.large.instructions == 0) {
        return Err("no instructions were counted while requests were answered".to_owned());
    }
    let (span, few) = ((large - small) as f64, small as f64);
    // Slope, and rate of what no request causes.
    let fit = |process: &ProcessWindows, of: &dyn Fn(&Window) -> u64| {
        let (in_large, in_small) = (of(&process.large) as f64, of(&process.small) as f64);
        let rough = (in_large - in_small) / span;
        let rate = if process.small.seconds > 0.0 {
            ((in_small - few * rough) / process.small.seconds).max(0.0)
        } else {
            0.0
        };
        let longer = process.large.seconds - process.small.seconds;
        ((in_large - in_small - rate * longer) / span, rate)
    };
    let slope = |process: &ProcessWindows, of: &dyn Fn(&Window) -> u64| fit(process, of).0;
    let sum = |of: &dyn Fn(&Window) -> u64| processes.iter().map(|process| slope(process, of)).sum::<f64>();
    let mut by_function: BTreeMap<&Function, f64> = BTreeMap::new();
    for process in processes {
        for function in process.large.functions.keys() {
            let own = |window: &Window| window.functions.get(function).copied().unwrap_or(0);
            *by_function.entry(function).or_default() += slope(process, &own);
        }
    }
    let mut functions: Vec<FunctionCost> = by_function
        .into_iter()
        .filter(|(_, instructions)| instructions.abs() >= 0.5)
        .map(|(function, instructions)| FunctionCost {
            function: function.name.clone(),
            file: function.file.clone(),
            object: function.object.clone(),
            instructions,
        })
        .collect();
    functions.sort_by(|a, b| b.instructions.total_cmp(&a.instructions));
    functions.truncate(KEPT_FUNCTIONS);
    Ok(PerRequest {
        instructions: sum(&|window| window.instructions),
        system_calls: sum(&|window| window.system_calls),
        background_per_second: processes
            .iter()
            .map(|process| fit(process, &|window| window.instructions).1)
            .sum(),
        processes: processes.iter().filter(|process| process.is_active()).count(),
        functions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(seconds: f64, instructions: u64, system_calls: u64) -> Window {
        Window {
            seconds,
            instructions,
            system_calls,
            functions: BTreeMap::from([(Function::default(), instructions)]),
        }
    }

    #[test]
    fn costs_of_windows_and_seconds_cancel() {
        // 1,000 a request, 5,000 a window, 200 a second; 4 calls a request, 3 a window, 2 a second.
        let worker = ProcessWindows {
            large: window(10.0, 110 * 1_000 + 5_000 + 2_000, 440 + 3 + 20),
            small: window(10.0, 10 * 1_000 + 5_000 + 2_000, 40 + 3 + 20),
        };
        let figures = per_request(std::slice::from_ref(&worker), [10, 110]).unwrap();
        assert!((figures.instructions - 1_000.0).abs() < 1e-9);
        assert!((figures.system_calls - 4.0).abs() < 1e-9);
        assert!((figures.background_per_second - 700.0).abs() < 1e-9);
        assert!((figures.functions[0].instructions - 1_000.0).abs() < 1e-9);

        // A master that wakes each second changes little, though its windows differ by a period.
        let master = ProcessWindows {
            large: window(11.0, 11_000, 33),
            small: window(10.0, 10_000, 30),
        };
        let figures = per_request(&[worker, master, ProcessWindows::default()], [10, 110]).unwrap();
        assert!((figures.instructions - 1_000.0).abs() < 0.2, "{figures:?}");
        assert_eq!(figures.processes, 2);
    }

    #[test]
    fn windows_that_show_nothing_are_refused() {
        let process = ProcessWindows {
            large: window(1.0, 100, 1),
            ..ProcessWindows::default()
        };
        assert!(per_request(&[process], [10, 10]).unwrap_err().contains("slope"));
        let nothing = per_request(&[ProcessWindows::default()], [10, 100]);
        assert!(nothing.unwrap_err().contains("no instructions"));
    }
}
