//! Set-up and tear-down of a scenario, once a launch.

use std::{fmt, future::Future, net::SocketAddr, pin::Pin, rc::Rc};

use crate::load::{Target, script::User};

/// What a hook's call gives.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// A function named by `#[scenario(setup = ...)]` or `teardown`, as the macro wraps it. Set-up runs after the server is
/// ready and before its answers are checked and loaded; tear-down after the last round, also when the load failed.
pub type Hook = for<'a> fn(&'a mut SetupContext) -> HookFuture<'a>;

/// What came of a command in the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandOutput {
    /// Exit status; `None` when a signal ended it.
    pub status: Option<i64>,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

/// What a hook may do with the launch, supplied by who runs it.
pub trait LaunchAccess {
    /// Runs a command in the container of a companion.
    fn run_in(
        &self,
        companion: &str,
        command: Vec<String>,
    ) -> Pin<Box<dyn Future<Output = anyhow::Result<CommandOutput>> + '_>>;

    /// Runs a command where the server runs: in its container, or in its virtual environment.
    fn run(&self, command: Vec<String>) -> Pin<Box<dyn Future<Output = anyhow::Result<CommandOutput>> + '_>>;
}

/// The launch that a hook prepares or clears up.
pub struct SetupContext {
    /// Id of the case.
    pub case: String,
    /// Name of the server.
    pub server: String,
    /// Where it answers.
    pub address: SocketAddr,
    /// Parameters of the case, names and values.
    pub values: Vec<(String, String)>,
    access: Rc<dyn LaunchAccess>,
}

impl SetupContext {
    /// A context for one launch of a case.
    #[must_use]
    pub fn new(
        case: impl Into<String>,
        server: impl Into<String>,
        address: SocketAddr,
        values: Vec<(String, String)>,
        access: Rc<dyn LaunchAccess>,
    ) -> Self {
        Self {
            case: case.into(),
            server: server.into(),
            address,
            values,
            access,
        }
    }

    /// Runs a command where the server runs, e.g. `ctx.run(["python", "seed.py"]).await?`.
    ///
    /// # Errors
    /// The command cannot be started, or it ends with another status than 0; the error has what it printed.
    pub async fn run<S: Into<String>>(&self, command: impl IntoIterator<Item = S>) -> anyhow::Result<CommandOutput> {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        let line = command.join(" ");
        succeeded(&line, self.access.run(command).await?)
    }

    /// Runs a command in the container of a companion, e.g. `ctx.run_in("db", ["psql", "-f", "/seed.sql"]).await?`.
    ///
    /// # Errors
    /// As [`run`](Self::run); also when the server has no companion of this name.
    pub async fn run_in<S: Into<String>>(
        &self,
        companion: &str,
        command: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<CommandOutput> {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        let line = format!("{companion}: {}", command.join(" "));
        succeeded(&line, self.access.run_in(companion, command).await?)
    }

    /// A user who asks the server for whatever is to be prepared. What it asks is no part of the load and counted nowhere.
    ///
    /// # Errors
    /// The address cannot be written as a host's name.
    pub fn user(&self) -> anyhow::Result<User> {
        let target = Target {
            address: self.address,
            host: self.address.to_string(),
        };
        Ok(User::apart(&target)?)
    }

    /// The text of a parameter of the case.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

fn succeeded(line: &str, output: CommandOutput) -> anyhow::Result<CommandOutput> {
    if output.status == Some(0) {
        return Ok(output);
    }
    let status = output
        .status
        .map_or_else(|| "a signal".into(), |s| format!("status {s}"));
    anyhow::bail!("`{line}` ended with {status}: {}{}", output.stderr, output.stdout)
}

impl fmt::Debug for SetupContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetupContext")
            .field("case", &self.case)
            .field("server", &self.server)
            .field("address", &self.address)
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}
