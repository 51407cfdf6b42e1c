//! This program inside a pod: the coordinator, a load pod, or the observer of a server.

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use kube::{Client, Config};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::{MissedTickBehavior, interval},
};

use crate::{
    cluster::{
        clock::PodClock,
        frame,
        message::{Checked, FromPod, HEARTBEAT, Hello, Member, Observed, PORT, PodFacts, Role, ToPod},
        serve,
    },
    declare::{Declarations, Work},
    load::{Edge, Live, LoadPlan, Watch},
    measure::{
        driver::Driver,
        environment,
        interrupt::Interrupt,
        response_check::{self, Tried},
    },
    sandbox::{
        Usage,
        kubernetes::{Observer, PodRole, of_this_process, remove_when_expired, wait_until_ready},
        own_throttled_seconds,
    },
};

/// Time for the coordinator to accept the connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(60);
/// Interval between samples of the server's usage.
const SAMPLE: Duration = Duration::from_millis(200);
/// Milliseconds that a test adds to the readings of a load pod's clock.
const PLANTED_OFFSET: &str = "WSGIBENCH_TEST_CLOCK_OFFSET_MS";
/// Milliseconds by which a test delays a load pod's start without its clock showing it.
const PLANTED_DELAY: &str = "WSGIBENCH_TEST_START_DELAY_MS";

/// Runs the role of this process and returns its exit status, if it was started in a pod of a run.
pub(crate) fn run_if_pod() -> Option<ExitCode> {
    let role = of_this_process()?;
    let outcome = role.and_then(run);
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    })
}

fn run(role: PodRole) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("failed to start the runtime: {error}"))?;
    match role {
        PodRole::Coordinator { token, run } => runtime.block_on(async {
            let listener = TcpListener::bind(("0.0.0.0", PORT))
                .await
                .map_err(|error| format!("failed to listen on port {PORT}: {error}"))?;
            let config = Config::incluster().map_err(|error| format!("no service account in this pod: {error}"))?;
            let client = Client::try_from(config).map_err(|error| error.to_string())?;
            tokio::select! {
                served = serve::serve(listener, token) => served.map_err(|error| error.to_string()),
                () = remove_when_expired(client, &run) => Ok(()),
            }
        }),
        PodRole::Load {
            token,
            coordinator,
            index,
            pod,
        } => {
            let clock = PodClock::start(planted(PLANTED_OFFSET));
            let (orders, taken) = mpsc::channel();
            let member = Member::Load { index, pod };
            let watch = Arc::new(Mutex::new(None));
            let shared = Arc::clone(&watch);
            runtime.block_on(converse(
                coordinator,
                token,
                member,
                clock,
                &watch,
                orders,
                move |answers| {
                    LoadWorker {
                        clock,
                        answers,
                        watch: shared,
                        driver: None,
                        declarations: None,
                    }
                    .work(&taken);
                },
            ))
        }
        PodRole::Observer {
            token,
            coordinator,
            pod,
            spec,
        } => {
            runtime.block_on(wait_until_ready(&spec))?;
            let clock = PodClock::start(0);
            let (orders, taken) = mpsc::channel();
            let member = Member::Observer { pod };
            let none = Arc::new(Mutex::new(None));
            runtime.block_on(converse(
                coordinator,
                token,
                member,
                clock,
                &none,
                orders,
                move |answers| {
                    observe(clock, &answers, &taken);
                },
            ))
        }
    }
}

/// Reads a planted number of milliseconds, as ns.
fn planted(variable: &str) -> i64 {
    let text = std::env::var(variable).unwrap_or_default();
    text.parse::<i64>().unwrap_or(0) * 1_000_000
}

