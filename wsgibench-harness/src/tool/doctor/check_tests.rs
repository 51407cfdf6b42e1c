use super::{Engine, Facts, Level, judge};

fn good() -> Facts {
    Facts {
        engine: Engine::Answers {
            version: "Docker 28.0".into(),
            cgroup: Some("v2".into()),
            base: Some("python:3.12-slim-bookworm".into()),
        },
        python: Ok("3.12.1".into()),
        debootstrap: true,
        profiles: true,
        valgrind: Ok("3.19.0".into()),
        root: true,
        cpus: 8,
        descriptors: Some(1_048_576),
        backlog: Some(4_096),
        ports: Some((32_768, 60_999)),
        governors: vec!["performance".into()],
        cpu_quota: None,
        turbo: Some(false),
        smt: Some(false),
        clock: Some("tsc".into()),
        pressure: Some(0.0),
        steal: Some(0.0),
        busy: vec![("idle (1)".into(), 0.02)],
        cgroup: Some("v2"),
        disk: Some(("/".into(), 100 << 30)),
        memory: Some(8 << 30),
        shallow: Some(false),
    }
}

/// A change that makes one fact of a good machine bad.
type Spoil = fn(&mut Facts);

fn worst(facts: &Facts) -> Level {
    judge(facts).into_iter().map(|line| line.level).max().expect("lines")
}

#[test]
fn good_machine_has_no_problems() {
    for line in judge(&good()) {
        assert_eq!((line.level, line.remedy.as_str()), (Level::Ok, ""), "{line:?}");
    }
}

#[test]
fn each_problem_is_one_line_with_a_remedy() {
    let spoilt: [(&str, Spoil); 17] = [
        ("container engine", |f| f.engine = Engine::Missing("no socket".into())),
        ("Python for local processes", |f| {
            f.python = Err("python3 is not here".into());
        }),
        ("valgrind, for --count", |f| {
            f.valgrind = Err("valgrind not found; install it".into());
        }),
        ("control groups", |f| f.cgroup = None),
        ("CPUs", |f| f.cpus = 1),
        ("CPU quota", |f| f.cpu_quota = Some(1.5)),
        ("frequency governor", |f| f.governors = vec!["powersave".into()]),
        ("turbo", |f| f.turbo = Some(true)),
        ("hyper-threading", |f| f.smt = Some(true)),
        ("clock", |f| f.clock = Some("hpet".into())),
        ("CPU pressure", |f| f.pressure = Some(40.0)),
        ("stolen CPU time", |f| f.steal = Some(0.2)),
        ("other programs", |f| f.busy = vec![("compiler (7)".into(), 0.9)]),
        ("open files", |f| f.descriptors = Some(1_024)),
        ("listen backlog", |f| f.backlog = Some(128)),
        ("client ports", |f| f.ports = Some((50_000, 60_000))),
        ("git", |f| f.shallow = Some(true)),
    ];
    for (about, spoil) in spoilt {
        let mut facts = good();
        spoil(&mut facts);
        let troubles: Vec<_> = judge(&facts)
            .into_iter()
            .filter(|line| line.level != Level::Ok)
            .collect();
        assert_eq!(troubles.len(), 1, "{about}: {troubles:?}");
        assert_eq!((troubles[0].about, troubles[0].level), (about, Level::Warn));
        assert!(!troubles[0].remedy.is_empty(), "{about}");
    }
}

#[test]
fn missing_sandbox_or_disk_space_is_a_failure() {
    let mut facts = good();
    facts.engine = Engine::Missing("no socket".into());
    facts.python = Err("python3 is not here".into());
    assert_eq!(worst(&facts), Level::Fail);
    let mut facts = good();
    facts.disk = Some(("/".into(), 1 << 20));
    assert_eq!(worst(&facts), Level::Fail);
}

#[test]
fn missing_base_image_matters_only_if_it_cannot_be_built() {
    let mut facts = good();
    facts.engine = Engine::Answers {
        version: "Docker 28.0".into(),
        cgroup: None,
        base: None,
    };
    assert_eq!(worst(&facts), Level::Ok);
    facts.root = false;
    assert_eq!(worst(&facts), Level::Warn);
}

#[test]
fn unavailable_facts_are_handled() {
    let facts = Facts {
        valgrind: Err("valgrind not found".into()),
        engine: Engine::Missing("no socket".into()),
        python: Ok("3.12".into()),
        debootstrap: false,
        profiles: false,
        root: false,
        cpus: 2,
        descriptors: None,
        backlog: None,
        ports: None,
        governors: Vec::new(),
        cpu_quota: None,
        turbo: None,
        smt: None,
        clock: None,
        pressure: None,
        steal: None,
        busy: Vec::new(),
        cgroup: None,
        disk: None,
        memory: None,
        shallow: None,
    };
    assert_eq!(worst(&facts), Level::Warn);
}
