//! Which functions changed between two arms of profiled launches, and how certain that is.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    explanation::{ArmProfile, CaseExplanation, FunctionChange, GroupChange, TotalChange},
    launch::LaunchProfile,
    place,
    tree::{TreeBuilder, WeightedStack},
};
use crate::stats::{
    distribution,
    max_t::{self, Difference, Quantity},
    sample::{float, mean, std_dev},
};

/// Error rate of the functions of a case: the probability that any is named although none changed.
pub const ALPHA: f64 = 0.005;
/// Share of the CPU time of a request from which a function's own time is compared.
const LEAST_SELF: f64 = 0.003;
/// Share from which a function is compared with all that it calls.
const LEAST_TOTAL: f64 = 0.01;
/// Most functions that are compared by either.
const MOST: usize = 60;

/// A function's identity: name and file.
type Key = (String, String);

/// Times of a launch's functions.
#[derive(Debug, Default)]
struct Times {
    own: BTreeMap<Key, f64>,
    total: BTreeMap<Key, f64>,
    files: BTreeMap<String, f64>,
    packages: BTreeMap<String, f64>,
    lines: BTreeMap<Key, BTreeMap<i32, f64>>,
    /// Depth below the outermost frame, weighted by time.
    depths: BTreeMap<Key, f64>,
}

impl Times {
    fn of(profile: &LaunchProfile) -> Self {
        let mut times = Self::default();
        for stack in &profile.stacks {
            let frames: Vec<_> = stack
                .frames
                .iter()
                .filter_map(|frame| profile.frames.get(*frame as usize))
                .collect();
            let mut counted = BTreeSet::new();
            for (depth, frame) in frames.iter().enumerate() {
                let key = (frame.function.clone(), frame.file.clone());
                // A recursive function counts once.
                if counted.insert(key.clone()) {
                    *times.total.entry(key.clone()).or_default() += stack.running;
                    *times.depths.entry(key).or_default() += stack.running * float(depth);
                }
            }
            if let Some(frame) = frames.last() {
                let key = (frame.function.clone(), frame.file.clone());
                let (file, package) = if frame.file.is_empty() {
                    (frame.function.clone(), "[no Python]".to_owned())
                } else {
                    (frame.file.clone(), place::package(&frame.file).to_owned())
                };
                *times.files.entry(file).or_default() += stack.running;
                *times.packages.entry(package).or_default() += stack.running;
                *times
                    .lines
                    .entry(key.clone())
                    .or_default()
                    .entry(frame.line)
                    .or_default() += stack.running;
                *times.own.entry(key).or_default() += stack.running;
            }
        }
        times
    }
}

/// One arm's launches.
struct Arm<'a> {
    launches: &'a [LaunchProfile],
    times: Vec<Times>,
}

impl<'a> Arm<'a> {
    fn of(launches: &'a [LaunchProfile]) -> Self {
        Self {
            launches,
            times: launches.iter().map(Times::of).collect(),
        }
    }

    fn values<K: Ord>(&self, key: &K, of: impl Fn(&Times) -> &BTreeMap<K, f64>) -> Vec<f64> {
        self.times
            .iter()
            .map(|times| of(times).get(key).copied().unwrap_or(0.0))
            .collect()
    }

