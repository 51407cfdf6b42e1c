//! The load of a launch, offered by pods.

use std::{io, time::Duration};

use crate::{
    cluster::{
        control::Control,
        message::{Checked, Event, Failure, Observed, Opening, PodPart, Task},
        skew::Skew,
        split,
    },
    load::{LoadError, LoadPlan, Watch},
    measure::{interrupt::Interrupt, launch::LaunchFailure},
    sandbox::kubernetes::KubernetesLaunch,
};

/// Time for the pods of a launch to connect to the coordinator.
const CONNECTED_WITHIN: Duration = Duration::from_secs(60);
/// Interval between looks at the interrupt.
const LOOK: Duration = Duration::from_millis(100);

/// A load that pods offer.
#[derive(Debug)]
pub(in crate::measure) struct ClusterDriver {
    control: Control,
    watch: Watch,
    /// Names and nodes of the load pods.
    pods: Vec<(String, String)>,
    /// The server's node.
    server_node: String,
    cancelled: bool,
    /// Whether a pod was lost, so that no further round is possible.
    broken: bool,
}

/// Results of a round, by pod.
#[derive(Debug, Default)]
pub(super) struct RoundOfPods {
    /// In the order of the stripes.
    pub(super) parts: Vec<PodPart>,
    /// Lost pods, and why.
    pub(super) lost: Vec<(String, String)>,
    pub(super) usage: Option<Observed>,
    pub(super) skew: Skew,
}

impl ClusterDriver {
    /// Starts the missing load pods, checks the server's responses and opens the connections. `Ok(None)` after an interrupt.
    pub(in crate::measure) fn open(
        server: &KubernetesLaunch,
        plan: &LoadPlan,
        case: &str,
        runtime: &tokio::runtime::Runtime,
        interrupt: &Interrupt,
    ) -> Result<Option<(Self, Checked)>, LaunchFailure> {
        let run = server.run();
        let count = run.load_pods();
        split::check(&plan.load, count).map_err(LaunchFailure::Unsupported)?;
        let pods = runtime
            .block_on(run.ensure_load_pods(count))
            .map_err(LaunchFailure::Other)?;
        let watch = Watch::of_others()
            .map_err(|error: io::Error| LaunchFailure::Other(format!("failed to watch the load: {error}")))?;
        let mut driver = Self {
            control: Control::start(run),
            watch,
            pods,
            server_node: server.node().to_owned(),
            cancelled: false,
            broken: false,
        };
        driver.control.order(Task::Open(Box::new(Opening {
            pods: driver.pods.iter().map(|(name, _)| name.clone()).collect(),
            server: Some(server.pod().to_owned()),
            plan: plan.clone(),
            case: case.to_owned(),
            within: CONNECTED_WITHIN,
        })));
        loop {
            if interrupt.asked() {
                return Ok(None);
            }
            match driver.next()? {
                Some(Event::Opened { checked }) => return Ok(Some((driver, checked))),
                Some(Event::Failed(failure)) => return Err(failed(failure)),
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Option<Event>, LaunchFailure> {
        if self.watch.is_cancelled() && !self.cancelled {
            self.cancelled = true;
            self.control.order(Task::Cancel);
        }
        self.control.next(LOOK).map_err(LaunchFailure::Other)
    }

    /// Offers the load without recording it.
    pub(in crate::measure) fn warm_up(&mut self, length: Duration) -> Result<(), LoadError> {
        self.control.order(Task::WarmUp { length });
        loop {
            let event = self.next().map_err(|failure| lost(&failure))?;
            match event {
                Some(Event::WarmedUp) => return Ok(()),
                Some(Event::Failed(failure)) => return Err(lost(&failed(failure))),
                Some(Event::Live(live)) => self.watch.publish(live),
                _ => {}
            }
        }
    }

    /// Runs a round in all pods.
    pub(super) fn round(&mut self, length: Duration) -> Result<RoundOfPods, LaunchFailure> {
        self.watch.reset();
        self.control.order(Task::Round { length });
        let mut round = RoundOfPods::default();
        loop {
            match self.next()? {
                Some(Event::Live(live)) => self.watch.publish(live),
                Some(Event::Part(part)) => round.parts.push(*part),
                Some(Event::Lost { pod, why }) => round.lost.push((pod, why)),
                Some(Event::Usage(usage)) => round.usage = Some(usage),
                Some(Event::Failed(failure)) => return Err(failed(failure)),
                Some(Event::RoundDone { skew }) => {
                    round.skew = skew;
                    self.broken |= !round.lost.is_empty();
                    // Sums of floating-point numbers depend on the order.
                    round.parts.sort_by_key(|part| part.index);
                    return Ok(round);
                }
                _ => {}
            }
        }
    }

    pub(in crate::measure) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(in crate::measure) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Names and nodes of the load pods.
    pub(super) fn pods(&self) -> &[(String, String)] {
        &self.pods
    }

    pub(super) fn server_node(&self) -> &str {
        &self.server_node
    }

    /// Closes the connections; the pods wait for the next launch.
    pub(in crate::measure) fn finish(mut self) {
        self.control.order(Task::Close);
        for _ in 0..150 {
            match self.control.next(LOOK) {
                Ok(Some(Event::Closed)) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

fn failed(failure: Failure) -> LaunchFailure {
    if failure.may_be_an_end {
        return LaunchFailure::Died;
    }
    LaunchFailure::Other(if failure.pod.is_empty() {
        failure.text
    } else {
        format!("{} (pod {})", failure.text, failure.pod)
    })
}

fn lost(failure: &LaunchFailure) -> LoadError {
    let text = match failure {
        LaunchFailure::Other(text) => text.clone(),
        other => format!("{other:?}"),
    };
    LoadError::WorkerLost { what: text }
}
