//! The data directory: who may enter it, and the file with the first access key.
//!
//! The directory has mode 0700 and the credentials 0600: the secret of the first access key lies
//! there as it is until its owner takes the file away. What the store's files hold is not known
//! here.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::identity::Credentials;

pub(crate) const DIRECTORY_MODE: u32 = 0o700;
pub(crate) const FILE_MODE: u32 = 0o600;
/// Permissions of anybody but the owner.
const OTHERS: u32 = 0o077;

/// The data directory of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDirectory(PathBuf);

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The system refused something.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others may enter it.
    #[error("`{}` has mode {mode:o}, so that others can read the secrets in it", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl DirectoryError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> DirectoryError {
        DirectoryError::Io { action, path: path.to_owned(), source }
    }

    /// What to do next.
    pub fn help(&self) -> &'static str {
        match self {
            DirectoryError::Io { .. } => "check that the path exists and that you may write there",
            DirectoryError::Open { .. } => "run `chmod 700` on it, or choose another directory",
        }
    }
}

impl DataDirectory {
    /// The directory of a running server, for its clients. Nothing is touched.
    pub fn at(path: impl Into<PathBuf>) -> DataDirectory {
        DataDirectory(path.into())
    }

    /// Makes the directory if it is absent, and makes sure that it is the owner's alone.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn prepare(path: impl Into<PathBuf>) -> Result<DataDirectory, DirectoryError> {
        let path = path.into();
        let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&path);
        made.map_err(|source| DirectoryError::io("make", &path, source))?;
        let metadata =
            fs::metadata(&path).map_err(|source| DirectoryError::io("read", &path, source))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            close(&path, mode)?;
        }
        Ok(DataDirectory(path))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the store keeps its files.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Where the first access key is kept for its owner.
    pub fn credentials(&self) -> PathBuf {
        self.0.join("credentials")
    }

    /// Where the key is kept that secrets are sealed with, unless it is kept elsewhere.
    pub fn key_file(&self) -> PathBuf {
        self.0.join("seal.key")
    }

    /// Where a running server listens for administration.
    pub fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Where the leases of runs are.
    pub fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }

    /// Keeps the first access key: whole or not at all, and durable.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn keep_credentials(&self, key: &Credentials) -> Result<(), DirectoryError> {
        let path = self.credentials();
        let draft = path.with_extension("new");
        let text = format!(
            "PORTCULLIS_ACCESS_KEY_ID={}\nPORTCULLIS_ACCESS_KEY_SECRET={}\n",
            key.access_key_id, key.access_key_secret
        );
        let written = write_draft(&draft, text.as_bytes())
            .and_then(|()| fs::rename(&draft, &path))
            .and_then(|()| File::open(&self.0)?.sync_all());
        written.map_err(|source| DirectoryError::io("write", &path, source))
    }
}

/// Takes everybody else's rights away from an empty directory. One that holds something may be in
/// use for something else, so its owner decides.
fn close(path: &Path, mode: u32) -> Result<(), DirectoryError> {
    let mut entries =
        fs::read_dir(path).map_err(|source| DirectoryError::io("read", path, source))?;
    if entries.next().is_some() {
        return Err(DirectoryError::Open { path: path.to_owned(), mode });
    }
    fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
        .map_err(|source| DirectoryError::io("change the mode of", path, source))
}

/// Writes a file that nobody but its owner ever could read. A draft that is there is a crash's.
pub(crate) fn write_draft(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_directory_and_its_secrets_are_the_owners_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = DataDirectory::prepare(temporary.path().join("a/b")).unwrap();
        assert_eq!(mode(directory.path()), 0o700);
        let key = Credentials { access_key_id: "id".into(), access_key_secret: "secret".into() };
        fs::write(directory.path().join("credentials.new"), "left by a crash").unwrap();
        directory.keep_credentials(&key).unwrap();
        assert_eq!(mode(&directory.credentials()), 0o600);
        let text = fs::read_to_string(directory.credentials()).unwrap();
        assert_eq!(text, "PORTCULLIS_ACCESS_KEY_ID=id\nPORTCULLIS_ACCESS_KEY_SECRET=secret\n");
        assert!(!directory.path().join("credentials.new").exists());
    }

    #[test]
    fn a_directory_that_others_can_enter_is_closed_or_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(temporary.path(), open.clone()).unwrap();
        DataDirectory::prepare(temporary.path()).unwrap();
        assert_eq!(mode(temporary.path()), 0o700);
        fs::write(temporary.path().join("something"), "").unwrap();
        fs::set_permissions(temporary.path(), open).unwrap();
        let error = DataDirectory::prepare(temporary.path()).unwrap_err();
        assert!(matches!(error, DirectoryError::Open { mode: 0o755, .. }), "{error}");
        assert!(error.help().contains("chmod 700"));
    }

    #[test]
    fn a_file_in_its_place_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDirectory::prepare(file.path()).unwrap_err();
        assert!(matches!(error, DirectoryError::Io { action: "make", .. }), "{error}");
    }
}
