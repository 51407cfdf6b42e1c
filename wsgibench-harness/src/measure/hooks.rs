//! Set-up and tear-down of a scenario: what its hooks may do with a launch.

use std::{future::Future, pin::Pin, rc::Rc};

use tokio::runtime::Runtime;

use super::job::Ready;
use crate::{
    declare::{CommandOutput, Hook, LaunchAccess, SetupContext},
    sandbox::Launch,
};

struct Access(Rc<Launch>);

impl LaunchAccess for Access {
    fn run(&self, command: Vec<String>) -> Pin<Box<dyn Future<Output = anyhow::Result<CommandOutput>> + '_>> {
        Box::pin(async move {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let output = self.0.exec(&words).await?;
            Ok(CommandOutput {
                status: output.status,
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            })
        })
    }
}

/// Runs a hook, if there is one.
///
/// # Errors
/// What the hook said, with its name.
pub(super) fn run(
    which: &str,
    hook: Option<Hook>,
    ready: &Ready,
    launch: &Rc<Launch>,
    runtime: &Runtime,
) -> Result<(), String> {
    let Some(hook) = hook else {
        return Ok(());
    };
    let case = &ready.job.case;
    let mut context = SetupContext::new(
        case.id.clone(),
        case.server.clone(),
        launch.address(),
        case.values.clone(),
        Rc::new(Access(Rc::clone(launch))),
    );
    runtime
        .block_on(hook(&mut context))
        .map_err(|error| format!("{which} failed: {error:#}"))
}