    fn profile(&self) -> ArmProfile {
        let mut builder = TreeBuilder::default();
        let share = 1.0 / float(self.launches.len().max(1));
        let mut threads: BTreeMap<(String, String), (usize, f64)> = BTreeMap::new();
        for launch in self.launches {
            for stack in &launch.stacks {
                let frames: Vec<_> = stack
                    .frames
                    .iter()
                    .filter_map(|frame| launch.frames.get(*frame as usize))
                    .collect();
                builder.add(&WeightedStack {
                    frames: &frames,
                    running: stack.running * share,
                    waiting: stack.waiting * share,
                });
            }
            for thread in &launch.threads {
                let entry = threads
                    .entry((thread.process.clone(), thread.thread.clone()))
                    .or_default();
                entry.0 = entry.0.max(thread.threads);
                entry.1 += thread.running * share;
            }
        }
        let mut threads: Vec<(String, String, usize, f64)> = threads
            .into_iter()
            .map(|((process, thread), (number, running))| (process, thread, number, running))
            .collect();
        threads.sort_by(|a, b| b.3.total_cmp(&a.3));
        threads.truncate(20);
        let pythons: BTreeSet<String> = self.launches.iter().flat_map(|launch| launch.pythons.clone()).collect();
        ArmProfile {
            launches: self.launches.len(),
            requests: self.launches.iter().map(|launch| launch.requests).sum(),
            running_samples: self.launches.iter().map(|launch| launch.running_samples).sum(),
            waiting_samples: self.launches.iter().map(|launch| launch.waiting_samples).sum(),
            discarded: self.launches.iter().map(|launch| launch.discarded).sum(),
            per_second: self.launches.iter().map(|launch| launch.per_second).sum::<f64>() * share,
            pythons: pythons.into_iter().collect(),
            threads,
            tree: builder.finish(),
        }
    }

    /// Microseconds per request that one sample of a launch stands for.
    fn resolution(&self) -> f64 {
        let samples: u64 = self.launches.iter().map(|launch| launch.running_samples).sum();
        let whole: f64 = self.launches.iter().map(|launch| launch.cpu_us).sum();
        #[expect(clippy::cast_precision_loss, reason = "samples are far below 2^52")]
        let samples = samples.max(1) as f64;
        whole / samples
    }
}

/// Explains a case: `base` is empty if one arm was profiled.
#[must_use]
pub fn explain(case: &str, base: &[LaunchProfile], candidate: &[LaunchProfile]) -> CaseExplanation {
    let arms = [Arm::of(base), Arm::of(candidate)];
    let compared = !base.is_empty() && !candidate.is_empty();
    let shown = shown(&arms);
    let resolution = arms[0].resolution().max(arms[1].resolution());
    let quantity = |base: Vec<f64>, candidate: Vec<f64>| {
        let all: Vec<f64> = base.iter().chain(&candidate).copied().collect();
        // Samples are counted: their number has at least the variance of a Poisson distribution.
        let least_variance = resolution * mean(&all).max(resolution);
        Quantity {
            base,
            candidate,
            least_variance,
        }
    };
    let of =
        |key: &Key, of: fn(&Times) -> &BTreeMap<Key, f64>| quantity(arms[0].values(key, of), arms[1].values(key, of));
    let own: Vec<Quantity> = shown.own.iter().map(|key| of(key, |times| &times.own)).collect();
    let total: Vec<Quantity> = shown.total.iter().map(|key| of(key, |times| &times.total)).collect();
    let family: Vec<Quantity> = own.iter().chain(&total).cloned().collect();
    let changes = judged(&family, compared);
    let (own_changes, total_changes) = changes.split_at(own.len());
    let keys: BTreeSet<&Key> = shown.own.iter().chain(&shown.total).collect();
    let mut functions: Vec<FunctionChange> = keys
        .into_iter()
        .map(|key| {
            let find = |keys: &[Key], changes: &[TotalChange], times: fn(&Times) -> &BTreeMap<Key, f64>| {
                let place = keys.iter().position(|known| known == key);
                // Outside of the family there is a figure and no p-value.
                place.map_or_else(|| untested(&of(key, times), compared), |place| changes[place])
            };
            FunctionChange {
                function: key.0.clone(),
                file: key.1.clone(),
                line: line(&arms, key),
                own: find(&shown.own, own_changes, |times| &times.own),
                total: find(&shown.total, total_changes, |times| &times.total),
                rank: None,
            }
        })
        .collect();
    rank(&mut functions, &depths(&arms));
    let groups = |of: fn(&Times) -> &BTreeMap<String, f64>| -> Vec<GroupChange> {
        let names = largest(&arms, of, LEAST_SELF, 20);
        let family: Vec<Quantity> = names
            .iter()
            .map(|name| quantity(arms[0].values(name, of), arms[1].values(name, of)))
            .collect();
        let changes = judged(&family, compared);
        let mut groups: Vec<GroupChange> = names
            .into_iter()
            .zip(changes)
            .map(|(name, own)| GroupChange { name, own })
            .collect();
        groups.sort_by(|a, b| size(&b.own).total_cmp(&size(&a.own)));
        groups
    };
    let cpu = |launches: &[LaunchProfile]| -> Vec<f64> { launches.iter().map(|launch| launch.cpu_us).collect() };
    let cpu = judged(&[quantity(cpu(base), cpu(candidate))], compared)[0];
    CaseExplanation {
        case: case.to_owned(),
        cpu,
        functions,
        files: groups(|times| &times.files),
        packages: groups(|times| &times.packages),
        notes: notes(&arms, compared),
        base: compared.then(|| arms[0].profile()),
        candidate: arms[1].profile(),
    }
}

