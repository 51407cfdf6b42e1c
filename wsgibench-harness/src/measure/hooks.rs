//! Runs the set-up and tear-down hooks of a scenario.

use std::{future::Future, pin::Pin, rc::Rc, time::Duration};

use tokio::{runtime::Runtime, task::LocalSet};

use super::{interrupt::Interrupt, job::Ready, launch::LaunchFailure};
use crate::{
    declare::{CommandOutput, Hook, LaunchAccess, SetupContext},
    panics,
    sandbox::{ExecOutput, Launch},
};

/// Timeout of a hook.
const HOOK_TIMEOUT: Duration = Duration::from_secs(300);

struct Access(Rc<Launch>);

type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<CommandOutput>> + 'a>>;

impl LaunchAccess for Access {
    fn run(&self, command: Vec<String>) -> Running<'_> {
        Box::pin(async move {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            Ok(text(&self.0.exec(&words).await?))
        })
    }

    fn run_in(&self, companion: &str, command: Vec<String>) -> Running<'_> {
        let companion = companion.to_owned();
        Box::pin(async move {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            Ok(text(&self.0.exec_in(&companion, &words).await?))
        })
    }
}

fn text(output: &ExecOutput) -> CommandOutput {
    CommandOutput {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a hook, if there is one. Ctrl-C ends it.
///
/// # Errors
/// Returns a message with the hook's name if it fails, panics or times out.
pub(super) fn run(
    which: &str,
    hook: Option<Hook>,
    ready: &Ready,
    launch: &Rc<Launch>,
    runtime: &Runtime,
    interrupt: &Interrupt,
) -> Result<(), LaunchFailure> {
    let Some(hook) = hook else {
        return Ok(());
    };
    let case = &ready.job.case;
    let mut context = SetupContext::new(
        case.id.clone(),
        case.server.clone(),
        ready.job.spec.target(launch.address()),
        case.values.clone(),
        Rc::new(Access(Rc::clone(launch))),
    );
    let already = interrupt.asked();
    LocalSet::new().block_on(runtime, async {
        let mut running = Box::pin(async move { hook(&mut context).await });
        let ended = tokio::select! {
            ended = panics::catch_panic_async(running.as_mut()) => match ended {
                Ok(outcome) => outcome.map_err(|error| format!("{error:#}")),
                Err(panic) => Err(format!("it panicked: {panic}")),
            }
            .map_err(|text| LaunchFailure::Other(format!("{which} failed: {text}"))),
            () = asked(interrupt), if !already => Err(LaunchFailure::Interrupted),
            () = tokio::time::sleep(HOOK_TIMEOUT) => {
                let text = format!("{which} timed out after {} s", HOOK_TIMEOUT.as_secs());
                Err(LaunchFailure::Other(text))
            }
        };
        // Dropping an interrupted hook runs user code, too.
        let _ = panics::catch_panic(move || drop(running));
        ended
    })
}

async fn asked(interrupt: &Interrupt) {
    while !interrupt.asked() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