/// Holds the connection to the coordinator until it ends; `work` runs on a thread of its own.
async fn converse(
    coordinator: SocketAddr,
    token: String,
    member: Member,
    clock: PodClock,
    watch: &Mutex<Option<Watch>>,
    orders: Sender<ToPod>,
    work: impl FnOnce(UnboundedSender<FromPod>) + Send + 'static,
) -> Result<(), String> {
    let stream = connect(coordinator).await?;
    let (mut reading, mut writing) = stream.into_split();
    let hello = Hello {
        token,
        role: Role::Pod(member),
    };
    let lost = |error: std::io::Error| format!("the connection to the coordinator was lost: {error}");
    frame::write(&mut writing, &hello).await.map_err(lost)?;
    let (answers, mut to_send) = unbounded_channel();
    let of_work = answers.clone();
    thread::Builder::new()
        .name("work".to_owned())
        .spawn(move || work(of_work))
        .map_err(|error| format!("failed to start a thread: {error}"))?;
    let (frames, mut read) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let message = frame::read::<ToPod>(&mut reading).await;
            let ends = !matches!(message, Ok(Some(_)));
            if frames.send((clock.now(), message)).is_err() || ends {
                return;
            }
        }
    });
    let mut beats = interval(HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            biased;
            message = read.recv() => match message {
                Some((_, Ok(Some(ToPod::Ping { sent })))) => FromPod::Pong { sent, reading: clock.now() },
                Some((_, Ok(Some(ToPod::Cancel)))) => {
                    if let Some(watch) = &*watch.lock().unwrap_or_else(PoisonError::into_inner) {
                        watch.cancel();
                    }
                    continue;
                }
                Some((_, Ok(Some(other)))) => {
                    if orders.send(other).is_err() {
                        return Err("the load generator has ended".to_owned());
                    }
                    continue;
                }
                Some((_, Err(error))) => return Err(lost(error)),
                Some((_, Ok(None))) | None => return Ok(()),
            },
            answer = to_send.recv() => match answer {
                Some(answer) => answer,
                None => return Err("the load generator has ended".to_owned()),
            },
            _ = beats.tick() => {
                let live = watch.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Watch::live);
                FromPod::Alive(live.unwrap_or_default())
            }
        };
        let bytes = frame::encode(&message).map_err(lost)?;
        writing.write_all(&bytes).await.map_err(lost)?;
    }
}

