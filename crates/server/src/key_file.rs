//! The file with the key that the secrets of access keys are sealed with, apart from the store that
//! holds them.
//!
//! It is made by the first start and never written again: a key that is lost or wrong stops the
//! start, and nothing is overwritten. How secrets are sealed is not known here.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portcullis_wire::record::seal::{Fingerprint, SEAL_KEY_BYTES, SealKey};

use crate::directory::write_draft;
use crate::identity::NoRandomness;

/// What the file begins with; the number changes when the rest means something else.
const HEADING: &str = "portcullis-seal-key-1 ";
/// Permissions of anybody but the owner.
const OTHERS: u32 = 0o077;
/// Bytes of a key file, with room to see that one is too long.
const FILE_BYTES_MAX: u64 = 1024;

/// Why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The system refused something.
    #[error("cannot {action} the key file `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others may read it.
    #[error("the key file `{}` has mode {mode:o}, so that others can read it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds something else.
    #[error("`{}` is no key file", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It is not there, and there are secrets that only it opens.
    #[error(
        "the key file `{}` is not there, and the store holds secrets that are sealed with the \
         key {sealed}",
        path.display()
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// The key that opens them.
        sealed: Fingerprint,
    },
    /// It holds another key than the one that secrets were sealed with.
    #[error(
        "the key file `{}` holds the key {own}, and the store's secrets are sealed with the key \
         {sealed}",
        path.display()
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// The key in it.
        own: Fingerprint,
        /// The key that opens them.
        sealed: Fingerprint,
    },
    /// No key could be drawn.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl KeyFileError {
    /// What to do next.
    pub fn help(&self) -> &'static str {
        match self {
            KeyFileError::Io { .. } => "check the path and its permissions",
            KeyFileError::Open { .. } => "run `chmod 600` on it",
            KeyFileError::Malformed { .. } => {
                "put the right file back, or name it with --key-file; nothing was changed"
            }
            KeyFileError::Lost { .. } | KeyFileError::Other { .. } => {
                "put the file of that key back, or name it with --key-file; nothing was changed. \
                 Without it the secrets cannot be opened by anybody"
            }
            KeyFileError::NoRandomness(_) => "check that the system has a source of random numbers",
        }
    }
}

/// A key file that was read, or that is still to be written.
pub(crate) struct KeyFile {
    path: PathBuf,
    seal: SealKey,
    /// What is still to be written.
    text: Option<String>,
}

impl KeyFile {
    /// Reads the file; where there is none, draws a key for it and writes nothing yet.
    pub(crate) fn read_or_draw(path: &Path) -> Result<KeyFile, KeyFileError> {
        let failed = |action, source| KeyFileError::Io { action, path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return KeyFile::draw(path),
            Err(error) => return Err(failed("open", error)),
        };
        let metadata = file.metadata().map_err(|error| failed("read", error))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            return Err(KeyFileError::Open { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::new();
        let read = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
        read.map_err(|error| failed("read", error))?;
        let key = std::str::from_utf8(&bytes).ok().and_then(parse);
        let key = key.ok_or_else(|| KeyFileError::Malformed { path: path.to_owned() })?;
        Ok(KeyFile { path: path.to_owned(), seal: SealKey::new(&key), text: None })
    }

    fn draw(path: &Path) -> Result<KeyFile, KeyFileError> {
        let mut key = [0; SEAL_KEY_BYTES];
        getrandom::fill(&mut key).map_err(NoRandomness::from)?;
        let text = Some(text(&key));
        Ok(KeyFile { path: path.to_owned(), seal: SealKey::new(&key), text })
    }

    /// The key itself.
    pub(crate) fn seal(&self) -> &SealKey {
        &self.seal
    }

    /// What it means that the store's secrets were sealed with the key `sealed`, another one.
    pub(crate) fn is_not(&self, sealed: Fingerprint) -> KeyFileError {
        let (path, own) = (self.path.clone(), self.seal.fingerprint());
        match &self.text {
            Some(_) => KeyFileError::Lost { path, sealed },
            None => KeyFileError::Other { path, own, sealed },
        }
    }

    /// Writes a key that was drawn: durable, whole or not at all, and never over another file.
    /// Before this nothing may be sealed with it.
    pub(crate) fn keep(&mut self) -> Result<(), KeyFileError> {
        let Some(text) = self.text.take() else { return Ok(()) };
        let draft = self.path.with_extension("new");
        let written = write_draft(&draft, text.as_bytes())
            .and_then(|()| fs::hard_link(&draft, &self.path))
            .and_then(|()| fs::remove_file(&draft))
            .and_then(|()| match self.path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
                _ => File::open(".")?.sync_all(),
            });
        let path = self.path.clone();
        written.map_err(|source| KeyFileError::Io { action: "write", path, source })?;
        tracing::info!(path = %self.path.display(), "a key for secrets was made; keep a copy");
        Ok(())
    }
}

/// The text of a key file.
fn text(key: &[u8; SEAL_KEY_BYTES]) -> String {
    let mut text = HEADING.to_owned();
    for byte in key {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');
    text
}

fn parse(text: &str) -> Option<[u8; SEAL_KEY_BYTES]> {
    let digits = text.strip_prefix(HEADING)?.strip_suffix('\n')?;
    if digits.len() != 2 * SEAL_KEY_BYTES || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; SEAL_KEY_BYTES];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_drawn_once_and_read_ever_after() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.key");
        let mut first = KeyFile::read_or_draw(&path).unwrap();
        assert!(!path.exists(), "nothing is written before it is kept");
        fs::write(path.with_extension("new"), "left by a crash").unwrap();
        first.keep().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        let mut second = KeyFile::read_or_draw(&path).unwrap();
        assert_eq!(second.seal().fingerprint(), first.seal().fingerprint());
        let before = fs::read(&path).unwrap();
        second.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn no_file_is_overwritten_and_none_is_taken_for_a_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.key");
        let mut drawn = KeyFile::read_or_draw(&path).unwrap();
        fs::write(&path, "appeared meanwhile").unwrap();
        let error = drawn.keep().unwrap_err();
        assert!(matches!(error, KeyFileError::Io { action: "write", .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"appeared meanwhile");
        let open = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        open(0o640);
        let error = KeyFile::read_or_draw(&path).err().unwrap();
        assert!(matches!(error, KeyFileError::Open { mode: 0o640, .. }), "{error}");
        open(0o400);
        let good = text(&[0xab; SEAL_KEY_BYTES]);
        for bad in ["", HEADING, &good[1..], good.trim_end(), &good.replace("ab", "ag")] {
            open(0o600);
            fs::write(&path, bad).unwrap();
            let error = KeyFile::read_or_draw(&path).err().unwrap();
            assert!(matches!(error, KeyFileError::Malformed { .. }), "{bad:?}: {error}");
        }
        fs::write(&path, &good).unwrap();
        let read = KeyFile::read_or_draw(&path).unwrap();
        let expected = SealKey::new(&[0xab; SEAL_KEY_BYTES]);
        assert_eq!(read.seal().fingerprint(), expected.fingerprint());
    }
}
