//! Schedules of requests or users: pure functions without a clock.
//!
//! A schedule is a sequence of arrivals, as times from the start of the round. Arrival `k` of an evenly spaced
//! schedule is the time at which the integral of the rate reaches `k`. A Poisson stage has exponential gaps in the same
//! integral; gap `k` depends on the seed and `k` only. Every stripe therefore has the same arrivals as the whole schedule.

use std::time::Duration;

use super::{
    clock::nanos,
    model::{Arrivals, Model, Stage},
    plan::Stripe,
    random::{self, Stream},
};

/// An arrival process.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Rates { pieces: Vec<Piece>, seed: u64 },
    Batches { batch: u64, every_ns: u64, until_ns: u64 },
}

/// A stage with its position in time and in the integral of the rate.
#[derive(Clone, Debug, PartialEq)]
struct Piece {
    /// Seconds from the start of the schedule.
    start: f64,
    /// Seconds; infinite for an unlimited stage.
    length: f64,
    from: f64,
    to: f64,
    /// Expected number of arrivals before it.
    before: f64,
    poisson: bool,
}

impl Schedule {
    /// Creates the schedule of an open load. Stages after an unlimited one are never reached.
    #[must_use]
    pub fn stages(stages: &[Stage], seed: u64) -> Self {
        let mut pieces = Vec::with_capacity(stages.len());
        let mut start = 0.0;
        let mut before = 0.0;
        for stage in stages {
            let length = stage.duration.map_or(f64::INFINITY, |duration| duration.as_secs_f64());
            let piece = Piece {
                start,
                length,
                from: stage.from.max(0.0),
                // The rate of an unlimited stage is constant.
                to: if length.is_finite() { stage.to } else { stage.from }.max(0.0),
                before,
                poisson: stage.arrivals == Arrivals::Poisson,
            };
            start += length;
            before += piece.total();
            pieces.push(piece);
            if !length.is_finite() {
                break;
            }
        }
        Self {
            kind: Kind::Rates { pieces, seed },
        }
    }

    /// Creates a schedule of `batch` simultaneous arrivals at 0, `every`, 2 `every`, ... before `arriving_for`.
    #[must_use]
    pub fn batches(batch: usize, every: Duration, arriving_for: Duration) -> Self {
        Self {
            kind: Kind::Batches {
                batch: batch as u64,
                every_ns: nanos(every).max(1),
                until_ns: nanos(arriving_for),
            },
        }
    }

    /// Returns the schedule of a load, `None` for closed loops. The seed of the run, `seed`, is combined with that of the load.
    #[must_use]
    pub fn of_model(model: &Model, seed: u64) -> Option<Self> {
        match model {
            Model::Closed { .. } => None,
            Model::Open { stages, seed: own, .. } => {
                let seed = random::bits(random::stream(seed, Stream::Gaps), *own);
                Some(Self::stages(stages, seed))
            }
            Model::Users {
                batch,
                every,
                arriving_for,
                ..
            } => Some(Self::batches(*batch, *every, *arriving_for)),
        }
    }

    /// Returns when arrival `k` is due; `None` after the last one, and for a schedule with a Poisson stage, whose arrivals
    /// depend on the previous ones: use [`arrivals`](Self::arrivals).
    #[must_use]
    pub fn at(&self, k: u64) -> Option<Duration> {
        match &self.kind {
            Kind::Batches {
                batch,
                every_ns,
                until_ns,
            } => {
                let at = k.checked_div(*batch)?.checked_mul(*every_ns)?;
                (at < *until_ns).then(|| Duration::from_nanos(at))
            }
            Kind::Rates { .. } if self.has_poisson() => None,
            #[expect(clippy::cast_precision_loss, reason = "2^53 arrivals are beyond any run")]
            Kind::Rates { pieces, .. } => moment(pieces, k as f64).map(Duration::from_nanos),
        }
    }

