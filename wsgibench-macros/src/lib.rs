//! The attributes `#[server]` and `#[scenario]` of wsgibench.
//!
//! Use them through `wsgibench_harness::prelude`, which re-exports both. Every misuse is a compile error on the user's own token
//! that names the valid choices, several at once where there are several, and the user's function is always kept.

use proc_macro::TokenStream;

mod doc;
mod errors;
mod function;
mod options;
mod scenario;
mod server;

/// Declares a server: a function `fn name() -> Server` without parameters.
///
/// The function's name is the server's name in case ids, its doc comment the description in reports. Folders in the
/// returned `Server` are relative to the crate in which the function stands.
///
/// ```ignore
/// /// Gunicorn, two sync workers.
/// #[server]
/// fn gunicorn() -> Server {
///     Server::dockerfile("images/gunicorn")
///         .app("app")
///         .command(["gunicorn", "--workers", "2", "--bind", "0.0.0.0:8000", "app:application"])
///         .port(8000)
/// }
/// ```
///
/// # Options
/// - `crate = path`: where `wsgibench_harness` is found, for a crate that re-exports it. Everything else is said by methods of
///   `Server`.
///
/// # What it adds
/// Beside the function stands a hidden type of the same name, so that `#[scenario(servers = [name])]` is checked by the
/// compiler ("expected type, found function" there means: the function has no `#[server]`). It follows the function through `use`. A module with that name therefore cannot be in the same scope:
/// `mod gunicorn; use gunicorn::gunicorn;` is refused by the compiler, `servers = [gunicorn::gunicorn]` is fine.
#[proc_macro_attribute]
pub fn server(options: TokenStream, item: TokenStream) -> TokenStream {
    server::expand(options.into(), &item.into()).into()
}

/// Declares a scenario: what is asked of the servers.
///
/// Two forms:
/// - `fn name(parameters...) -> Load`: a declared load;
/// - `async fn name(user: &mut User, parameters...) -> Result<()>`: a scripted user, run under a load model that the attribute names.
///
/// ```ignore
/// /// Ping-pong, as both studies have it.
/// #[scenario(connections = [100, 500, 1000, 5000, 10_000])]
/// fn ping(connections: usize) -> Load {
///     Load::closed(connections).request(get("/").expect_status(200).expect_body("OK"))
/// }
///
/// /// A user who signs in, thinks, and uploads.
/// #[scenario(servers = [gunicorn, uwsgi], baseline = gunicorn, users = [10, 100])]
/// async fn sign_in(user: &mut User) -> Result<()> {
///     user.get("/login").await?.expect_status(200)?;
///     user.think(Duration::from_millis(50)).await;
///     Ok(())
/// }
/// ```
///
/// # Parameters
/// Each parameter of the function is given its values under its own name, as a list or as any expression that can be iterated;
/// several lists are crossed. A value must be `Clone` and implement `declare::ParamValue` (numbers, strings, `bool`, `Duration` do).
///
/// ```ignore
/// const SIZES: [usize; 2] = [1024, 1024 * 1024];
///
/// #[scenario(connections = [10, 100], size = SIZES)]        // four cases: c10-size=1024, c10-size=1048576, ...
/// fn upload(connections: usize, size: usize) -> Load { ... }
/// ```
///
/// `cases(...)` names chosen combinations instead; parameters that it leaves out keep their lists and are crossed with it:
///
/// ```ignore
/// #[scenario(cases(
///     small(connections = 10, size = 1),
///     large(connections = 1_000, size = 65_536),
/// ))]
/// fn upload(connections: usize, size: usize) -> Load { ... }
/// ```
///
/// The last part of a case's id is made of them: `connections` gives `c100`, `users` gives `u100`, `rate` gives `r2000`, any other `name=value`,
/// a named case its name, joined by `-`; a scenario without parameters has `default`.
///
/// # Options
/// - `servers = [path, ...]`: the `#[server]` functions it is for (all, if it is left out);
/// - `baseline = path`: the server that the others are compared with;
/// - `tags = ["text", ...]`: chosen by `--tag`;
/// - `ignore = "reason"`: not run unless asked for;
/// - `setup = path`, `teardown = path`: `async fn(ctx: &mut SetupContext) -> Result<()>`, run once a launch, before the first and after the last request;
/// - `crate = path`: where `wsgibench_harness` is found, for a crate that re-exports it.
///
/// For a scripted user exactly one load model:
/// - `users = [10, 100]`: so many at once, each starts again when it is done;
/// - `rate = [5, 50]`: so many arrive every second, whatever the server does;
/// - `load = expression`: any `Load` without requests. The function's parameters can be used in it.
///
/// And for each of its users, before its first run of the script and after its last:
/// - `user_setup = path`, `user_teardown = path`: `async fn(user: &mut User) -> Result<()>`.
#[proc_macro_attribute]
pub fn scenario(options: TokenStream, item: TokenStream) -> TokenStream {
    scenario::expand(options.into(), &item.into()).into()
}
