//! The coordinator of a run: a state machine without a clock and without connections of its own.
//!
//! It takes inputs with the time of their arrival and returns messages to send. Every task of the bench ends with a report, whatever
//! the pods do: a silent pod is lost after [`SILENCE`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::Duration,
};

use super::{
    clock::{Offset, Reading},
    message::{Checked, Event, Failure, FromPod, Member, Opening, Order, PodPart, Report, Task, ToPod},
    skew::{Skew, Start},
    split,
};
use crate::load::Live;

/// Time without a message after which a pod is lost. With the interval of the ticks it stays below 2 s.
const SILENCE: Duration = Duration::from_millis(1_500);
/// Round trips for the offset of a pod's clock.
const ROUND_TRIPS: u32 = 24;
/// Time for the round trips of all pods.
const SYNC_TIME: Duration = Duration::from_secs(3);
/// Time between the order to start and the start, for the order to reach every pod.
const LEAD: Duration = Duration::from_millis(250);
/// Time after a cancelled round for the other pods to report their parts.
const AFTER_CANCEL: Duration = Duration::from_secs(3);
/// Time after the end of a round for parts to arrive.
const LATE: Duration = Duration::from_secs(25);
/// Time for a check or for opening connections.
const OPENING_TIME: Duration = Duration::from_secs(180);
/// Interval between live reports.
const LIVE: Duration = Duration::from_millis(250);

/// A connection, numbered by its owner.
pub(crate) type Conn = u64;

/// An input of the state machine.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Joined { conn: Conn, member: Member },
    Left { conn: Conn },
    FromPod { conn: Conn, message: FromPod },
    Order(Order),
    Tick,
}

/// A message to send.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    ToPod { conn: Conn, message: ToPod },
    Report(Report),
}

#[derive(Clone, Debug)]
struct Pod {
    member: Member,
    seen: Reading,
    live: Live,
    offset: Option<Offset>,
    trips: u32,
}

/// Phase of the coordinator.
#[derive(Clone, Debug)]
enum State {
    Idle,
    /// For the pods to connect.
    Gathering {
        opening: Box<Opening>,
        until: Reading,
    },
    /// For the first pod to check the responses.
    Checking {
        opening: Box<Opening>,
        until: Reading,
    },
    /// For all pods to open their connections.
    Opening {
        checked: Checked,
        until: Reading,
    },
    /// For round trips.
    Syncing {
        next: Phase,
        until: Reading,
    },
    Running {
        phase: Phase,
        until: Reading,
    },
    Closing {
        until: Reading,
    },
}

/// A warm-up or a round.
#[derive(Clone, Copy, Debug)]
struct Phase {
    length: Duration,
    measured: bool,
}

/// The coordinator.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pods: BTreeMap<Conn, Pod>,
    state: State,
    /// The members of the open launch, by connection, that have not answered the current task.
    waiting: BTreeSet<Conn>,
    /// Load pods of the open launch, in the order of their stripes; then the observer.
    team: Vec<Conn>,
    starts: Vec<Start>,
    last_order: u64,
    last_live: Reading,
    reports: VecDeque<Report>,
    number: u64,
    out: Vec<Output>,
}

fn ns(duration: Duration) -> Reading {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 4)
}

impl Coordinator {
    pub(crate) fn new() -> Self {
        Self {
            pods: BTreeMap::new(),
            state: State::Idle,
            waiting: BTreeSet::new(),
            team: Vec::new(),
            starts: Vec::new(),
            last_order: 0,
            last_live: 0,
            reports: VecDeque::new(),
            number: 0,
            out: Vec::new(),
        }
    }

    /// Takes an input that arrived at `now`; returns what to send.
    pub(crate) fn step(&mut self, now: Reading, input: Input) -> Vec<Output> {
        match input {
            Input::Joined { conn, member } => {
                let pod = Pod {
                    member,
                    seen: now,
                    live: Live::default(),
                    offset: None,
                    trips: 0,
                };
                self.pods.insert(conn, pod);
                self.gathered(now);
            }
            Input::Left { conn } => self.lose(now, conn, "its connection closed"),
            Input::FromPod { conn, message } => {
                if let Some(pod) = self.pods.get_mut(&conn) {
                    pod.seen = now;
                    self.take(now, conn, message);
                }
            }
            Input::Order(order) => {
                // An order that was sent again after a connection was lost.
                if order.number > self.last_order {
                    self.last_order = order.number;
                    self.order(now, order.task);
                }
            }
            Input::Tick => self.tick(now),
        }
        mem::take(&mut self.out)
    }

