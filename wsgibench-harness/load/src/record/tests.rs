use proptest::prelude::*;

use super::{super::result::RequestResult, *};

const ABOUT: Circumstances<'_> = Circumstances {
    check_names: &[],
    request_names: &[],
    open: true,
    users: false,
};

fn tally(done: u64, offered: u64) -> Tally {
    let mut recorder = Recorder::new(0, 0);
    recorder.tally.counts.offered = offered;
    recorder.tally.scheduled = offered;
    for k in 0..done {
        recorder.done(1_000_000 + k, 500_000);
    }
    recorder.end_second(0, 1);
    let mut tally = recorder.take();
    tally.start = 5;
    tally.end = 2_000_000_005;
    tally.cpu_ns = 1_000_000_000;
    tally.spin_ns = 500_000_000;
    tally
}

#[test]
fn figures_of_workers_are_merged() {
    let mut third = Recorder::new(0, 0);
    third.tally.counts.offered = 4;
    third.failed(ErrorKind::Refused);
    third.censored(7_000, Some(6_000));
    third.timed_out(9_000, 8_000);
    third.unsent(3_000);
    third.end_second(0, 0);
    let mut third = third.take();
    third.fairness.add(0);
    let mut first = tally(10, 10);
    first.fairness.add(10);
    let round = merge(vec![first, tally(20, 20), third], ABOUT).unwrap();
    assert_eq!(round.counts.offered, 34);
    assert_eq!((round.counts.done, round.counts.failed), (30, 1));
    assert_eq!(
        (round.counts.censored, round.counts.timed_out, round.counts.unsent),
        (2, 1, 1)
    );
    assert_eq!(round.errors, [(ErrorKind::Refused, 1)]);
    assert_eq!(round.response_time.histogram.len(), 33);
    assert_eq!(round.response_time.censored, 3);
    assert_eq!(round.response_time.censored_from, Some(3_000));
    assert_eq!(round.service_time.censored, 2);
    assert!((round.seconds - 2.0).abs() < 1e-9);
    assert_eq!(round.offered_rate, Some(15.0));
    assert_eq!(round.series.len(), 1);
    assert_eq!((round.series[0].done, round.series[0].errors), (30, 2));
    // 2 s of CPU time, of which 1 s spinning, in three workers for 2 s.
    assert!((round.engine_busy_share - 1.0 / 6.0).abs() < 1e-9);
    assert_eq!(round.connections.served, 1);
    assert!((round.connections.jain - 0.5).abs() < 1e-9);
}

#[test]
fn a_lost_request_is_an_error() {
    assert!(merge(vec![tally(9, 10)], ABOUT).is_err());
    let mut miscounted = tally(10, 11);
    miscounted.counts.failed = 1;
    assert!(merge(vec![miscounted], ABOUT).is_err());
    assert!(merge(vec![tally(10, 10)], ABOUT).is_ok());
}

#[test]
fn jain_of_known_shares() {
    let mut equal = Fairness::default();
    let mut one = Fairness::default();
    for k in 0..10 {
        equal.add(7);
        one.add(if k == 0 { 100 } else { 0 });
    }
    assert!((equal.jain() - 1.0).abs() < 1e-12);
    assert!((one.jain() - 0.1).abs() < 1e-12);
    assert!(Fairness::default().jain().abs() < 1e-12);
    assert_eq!((one.members, one.served), (10, 1));
}

/// Outcome of a request of the mix.
#[derive(Clone, Copy, Debug)]
enum End {
    Done,
    Failed,
    Censored,
    TimedOut,
}

proptest! {
    #[test]
    fn requests_of_a_mix_sum_to_the_round(
        ends in prop::collection::vec(
            (0..3_usize, 0..4_u32, prop::sample::select(vec![End::Done, End::Failed, End::Censored, End::TimedOut]), 1..9_000_000_u64),
            0..200,
        ),
        unsent in 0..5_u64,
    ) {
        let mut workers: Vec<Recorder> = (0..3).map(|_| Recorder::new(0, 4)).collect();
        for &(worker, request, end, ns) in &ends {
            let recorder = &mut workers[worker];
            recorder.tally.counts.offered += 1;
            match end {
                End::Done => {
                    recorder.done(ns, ns);
                    recorder.done_of(request, ns);
                }
                End::Failed => {
                    recorder.failed(ErrorKind::Refused);
                    recorder.failed_of(request);
                }
                End::Censored => {
                    recorder.censored(ns, None);
                    recorder.censored_of(request, ns);
                }
                End::TimedOut => {
                    recorder.timed_out(ns, ns);
                    recorder.censored_of(request, ns);
                }
            }
        }
        for _ in 0..unsent {
            workers[0].tally.counts.offered += 1;
            workers[0].unsent(5);
        }
        let names = ["a", "b", "c", "d"].map(String::from);
        let about = Circumstances { request_names: &names, ..ABOUT };
        let tallies = workers.iter_mut().map(|recorder| {
            recorder.end_second(0, 1);
            recorder.take()
        });
        let round = merge(tallies.collect(), about).unwrap();
        for (index, request) in (0..).zip(&round.requests) {
            let count = |wanted: fn(End) -> bool| ends.iter().filter(|(_, of, end, _)| *of == index && wanted(*end)).count() as u64;
            prop_assert_eq!(request.done, count(|end| matches!(end, End::Done)));
            prop_assert_eq!(request.failed, count(|end| matches!(end, End::Failed)));
            prop_assert_eq!(request.latency.censored, count(|end| matches!(end, End::Censored | End::TimedOut)));
            prop_assert_eq!(request.latency.histogram.len(), request.done + request.latency.censored);
        }
        let sum = |of: fn(&RequestResult) -> u64| round.requests.iter().map(of).sum::<u64>();
        prop_assert_eq!(round.requests.len(), 4);
        prop_assert_eq!(sum(|r| r.done), round.counts.done);
        prop_assert_eq!(sum(|r| r.failed), round.counts.failed);
        prop_assert_eq!(sum(|r| r.latency.histogram.len()) + round.counts.unsent, round.response_time.histogram.len());
    }
}

#[test]
fn a_request_counted_for_no_request_of_the_mix_is_an_error() {
    let names = ["a", "b"].map(String::from);
    let about = Circumstances {
        request_names: &names,
        ..ABOUT
    };
    let mut recorder = Recorder::new(0, 2);
    recorder.tally.counts.offered = 1;
    recorder.done(1_000, 1_000);
    recorder.end_second(0, 1);
    assert!(merge(vec![recorder.take()], about).is_err());
}
