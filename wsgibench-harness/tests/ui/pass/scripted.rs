//! Scripted users under every load model, with parameters, together with declared scenarios.

use wsgibench_harness::{
    declare::{Declarations, Work},
    load::Model,
    prelude::*,
};

#[server]
fn gunicorn() -> Server {
    Server::dockerfile("images/gunicorn")
}

/// A user who signs in, thinks, and uploads.
#[scenario(servers = [gunicorn], users = [10, 100])]
async fn sign_in(user: &mut User) -> Result<()> {
    user.get("/login").await?.expect_status(200)?;
    user.think(Duration::from_millis(50)).await;
    Ok(())
}

#[scenario(rate = [5, 2_000], name = ["a".to_owned()], path = ["/x"])]
async fn arriving(user: &mut User, name: String, path: &str) -> Result<()> {
    user.get(&format!("{path}/{name}")).await?.expect_status(200)?;
    Ok(())
}

#[expect(
    clippy::needless_lifetimes,
    reason = "written out, it says what the elided form says"
)]
#[scenario(load = Load::users(batch).every(secs(1)), batch = [1, 2])]
async fn by_load<'a>(user: &'a mut User, batch: usize) -> Result<()> {
    user.get(&format!("/{batch}")).await?;
    Ok(())
}

async fn enter(user: &mut User) -> Result<()> {
    user.get("/in").await?;
    Ok(())
}

mod leaving {
    use wsgibench_harness::prelude::*;

    pub(crate) async fn leave(user: &mut User) -> Result<()> {
        user.get("/out").await?;
        Ok(())
    }
}

/// The load model can be a parameter too.
#[scenario(users = [3], user_setup = enter, user_teardown = leaving::leave)]
async fn knowing(user: &mut User, mut users: usize) -> Result<()> {
    users += 1;
    user.get(&format!("/{users}")).await?;
    Ok(())
}

fn main() {
    let declared = Declarations::collect().unwrap();
    let found: Vec<(String, Model)> = declared
        .cases()
        .into_iter()
        .map(|case| {
            let Work::Script { load, .. } = case.work else {
                panic!("{} is scripted", case.id)
            };
            (case.id, load.model)
        })
        .collect();
    let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "sign_in/gunicorn/u10",
            "sign_in/gunicorn/u100",
            "arriving/gunicorn/r5-name=a-path=_x",
            "arriving/gunicorn/r2000-name=a-path=_x",
            "by_load/gunicorn/batch=1",
            "by_load/gunicorn/batch=2",
            "knowing/gunicorn/u3",
        ]
    );
    assert_eq!(found[1].1, Model::Closed { connections: 100 });
    assert!(matches!(&found[3].1, Model::Open { stages, .. } if (stages[0].from - 2_000.0).abs() < 1e-9));
    assert!(matches!(found[5].1, Model::Users { batch: 2, .. }));
    assert_eq!(found[6].1, Model::Closed { connections: 3 });
}