    /// Returns the reports after number `seen`, for a bench that has connected again.
    pub(crate) fn reports_after(&self, seen: u64) -> Vec<Report> {
        self.reports
            .iter()
            .filter(|report| report.number > seen)
            .cloned()
            .collect()
    }

    fn report(&mut self, event: Event) {
        self.number += 1;
        let report = Report {
            number: self.number,
            event,
        };
        // Live figures are of no use later.
        if !matches!(report.event, Event::Live(_)) {
            self.reports.push_back(report.clone());
        }
        self.out.push(Output::Report(report));
    }

    fn send(&mut self, conn: Conn, message: ToPod) {
        self.out.push(Output::ToPod { conn, message });
    }

    fn order(&mut self, now: Reading, task: Task) {
        match task {
            Task::Open(opening) => {
                self.reports.clear();
                self.team.clear();
                let until = now + ns(opening.within);
                self.state = State::Gathering { opening, until };
                self.gathered(now);
            }
            Task::WarmUp { length } => self.sync(
                now,
                Phase {
                    length,
                    measured: false,
                },
            ),
            Task::Round { length } => self.sync(now, Phase { length, measured: true }),
            Task::Cancel => {
                for conn in self.team.clone() {
                    self.send(conn, ToPod::Cancel);
                }
                if let State::Running { until, .. } = &mut self.state {
                    *until = (*until).min(now + ns(AFTER_CANCEL));
                }
            }
            Task::Close => {
                self.waiting = self.team.iter().copied().collect();
                for conn in self.team.clone() {
                    self.send(conn, ToPod::Close);
                }
                self.state = State::Closing {
                    until: now + ns(AFTER_CANCEL) * 3,
                };
                self.ended(now);
            }
        }
    }

    fn find(&self, wanted: impl Fn(&Member) -> bool) -> Option<Conn> {
        // The newest connection: a pod's earlier one may not be known to be lost yet.
        self.pods
            .iter()
            .rev()
            .find(|(_, pod)| wanted(&pod.member))
            .map(|(conn, _)| *conn)
    }

    /// Begins the check once all pods have connected.
    fn gathered(&mut self, now: Reading) {
        let State::Gathering { opening, .. } = &self.state else {
            return;
        };
        let load = opening
            .pods
            .iter()
            .map(|name| self.find(|member| matches!(member, Member::Load { pod, .. } if pod == name)));
        let observer = opening
            .server
            .iter()
            .map(|name| self.find(|member| matches!(member, Member::Observer { pod } if pod == name)));
        let Some(team) = load.chain(observer).collect::<Option<Vec<Conn>>>() else {
            return;
        };
        let Some(&first) = team.first() else { return };
        let opening = opening.clone();
        let check = ToPod::Check {
            plan: Box::new(split::stripe(&opening.plan, 0, 1)),
            case: opening.case.clone(),
        };
        self.team = team;
        self.waiting = BTreeSet::from([first]);
        self.state = State::Checking {
            opening,
            until: now + ns(OPENING_TIME),
        };
        self.send(first, check);
    }

    fn load_pods(&self) -> Vec<Conn> {
        let is_load = |conn: &Conn| {
            let pod = self.pods.get(conn);
            pod.is_some_and(|pod| matches!(pod.member, Member::Load { .. }))
        };
        self.team.iter().copied().filter(is_load).collect()
    }

    fn open_all(&mut self, now: Reading, opening: &Opening, checked: Checked) {
        let pods = self.load_pods();
        let of = u32::try_from(pods.len()).unwrap_or(u32::MAX);
        self.waiting = pods.iter().copied().collect();
        for (index, conn) in (0..).zip(pods) {
            let plan = Box::new(split::stripe(&opening.plan, index, of));
            let case = opening.case.clone();
            self.send(conn, ToPod::Open { plan, case });
        }
        self.state = State::Opening {
            checked,
            until: now + ns(OPENING_TIME),
        };
    }