/// The functions that are compared by their own time, and by their total time.
struct Shown {
    own: Vec<Key>,
    total: Vec<Key>,
}

/// Chooses by the mean over both arms, so that the choice does not depend on which arm is which.
fn shown(arms: &[Arm<'_>; 2]) -> Shown {
    let is_function = |key: &Key| !key.1.is_empty();
    let mut total = largest(arms, |times| &times.total, LEAST_TOTAL, MOST);
    total.retain(is_function);
    Shown {
        own: largest(arms, |times| &times.own, LEAST_SELF, MOST),
        total,
    }
}

/// Returns the keys with the largest mean over all launches of both arms.
fn largest<K: Ord + Clone>(
    arms: &[Arm<'_>; 2],
    of: impl Fn(&Times) -> &BTreeMap<K, f64>,
    least_share: f64,
    most: usize,
) -> Vec<K> {
    let mut sums: BTreeMap<&K, f64> = BTreeMap::new();
    let mut whole = 0.0;
    for arm in arms {
        let share = 1.0 / float(arm.launches.len().max(1));
        for (launch, times) in arm.launches.iter().zip(&arm.times) {
            whole += launch.cpu_us * share;
            for (key, time) in of(times) {
                *sums.entry(key).or_default() += time * share;
            }
        }
    }
    let mut keys: Vec<(&K, f64)> = sums
        .into_iter()
        .filter(|(_, time)| *time >= whole * least_share)
        .collect();
    keys.sort_by(|a, b| b.1.total_cmp(&a.1));
    keys.into_iter().take(most).map(|(key, _)| key.clone()).collect()
}

/// Compares a family, or describes the candidate if there is no base.
fn judged(family: &[Quantity], compared: bool) -> Vec<TotalChange> {
    if !compared {
        return family.iter().map(|quantity| untested(quantity, false)).collect();
    }
    max_t::compare(family)
        .into_iter()
        .map(|difference| tested(&difference))
        .collect()
}

fn tested(difference: &Difference) -> TotalChange {
    let finite = |value: f64| value.is_finite().then_some(value);
    TotalChange {
        base_us: Some(difference.base),
        candidate_us: difference.candidate,
        change_us: Some(difference.change),
        low: finite(difference.low),
        high: finite(difference.high),
        p: Some(difference.p),
    }
}

fn untested(quantity: &Quantity, compared: bool) -> TotalChange {
    if compared {
        let difference = max_t::compare(std::slice::from_ref(quantity)).first().map(tested);
        return TotalChange {
            p: None,
            ..difference.unwrap_or_default()
        };
    }
    let values = &quantity.candidate;
    let centre = if values.is_empty() { 0.0 } else { mean(values) };
    let error = std_dev(values) / float(values.len()).sqrt();
    let half = (values.len() > 1).then(|| {
        let freedom = float(values.len() - 1);
        distribution::t_quantile(f64::midpoint(1.0, max_t::CONFIDENCE), freedom) * error
    });
    TotalChange {
        candidate_us: centre,
        low: half.map(|half| centre - half),
        high: half.map(|half| centre + half),
        ..TotalChange::default()
    }
}

/// The size of a change, or of the candidate's time if there is no base.
fn size(change: &TotalChange) -> f64 {
    change.change_us.unwrap_or(change.candidate_us).abs()
}

/// Whether a change is certain.
fn is_certain(change: &TotalChange) -> bool {
    change.p.is_some_and(|p| p <= ALPHA)
}

/// Ranks the functions whose change is certain, and sorts all.
///
/// A function whose own time changed comes before one that only calls more: the latter is usually its caller. Among callers the
/// innermost comes first, since those further out have changed with it.
fn rank(functions: &mut [FunctionChange], depths: &BTreeMap<Key, f64>) {
    let depth = |function: &FunctionChange| {
        let key = (function.function.clone(), function.file.clone());
        depths.get(&key).copied().unwrap_or(0.0)
    };
    let class = |function: &FunctionChange| match (is_certain(&function.own), is_certain(&function.total)) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    };
    functions.sort_by(|a, b| {
        class(a).cmp(&class(b)).then_with(|| match class(a) {
            1 => depth(b).total_cmp(&depth(a)),
            _ => size(&b.own).total_cmp(&size(&a.own)),
        })
    });
    for (place, function) in (1..).zip(functions.iter_mut()) {
        function.rank = (class(function) < 2).then_some(place);
    }
}

fn depths(arms: &[Arm<'_>; 2]) -> BTreeMap<Key, f64> {
    let mut sums: BTreeMap<Key, (f64, f64)> = BTreeMap::new();
    for times in arms.iter().flat_map(|arm| &arm.times) {
        for (key, depth) in &times.depths {
            let entry = sums.entry(key.clone()).or_default();
            entry.0 += depth;
            entry.1 += times.total.get(key).copied().unwrap_or(0.0);
        }
    }
    sums.into_iter()
        .map(|(key, (depth, time))| (key, depth / time.max(1e-12)))
        .collect()
}

/// The line of a function that ran most often, in the candidate if it runs there.
fn line(arms: &[Arm<'_>; 2], key: &Key) -> i32 {
    let most = |arm: &Arm<'_>| {
        let mut sums: BTreeMap<i32, f64> = BTreeMap::new();
        for lines in arm.times.iter().filter_map(|times| times.lines.get(key)) {
            for (line, time) in lines {
                *sums.entry(*line).or_default() += time;
            }
        }
        sums.into_iter()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(line, _)| line)
    };
    let first = |arm: &Arm<'_>| {
        let frames = arm.launches.iter().flat_map(|launch| &launch.frames);
        let mut of_key = frames.filter(|frame| frame.function == key.0 && frame.file == key.1);
        of_key.next().map(|frame| frame.first_line)
    };
    most(&arms[1])
        .or_else(|| first(&arms[1]))
        .or_else(|| most(&arms[0]))
        .or_else(|| first(&arms[0]))
        .unwrap_or(0)
}

