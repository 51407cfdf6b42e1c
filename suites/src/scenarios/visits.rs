//! Scripted users: the same visit under each load model.

#![expect(
    clippy::missing_errors_doc,
    reason = "an error ends the run of the script and is counted"
)]

use wsgibench_harness::prelude::*;

/// Size of the uploaded file.
const FILE: usize = 64 * 1024;

/// Signs in, opens the account page by the cookie, thinks, uploads a file.
async fn visit(user: &mut User) -> Result<()> {
    let name = format!("visitor{}", user.number());

    user.step("sign in");
    user.get("/login")
        .await?
        .expect_status(200)?
        .expect_body_contains("<form")?;
    user.post("/login")
        .form(&[("name", name.as_str()), ("password", "correct horse")])
        .await?
        .expect_status(303)?
        .expect_header("location", "/account")?;

    user.step("account");
    let expected = format!("signed in as {name}\n");
    user.get("/account").await?.expect_status(200)?.expect_body(expected)?;

    user.think(millis(20)).await;

    user.step("upload");
    user.post("/upload")
        .header("content-type", "application/octet-stream")
        .body(vec![b'x'; FILE])
        .await?
        .expect_status(200)?
        .expect_body_contains("\"length\":65536")?;
    Ok(())
}

/// Sixteen visitors at once; each signs in again after a visit.
#[scenario(users = [16])]
pub async fn sign_in(user: &mut User) -> Result<()> {
    user.clear_cookies();
    visit(user).await
}

/// Twenty visitors a second arrive at random, whatever the server does.
#[scenario(load = Load::poisson(20))]
pub async fn drop_in(user: &mut User) -> Result<()> {
    visit(user).await
}

/// Five visitors arrive every half second; each makes three visits.
#[scenario(load = Load::users(5).every(millis(500)).arriving_for(secs(8)).requests_per_user(3).duration(secs(10)))]
pub async fn come_and_go(user: &mut User) -> Result<()> {
    visit(user).await
}
