//! Phases: the intervals in which load is offered and recorded.

use rustix::time::{ClockId, clock_gettime};

use super::{
    super::clock::{NEVER, Nanos},
    Driver, Report, Rest, Worker,
};

/// One second, ns.
const SECOND: Nanos = 1_000_000_000;

/// Phase of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between phases. Closed loops continue, unrecorded, once started.
    Off,
    /// A phase is scheduled.
    Waiting { start: Nanos, end: Nanos },
    /// A phase is running.
    On {
        start: Nanos,
        end: Nanos,
        /// Start of the current second.
        second: Nanos,
        /// The worker's CPU time and run-queue delay when it began, ns.
        cpu: u64,
        delay: u64,
    },
}

impl Phase {
    /// Returns the end of the running phase.
    pub(super) fn end(self) -> Option<Nanos> {
        match self {
            Self::On { end, .. } => Some(end),
            _ => None,
        }
    }

    /// Returns the start of the scheduled phase.
    pub(super) fn awaited(self) -> Nanos {
        match self {
            Self::Waiting { start, .. } => start,
            _ => NEVER,
        }
    }
}

impl Worker {
    /// Reads the clock, and crosses the phase edges that have passed.
    #[inline]
    pub(super) fn tick(&mut self) -> Nanos {
        let now = self.clock.now();
        if now >= self.edge {
            self.cross(now);
        }
        now
    }

    pub(super) fn await_phase(&mut self, start: Nanos, end: Nanos, rest: bool) {
        self.rest = if rest { Rest::Afterwards } else { Rest::Never };
        self.phase = Phase::Waiting { start, end };
        self.edge = start;
    }

    #[cold]
    fn cross(&mut self, now: Nanos) {
        loop {
            match self.phase {
                Phase::Waiting { start, end } if now >= start => self.begin_phase(start, end),
                Phase::On { start, end, .. } if now >= end && self.rest == Rest::Afterwards => self.drain(start, end),
                Phase::On { end, .. } if now >= end => self.end_phase(end),
                Phase::On { start, second, .. } if now >= second + SECOND => {
                    let active = self.active();
                    self.recorder.end_second(second - start, active);
                    self.next_second();
                }
                _ => return,
            }
        }
    }

    fn next_second(&mut self) {
        if let Phase::On { second, end, .. } = &mut self.phase {
            *second += SECOND;
            self.edge = (*second + SECOND).min(*end);
            self.live
                .p99_ns
                .store(self.recorder.last_p99, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn begin_phase(&mut self, start: Nanos, end: Nanos) {
        // Drops what was recorded between phases.
        let _ = self.recorder.take();
        self.recorder.tally.start = start;
        self.recorder.tally.established = self.established;
        self.phase = Phase::On {
            start,
            end,
            second: start,
            cpu: thread_cpu(),
            delay: run_queue_delay(),
        };
        self.edge = (start + SECOND).min(end);
        self.looping = true;
        self.begin_driving(start);
    }

    /// Stops sending and waits for the requests in flight, for at most the length of the phase.
    fn drain(&mut self, start: Nanos, end: Nanos) {
        self.rest = Rest::Draining;
        self.looping = false;
        let latest = end.saturating_add(end - start);
        if let Phase::On { second, end, .. } = &mut self.phase {
            *end = latest;
            self.edge = (*second + SECOND).min(latest);
        }
    }

    /// Ends a draining phase once every offered request is accounted for.
    pub(super) fn end_if_drained(&mut self) {
        if self.rest == Rest::Draining && self.phase.end().is_some() && self.recorder.tally.counts.adds_up() {
            let now = self.clock.now();
            self.end_phase(now);
        }
    }

    /// Ends the running phase at `end`.
    pub(super) fn end_phase(&mut self, end: Nanos) {
        let Phase::On {
            start,
            second,
            cpu,
            delay,
            ..
        } = self.phase
        else {
            return;
        };
        self.publish();
        self.phase = Phase::Off;
        self.edge = NEVER;
        let active = self.active();
        if end > second {
            self.recorder.end_second(second - start, active);
        }
        self.end_driving(end);
        for (_, conn) in &mut self.conns {
            if conn.begun && conn.counted {
                let service = (conn.sent != NEVER).then(|| end.saturating_sub(conn.sent));
                let response = end.saturating_sub(conn.intended);
                self.recorder.censored(response, service);
                self.recorder.censored_of(conn.request, response);
            }
            conn.counted = false;
        }
        self.sweep = matches!(self.driver, Driver::Users(_));
        let mut tally = self.recorder.take();
        tally.end = end;
        tally.cpu_ns = thread_cpu().saturating_sub(cpu);
        tally.delay_ns = run_queue_delay().saturating_sub(delay);
        // Fails only if the session is gone.
        let _ = self.reports.send(Report::Phase(Box::new(tally)));
    }
}

/// Returns the CPU time of this thread, ns.
fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * SECOND + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Returns the run-queue delay of this thread, ns; 0 where the kernel does not report it.
fn run_queue_delay() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
