//! Gunicorn over TLS, in both sandboxes. Where there is no package index or no container engine the tests are ignored;
//! `WSGIBENCH_REQUIRE_INDEX=1` and `WSGIBENCH_REQUIRE_DOCKER=1` make them fail.

use std::time::Duration;

use libtest_mimic::Trial;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use wsgibench_harness::{
    declare::ServerSpec,
    load::{self, Load, LoadPlan, Tls, get},
    sandbox::{Sandbox, SandboxChoice},
};

use crate::{
    Needs,
    needs::trials,
    support::{Bench, gunicorn_spec},
};

/// Returns the tests of this file.
pub(crate) fn trials(needs: &Needs) -> Vec<Trial> {
    let mut tests = Vec::from(trials!(needs.index, async; gunicorn_over_tls_as_a_process));
    if cfg!(feature = "docker") {
        let both = needs.index.clone().and(needs.engine.clone());
        tests.extend(trials!(both, async; gunicorn_over_tls_in_a_container));
    }
    tests
}

/// Gunicorn with a certificate for `shop.test` in its application folder.
fn tls_spec(bench: &Bench) -> ServerSpec {
    let mut spec = gunicorn_spec(bench);
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["shop.test".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(authority, authority_key))
        .unwrap();
    bench.file("app/cert.pem", &certificate.pem());
    bench.file("app/key.pem", &key.serialize_pem());
    bench.file("root.pem", &root.pem());
    let at = spec.command.len() - 1;
    let options = ["--certfile", "cert.pem", "--keyfile", "key.pem"].map(str::to_owned);
    spec.command.splice(at..at, options);
    spec.ready_within = Duration::from_secs(20);
    spec.tls = Some(
        Tls::new()
            .root_certificate(bench.path("root.pem"))
            .server_name("shop.test"),
    );
    spec
}

async fn load_over_tls(choice: SandboxChoice) {
    let bench = Bench::new();
    let sandbox = Sandbox::open(bench.options(choice)).await.unwrap();
    let mut prepared = sandbox.prepare(&tls_spec(&bench)).await.unwrap();
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    let load = Load::closed(4).request(get("/").expect_status(200).expect_body("OK"));
    let mut plan = LoadPlan::new(prepared.spec.target(launch.address()), load);
    plan.measurement_time = Duration::from_millis(500);
    let round = load::run(&plan).unwrap().rounds.remove(0);
    assert!(
        round.counts.done > 0 && round.counts.failed == 0,
        "{:?} {:?}",
        round.counts,
        round.error_samples
    );
    launch.stop().await.unwrap();

    // Asked by its address, its certificate is another's.
    prepared.spec.ready_within = Duration::from_secs(10);
    prepared.spec.tls = Some(Tls::new().root_certificate(bench.path("root.pem")));
    let Err(error) = sandbox.launch(&prepared, &bench.path("log")).await else {
        panic!("the certificate is valid for an address that it does not have");
    };
    let error = error.to_string();
    assert!(
        error.contains("certificate not valid for name") && error.contains(".server_name("),
        "{error}"
    );
    sandbox.close().await;
}

async fn gunicorn_over_tls_as_a_process() {
    Box::pin(load_over_tls(SandboxChoice::Process)).await;
}

async fn gunicorn_over_tls_in_a_container() {
    Box::pin(load_over_tls(SandboxChoice::Docker)).await;
}
