//! The files of a store: who may open them, what may be missing, and how they come to be.
//!
//! It refuses to know what is inside the engine's file. A new store appears whole: its file is
//! made under another name and renamed once it and its witness are on the disk.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::embedded::tables::Tables;
use crate::embedded::witness::Witness;
use crate::error::StoreError;
use crate::export::Export;

const LOCK_NAME: &str = "store.lock";
const STORE_NAME: &str = "store.redb";
const NEW_STORE_NAME: &str = "store.redb.new";
const WITNESS_NAME: &str = "store.acknowledged";

/// Records may be secrets, so what is made here is for its owner only.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A directory that no other process has open.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// The operating system gives the lock up when this is closed, however the process ends.
    _lock: File,
}

impl Directory {
    /// Makes the directory if need be and locks it.
    pub(super) fn lock(path: &Path) -> Result<Directory, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
        made.map_err(|error| StoreError::io("make the directory", path, error))?;
        let lock_path = path.join(LOCK_NAME);
        let lock = options().create(true).open(&lock_path);
        let lock = lock.map_err(|error| StoreError::io("open", &lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::Locked { directory: path.to_path_buf() })
            }
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &lock_path, error)),
        }
    }

    /// The directory itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The engine's file.
    pub(super) fn store_path(&self) -> PathBuf {
        self.path.join(STORE_NAME)
    }

    /// The witness of the store in this directory, or nothing if there is no store yet.
    pub(super) fn find(&self) -> Result<Option<Witness>, StoreError> {
        let (store_path, witness_path) = (self.store_path(), self.path.join(WITNESS_NAME));
        let has_store = exists(&store_path)?;
        let missing = |path: &Path, why: &str| {
            Err(StoreError::corrupt(path.display().to_string(), format!("it is missing, {why}")))
        };
        if !exists(&witness_path)? {
            return match has_store {
                true => missing(&witness_path, "but the store is there"),
                false => Ok(None),
            };
        }
        let file = options().open(&witness_path);
        let file = file.map_err(|error| StoreError::io("open", &witness_path, error))?;
        let witness = Witness::open(file, &witness_path)?;
        let acknowledged = witness.acknowledged();
        match has_store {
            true => Ok(Some(witness)),
            // Making the store was interrupted before anybody could commit to it.
            false if acknowledged.number() == 0 => Ok(None),
            false => missing(&store_path, &format!("but revision {acknowledged} was acknowledged")),
        }
    }

    /// Opens the engine's file. An empty one is refused: the engine would begin it anew.
    pub(super) fn open_store(&self) -> Result<File, StoreError> {
        let path = self.store_path();
        let file = options().open(&path).map_err(|error| StoreError::io("open", &path, error))?;
        let metadata = file.metadata().map_err(|error| StoreError::io("read", &path, error))?;
        if metadata.len() == 0 {
            return Err(StoreError::corrupt(path.display().to_string(), "it is empty"));
        }
        Ok(file)
    }

    /// Makes a store that holds the export.
    pub(super) fn create(&self, export: &Export) -> Result<Witness, StoreError> {
        let new_path = self.path.join(NEW_STORE_NAME);
        // Left over from making a store that was interrupted.
        remove_if_exists(&new_path)?;
        Tables::create(self.make(&new_path)?, &new_path, export)?;
        let witness_path = self.path.join(WITNESS_NAME);
        remove_if_exists(&witness_path)?;
        let witness = Witness::create(self.make(&witness_path)?, &witness_path)?;
        self.sync()?;
        let renamed = fs::rename(&new_path, self.store_path());
        renamed.map_err(|error| StoreError::io("rename", &new_path, error))?;
        self.sync()?;
        Ok(witness)
    }

    fn make(&self, path: &Path) -> Result<File, StoreError> {
        let made = options().create_new(true).open(path);
        made.map_err(|error| StoreError::io("make", path, error))
    }

    /// Waits until the names in the directory are on the disk.
    fn sync(&self) -> Result<(), StoreError> {
        let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
        synced.map_err(|error| StoreError::io("sync", &self.path, error))
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|error| StoreError::io("look for", path, error))
}

fn remove_if_exists(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StoreError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}
