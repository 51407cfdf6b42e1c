//! Binds threads to CPUs.

use std::io;

use rustix::thread::{CpuSet, sched_setaffinity};

/// Pins the calling thread to one CPU.
///
/// # Errors
/// Returns an error if the CPU does not exist or this process may not use it.
pub fn pin_thread(cpu: usize) -> io::Result<()> {
    // `CpuSet::set` panics beyond its capacity.
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such CPU"));
    }
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    Ok(sched_setaffinity(None, &cpus)?)
}
