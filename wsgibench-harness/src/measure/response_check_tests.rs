use super::*;
use crate::{
    load::{Target, script::script},
    null_server::NullServer,
};

fn plan(server: &NullServer, load: Load) -> LoadPlan {
    LoadPlan::new(
        Target {
            address: server.address(),
            host: "null".into(),
        },
        load,
    )
}

fn server() -> NullServer {
    NullServer::start(([127, 0, 0, 1], 0).into(), None).unwrap()
}

fn tried<F>(function: F) -> Result<Tried, Wrong>
where
    F: for<'a> Fn(&'a mut crate::load::script::User) -> crate::load::script::Running<'a> + Send + Sync + 'static,
{
    let server = server();
    let load = Load::closed(50);
    let work = Work::Script {
        load: load.clone(),
        script: script(function),
    };
    check(&plan(&server, load), &work, &Interrupt::default(), drop)
}

fn said<F>(function: F) -> String
where
    F: for<'a> Fn(&'a mut crate::load::script::User) -> crate::load::script::Running<'a> + Send + Sync + 'static,
{
    tried(function).unwrap_err().to_string()
}

#[test]
fn each_request_is_asked_and_the_wrong_answer_is_named() {
    let server = server();
    let asked = |load: Load| {
        check(
            &plan(&server, load.clone()),
            &Work::Load(load),
            &Interrupt::default(),
            drop,
        )
    };
    let load = Load::closed(50).get("/").expect_status(200).expect_body("OK");
    assert_eq!(asked(load.clone()).unwrap(), Tried::Requests);
    let error = asked(load.get("/other").expect_body("NO")).unwrap_err().to_string();
    assert!(error.starts_with("GET /other was answered wrongly"), "{error}");
    assert!(error.contains("got OK"), "{error}");
}

#[test]
fn a_script_is_run_once_and_told_by_what_is_wrong_with_it() {
    let fine = tried(|user| {
        Box::pin(async move {
            user.get("/").await?.expect_status(200)?.expect_body("OK")?;
            user.think(Duration::from_millis(30)).await;
            Ok(())
        })
    });
    assert!(
        matches!(fine, Ok(Tried::Script(took)) if took >= Duration::from_millis(30)),
        "{fine:?}"
    );
    let wrong = said(|user| {
        Box::pin(async move {
            user.get("/").await?.expect_status(201)?;
            Ok(())
        })
    });
    assert!(wrong.contains("expected status 201, got 200 OK: OK"), "{wrong}");
    let panicked = said(|_| Box::pin(async { panic!("out of cheese") }));
    assert!(panicked.contains("the script panicked: out of cheese"), "{panicked}");
    let own = said(|_| Box::pin(async { anyhow::bail!("no such reader") }));
    assert!(own.contains("the script returned an error: no such reader"), "{own}");
    let nothing = said(|_| Box::pin(async { Ok(()) }));
    assert!(nothing.contains("it asked for nothing"), "{nothing}");
    let path = said(|user| {
        Box::pin(async move {
            user.get("no-slash").await?;
            Ok(())
        })
    });
    assert!(
        path.contains("cannot be sent") && path.contains("must begin with `/`"),
        "{path}"
    );
}

#[test]
fn a_script_that_awaits_for_ever_or_holds_its_thread_is_told() {
    let begun = Instant::now();
    let hangs = said(|user| {
        Box::pin(async move {
            user.get("/").await?;
            std::future::pending::<()>().await;
            Ok(())
        })
    });
    assert!(hangs.contains("the script hangs: for"), "{hangs}");
    let held = tried(|_| {
        Box::pin(async {
            std::thread::sleep(Duration::from_secs(3_600));
            Ok(())
        })
    });
    assert!(matches!(held, Err(Wrong::Engine(LoadError::ScriptHolds))), "{held:?}");
    assert!(begun.elapsed() < SCRIPT_PATIENCE, "both were waited for to the end");
}

#[test]
fn what_is_known_of_a_script_goes_with_its_rounds() {
    let long = Tried::Script(Duration::from_secs(3));
    let second = Duration::from_secs(1);
    assert_eq!(long.room_for_one_run(second), Duration::from_secs(4));
    assert!(
        long.note_for_rounds(second)
            .unwrap()
            .contains("took 3.0 s and a round lasts 1.0 s")
    );
    assert_eq!(long.note_for_rounds(Duration::from_secs(5)), None);
    assert!(
        Tried::Unending(Duration::from_secs(30))
            .note_for_rounds(second)
            .unwrap()
            .contains("after 30 s")
    );
    assert_eq!(
        (
            Tried::Requests.room_for_one_run(second),
            Tried::Requests.note_for_rounds(second)
        ),
        (second, None)
    );
}
