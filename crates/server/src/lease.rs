//! Whether a run still lives: a locked file of its own in the data directory.
//!
//! The kernel lets go of the lock when the last process that holds the file has ended, however it
//! ended, and nobody else can have it meanwhile: a process number that comes again deceives nobody,
//! and a restart of the server or of the machine changes nothing. What a run is, is not known.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use portcullis_core::command::RunDevice;

use crate::directory::{DIRECTORY_MODE, DataDirectory, FILE_MODE};

/// How often a name is drawn before the source of random numbers is called broken.
const DRAWS_MAX: usize = 8;

/// The lease of one run, held as long as the value and its process live.
#[derive(Debug)]
pub struct Lease {
    device: RunDevice,
    path: PathBuf,
    /// Locked.
    _file: File,
}

/// How a lease stands.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Somebody holds it.
    Held,
    /// Nobody does: it is ours now.
    Abandoned(Lease),
    /// There is none.
    Absent,
}

impl Lease {
    /// Takes a lease that nobody had before.
    ///
    /// # Errors
    /// What the system says.
    pub fn take(directory: &DataDirectory) -> io::Result<Lease> {
        let folder = directory.runs();
        match DirBuilder::new().mode(DIRECTORY_MODE).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for _ in 0..DRAWS_MAX {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(io::Error::other)?;
            let Some(device) = RunDevice::drawn(bytes) else { continue };
            let path = folder.join(device.as_str());
            let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path);
            let file = match made {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            // Between the two calls somebody may have taken it for an abandoned one.
            match file.try_lock() {
                Ok(()) if is_at(&file, &path)? => {
                    return Ok(Lease { device, path, _file: file });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other("no free name was found for the lease of the run"))
    }

    /// Whose lease it is.
    pub fn device(&self) -> &RunDevice {
        &self.device
    }

    /// Gives it back: there is nothing any more that it stands for.
    ///
    /// # Errors
    /// What the system says.
    pub fn release(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    /// How the lease of a device stands.
    pub(crate) fn look(directory: &DataDirectory, device: &RunDevice) -> io::Result<Standing> {
        let path = directory.runs().join(device.as_str());
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Absent),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => Ok(Standing::Abandoned(Lease { device: device.clone(), path, _file: file })),
            Err(TryLockError::WouldBlock) => Ok(Standing::Held),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The devices for which there is a lease, whether held or not.
    pub(crate) fn all(directory: &DataDirectory) -> io::Result<Vec<RunDevice>> {
        let entries = match fs::read_dir(directory.runs()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        Ok(entries.flatten().filter_map(name).collect())
    }
}

/// Whether the file is the one at the path still.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_held_until_its_holder_is_gone() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = DataDirectory::at(temporary.path());
        assert!(Lease::all(&directory).unwrap().is_empty());
        let (lease, other) = (Lease::take(&directory).unwrap(), Lease::take(&directory).unwrap());
        let device = lease.device().clone();
        assert_ne!(device, *other.device());
        assert_eq!(Lease::all(&directory).unwrap().len(), 2);
        assert!(matches!(Lease::look(&directory, &device).unwrap(), Standing::Held));
        drop(lease);
        let Standing::Abandoned(own) = Lease::look(&directory, &device).unwrap() else { panic!() };
        assert!(matches!(Lease::look(&directory, &device).unwrap(), Standing::Held));
        own.release().unwrap();
        assert!(matches!(Lease::look(&directory, &device).unwrap(), Standing::Absent));
        assert_eq!(Lease::all(&directory).unwrap(), [other.device().clone()]);
    }

    #[test]
    fn what_is_no_lease_is_passed_over() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = DataDirectory::at(temporary.path());
        fs::create_dir(directory.runs()).unwrap();
        for name in ["pcr-", "pcr-ABCDEFGHIJK", "pcr-abcdefghij", "veth0", "pcr-abcdefghijkl"] {
            fs::write(directory.runs().join(name), "").unwrap();
        }
        assert!(Lease::all(&directory).unwrap().is_empty());
    }
}