    /// Measures all clocks before a phase.
    fn sync(&mut self, now: Reading, next: Phase) {
        let lost: Vec<String> = self
            .team
            .iter()
            .filter(|conn| !self.pods.contains_key(conn))
            .map(ToString::to_string)
            .collect();
        if !lost.is_empty() || self.team.is_empty() {
            self.fail(String::new(), "a pod was lost before the round".to_owned(), false);
            return;
        }
        self.waiting = self.team.iter().copied().collect();
        self.starts.clear();
        for conn in self.team.clone() {
            if let Some(pod) = self.pods.get_mut(&conn) {
                pod.offset = None;
                pod.trips = 0;
                pod.live = Live::default();
            }
            self.send(conn, ToPod::Ping { sent: now });
        }
        self.state = State::Syncing {
            next,
            until: now + ns(SYNC_TIME),
        };
    }

    fn start(&mut self, now: Reading, phase: Phase) {
        let at = now + ns(LEAD);
        self.waiting = self.team.iter().copied().collect();
        for conn in self.team.clone() {
            let Some(offset) = self.pods.get(&conn).and_then(|pod| pod.offset) else {
                continue;
            };
            let message = ToPod::Start {
                at: offset.to_other(at),
                length: phase.length,
                measured: phase.measured,
            };
            self.send(conn, message);
        }
        self.state = State::Running {
            phase,
            until: at + ns(phase.length) + ns(LATE),
        };
    }

    fn take(&mut self, now: Reading, conn: Conn, message: FromPod) {
        match message {
            FromPod::Pong { sent, reading } => self.pong(now, conn, sent, reading),
            FromPod::Alive(live) => {
                if let Some(pod) = self.pods.get_mut(&conn) {
                    pod.live = live;
                }
            }
            FromPod::Checked(checked) => {
                if let State::Checking { opening, .. } = &self.state {
                    let opening = opening.clone();
                    self.open_all(now, &opening, checked);
                }
            }
            FromPod::Failed { text, may_be_an_end } => {
                if self.team.contains(&conn) && !matches!(self.state, State::Idle | State::Closing { .. }) {
                    let pod = self.name(conn);
                    self.fail(pod, text, may_be_an_end);
                } else {
                    self.answered(now, conn);
                }
            }
            FromPod::Part { started, part, facts } => {
                let Some(pod) = self.pods.get(&conn) else { return };
                let (Member::Load { pod: name, .. }, Some(offset)) = (&pod.member, pod.offset) else {
                    return;
                };
                let index = self.team.iter().position(|known| *known == conn).unwrap_or(0);
                let part = PodPart {
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    pod: name.clone(),
                    started,
                    offset,
                    part: *part,
                    facts,
                };
                self.starts.push(Start {
                    reading: started,
                    offset,
                });
                self.report(Event::Part(Box::new(part)));
                self.answered(now, conn);
            }
            FromPod::Observed(observed) => {
                self.report(Event::Usage(*observed));
                self.answered(now, conn);
            }
            FromPod::Opened | FromPod::WarmedUp | FromPod::Closed => self.answered(now, conn),
        }
    }

    fn pong(&mut self, now: Reading, conn: Conn, sent: Reading, reading: Reading) {
        let State::Syncing { next, .. } = self.state else {
            return;
        };
        let Some(pod) = self.pods.get_mut(&conn) else { return };
        pod.trips += 1;
        if let Some(found) = Offset::of_round_trip(sent, reading, now) {
            pod.offset = Some(pod.offset.map_or(found, |known| known.better(found)));
        }
        if pod.trips < ROUND_TRIPS {
            self.send(conn, ToPod::Ping { sent: now });
        } else {
            self.waiting.remove(&conn);
            if self.waiting.is_empty() {
                self.start(now, next);
            }
        }
    }

    fn answered(&mut self, now: Reading, conn: Conn) {
        self.waiting.remove(&conn);
        self.ended(now);
    }

