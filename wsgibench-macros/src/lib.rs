//! The attributes `#[server]` and `#[scenario]` of wsgibench.
//!
//! `wsgibench_harness::prelude` re-exports both. Each wrong option is a compile error on the user's own token that lists the valid
//! choices; several are reported at once, and the user's function is always emitted.

use proc_macro::TokenStream;

mod doc;
mod errors;
mod function;
mod options;
mod params;
mod scenario;
mod server;

/// Declares a server: a function `fn name(parameters...) -> Server`.
///
/// The function's name is the server's name in case ids, its doc comment the description in reports. Folders in the
/// returned `Server` are relative to the crate of the function.
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
/// # Parameters
/// A server with parameters is measured once for each combination of their values, given by lists and `cases(...)` as in
/// [`macro@scenario`]. Each combination is a variant, a server of its own named `name@parameters`:
///
/// ```ignore
/// #[server(workers = [1, 2, 4], threads = [1, 16])]   // app@workers=1-threads=1, app@workers=1-threads=16, ...
/// fn app(workers: usize, threads: usize) -> Server {
///     Server::python(["gunicorn==27.0.1"])
///         .app("app")
///         .command([
///             "gunicorn".into(),
///             format!("--workers={workers}"),
///             format!("--threads={threads}"),
///             "--bind={host}:{port}".into(),
///             "app:application".to_owned(),
///         ])
///         .default_variant(workers == 2 && threads == 16)
/// }
/// ```
///
/// `servers = [app]` in a scenario and `--server app` select all variants; `baseline = app` and `--versus app` mean the one marked
/// by `Server::default_variant`.
///
/// # Options
/// - `crate = path`: the path of `wsgibench_harness`, for a crate that re-exports it.
///
/// # Generated items
/// The attribute adds a hidden type with the name of the function, with which the compiler checks `#[scenario(servers = [name])]`
/// ("expected type, found function" means that the function has no `#[server]`). `use` imports both. A module of the same name
/// cannot be in the same scope: `mod gunicorn; use gunicorn::gunicorn;` does not compile, `servers = [gunicorn::gunicorn]` does.
#[proc_macro_attribute]
pub fn server(options: TokenStream, item: TokenStream) -> TokenStream {
    server::expand(options.into(), &item.into()).into()
}

/// Declares a scenario: the load on the servers.
///
/// A scenario has one of two forms:
/// - `fn name(parameters...) -> Load`: a declared load;
/// - `async fn name(user: &mut User, parameters...) -> Result<()>`: a scripted user, run under the load model of the attribute.
///
/// ```ignore
/// /// Ping-pong, as in both studies.
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
/// Each parameter of the function gets its values from an option of its name: a list or any expression that can be iterated.
/// Several lists are crossed. A value must be `Clone` and implement `declare::ParamValue` (numbers, strings, `bool`, `Duration` do).
///
/// ```ignore
/// const SIZES: [usize; 2] = [1024, 1024 * 1024];
///
/// #[scenario(connections = [10, 100], size = SIZES)]        // four cases: c10-size=1024, c10-size=1048576, ...
/// fn upload(connections: usize, size: usize) -> Load { ... }
/// ```
///
/// `cases(...)` names combinations instead; they are crossed with the lists of the other parameters:
///
/// ```ignore
/// #[scenario(cases(
///     small(connections = 10, size = 1),
///     large(connections = 1_000, size = 65_536),
/// ))]
/// fn upload(connections: usize, size: usize) -> Load { ... }
/// ```
///
/// The parameters form the last part of a case's id: `connections` gives `c100`, `users` gives `u100`, `rate` gives `r2000`, any other `name=value`,
/// a named case its name, joined by `-`; a scenario without parameters has `default`.
///
/// # Options
/// - `servers = [path, ...]`: the `#[server]` functions to measure, all by default;
/// - `baseline = path`: the server with which the others are compared;
/// - `tags = ["text", ...]`: selected by `--tag`;
/// - `ignore = "reason"`: skipped unless `--include-ignored` is given;
/// - `setup = path`, `teardown = path`: `async fn(ctx: &mut SetupContext) -> Result<()>`, run once per launch, before the first and after the last request;
/// - `crate = path`: the path of `wsgibench_harness`, for a crate that re-exports it.
///
/// A scripted user takes exactly one load model:
/// - `users = [10, 100]`: this many concurrent users, each of which starts again when it is done;
/// - `rate = [5, 50]`: this many users arrive every second, regardless of the server's responses;
/// - `load = expression`: a load without requests, e.g. `Load::users(5).every(secs(1))`. It can use the function's parameters.
///
/// and hooks that each user runs before its first run of the script and after its last:
/// - `user_setup = path`, `user_teardown = path`: `async fn(user: &mut User) -> Result<()>`.
#[proc_macro_attribute]
pub fn scenario(options: TokenStream, item: TokenStream) -> TokenStream {
    scenario::expand(options.into(), &item.into()).into()
}
