//! The public interface of the load engine: sessions, rounds and every load model, against a null server.

use std::{thread, time::Duration};

use wsgibench_harness::{
    load::{
        self, Edge, KeepAlive, Load, LoadError, LoadPlan, LoadResult, Session, Stage, Stripe, Target, get, post, slices,
    },
    null_server::{Delays, NullServer},
};

fn server() -> NullServer {
    NullServer::start(([127, 0, 0, 1], 0).into(), None).unwrap()
}

fn plan(server: &NullServer, load: Load) -> LoadPlan {
    let target = Target::new(server.address(), "null.test");
    let mut plan = LoadPlan::new(target, load);
    plan.measurement_time = Duration::from_millis(400);
    plan
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn consecutive_rounds_use_the_same_connections() {
    let server = server();
    let mut plan = plan(&server, Load::closed(10).request(get("/").expect_status(200)));
    plan.warm_up = ms(50);
    plan.rounds = 3;
    let result = load::run(&plan).unwrap();
    assert_eq!(result.rounds.len(), 3);
    for round in &result.rounds {
        assert!(round.counts.adds_up() && round.counts.done > 0, "{:?}", round.counts);
        assert_eq!(
            (round.counts.failed, round.counts.unsent, round.counts.retried),
            (0, 0, 0)
        );
        // Requests in flight at the end carry over to the next round.
        assert!(round.counts.censored <= 10, "{:?}", round.counts);
        assert_eq!(round.connections.opened, 0);
        assert_eq!((round.connections.established, round.connections.served), (10, 10));
        assert!(round.connections.jain > 0.0 && round.connections.jain <= 1.0);
        assert!(
            (round.seconds - 0.4).abs() < 1e-6,
            "a round is as long as was asked: {}",
            round.seconds
        );
        assert_eq!(
            round.series.iter().map(|second| second.done).sum::<u64>(),
            round.counts.done
        );
        assert!(round.engine_cpu_seconds > 0.0 && round.engine_busy_share > 0.0);
        assert_eq!((round.workers, round.offered_rate), (1, None));
        assert!(round.bytes_received > round.counts.done * 60);
    }
    let text = serde_json::to_string(&result).unwrap();
    let back: LoadResult = serde_json::from_str(&text).unwrap();
    assert_eq!(back.rounds[2].counts, result.rounds[2].counts);
    assert_eq!(
        back.rounds[2].response_time.histogram,
        result.rounds[2].response_time.histogram
    );
}

#[test]
fn load_pauses_between_slices() {
    // This server counts its responses.
    let delays = Delays {
        mean: ms(1),
        slow_share: 0.0,
        ..Delays::default()
    };
    let server = NullServer::start_delayed(([127, 0, 0, 1], 0).into(), None, delays).unwrap();
    let mut session = Session::start(&plan(&server, Load::closed(8).request(get("/").expect_status(200)))).unwrap();
    let mut slices = Vec::new();
    for _ in 0..4 {
        let mut edges = Vec::new();
        slices.push(session.slice_observed(ms(250), &mut |edge| edges.push(edge)).unwrap());
        assert_eq!(edges, [Edge::Start, Edge::End]);
        thread::sleep(ms(20));
    }
    session.finish().unwrap();
    for slice in &slices {
        assert!(slice.counts.adds_up() && slice.counts.done >= 8, "{:?}", slice.counts);
        // The end of a slice waits for all requests in flight.
        assert_eq!((slice.counts.censored, slice.counts.failed), (0, 0));
        assert_eq!((slice.connections.opened, slice.connections.served), (0, 8));
        assert!(slice.seconds >= 0.25, "{}", slice.seconds);
    }
    let round = slices::join(&slices).unwrap();
    assert_eq!(
        round.counts.done,
        slices.iter().map(|slice| slice.counts.done).sum::<u64>()
    );
    let answered = server.finish().unwrap().unwrap().len();
    assert_eq!(answered, round.counts.done, "no request is sent between slices");
}

#[test]
fn end_of_a_slice_waits_at_most_its_own_length_for_responses() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let target = Target::new(listener.local_addr().unwrap(), "silent.test");
    let mut session = Session::start(&LoadPlan::new(target, Load::closed(3).request(get("/")))).unwrap();
    let slice = session.slice_observed(ms(100), &mut |_| {}).unwrap();
    assert!(slice.counts.adds_up());
    assert_eq!((slice.counts.done, slice.counts.censored), (0, 3));
    assert!((slice.seconds - 0.2).abs() < 1e-6, "{}", slice.seconds);
}

