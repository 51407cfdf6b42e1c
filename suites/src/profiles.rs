//! The suite's run profiles.

use wsgibench_harness::prelude::*;

/// The tuned servers of the studies.
const STUDY_SERVERS: &str =
    "(gunicorn_sync|gunicorn_gthread|gunicorn_gevent|uwsgi|bjoern|meinheld|cherrypy|mod_wsgi|gevent|wsgiref)";

fn ping_at_64() -> Vec<String> {
    vec![format!("^ping/{STUDY_SERVERS}/c64$")]
}

fn default() -> Profile {
    Profile {
        cases: ping_at_64(),
        description:
            "ping at 64 connections on every server of the studies: 6 launches of 1 s warm-up and 2 rounds of 1.2 s"
                .into(),
        measurement_time: millis(1_200),
        ..Profile::default()
    }
}

fn quick() -> Profile {
    Profile {
        cases: ping_at_64(),
        ..Profile::quick()
    }
}

fn appdynamics() -> Profile {
    Profile {
        name: "appdynamics".into(),
        description: "the study \"A Performance Analysis of Python WSGI Servers\": 100 to 10,000 connections, 15 s a test, each test twice".into(),
        cases: vec![
            "^ping/(bjoern|cherrypy|gunicorn_sync|meinheld|mod_wsgi|uwsgi|wsgiref)/c(100|500|1000|5000|10000)$".into(),
        ],
        launches: 2,
        rounds: 1,
        warm_up_time: secs(1),
        measurement_time: secs(15),
        limits: Some(
            Limits::new()
                .cpus(3)
                .memory(1 << 30)
                .descriptors(10_240)
                .pids(2_048),
        ),
        ..Profile::default()
    }
}

/// Mistakes of the first study: servers with their defaults, at loads they are not designed for.
fn pitfalls() -> Profile {
    Profile {
        name: "pitfalls".into(),
        description: "misconfigurations of the first study: uWSGI, gunicorn sync and CherryPy with default settings, at 100 and 1,000 connections, 10 s a test"
            .into(),
        cases: vec!["^ping/(uwsgi|gunicorn_sync|cherrypy)_default/c(100|1000)$".into()],
        launches: 2,
        rounds: 1,
        warm_up_time: secs(1),
        measurement_time: secs(10),
        ..Profile::default()
    }
}

fn kubeup() -> Profile {
    Profile {
        name: "kubeup".into(),
        description:
            "the study \"python-wsgi-benchmark\": 5 users a second for 60 s, 10,000 requests each, 90 s a target, statistics every 10 s"
                .into(),
        cases: vec!["^kubeup/(gevent|meinheld|bjoern|gunicorn_gevent|gunicorn_sync|uwsgi)/".into()],
        launches: 1,
        rounds: 1,
        warm_up_time: Duration::ZERO,
        measurement_time: secs(90),
        statistics_interval: Some(secs(10)),
        ..Profile::default()
    }
}

fn pythons() -> Profile {
    Profile {
        name: "pythons".into(),
        description: "ping and JSON at 64 connections on bjoern, Gunicorn and waitress under Python 3.9, 3.11 and 3.13"
            .into(),
        cases: vec!["^(ping|json)_by_python/".into()],
        ..Profile::default()
    }
}

fn full() -> Profile {
    Profile {
        name: "full".into(),
        description: "every server under every scenario, 6 launches each: many hours".into(),
        ..Profile::default()
    }
}

profile!(default);
profile!(quick);
profile!(appdynamics);
profile!(pitfalls);
profile!(kubeup);
profile!(pythons);
profile!(full);
