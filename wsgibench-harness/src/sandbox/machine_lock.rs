//! The machine-wide lock under which one run measures at a time.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::PathBuf,
    time::Duration,
};

use super::owner::Owner;
use crate::{lock_file, variables};

/// Interval at which a waiting run tries again.
const PAUSE: Duration = Duration::from_millis(250);

/// Name of the lock file.
const NAME: &str = "wsgibench-measure.lock";

/// Environment variable that names the lock's folder. Runs with different folders do not wait for each other.
const FOLDER: &str = "WSGIBENCH_LOCK_DIR";

/// A lock held while measuring: other runs on this machine wait. The system releases it when the process ends.
#[derive(Debug)]
pub struct MachineLock {
    _file: File,
}

impl MachineLock {
    /// Acquires the lock and waits while another run holds it. `progress` is called once before waiting, and when the usual place cannot be
    /// used.
    ///
    /// # Errors
    /// If the lock file can be neither created nor opened in any of the places.
    pub async fn acquire(progress: impl Fn(&str)) -> io::Result<Self> {
        Self::acquire_in(&folders(), progress).await
    }

    async fn acquire_in(folders: &[PathBuf], progress: impl Fn(&str)) -> io::Result<Self> {
        let (mut file, failed) = open_first(folders)?;
        if let Some((reason, path)) = failed {
            progress(&format!(
                "the measurement lock {reason} cannot be used: uses {} instead; runs that use the former can measure at the same time \
                 and disturb this one",
                path.display()
            ));
        }
        let mut waits = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    if !waits {
                        waits = true;
                        let holder = holder(&mut file).map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                        progress(&format!(
                            "another run{holder} is measuring on this machine: waiting for it to finish"
                        ));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        // The pid is for the notice of waiting runs only, so a file that is read-only for this user is no failure. Only the text of
        // an earlier holder is overwritten.
        if let Ok(text) = content(&mut file)
            && (text.is_empty() || Owner::parse(&text).is_some())
        {
            let _ = file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| write!(file, "{}", Owner::this()));
        }
        Ok(Self { _file: file })
    }
}

/// The folder that [`FOLDER`] names; otherwise folders that all users of a machine share, in the order of preference, and last the
/// folder for temporary files of this user.
fn folders() -> Vec<PathBuf> {
    if let Some(folder) = variables::text(FOLDER) {
        return vec![folder.into()];
    }
    let shared = ["/tmp", "/dev/shm", "/var/tmp"].map(PathBuf::from);
    shared.into_iter().chain([std::env::temp_dir()]).collect()
}

/// Opens the lock in the first folder where that is possible. The second value is the reason why the first folder was not used, and the
/// path of the opened file.
fn open_first(folders: &[PathBuf]) -> io::Result<(File, Option<(String, PathBuf)>)> {
    let mut failures: Vec<String> = Vec::new();
    for folder in folders {
        let path = folder.join(NAME);
        match lock_file::open(&path, 0o666) {
            Ok(file) => return Ok((file, failures.into_iter().next().map(|reason| (reason, path)))),
            Err(error) => failures.push(format!("{} ({error})", path.display())),
        }
    }
    Err(io::Error::other(failures.join("; ")))
}

fn content(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    // The text of an owner is much shorter.
    file.take(4096).read_to_string(&mut text)?;
    Ok(text)
}

fn holder(file: &mut File) -> Option<u32> {
    Owner::parse(&content(file).ok()?).map(|owner| owner.pid())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let folders = vec![folder.path().to_owned()];
        let first = MachineLock::acquire_in(&folders, |_| panic!("nobody has it"))
            .await
            .unwrap();
        let notice = Arc::new(Mutex::new(String::new()));
        let second = {
            let notice = notice.clone();
            tokio::spawn(async move {
                MachineLock::acquire_in(&folders, |line| line.clone_into(&mut notice.lock().unwrap())).await
            })
        };
        while notice.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!second.is_finished());
        let wanted = format!("(pid {})", std::process::id());
        assert!(notice.lock().unwrap().contains(&wanted), "{notice:?}");
        drop(first);
        second.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn another_folder_is_used_and_named_when_the_first_cannot_be() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let precious = first.path().join("precious");
        fs::write(&precious, "content").unwrap();
        std::os::unix::fs::symlink(&precious, first.path().join(NAME)).unwrap();
        for unusable in [first.path().to_owned(), first.path().join("missing"), "/proc".into()] {
            let notice = Mutex::new(String::new());
            let folders = [unusable.clone(), second.path().to_owned()];
            MachineLock::acquire_in(&folders, |line| line.clone_into(&mut notice.lock().unwrap()))
                .await
                .unwrap();
            let notice = notice.into_inner().unwrap();
            for path in &folders {
                assert!(notice.contains(&path.join(NAME).display().to_string()), "{notice}");
            }
            let error = MachineLock::acquire_in(&folders[..1], |_| {}).await.unwrap_err();
            assert!(
                error.to_string().contains(&unusable.join(NAME).display().to_string()),
                "{error}"
            );
        }
        assert_eq!(fs::read(&precious).unwrap(), b"content");
        assert!(second.path().join(NAME).is_file());
    }

    #[tokio::test]
    async fn a_strangers_file_is_locked_but_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for (before, overwritten) in [("notes of mine", false), ("", true)] {
            fs::write(&path, before).unwrap();
            let lock = MachineLock::acquire_in(&[folder.path().to_owned()], |_| {})
                .await
                .unwrap();
            let now = fs::read_to_string(&path).unwrap();
            assert_eq!(now != before, overwritten, "{now}");
            drop(lock);
        }
    }
}