#[test]
fn round_edges_are_observable_and_figures_are_live() {
    let server = server();
    let mut session = Session::start(&plan(&server, Load::closed(4).request(get("/")))).unwrap();
    let counts = session.warm_up_requests(2_000, Duration::from_secs(20)).unwrap();
    assert!(counts.done >= 2_000, "{counts:?}");
    let watch = session.watch();
    // Poll until there are figures; the time depends on the machine.
    let watcher = thread::spawn(move || {
        let mut live = watch.live();
        for _ in 0..200 {
            thread::sleep(ms(10));
            live = watch.live();
            if live.done > 0 && live.active == 4 {
                break;
            }
        }
        live
    });
    let mut edges = Vec::new();
    let round = session.round_observed(ms(2_500), &mut |edge| edges.push(edge)).unwrap();
    assert_eq!(edges, [Edge::Start, Edge::End]);
    assert!(
        (round.seconds - 2.5).abs() < 1e-6,
        "the warm-up's early end is not the round's: {}",
        round.seconds
    );
    let live = watcher.join().unwrap();
    assert!(
        live.done > 0 && live.done <= round.counts.done,
        "{live:?} {:?}",
        round.counts
    );
    assert_eq!(live.active, 4);
    assert_eq!(session.watch().live().done, round.counts.done);
    session.finish().unwrap();
}

#[test]
fn round_can_be_cancelled() {
    let server = server();
    for load in [
        Load::closed(4).request(get("/")),
        Load::rate(500).request(get("/")),
        Load::users(5).request(get("/")),
    ] {
        let mut session = Session::start(&plan(&server, load)).unwrap();
        let canceller = session.watch();
        let other = thread::spawn(move || {
            while canceller.live().done == 0 {
                thread::sleep(ms(10));
            }
            canceller.cancel();
        });
        let round = session.round(Duration::from_secs(3_600)).unwrap();
        other.join().unwrap();
        assert!(session.watch().is_cancelled());
        assert!(
            round.seconds < 3_600.0 && round.counts.done > 0 && round.counts.adds_up(),
            "{:?}",
            round.counts
        );
        // Later rounds end immediately.
        assert!(session.round(Duration::from_secs(3_600)).unwrap().seconds < 3_600.0);
        session.finish().unwrap();
    }
}

#[test]
fn open_load_offers_its_schedule() {
    let server = server();
    let stages = [
        Stage::constant(1_000.0, ms(200)),
        Stage::constant(0.0, ms(100)),
        Stage::constant(4_000.0, ms(100)),
    ];
    let steady = load::run(&plan(&server, Load::rate(2_000).request(get("/"))))
        .unwrap()
        .rounds
        .remove(0);
    assert_eq!(steady.counts.offered, 800);
    assert_eq!(steady.offered_rate, Some(2_000.0));
    let by_stages = load::run(&plan(&server, Load::stages(stages).request(get("/"))))
        .unwrap()
        .rounds
        .remove(0);
    assert_eq!(by_stages.counts.offered, 600);
    let ramp = load::run(&plan(&server, Load::ramp(0..=2_000, ms(500)).request(get("/"))))
        .unwrap()
        .rounds
        .remove(0);
    assert_eq!(ramp.counts.offered, 500);
    let poisson = load::run(&plan(&server, Load::poisson(2_000).seed(3).request(get("/"))))
        .unwrap()
        .rounds
        .remove(0);
    // 800 expected with a standard deviation of 28.
    assert!((600..1_000).contains(&poisson.counts.offered), "{:?}", poisson.counts);
    let again = load::run(&plan(&server, Load::poisson(2_000).seed(3).request(get("/"))))
        .unwrap()
        .rounds
        .remove(0);
    assert_eq!(
        again.counts.offered, poisson.counts.offered,
        "the same seed, the same arrivals"
    );
    for round in [steady, by_stages, ramp, poisson] {
        assert!(
            round.counts.done > 0 && round.counts.failed == 0,
            "{:?} {:?}",
            round.counts,
            round.errors
        );
        let sent = round.counts.offered - round.counts.unsent;
        assert_eq!(round.service_time.histogram.len(), sent, "{:?}", round.counts);
        assert_eq!(round.response_time.histogram.len(), round.counts.offered);
        // Every response time counts from the intended start, even if sent late.
        assert!(round.response_time.histogram.mean() >= round.service_time.histogram.mean() * 0.999);
    }
}