    /// Returns the arrivals of a stripe, in order, as ns from the start.
    #[must_use]
    pub fn arrivals(&self, stripe: Stripe) -> ArrivalTimes {
        ArrivalTimes {
            drawn: self.has_poisson(),
            schedule: self.clone(),
            stripe,
            k: 0,
            position: 0.0,
            piece: 0,
        }
    }

    fn has_poisson(&self) -> bool {
        matches!(&self.kind, Kind::Rates { pieces, .. } if pieces.iter().any(|piece| piece.poisson))
    }

    /// Returns the highest rate, arrivals per second (0 for batches of users).
    #[must_use]
    pub fn peak_rate(&self) -> f64 {
        match &self.kind {
            Kind::Batches { .. } => 0.0,
            Kind::Rates { pieces, .. } => pieces
                .iter()
                .fold(0.0, |peak, piece| peak.max(piece.from).max(piece.to)),
        }
    }
}

impl Piece {
    /// Returns the expected number of arrivals.
    fn total(&self) -> f64 {
        if self.from == 0.0 && self.to == 0.0 {
            0.0
        } else {
            f64::midpoint(self.from, self.to) * self.length
        }
    }

    /// Returns the time in the piece, in seconds, at which the expected number of arrivals reaches `n`.
    fn invert(&self, n: f64) -> f64 {
        if n <= 0.0 {
            return 0.0;
        }
        let slope = if self.length.is_finite() && self.length > 0.0 {
            (self.to - self.from) / self.length
        } else {
            0.0
        };
        if slope == 0.0 {
            return n / self.from;
        }
        // Solves n = from t + slope t^2 / 2 in the form that avoids cancellation.
        let root = (self.from * self.from + 2.0 * slope * n).max(0.0).sqrt();
        2.0 * n / (self.from + root)
    }
}

/// Returns the time at which the integral of the rate reaches `position`, ns.
fn moment(pieces: &[Piece], position: f64) -> Option<u64> {
    let index = pieces.partition_point(|piece| piece.before + piece.total() <= position);
    let piece = pieces.get(index)?;
    let at = piece.start + piece.invert(position - piece.before);
    to_ns(at)
}

/// Converts seconds to whole ns; `None` for times beyond a century.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to lie in the range just before"
)]
fn to_ns(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && (0.0..3.2e9).contains(&seconds)).then(|| (seconds * 1e9).round() as u64)
}

/// The iterator of [`Schedule::arrivals`].
#[derive(Clone, Debug)]
pub struct ArrivalTimes {
    schedule: Schedule,
    stripe: Stripe,
    /// Whether arrivals depend on previous ones, so that the iterator must visit all of them.
    drawn: bool,
    /// Number of the next arrival of the whole schedule.
    k: u64,
    /// Its position in the integral of the rate (only with a Poisson stage).
    position: f64,
    /// The stage that contains `position`.
    piece: usize,
}

impl ArrivalTimes {
    /// Returns the next arrival of a schedule with a Poisson stage.
    fn next_drawn(&mut self) -> Option<u64> {
        let Kind::Rates { pieces, seed } = &self.schedule.kind else {
            return None;
        };
        // The gap before arrival k: 1 for even spacing (0 before the first), exponential for Poisson arrivals.
        let poisson = pieces.get(self.piece)?.poisson;
        self.position += if poisson {
            -random::unit(random::bits(*seed, self.k)).ln()
        } else if self.k == 0 {
            0.0
        } else {
            1.0
        };
        while let Some(piece) = pieces.get(self.piece) {
            if self.position < piece.before + piece.total() {
                return to_ns(piece.start + piece.invert(self.position - piece.before));
            }
            self.piece += 1;
        }
        None
    }
}

impl Iterator for ArrivalTimes {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let Stripe { index, of } = self.stripe;
        if !self.drawn {
            let behind = (u64::from(index) + u64::from(of) - self.k % u64::from(of)) % u64::from(of);
            self.k += behind;
            let at = self.schedule.at(self.k).map(nanos);
            self.k += 1;
            return at;
        }
        loop {
            let at = self.next_drawn()?;
            let mine = self.k % u64::from(of) == u64::from(index);
            self.k += 1;
            if mine {
                return Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
