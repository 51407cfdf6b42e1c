//! A tuning, from the attribute to `tune.json`, the exit status and the terminal.

use wsgibench_harness::store::tuning::{DropReason, TuneEnd, TuneRecord, TuneStatus};

use crate::{
    bench::{Bench, Ended},
    command_line::{eventually, interrupt},
};

const FAST: &str = "slow/delayed@delay_ms=1-kind=threads/c2";
const SLOW: &str = "slow/delayed@delay_ms=20-kind=threads/c2";

fn arguments(more: &[&'static str]) -> Vec<&'static str> {
    let short = [
        "--bench",
        "--tune",
        "--scenario",
        "slow",
        "--warm-up-time",
        "100ms",
        "--measurement-time",
        "400ms",
        "--rounds",
        "1",
    ];
    [&short[..], more].concat()
}

fn tuned(bench: &Bench) -> TuneRecord {
    let text = std::fs::read_to_string(bench.0.path().join("wsgibench/tune.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Tunes until the search is decided on valid figures: on a busy machine, measurements may be invalid.
fn decided(bench: &Bench, more: &[&'static str]) -> Ended {
    let tune = |_| bench.run(&arguments(&[more, &["--launches", "12"]].concat()));
    let is_decided = |_: &Ended| {
        let answer = tuned(bench);
        answer.ended == TuneEnd::Decided && answer.settings.iter().all(|setting| setting.valid_launches >= 4)
    };
    (0..5)
        .map(tune)
        .find(is_decided)
        .expect("one of five searches is decided")
}

pub(crate) fn best_setting() {
    let bench = Bench::new();
    // The variant in use waits for 20 ms before each response, and the other one for 1 ms.
    let gated = decided(&bench, &["--gate"]);
    assert_eq!(gated.status, Some(3), "{}", gated.err);
    let answer = tuned(&bench);
    assert_eq!((answer.verdict.as_str(), answer.exit_status), ("worse", 3));
    let recommended = answer.recommended.unwrap();
    assert_eq!((recommended.case.as_str(), recommended.certain), (FAST, true));
    assert!(
        recommended.command.starts_with("python serve.py "),
        "{}",
        recommended.command
    );
    let present = answer.present.unwrap();
    assert!(present.case == SLOW && present.loss.unwrap().low > 0.5, "{present:?}");
    let slow = answer.settings.iter().find(|setting| setting.case == SLOW).unwrap();
    assert_eq!(slow.status, TuneStatus::Dropped);
    assert!(matches!(&slow.dropped.as_ref().unwrap().reason, DropReason::Worse { than, .. } if than == FAST));
    assert!(
        gated.out.contains("Recommended: delay_ms=1 kind=threads"),
        "{}",
        gated.out
    );
    assert!(gated.out.contains("less throughput"), "{}", gated.out);
    assert!(gated.err.contains("settings left"), "{}", gated.err);
    let run = bench.record();
    assert_eq!(
        run.tuning.as_ref().map(|tuning| tuning.run.as_str()),
        Some(run.id.as_str())
    );

    // Without a gate, the same answer is no failure; the answer names a threshold that only the slow one breaks.
    let shown = decided(&bench, &["--threshold", "p50<15ms"]);
    assert_eq!(shown.status, Some(0), "{}", shown.err);
    let broken = tuned(&bench);
    let slow = broken.settings.iter().find(|setting| setting.case == SLOW).unwrap();
    assert!(
        matches!(slow.dropped.as_ref().unwrap().reason, DropReason::Breaks { .. }),
        "{slow:?}"
    );
    assert!(shown.out.contains("breaks p50<15ms"), "{}", shown.out);
}

pub(crate) fn refused() {
    let bench = Bench::new();
    for (more, told) in [
        (
            &["--goal", "cost"][..],
            "--goal cost needs a scenario with an arrival schedule",
        ),
        (&["--budget", "2s"], "2 settings need at least 4 launches each"),
        (&["--launches", "2"], "give --launches 4 or more"),
        (
            &["--gate", "--server", "delayed@delay_ms=1-kind=threads"],
            "--tune needs at least two settings",
        ),
        (&["--threshold", "p99<5ms,p99<9ms"], "p99 has two thresholds"),
        (&["--margin", "p99=5"], "the margin of its goal only"),
    ] {
        let refused = bench.run(&arguments(more));
        assert_eq!(refused.status, Some(2), "{more:?}");
        assert!(refused.err.contains(told), "{told}: {}", refused.err);
    }
    let all = bench.run(&["--bench", "--tune", "--server", "threads", "."]);
    assert!(
        all.status == Some(2) && all.err.contains("compares settings under one load"),
        "{}",
        all.err
    );
    assert!(!bench.0.path().join("wsgibench/tune.json").exists());
}

pub(crate) fn interrupted() {
    let bench = Bench::new();
    let few = ["--launches", "5"];
    let mut running = bench.command("process", &arguments(&few)).spawn().unwrap();
    eventually("three rounds are measured", || {
        bench
            .journal()
            .is_some_and(|text| text.matches("\"entry\":\"round\"").count() >= 3)
    });
    interrupt(running.id());
    assert_eq!(running.wait().unwrap().code(), Some(130));
    let before = tuned(&bench);
    assert_eq!(
        (before.ended, before.verdict.as_str()),
        (TuneEnd::Interrupted, "interrupted")
    );
    assert!(before.recommended.is_none_or(|best| !best.certain));
    let launches = |bench: &Bench| -> usize { bench.record().cases.iter().map(|case| case.launches.len()).sum() };
    let kept = launches(&bench);
    let resumed = bench.run(&arguments(&["--launches", "5", "--resume"]));
    let after = tuned(&bench);
    // On a busy machine, all measurements may be invalid.
    let measured = after.settings.iter().any(|setting| setting.valid_launches >= 3);
    assert_eq!(resumed.status, Some(i32::from(!measured)), "{}", resumed.err);
    assert_eq!(after.run, before.run);
    assert!(after.ended != TuneEnd::Interrupted && launches(&bench) > kept);
    let blocks: Vec<u32> = bench.record().cases[0]
        .launches
        .iter()
        .map(|launch| launch.block)
        .collect();
    assert_eq!(blocks, (0..u32::try_from(blocks.len()).unwrap()).collect::<Vec<_>>());
    let gate = bench.run(&["--bench", "--scenario", "slow", "--gate", "--resume"]);
    assert!(
        gate.status == Some(2) && gate.err.contains("continues a tuning only"),
        "{}",
        gate.err
    );
}