#[test]
fn users_arrive_send_their_requests_and_leave() {
    let server = server();
    let load = Load::users(3)
        .every(ms(100))
        .arriving_for(ms(300))
        .requests_per_user(50)
        .duration(Duration::from_secs(1))
        .request(get("/"));
    for cpus in [vec![], vec![0, 0]] {
        let mut plan = plan(&server, load.clone());
        plan.cpus = cpus;
        let round = load::run(&plan).unwrap().rounds.remove(0);
        let users = round.users.unwrap();
        assert_eq!(
            (users.arrived, users.finished, users.active),
            (9, 9, 0),
            "{:?}",
            round.counts
        );
        assert_eq!((round.counts.offered, round.counts.done), (450, 450));
        assert_eq!(
            (
                round.connections.wanted,
                round.connections.served,
                round.connections.opened
            ),
            (9, 9, 9)
        );
        assert!((round.connections.jain - 1.0).abs() < 1e-9);
        assert_eq!(round.connect_time.histogram.len(), 9);
    }
}

#[test]
fn workers_and_stripes_form_one_load() {
    let server = server();
    let mut whole = plan(&server, Load::rate(1_000).request(get("/")));
    whole.cpus = vec![0, 0, 0];
    assert_eq!(load::run(&whole).unwrap().rounds[0].counts.offered, 400);
    let mut offered = 0;
    let mut connections = 0;
    for index in 0..3 {
        let mut part = plan(&server, Load::rate(1_000).request(get("/")));
        part.stripe = Stripe { index, of: 3 };
        part.cpus = vec![0, 0];
        offered += load::run(&part).unwrap().rounds[0].counts.offered;
        part.load = Load::closed(10).request(get("/"));
        connections += load::run(&part).unwrap().rounds[0].connections.established;
    }
    assert_eq!((offered, connections), (400, 10));
}

/// Every request of a mix, one by one, adds up to the round under every load model, whatever the responses are.
#[test]
fn requests_of_a_mix_add_up_to_the_round() {
    let server = server();
    let mix = || {
        [
            get("/").weight(3),
            get("/wrong").expect_status(404),
            // Two requests with one name, and one that is never sent.
            post("/").body("a"),
            post("/").body("b"),
            get("/never").weight(0),
        ]
    };
    let users = Load::users(3).every(ms(20)).arriving_for(ms(300)).requests_per_user(40);
    let loads = [
        Load::closed(7).requests(mix()),
        Load::rate(3_000).requests(mix()),
        users.requests(mix()),
    ];
    for load in loads {
        let mut plan = plan(&server, load);
        plan.cpus = vec![0, 0];
        let round = load::run(&plan).unwrap().rounds.remove(0);
        let names: Vec<&str> = round.requests.iter().map(|request| request.name.as_str()).collect();
        assert_eq!(names, ["GET /", "GET /wrong", "POST /", "POST / (2)", "GET /never"]);
        let sum = |of: fn(&load::RequestResult) -> u64| round.requests.iter().map(of).sum::<u64>();
        assert_eq!(sum(|r| r.done), round.counts.done);
        assert_eq!(sum(|r| r.failed), round.counts.failed);
        assert_eq!(sum(|r| r.latency.censored), round.counts.censored);
        let [first, second, third, fourth, never] = &round.requests[..] else {
            panic!("{names:?}")
        };
        assert!(first.done > third.done && third.done > 0 && fourth.done > 0);
        assert!(second.done == 0 && second.failed > 0, "only its check fails");
        assert_eq!((first.failed, never.done, never.latency.histogram.len()), (0, 0, 0));
    }
}

