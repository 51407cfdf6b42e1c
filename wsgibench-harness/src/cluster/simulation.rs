//! The coordinator with simulated pods: each has a clock and delays of its own, and all time is simulated.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use super::{
    clock::Reading,
    coordinator::{Conn, Coordinator, Input, Output},
    message::{Checked, Event, FromPod, Member, Opening, Order, PodFacts, Task, ToPod},
    skew::Skew,
};
use crate::load::{Live, Load, LoadPlan, RoundPart, RoundResult, Target, get};

const MS: Reading = 1_000_000;

/// A simulated pod.
struct SimulatedPod {
    offset: Reading,
    /// Delay of a message in either direction, ns.
    delay: Reading,
    /// Added to the start without the clock showing it.
    late: Reading,
    dies_at: Reading,
    part: Option<RoundPart>,
}

/// A message on its way.
#[derive(Debug)]
enum Travelling {
    ToPod(Conn, ToPod),
    FromPod(Conn, FromPod),
    Tick,
}

struct Simulation {
    now: Reading,
    coordinator: Coordinator,
    pods: Vec<SimulatedPod>,
    queue: BinaryHeap<Reverse<(Reading, u64)>>,
    messages: std::collections::HashMap<u64, Travelling>,
    counter: u64,
    orders: u64,
    events: Vec<(Reading, Event)>,
}

impl Simulation {
    fn new(pods: Vec<SimulatedPod>) -> Self {
        let mut simulation = Self {
            now: 0,
            coordinator: Coordinator::new(),
            pods,
            queue: BinaryHeap::new(),
            messages: std::collections::HashMap::new(),
            counter: 0,
            orders: 0,
            events: Vec::new(),
        };
        for index in 0..simulation.pods.len() {
            let member = Member::Load {
                index: u32::try_from(index).unwrap(),
                pod: format!("load-{index}"),
            };
            let conn = index as Conn;
            simulation.step(Input::Joined { conn, member });
            simulation.push(0, Travelling::FromPod(conn, FromPod::Alive(Live::default())));
        }
        simulation.push(0, Travelling::Tick);
        simulation
    }

    fn push(&mut self, at: Reading, message: Travelling) {
        self.counter += 1;
        self.queue.push(Reverse((at, self.counter)));
        self.messages.insert(self.counter, message);
    }

    fn step(&mut self, input: Input) {
        for output in self.coordinator.step(self.now, input) {
            match output {
                Output::ToPod { conn, message } => {
                    let at = self.now + self.pods[usize::try_from(conn).unwrap()].delay;
                    self.push(at, Travelling::ToPod(conn, message));
                }
                Output::Report(report) => self.events.push((self.now, report.event)),
            }
        }
    }

    fn order(&mut self, task: Task) -> Event {
        self.orders += 1;
        let number = self.orders;
        let known = self.events.len();
        self.step(Input::Order(Order { number, task }));
        loop {
            let ended = self.events[known..].iter().find(|(_, event)| {
                matches!(
                    event,
                    Event::Opened { .. } | Event::Failed(_) | Event::WarmedUp | Event::RoundDone { .. } | Event::Closed
                )
            });
            if let Some((_, event)) = ended {
                return event.clone();
            }
            self.advance();
        }
    }

    fn advance(&mut self) {
        let Reverse((at, number)) = self.queue.pop().expect("the ticks never end");
        self.now = at;
        match self.messages.remove(&number).expect("each message travels once") {
            Travelling::Tick => {
                self.step(Input::Tick);
                self.push(at + 100 * MS, Travelling::Tick);
            }
            Travelling::FromPod(conn, message) => {
                let again = matches!(message, FromPod::Alive(_));
                self.step(Input::FromPod { conn, message });
                let pod = &self.pods[usize::try_from(conn).unwrap()];
                if again && at + 100 * MS < pod.dies_at {
                    self.push(
                        at + 100 * MS,
                        Travelling::FromPod(conn, FromPod::Alive(Live::default())),
                    );
                }
            }
            Travelling::ToPod(conn, message) => self.at_pod(conn, &message),
        }
    }

