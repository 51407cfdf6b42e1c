//! Criterion benchmarks of the load generator's inner loops: parsing a response, recording a latency, the next arrival.
//!
//! Measured in CPU time of the thread rather than wall-clock time, which on a shared machine includes other processes.

use std::{hint::black_box, time::Duration};

use criterion::{
    BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::{Measurement, ValueFormatter},
};
use rustix::time::{ClockId, clock_gettime};
use wsgibench_harness::load::{
    Arrivals, Latency, Schedule, Stage, Stripe,
    http1::{Head, HeadFacts, Parser, Sink},
};

/// CPU time of this thread.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanoseconds)
    }

    fn end(&self, start: Duration) -> Duration {
        self.start().saturating_sub(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    #[expect(clippy::cast_precision_loss, reason = "criterion reckons in f64")]
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Nanoseconds
    }
}

/// Formats ns of CPU time.
struct Nanoseconds;

impl Nanoseconds {
    fn unit(typical: f64) -> (f64, &'static str) {
        match typical {
            ns if ns < 1e3 => (1.0, "ns cpu"),
            ns if ns < 1e6 => (1e-3, "us cpu"),
            ns if ns < 1e9 => (1e-6, "ms cpu"),
            _ => (1e-9, "s cpu"),
        }
    }
}

impl ValueFormatter for Nanoseconds {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        let (factor, unit) = Self::unit(typical);
        for value in values {
            *value *= factor;
        }
        unit
    }

    fn scale_throughputs(&self, _typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        #[expect(clippy::cast_precision_loss, reason = "criterion reckons in f64")]
        let (amount, unit) = match throughput {
            Throughput::Elements(n) => (*n as f64, "million/s cpu"),
            Throughput::Bytes(n) | Throughput::BytesDecimal(n) => (*n as f64, "MB/s cpu"),
            Throughput::Bits(n) => (*n as f64, "Mbit/s cpu"),
            Throughput::ElementsAndBytes { elements, .. } => (*elements as f64, "million/s cpu"),
        };
        for ns in values {
            *ns = amount * 1e3 / *ns;
        }
        unit
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "ns"
    }
}

const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    Connection: keep-alive\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";

/// Stores the head and counts the body's bytes.
#[derive(Default)]
struct Count {
    facts: Option<(usize, HeadFacts)>,
    bytes: usize,
}

impl Sink for Count {
    fn head(&mut self, head: &Head<'_>) {
        self.facts = Some((head.raw.len(), head.facts));
    }

    fn body(&mut self, piece: &[u8]) {
        self.bytes += piece.len();
    }
}

fn chunked() -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..16 {
        answer.extend_from_slice(b"1000\r\n");
        answer.extend_from_slice(&[b'x'; 4096]);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

fn parsing(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("parse");
    let chunked = chunked();
    for (name, answer) in [("small", SMALL), ("chunked 64 KiB", &chunked)] {
        group.throughput(Throughput::Bytes(answer.len() as u64));
        group.bench_function(name, |b| {
            let mut parser = Parser::new(false);
            let mut seen = Count::default();
            b.iter(|| {
                parser.reset(false);
                parser.feed(black_box(answer), &mut seen).map(|fed| fed.complete)
            });
        });
    }
    // The fast path for a head that was seen before.
    let mut seen = Count::default();
    let _ = Parser::new(false).feed(SMALL, &mut seen);
    if let Some((length, facts)) = seen.facts {
        group.throughput(Throughput::Bytes(SMALL.len() as u64));
        group.bench_function("small, head known", |b| {
            let mut parser = Parser::new(false);
            let known = SMALL[..length].to_vec();
            b.iter(|| {
                parser.reset(false);
                let answer = black_box(SMALL);
                assert!(answer.starts_with(&known));
                parser.assume_head(facts);
                parser.feed(&answer[length..], &mut seen).map(|fed| fed.complete)
            });
        });
    }
    group.finish();
}

fn recording(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("record");
    group.throughput(Throughput::Elements(1));
    group.bench_function("latency", |b| {
        let mut latency = Latency::new();
        let mut ns = 50_000_u64;
        b.iter(|| {
            // Latencies over a few octaves.
            ns = ns
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            latency.record(Duration::from_nanos(black_box(20_000 + (ns >> 44))));
        });
    });
    group.bench_function("merge of two workers", |b| {
        let mut sum = Latency::new();
        let mut part = Latency::new();
        (0..10_000).for_each(|k| part.record(Duration::from_micros(k)));
        b.iter(|| sum.merge(black_box(&part)));
    });
    group.finish();
}

fn scheduling(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("schedule");
    group.throughput(Throughput::Elements(1));
    let stage = |from: f64, to: f64, arrivals| {
        let mut stage = Stage::ramp(from..=to, Duration::from_secs(3600 * 24 * 365));
        stage.arrivals = arrivals;
        stage
    };
    let whole = Stripe { index: 0, of: 1 };
    for (name, stage, stripe) in [
        ("constant", stage(1e6, 1e6, Arrivals::Constant), whole),
        ("ramp", stage(1e6, 2e6, Arrivals::Constant), whole),
        ("poisson", stage(1e6, 1e6, Arrivals::Poisson), whole),
        (
            "poisson",
            stage(1e6, 1e6, Arrivals::Poisson),
            Stripe { index: 1, of: 4 },
        ),
    ] {
        let id = BenchmarkId::new(name, format!("{} of {}", stripe.index + 1, stripe.of));
        group.bench_function(id, |b| {
            let mut arrivals = Schedule::stages(std::slice::from_ref(&stage), 7).arrivals(stripe);
            b.iter(|| black_box(arrivals.next()));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = parsing, recording, scheduling
}
criterion_main!(benches);