#[test]
fn a_single_request_is_recorded_once() {
    let server = server();
    let round = load::run(&plan(&server, Load::closed(2).request(get("/"))))
        .unwrap()
        .rounds
        .remove(0);
    assert!(round.requests.is_empty());
    let text = serde_json::to_value(&round).unwrap();
    assert_eq!(text.get("requests"), None);
}

#[test]
fn requests_of_a_mix_add_up_where_nobody_listens() {
    let server = server();
    for load in [
        Load::closed(3).request(get("/a")).request(get("/b")),
        Load::rate(400).request(get("/a")).request(get("/b")),
    ] {
        let mut plan = plan(&server, load);
        plan.target.address = ([127, 0, 0, 1], 1).into();
        let round = load::run(&plan).unwrap().rounds.remove(0);
        assert!(round.counts.failed > 0 && round.counts.done == 0, "{:?}", round.counts);
        let failed: u64 = round.requests.iter().map(|request| request.failed).sum();
        assert_eq!(failed, round.counts.failed);
    }
}

#[test]
fn idle_connections_are_open_and_not_counted() {
    let server = server();
    let load = Load::closed(2).request(get("/")).idle_connections(30);
    let round = load::run(&plan(&server, load)).unwrap().rounds.remove(0);
    assert_eq!((round.connections.wanted, round.connections.served), (2, 2));
    assert_eq!(round.connections.established, 2);
    assert!(
        round.connect_time.histogram.is_empty(),
        "all were open before the round"
    );
    // If the thirty idle connections counted, the index would be about 2/32.
    assert!(round.connections.jain > 0.5, "{:?}", round.connections);
}

#[test]
fn invalid_plans_are_errors_with_a_reason() {
    let server = server();
    let wrong = |load: Load| load::run(&plan(&server, load)).unwrap_err().to_string();
    assert!(wrong(Load::closed(0).request(get("/"))).contains("choose 1 to 100,000"));
    assert!(wrong(Load::closed(1).for_script()).contains("add one"));
    assert!(wrong(Load::rate(0).request(get("/"))).contains("no arrivals"));
    assert!(wrong(Load::rate(f64::NAN).request(get("/"))).contains("rate must be"));
    assert!(wrong(Load::rate(1).max_connections(0).request(get("/"))).contains("max_connections"));
    assert!(wrong(Load::users(0).request(get("/"))).contains("above 0"));
    assert!(wrong(Load::users(1).requests_per_user(0).request(get("/"))).contains("requests_per_user"));
    assert!(wrong(Load::closed(1).request(get("/")).timeout(Duration::ZERO)).contains("timeout"));
    assert!(wrong(Load::closed(1).request(get("/")).keep_alive(KeepAlive::Requests(0))).contains("KeepAlive::Never"));
    let open_end = [Stage::unlimited(1.0), Stage::unlimited(2.0)];
    assert!(wrong(Load::stages(open_end).request(get("/"))).contains("last stage"));
    let mut pinned = plan(&server, Load::closed(1).request(get("/")));
    pinned.cpus = vec![5_000];
    assert!(matches!(
        load::run(&pinned),
        Err(LoadError::Affinity { cpu: 5_000, .. })
    ));
    let mut stripe = plan(&server, Load::closed(1).request(get("/")));
    stripe.stripe = Stripe { index: 2, of: 2 };
    assert!(load::run(&stripe).unwrap_err().to_string().contains("stripe"));
}

#[test]
fn preflight_reports_limits_of_the_machine() {
    let server = server();
    let notices = load::preflight(&plan(&server, Load::closed(2).request(get("/")))).unwrap();
    assert_eq!(notices, []);
    let closing = Load::closed(2).request(get("/")).keep_alive(KeepAlive::Never);
    let notices = load::preflight(&plan(&server, closing)).unwrap();
    assert!(notices[0].text.contains("connections per second"), "{notices:?}");
    let error = load::preflight(&plan(&server, Load::closed(100_000).request(get("/")))).unwrap_err();
    assert!(
        matches!(error, LoadError::Ports { .. } | LoadError::Descriptors { .. }),
        "{error}"
    );
}
