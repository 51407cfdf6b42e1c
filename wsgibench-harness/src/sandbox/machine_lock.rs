//! One run measures at a time on a machine.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{fs::FlockOperation, io::Errno};

use super::owner::Owner;

/// How often a waiting run looks again.
const PAUSE: Duration = Duration::from_millis(250);

/// Held while measuring: another run on this machine waits. It ends with the process, however that ends.
#[derive(Debug)]
pub struct MachineLock {
    _file: File,
}

impl MachineLock {
    /// Takes the lock, waiting for a run that has it; `say` is told once whom it waits for.
    ///
    /// # Errors
    /// The lock's file can be neither made nor opened.
    pub async fn acquire(say: impl Fn(&str)) -> io::Result<Self> {
        Self::acquire_at(&path(), say).await
    }

    async fn acquire_at(path: &Path, say: impl Fn(&str)) -> io::Result<Self> {
        let mut file = open(path)?;
        let mut told = false;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {
                    if !told {
                        told = true;
                        let holder = holder(&mut file).map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                        say(&format!(
                            "another run{holder} is measuring on this machine: waits for its end"
                        ));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Only to tell those who wait; another user's file is not ours to write to.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", Owner::this()));
        Ok(Self { _file: file })
    }
}

fn path() -> PathBuf {
    // One for all users: a folder of the user's own would not do.
    let folder = if cfg!(unix) {
        PathBuf::from("/tmp")
    } else {
        std::env::temp_dir()
    };
    folder.join("wsgibench-measure.lock")
}

/// Opens the file, to write if we may, without making it where it is there: systems forbid that in `/tmp` for another user's file.
fn open(path: &Path) -> io::Result<File> {
    let existing = || {
        File::options()
            .read(true)
            .write(true)
            .open(path)
            .or_else(|_| File::open(path))
    };
    let file = existing().or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        let made = File::options().read(true).write(true).create_new(true).open(path);
        if made.is_ok() {
            allow_all(path);
        }
        // Another run may have made it meanwhile.
        made.or_else(|_| existing())
    });
    file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn allow_all(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o666));
    }
    #[cfg(not(unix))]
    let _ = path;
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    Owner::parse(&text).map(|owner| owner.pid())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = MachineLock::acquire_at(&path, |_| panic!("nobody has it"))
            .await
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let second = {
            let (path, said) = (path.clone(), said.clone());
            tokio::spawn(async move {
                MachineLock::acquire_at(&path, |line| line.clone_into(&mut said.lock().unwrap())).await
            })
        };
        tokio::time::sleep(PAUSE * 2).await;
        assert!(!second.is_finished());
        let wanted = format!("(pid {})", std::process::id());
        assert!(said.lock().unwrap().contains(&wanted), "{said:?}");
        drop(first);
        second.await.unwrap().unwrap();
    }
}