/// Ratio of the time in which threads are ready for a CPU or on one to their CPU time, above which stacks that wait for a CPU distort
/// the shares.
const MOST_READY: f64 = 2.0;

fn notes(arms: &[Arm<'_>; 2], compared: bool) -> Vec<String> {
    let mut notes: BTreeSet<String> = BTreeSet::new();
    let launches = || arms.iter().flat_map(|arm| arm.launches);
    notes.extend(launches().flat_map(|launch| launch.problems.iter().cloned()));
    if compared {
        let [base, candidate] = [arms[0].launches.len(), arms[1].launches.len()];
        let least = max_t::smallest_p(base, candidate);
        if least > ALPHA {
            notes.insert(format!(
                "{base} and {candidate} launches are too few to name a function: the smallest possible p is {least:.2}; at least 6 of each \
                 arm are needed"
            ));
        }
    }
    if launches().all(|launch| launch.pythons.is_empty()) && notes.is_empty() && launches().next().is_some() {
        notes.insert(
            "no Python interpreter was found in the server's processes, so no function can be named".to_owned(),
        );
    }
    let samples: u64 = launches().map(|launch| launch.running_samples).sum();
    let discarded: u64 = launches().map(|launch| launch.discarded).sum();
    if discarded * 4 > samples && discarded > 100 {
        notes.insert(format!(
            "{discarded} stacks could not be read and {samples} could: shares may be distorted"
        ));
    }
    let ready: f64 = launches().map(|launch| launch.ready_us).sum();
    let used: f64 = launches().map(|launch| launch.cpu_us).sum();
    if ready > MOST_READY * used {
        notes.insert(format!(
            "threads were ready for a CPU {:.1} times as long as they ran: other processes or the server's own threads shared its CPUs, so \
             code at which threads wake up may seem dearer than it is; repeat it on a quiet machine or with more CPUs",
            ready / used
        ));
    }
    notes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, Normal, Poisson};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::{
        super::{Frame, launch::Stack},
        *,
    };

    fn frame(function: &str, line: i32) -> Frame {
        Frame {
            function: function.to_owned(),
            file: "./app.py".to_owned(),
            line,
            first_line: 1,
        }
    }

    /// A launch in which `main` calls functions with these own times, with sampling noise and a common factor.
    fn launch(times: &[(&str, f64)], random: &mut Xoshiro256PlusPlus) -> LaunchProfile {
        let speed = 1.0 + 0.01 * Normal::new(0.0, 1.0).unwrap().sample(random);
        let whole: f64 = times.iter().map(|(_, time)| time).sum();
        let mut frames = vec![frame("main", 2)];
        let mut stacks = Vec::new();
        let mut samples = 0.0;
        for (name, time) in times {
            if *time == 0.0 {
                continue;
            }
            frames.push(frame(name, 7));
            let count: f64 = Poisson::new(time / whole * 1_000.0).unwrap().sample(random);
            samples += count;
            stacks.push((u32::try_from(frames.len() - 1).unwrap(), count));
        }
        let stacks = stacks
            .into_iter()
            .map(|(frame, count)| Stack {
                frames: vec![0, frame],
                running: whole * speed * count / samples,
                waiting: 0.0,
            })
            .collect();
        LaunchProfile {
            requests: 10_000,
            cpu_us: whole * speed,
            frames,
            stacks,
            running_samples: 1_000,
            pythons: vec!["3.11".to_owned()],
            ..LaunchProfile::default()
        }
    }

    const BASE: [(&str, f64); 5] = [
        ("parse", 40.0),
        ("route", 25.0),
        ("render", 20.0),
        ("send", 14.0),
        ("log", 0.0),
    ];

    fn launches(times: &[(&str, f64)], number: usize, random: &mut Xoshiro256PlusPlus) -> Vec<LaunchProfile> {
        (0..number).map(|_| launch(times, random)).collect()
    }

    fn with(name: &str, more: f64) -> Vec<(&'static str, f64)> {
        let change = |(known, time): (&'static str, f64)| (known, if known == name { time + more } else { time });
        BASE.into_iter().map(change).collect()
    }

    #[test]
    fn threads_that_wait_for_a_cpu_are_noted() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(8);
        let mut busy = launches(&BASE, 6, &mut random);
        let note = |launches: &[LaunchProfile]| explain("a", launches, launches).notes.join("\n");
        assert_eq!(note(&busy), "");
        for launch in &mut busy {
            launch.ready_us = 3.0 * launch.cpu_us;
        }
        assert!(note(&busy).contains("3.0 times as long as they ran"), "{}", note(&busy));
    }

    #[test]
    fn the_changed_function_is_named_and_identical_arms_name_none() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
        for name in ["log", "parse", "send"] {
            let base = launches(&BASE, 8, &mut random);
            let found = explain("a", &base, &launches(&with(name, 6.0), 8, &mut random));
            let first = &found.functions[0];
            assert_eq!(
                (first.function.as_str(), first.rank),
                (name, Some(1)),
                "{:?}",
                found.functions
            );
            assert_eq!((first.file.as_str(), first.line), ("./app.py", 7));
            assert!(
                first.own.low.unwrap() > 0.0 && first.own.high.unwrap() < 14.0,
                "{first:?}"
            );
            assert!((found.cpu.change_us.unwrap() - 6.0).abs() < 3.0, "{:?}", found.cpu);
            assert_eq!(found.packages[0].name, "application");
            assert!(found.notes.is_empty(), "{:?}", found.notes);
        }
        let mut named = 0;
        for _ in 0..40 {
            let base = launches(&BASE, 6, &mut random);
            let same = explain("a", &base, &launches(&BASE, 6, &mut random));
            named += same.functions.iter().filter(|function| function.rank.is_some()).count();
        }
        assert!(named <= 1, "{named}");
    }

    #[test]
    fn a_caller_whose_callees_changed_is_ranked_after_them() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(9);
        let found = explain(
            "a",
            &launches(&BASE, 8, &mut random),
            &launches(&with("render", 15.0), 8, &mut random),
        );
        let ranked: Vec<&str> = found
            .functions
            .iter()
            .filter(|function| function.rank.is_some())
            .map(|function| function.function.as_str())
            .collect();
        assert_eq!(ranked[..2], ["render", "main"], "{:?}", found.functions);
        let main = &found.functions[1];
        assert!(
            main.own.candidate_us.abs() < 1e-9 && main.total.candidate_us > 100.0,
            "{main:?}"
        );
    }

    #[test]
    fn one_arm_has_times_with_intervals_and_no_changes() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let found = explain("a", &[], &launches(&BASE, 3, &mut random));
        assert!(found.base.is_none());
        let first = &found.functions[0];
        assert_eq!(first.function, "parse");
        assert!(
            first.own.low.unwrap() < first.own.candidate_us && first.own.p.is_none() && first.own.change_us.is_none()
        );
        assert!(found.functions.iter().all(|function| function.rank.is_none()));
        assert_eq!(found.candidate.launches, 3);
        assert_eq!(found.candidate.tree.nodes.len(), 5);
        let one = explain("a", &[], &launches(&BASE, 1, &mut random));
        assert_eq!(one.functions[0].own.low, None);
    }

    #[test]
    fn too_few_launches_and_missing_interpreters_are_said() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let found = explain(
            "a",
            &launches(&BASE, 4, &mut random),
            &launches(&with("log", 50.0), 4, &mut random),
        );
        assert!(found.functions.iter().all(|function| function.rank.is_none()));
        assert!(
            found.notes[0].contains("4 and 4 launches are too few"),
            "{:?}",
            found.notes
        );
        let blind = LaunchProfile {
            pythons: Vec::new(),
            ..launch(&BASE, &mut random)
        };
        let found = explain("a", &[], &[blind]);
        assert!(found.notes[0].contains("no Python interpreter"), "{:?}", found.notes);
        let nothing = explain("a", &[], &[]);
        assert!(nothing.functions.is_empty() && nothing.notes.is_empty());
    }

    #[test]
    fn recursive_functions_count_once() {
        let profile = LaunchProfile {
            cpu_us: 10.0,
            frames: vec![frame("walk", 3)],
            stacks: vec![Stack {
                frames: vec![0, 0, 0],
                running: 10.0,
                waiting: 0.0,
            }],
            ..LaunchProfile::default()
        };
        let found = explain("a", &[], &[profile]);
        assert!((found.functions[0].total.candidate_us - 10.0).abs() < 1e-9);
    }
}
