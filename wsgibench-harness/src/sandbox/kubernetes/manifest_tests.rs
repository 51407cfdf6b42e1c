use super::*;
use crate::{
    declare::{DeclaredServer, Location, Machine, Server, resolve},
    sandbox::kubernetes::role::RunNames,
};

impl RunShape {
    /// Returns the shape of a run for tests.
    pub(in crate::sandbox::kubernetes) fn sample() -> Self {
        Self {
            name: "wsgibench-run".to_owned(),
            owner: Some(OwnerReference {
                api_version: "v1".to_owned(),
                kind: "ConfigMap".to_owned(),
                name: "wsgibench-run".to_owned(),
                uid: "1".to_owned(),
                ..OwnerReference::default()
            }),
            bench_image: "wsgibench/bench:1".to_owned(),
            pull_policy: "Never",
            command: vec!["/null/wsgibench".to_owned()],
            load_pod_cpu: "1".to_owned(),
            load_placement: Placement::default(),
            server_placement: Placement::default(),
        }
    }
}

fn spec(server: Server) -> ServerSpec {
    let declared = DeclaredServer {
        name: "api".to_owned(),
        description: String::new(),
        location: Location {
            file: file!(),
            line: 1,
            column: 1,
        },
        manifest_dir: "/".into(),
        setting: None,
        server,
    };
    let machine = Machine {
        server_cpus: 8,
        memory: u64::MAX,
    };
    resolve(&declared, None, &machine).0
}

fn role() -> PodRole {
    PodRole::Coordinator {
        token: "secret".to_owned(),
        run: RunNames {
            namespace: "ns".to_owned(),
            owner: "wsgibench-run".to_owned(),
        },
    }
}

fn all() -> Vec<Pod> {
    let shape = RunShape::sample();
    let spec = spec(
        Server::image("x:1")
            .command(["serve", "{host}:{port}"])
            .env("PORT", "{port}")
            .tmpfs("/data"),
    );
    let hosts = [("db".to_owned(), "10.0.0.9".to_owned())];
    let server = ServerShape {
        spec: &spec,
        image: "x:1",
        hosts: &hosts,
    };
    vec![
        shape.server("api-1", &server, &role()).unwrap(),
        shape.load("load-0", &role()),
        shape.coordinator("coordinator", &role()),
    ]
}

#[test]
fn every_pod_is_confined_owned_and_limited_in_time() {
    for pod in all() {
        let name = pod.metadata.name.clone().unwrap();
        let owners = pod.metadata.owner_references.unwrap_or_default();
        assert_eq!(owners[0].name, "wsgibench-run", "{name}");
        assert_eq!(pod.metadata.labels.unwrap()[RUN_LABEL], "wsgibench-run");
        let spec = pod.spec.unwrap();
        assert!(spec.active_deadline_seconds.is_some(), "{name}");
        assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
        assert_eq!(
            spec.automount_service_account_token,
            Some(name == "coordinator"),
            "{name}"
        );
        assert_eq!(spec.service_account_name.is_some(), name == "coordinator");
        for container in spec.containers {
            let context = container.security_context.unwrap();
            assert_eq!(context.run_as_non_root, Some(true), "{name}");
            assert_eq!(context.allow_privilege_escalation, Some(false));
            assert_eq!(context.read_only_root_filesystem, Some(true));
            assert_eq!(context.capabilities.unwrap().drop.unwrap(), ["ALL"]);
            assert_eq!(container.image_pull_policy.as_deref(), Some("Never"));
        }
    }
}

#[test]
fn server_has_its_command_limits_and_companions() {
    let pod = all().remove(0).spec.unwrap();
    assert_eq!(pod.share_process_namespace, Some(true));
    assert_eq!(pod.host_aliases.unwrap()[0].hostnames, Some(vec!["db".to_owned()]));
    let server = &pod.containers[0];
    assert_eq!(server.args.as_deref().unwrap(), ["serve", "0.0.0.0:8000"]);
    assert_eq!(server.env.as_ref().unwrap()[0].value.as_deref(), Some("8000"));
    for container in &pod.containers {
        let resources = container.resources.as_ref().unwrap();
        assert_eq!(resources.limits, resources.requests, "the class Guaranteed");
    }
    assert_eq!(
        server.resources.as_ref().unwrap().limits.as_ref().unwrap()["cpu"].0,
        "1"
    );
    let mounts = server.volume_mounts.as_ref().unwrap();
    assert_eq!(
        mounts.iter().map(|mount| mount.mount_path.as_str()).collect::<Vec<_>>(),
        ["/tmp", "/data"]
    );
}

#[test]
fn load_has_no_cpu_limit() {
    let pod = all().remove(1).spec.unwrap();
    let resources = pod.containers[0].resources.clone().unwrap();
    assert_eq!(resources.limits, None);
    assert_eq!(resources.requests.unwrap()["cpu"].0, "1");
}

#[test]
fn placement_selects_and_avoids_nodes() {
    let mut shape = RunShape::sample();
    shape.load_placement = Placement {
        labels: vec![("pool".to_owned(), "load".to_owned())],
        node: None,
        avoid: Some("node1".to_owned()),
    };
    let spec = shape.load("load-0", &role()).spec.unwrap();
    assert_eq!(spec.node_selector.unwrap()["pool"], "load");
    let terms = spec.affinity.unwrap().node_affinity.unwrap();
    let terms = terms
        .required_during_scheduling_ignored_during_execution
        .unwrap()
        .node_selector_terms;
    let expression = &terms[0].match_expressions.as_ref().unwrap()[0];
    assert_eq!(
        (expression.operator.as_str(), expression.values.clone().unwrap()),
        ("NotIn", vec!["node1".to_owned()])
    );
}

#[test]
fn other_objects_have_the_fields_of_their_kinds() {
    let shape = RunShape::sample();
    assert_eq!(shape.owner().metadata.name.as_deref(), Some("wsgibench-run"));
    assert_eq!(
        shape.lease("me").spec.unwrap().lease_duration_seconds,
        Some(LEASE_SECONDS)
    );
    assert!(shape.network_policy().spec.is_some());
    let companion = Companion::new("db", crate::declare::Source::Image("redis:7".to_owned()));
    let pod = shape.companion("db-1", &companion, "redis:7", &[]);
    assert_eq!(pod.spec.unwrap().containers[0].name, "companion");
}

#[test]
fn users_are_numbers() {
    assert_eq!(user_of("65534:65534"), Ok((65_534, 65_534)));
    assert_eq!(user_of("7"), Ok((7, 7)));
    assert!(user_of("www-data").unwrap_err().contains("write numbers"));
}

#[test]
fn names_are_valid() {
    assert_eq!(
        object_name(&["wsgibench", "20260101T000000-0Af3", "load_0"]),
        "wsgibench-20260101t000000-0af3-load-0"
    );
    assert!(object_name(&["x".repeat(60).as_str()]).len() == 50);
}
