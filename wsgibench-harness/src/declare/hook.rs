//! Set-up and tear-down of a scenario, once per launch.

use std::{fmt, future::Future, net::SocketAddr, pin::Pin, rc::Rc};

use crate::load::{Target, script::User};

/// The future of a hook.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// A function named by `#[scenario(setup = ...)]` or `teardown`. Set-up runs when the server is ready, before its responses are
/// checked; tear-down runs after the last round, even when the load failed.
pub type Hook = for<'a> fn(&'a mut SetupContext) -> HookFuture<'a>;

/// The result of a command in the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandOutput {
    /// Exit status; `None` if a signal ended it.
    pub status: Option<i64>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Access of a hook to its launch; implemented by the runner.
pub trait LaunchAccess {
    /// Runs a command in the container of a companion.
    fn run_in(
        &self,
        companion: &str,
        command: Vec<String>,
    ) -> Pin<Box<dyn Future<Output = anyhow::Result<CommandOutput>> + '_>>;

    /// Runs a command in the server's container or virtual environment.
    fn run(&self, command: Vec<String>) -> Pin<Box<dyn Future<Output = anyhow::Result<CommandOutput>> + '_>>;
}

/// The launch that a hook prepares or cleans up.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// async fn fill(ctx: &mut SetupContext) -> Result<()> {
///     ctx.run(["python", "seed.py"]).await?;
///     ctx.user()?.post("/books").body("title=Emma").await?.expect_status(201)?;
///     Ok(())
/// }
///
/// #[scenario(connections = [16], setup = fill)]
/// fn list(connections: usize) -> Load {
///     Load::closed(connections).request(get("/books").expect_status(200))
/// }
/// ```
pub struct SetupContext {
    /// Id of the case.
    pub case: String,
    /// Name of the server.
    pub server: String,
    /// Address of the server.
    pub address: SocketAddr,
    /// Names and values of the case's parameters.
    pub values: Vec<(String, String)>,
    target: Target,
    access: Rc<dyn LaunchAccess>,
}

impl SetupContext {
    /// Returns a context for one launch of a case.
    #[must_use]
    pub fn new(
        case: impl Into<String>,
        server: impl Into<String>,
        target: Target,
        values: Vec<(String, String)>,
        access: Rc<dyn LaunchAccess>,
    ) -> Self {
        Self {
            case: case.into(),
            server: server.into(),
            address: target.address,
            values,
            target,
            access,
        }
    }

    /// Runs a command in the server's container or virtual environment, e.g. `ctx.run(["python", "seed.py"]).await?`.
    ///
    /// # Errors
    /// The command cannot be started, or exits with a status other than 0; the error contains its output.
    pub async fn run<S: Into<String>>(&self, command: impl IntoIterator<Item = S>) -> anyhow::Result<CommandOutput> {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        let line = command.join(" ");
        succeeded(&line, self.access.run(command).await?)
    }

    /// Runs a command in the container of a companion, e.g. `ctx.run_in("db", ["psql", "-f", "/seed.sql"]).await?`.
    ///
    /// # Errors
    /// As [`run`](Self::run); also if the server has no companion of this name.
    pub async fn run_in<S: Into<String>>(
        &self,
        companion: &str,
        command: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<CommandOutput> {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        let line = format!("{companion}: {}", command.join(" "));
        succeeded(&line, self.access.run_in(companion, command).await?)
    }

    /// Returns a user for preparing the server. Its requests are not part of the load and are not counted.
    ///
    /// # Errors
    /// The address is not a valid host, or the TLS settings cannot be used.
    pub fn user(&self) -> anyhow::Result<User> {
        Ok(User::apart(&self.target)?)
    }

    /// Returns the text of a parameter of the case.
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
    anyhow::bail!("`{line}` failed with {status}: {}{}", output.stderr, output.stdout)
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

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    struct NoAccess;

    impl LaunchAccess for NoAccess {
        fn run_in(
            &self,
            _: &str,
            command: Vec<String>,
        ) -> Pin<Box<dyn Future<Output = anyhow::Result<CommandOutput>> + '_>> {
            self.run(command)
        }

        fn run(&self, _: Vec<String>) -> Pin<Box<dyn Future<Output = anyhow::Result<CommandOutput>> + '_>> {
            Box::pin(async { anyhow::bail!("no command is expected") })
        }
    }

    #[test]
    fn hook_user_sends_the_declared_host() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let target = Target::new(listener.local_addr().unwrap(), "shop.test");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                .unwrap();
            String::from_utf8_lossy(&request[..length]).to_lowercase()
        });
        let context = SetupContext::new("case", "server", target, Vec::new(), Rc::new(NoAccess));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let response = context.user().unwrap().get("/").await.unwrap();
            response.expect_status(204).unwrap();
        });
        assert!(server.join().unwrap().contains("\r\nhost: shop.test\r\n"));
    }
}