    fn at_pod(&mut self, conn: Conn, message: &ToPod) {
        let pod = &self.pods[usize::try_from(conn).unwrap()];
        let (reading, back) = (self.now + pod.offset, self.now + pod.delay);
        if self.now >= pod.dies_at {
            return;
        }
        let (at, answer) = match *message {
            ToPod::Ping { sent } => (back, FromPod::Pong { sent, reading }),
            ToPod::Check { .. } => (back, FromPod::Checked(Checked::default())),
            ToPod::Open { .. } => (back, FromPod::Opened),
            ToPod::Start { at, length, measured } => {
                let started = at.max(reading) + pod.late;
                let end = started - pod.offset + i64::try_from(length.as_nanos()).unwrap();
                if end >= pod.dies_at {
                    return;
                }
                let part = pod.part.clone().map(Box::new);
                let answer = match part {
                    Some(part) if measured => FromPod::Part {
                        started,
                        part,
                        facts: PodFacts::default(),
                    },
                    _ => FromPod::WarmedUp,
                };
                (end + pod.delay, answer)
            }
            ToPod::Cancel => return,
            ToPod::Close => (back, FromPod::Closed),
        };
        self.push(at, Travelling::FromPod(conn, answer));
    }
}

fn pod(offset: Reading, delay: Reading) -> SimulatedPod {
    SimulatedPod {
        offset,
        delay,
        late: 0,
        dies_at: Reading::MAX,
        part: Some(part(1)),
    }
}

/// Returns a part with one response of each of `n` times.
fn part(n: u64) -> RoundPart {
    RoundPart::sample((1..=n).map(|k| k * 1_000))
}

fn opening(pods: usize) -> Task {
    let target = Target::new(([127, 0, 0, 1], 80).into(), "x");
    Task::Open(Box::new(Opening {
        pods: (0..pods).map(|index| format!("load-{index}")).collect(),
        server: None,
        plan: LoadPlan::new(target, Load::closed(10_000).request(get("/"))),
        case: "a/b/c".to_owned(),
        within: Duration::from_secs(60),
    }))
}

const ROUND: Task = Task::Round {
    length: Duration::from_secs(10),
};

fn skew(event: &Event) -> Skew {
    let Event::RoundDone { skew } = event else {
        panic!("{event:?}");
    };
    *skew
}

#[test]
fn planted_offsets_are_found_and_corrected() {
    // Clocks hours apart, one of them 50 ms from its neighbour's, and unequal delays.
    let pods = [(0, 40_000), (50 * MS, 90_000), (-3_600_000 * MS, 400_000), (7, 20_000)];
    let mut simulation = Simulation::new(pods.map(|(offset, delay)| pod(offset, delay)).into());
    assert!(matches!(simulation.order(opening(4)), Event::Opened { .. }));
    assert!(matches!(
        simulation.order(Task::WarmUp {
            length: Duration::from_secs(1)
        }),
        Event::WarmedUp
    ));
    let skew = skew(&simulation.order(ROUND));
    assert!(skew.is_small() && skew.ns <= skew.bound_ns, "{skew:?}");
    let offsets: Vec<i64> = simulation
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Part(part) => Some(part.offset.ns),
            _ => None,
        })
        .collect();
    assert_eq!(offsets.len(), 4);
    assert!(offsets.contains(&(50 * MS)), "{offsets:?}");
    assert!(matches!(simulation.order(Task::Close), Event::Closed));
}

#[test]
fn offset_that_the_round_trips_do_not_show_is_invalid() {
    let mut pods = vec![pod(0, 40_000), pod(0, 40_000)];
    pods[1].late = 50 * MS;
    let mut simulation = Simulation::new(pods);
    simulation.order(opening(2));
    let skew = skew(&simulation.order(ROUND));
    assert_eq!((skew.ns, skew.is_small()), (50_000_000, false));
}