    /// Ends the task once every pod has answered.
    fn ended(&mut self, _now: Reading) {
        if !self.waiting.is_empty() {
            return;
        }
        let event = match &self.state {
            State::Opening { checked, .. } => Event::Opened {
                checked: checked.clone(),
            },
            State::Running { phase, .. } if phase.measured => Event::RoundDone {
                skew: Skew::of(&self.starts),
            },
            State::Running { .. } => Event::WarmedUp,
            State::Closing { .. } => {
                self.team.clear();
                Event::Closed
            }
            _ => return,
        };
        self.state = State::Idle;
        self.report(event);
    }

    fn name(&self, conn: Conn) -> String {
        self.pods
            .get(&conn)
            .map(|pod| pod.member.pod().to_owned())
            .unwrap_or_default()
    }

    fn fail(&mut self, pod: String, text: String, may_be_an_end: bool) {
        self.state = State::Idle;
        self.waiting.clear();
        self.report(Event::Failed(Failure {
            pod,
            text,
            may_be_an_end,
        }));
    }

    fn lose(&mut self, now: Reading, conn: Conn, why: &str) {
        let Some(pod) = self.pods.remove(&conn) else { return };
        if !self.team.contains(&conn) {
            return;
        }
        let name = pod.member.pod().to_owned();
        self.waiting.remove(&conn);
        match &mut self.state {
            State::Idle => {}
            State::Running { phase, until } if phase.measured => {
                *until = (*until).min(now + ns(AFTER_CANCEL));
                self.report(Event::Lost {
                    pod: name,
                    why: why.to_owned(),
                });
                for other in self.team.clone() {
                    if self.pods.contains_key(&other) {
                        self.send(other, ToPod::Cancel);
                    }
                }
                self.ended(now);
            }
            State::Closing { .. } => self.ended(now),
            _ => {
                let text = format!("the pod was lost ({why})");
                self.fail(name, text, false);
            }
        }
    }

    fn tick(&mut self, now: Reading) {
        let silent: Vec<Conn> = self
            .pods
            .iter()
            .filter(|(_, pod)| now - pod.seen > ns(SILENCE))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in silent {
            self.lose(now, conn, "it was silent for 1.5 s");
        }
        if matches!(self.state, State::Running { .. }) && now - self.last_live >= ns(LIVE) {
            self.last_live = now;
            let sum = self.load_pods().iter().fold(Live::default(), |sum, conn| {
                self.pods.get(conn).map_or(sum, |pod| sum.plus(pod.live))
            });
            self.report(Event::Live(sum));
        }
        self.overdue(now);
    }

    /// Ends a task whose time is over.
    fn overdue(&mut self, now: Reading) {
        let (until, text) = match &self.state {
            State::Idle => return,
            State::Gathering { opening, until } => (*until, self.missing(opening)),
            State::Checking { until, .. } => (*until, "the response check did not end in time".to_owned()),
            State::Opening { until, .. } => (*until, "the connections were not opened in time".to_owned()),
            State::Syncing { until, .. } => (*until, "its clock could not be measured in time".to_owned()),
            State::Running { until, .. } => (*until, "it did not report its part of the round in time".to_owned()),
            State::Closing { until } => (*until, String::new()),
        };
        if now < until {
            return;
        }
        match self.state {
            State::Closing { .. } => {
                self.waiting.clear();
                self.ended(now);
            }
            // The other parts are reported, and the round is invalid.
            State::Running { phase, .. } if phase.measured => {
                for conn in mem::take(&mut self.waiting) {
                    // An observer reports at the round's planned end; without its report the usage is unknown.
                    if !self.load_pods().contains(&conn) {
                        continue;
                    }
                    let pod = self.name(conn);
                    self.report(Event::Lost { pod, why: text.clone() });
                }
                self.ended(now);
            }
            _ => {
                let pod = self.waiting.first().map(|conn| self.name(*conn)).unwrap_or_default();
                self.fail(pod, text, false);
            }
        }
    }

    fn missing(&self, opening: &Opening) -> String {
        let names: Vec<&str> = opening
            .pods
            .iter()
            .chain(&opening.server)
            .filter(|name| self.find(|member| member.pod() == name.as_str()).is_none())
            .map(String::as_str)
            .collect();
        format!(
            "{} did not connect to the coordinator in time; check that network policies allow pods of the namespace to connect to each other",
            names.join(", ")
        )
    }
}