async fn connect(coordinator: SocketAddr) -> Result<TcpStream, String> {
    let begun = tokio::time::Instant::now();
    loop {
        match tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(coordinator)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                return Ok(stream);
            }
            outcome if begun.elapsed() > CONNECT_WITHIN => {
                let why = outcome.map_or("timed out".to_owned(), |outcome| {
                    outcome.map_or_else(|error| error.to_string(), |_| String::new())
                });
                return Err(format!("failed to connect to the coordinator at {coordinator}: {why}"));
            }
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Offers one stripe.
struct LoadWorker {
    clock: PodClock,
    answers: UnboundedSender<FromPod>,
    watch: Arc<Mutex<Option<Watch>>>,
    /// The running load and the server's address.
    driver: Option<(Driver, SocketAddr)>,
    declarations: Option<Declarations>,
}

impl LoadWorker {
    fn work(mut self, orders: &Receiver<ToPod>) {
        while let Ok(order) = orders.recv() {
            let answer = self.carry_out(order);
            let answer = answer.unwrap_or_else(|(text, may_be_an_end)| FromPod::Failed { text, may_be_an_end });
            if self.answers.send(answer).is_err() {
                return;
            }
        }
    }

    fn carry_out(&mut self, order: ToPod) -> Result<FromPod, (String, bool)> {
        match order {
            ToPod::Check { plan, case } => self.check(&plan, &case).map(FromPod::Checked),
            ToPod::Open { plan, case } => {
                self.close();
                let work = self.work_of(&case, &plan).map_err(|text| (text, false))?;
                let driver = Driver::start(&plan, &work).map_err(|error| (error.to_string(), false))?;
                *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver.watch());
                self.driver = Some((driver, plan.target.address));
                Ok(FromPod::Opened)
            }
            ToPod::Start { at, length, measured } => {
                let clock = self.clock;
                let Some((driver, server)) = &mut self.driver else {
                    return Err(("no load is open in this pod".to_owned(), false));
                };
                let delay = u64::try_from(planted(PLANTED_DELAY)).unwrap_or(0);
                let start = clock.moment(at) + Duration::from_nanos(delay);
                let before = (environment::cpu_ticks(&[]), own_throttled_seconds());
                let mut started = at;
                let part = driver
                    .round_at(start, length, &mut |edge| {
                        if edge == Edge::Start {
                            started = clock.now();
                        }
                    })
                    .map_err(|error| (error.to_string(), false))?;
                if !measured {
                    return Ok(FromPod::WarmedUp);
                }
                Ok(FromPod::Part {
                    started,
                    part: Box::new(part),
                    facts: facts(*server, before),
                })
            }
            ToPod::Close => {
                self.close();
                Ok(FromPod::Closed)
            }
            // Answered by the connection.
            ToPod::Ping { .. } | ToPod::Cancel => Ok(FromPod::Alive(Live::default())),
        }
    }

    fn close(&mut self) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some((driver, _)) = self.driver.take() {
            // A failure of a load that is over is of no consequence.
            let _ = driver.finish();
        }
    }

    /// Returns the work of a case: the plan's load, or the declared script.
    fn work_of(&mut self, case: &str, plan: &LoadPlan) -> Result<Work, String> {
        if self.declarations.is_none() {
            let declared = Declarations::collect().map_err(|error| error.to_string())?;
            self.declarations = Some(declared);
        }
        let cases = self.declarations.as_ref().map(Declarations::cases).unwrap_or_default();
        let declared = cases.iter().find(|known| known.id == case);
        match declared.and_then(|case| case.work.script()) {
            Some(_) => declared.map(|case| case.work.clone()).ok_or_else(String::new),
            None => Ok(Work::Load(plan.load.clone())),
        }
    }

    fn check(&mut self, plan: &LoadPlan, case: &str) -> Result<Checked, (String, bool)> {
        let work = self.work_of(case, plan).map_err(|text| (text, false))?;
        let mut notes = Vec::new();
        let tried = response_check::check(plan, &work, &Interrupt::never(), |note| notes.push(note))
            .map_err(|wrong| (wrong.to_string(), wrong.may_be_an_end()))?;
        let script = match tried {
            Tried::Requests => None,
            Tried::Script(took) | Tried::Unending(took) => Some(took),
        };
        Ok(Checked { script, notes })
    }
}

fn facts(server: SocketAddr, before: (environment::CpuTicks, f64)) -> PodFacts {
    let (ticks, throttled) = before;
    let after = environment::cpu_ticks(&[]);
    let port_range = environment::port_range();
    let total = after.total.saturating_sub(ticks.total).max(1);
    #[expect(clippy::cast_precision_loss, reason = "clock ticks of one round are far below 2^52")]
    let steal_share = after.steal.saturating_sub(ticks.steal) as f64 / total as f64;
    PodFacts {
        port_range,
        time_wait: environment::time_wait(server, port_range),
        throttled: (own_throttled_seconds() - throttled).max(0.0),
        steal_share,
    }
}

/// Reads the server's usage in each round.
fn observe(clock: PodClock, answers: &UnboundedSender<FromPod>, orders: &Receiver<ToPod>) {
    let mut observer = Observer::default();
    while let Ok(order) = orders.recv() {
        let answer = match order {
            ToPod::Start { at, length, measured } => {
                let start = clock.moment(at);
                thread::sleep(start.saturating_duration_since(std::time::Instant::now()));
                if measured {
                    FromPod::Observed(Box::new(observed(&mut observer, start, length)))
                } else {
                    FromPod::WarmedUp
                }
            }
            ToPod::Close => FromPod::Closed,
            _ => continue,
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}

fn observed(observer: &mut Observer, start: std::time::Instant, length: Duration) -> Observed {
    let before = observer.usage().ok();
    let mut series: Vec<(f64, Usage)> = Vec::new();
    let end = start + length;
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            break;
        }
        if let Ok(usage) = observer.usage() {
            series.push((start.elapsed().as_secs_f64(), usage));
        }
        thread::sleep(left.min(SAMPLE));
    }
    Observed {
        before,
        after: observer.usage().ok(),
        series,
        source: observer.source().to_owned(),
    }
}