#[test]
fn pod_that_dies_in_a_round_is_named_within_two_seconds() {
    for dies_at in (0..20).map(|k| 2_000 * MS + k * 400 * MS + k) {
        let mut pods = vec![pod(0, 40_000), pod(5, 60_000), pod(9, 50_000)];
        pods[1].dies_at = dies_at;
        let mut simulation = Simulation::new(pods);
        simulation.order(opening(3));
        assert!(matches!(simulation.order(ROUND), Event::RoundDone { .. }));
        let lost = simulation.events.iter().find_map(|(at, event)| match event {
            Event::Lost { pod, .. } => Some((*at, pod.clone())),
            _ => None,
        });
        let (at, name) = lost.expect("the loss is reported");
        assert_eq!(name, "load-1");
        assert!(
            at - dies_at < 2_000 * MS,
            "reported {} ns after the death",
            at - dies_at
        );
        assert!(at - simulation.now < 5_000 * MS);
    }
}

#[test]
fn pods_that_never_connect_are_named() {
    let mut simulation = Simulation::new(vec![pod(0, 40_000)]);
    let Event::Failed(failure) = simulation.order(opening(3)) else {
        panic!("it opened");
    };
    assert!(
        failure.text.starts_with("load-1, load-2 did not connect"),
        "{failure:?}"
    );
}

#[test]
fn orders_sent_again_are_ignored_and_reports_are_kept() {
    let mut simulation = Simulation::new(vec![pod(0, 40_000)]);
    simulation.order(opening(1));
    simulation.order(ROUND);
    let before = simulation.events.len();
    simulation.step(Input::Order(Order { number: 2, task: ROUND }));
    assert_eq!(simulation.events.len(), before);
    let kept = simulation.coordinator.reports_after(1);
    assert!(
        matches!(
            kept.iter().map(|report| &report.event).collect::<Vec<_>>()[..],
            [Event::Part(_), Event::RoundDone { .. }]
        ),
        "{kept:?}"
    );
}

#[test]
fn a_thousand_pods_merge_like_one_process() {
    const PODS: u64 = 1_000;
    const EACH: u64 = 200;
    let begun = Instant::now();
    let times = |index: u64| (0..EACH).map(move |k| 50_000 + (k * PODS + index) * 7_919 % 90_000_000);
    let pods = (0..PODS).map(|index| SimulatedPod {
        part: Some(RoundPart::sample(times(index))),
        ..pod(i64::try_from(index).unwrap() * 1_000 * MS, 50_000)
    });
    let mut simulation = Simulation::new(pods.collect());
    assert!(matches!(simulation.order(opening(1_000)), Event::Opened { .. }));
    assert!(skew(&simulation.order(ROUND)).is_small());
    let mut sum: Option<RoundPart> = None;
    let mut bytes = 0;
    for (_, event) in simulation.events {
        let Event::Part(part) = event else { continue };
        // As it arrives at the bench.
        let text = serde_json::to_vec(&part.part).unwrap();
        bytes += text.len();
        let part: RoundPart = serde_json::from_slice(&text).unwrap();
        match &mut sum {
            Some(sum) => sum.add(part),
            None => sum = Some(part),
        }
    }
    let merged: RoundResult = sum.unwrap().result().unwrap();
    let mut alone = RoundPart::sample((0..PODS).flat_map(times)).result().unwrap();
    assert_eq!(merged.counts, alone.counts);
    assert!(merged.counts.adds_up());
    assert_eq!(merged.response_time.histogram, alone.response_time.histogram);
    assert_eq!(merged.service_time.histogram, alone.service_time.histogram);
    // A sample has one active connection, and those of the pods add up.
    alone.series.iter_mut().for_each(|second| second.active *= PODS);
    assert_eq!(merged.series, alone.series);
    eprintln!(
        "1,000 pods: {bytes} bytes of parts, {:?} with the simulation",
        begun.elapsed()
    );
}
