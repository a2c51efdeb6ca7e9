//! A whole store in one file, to be kept elsewhere and restored on any engine.
//!
//! Format 1: a header, one record per entry in key order, and a trailer with the revision, the
//! count and a checksum over everything before it. Whole numbers are little-endian. It refuses to
//! restore anything from a file that is not exactly what was written. The history is not part of
//! an export: a restored store begins at its revision.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use crate::contract::{Revision, Store};
use crate::error::StoreError;

const MAGIC: &[u8; 20] = b"portcullis-store-exp";
/// The version of the format. A reader refuses any other.
const EXPORT_FORMAT: u32 = 1;
const TAG_END: u8 = 0;
const TAG_ENTRY: u8 = 1;
/// A field is read in pieces of this size, so that a wrong length allocates little.
const PIECE_BYTES: u64 = 64 * 1024;
/// Exports hold what the store holds, so they are for its owner only.
const FILE_MODE: u32 = 0o600;

/// Writes everything that `store` holds now to `target` and returns the revision of that moment.
///
/// # Errors
/// [`StoreError::Io`] when `target` does, and as for [`Store::load`].
pub fn export(store: &dyn Store, target: &mut dyn Write) -> Result<Revision, StoreError> {
    let mut target = Hashing { inner: BufWriter::new(target), hash: Xxh3::new() };
    let mut written = target.put(MAGIC).and_then(|()| target.put(&EXPORT_FORMAT.to_le_bytes()));
    let mut count: u64 = 0;
    let revision = store.load(&mut |entry| {
        if written.is_ok() {
            written = target.put_entry(entry.modified, entry.key, entry.value);
            count += 1;
        }
    })?;
    let finished = written.and_then(|()| {
        target.put(&[TAG_END])?;
        target.put(&revision.number().to_le_bytes())?;
        target.put(&count.to_le_bytes())?;
        let checksum = target.hash.digest128().to_le_bytes();
        target.inner.write_all(&checksum)?;
        target.inner.flush()
    });
    finished.map_err(|error| StoreError::io("write", Path::new(PLACE), error))?;
    Ok(revision)
}

/// Writes an [`export`] to a file that appears only once it is whole and on the disk. A file of
/// that name is replaced.
///
/// # Errors
/// As for [`export`].
pub fn export_to_file(store: &dyn Store, path: &Path) -> Result<Revision, StoreError> {
    let mut new_path = path.as_os_str().to_owned();
    new_path.push(".new");
    let new_path = Path::new(&new_path);
    let fail = |error| StoreError::io("write", new_path, error);
    // A draft that is left over has whatever mode it was made with, and may be a link.
    match fs::remove_file(new_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true).mode(FILE_MODE);
    let mut file = options.open(new_path).map_err(fail)?;
    let exported = export(store, &mut file);
    let synced = exported.and_then(|revision| {
        file.sync_all().map_err(fail)?;
        fs::rename(new_path, path).map_err(fail)?;
        Ok(revision)
    });
    if synced.is_err() {
        // What is left is of no use to anybody; the first error is the one to report.
        let _ = fs::remove_file(new_path);
    }
    let revision = synced?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(fail)?;
    Ok(revision)
}

/// The stream has no name of its own.
const PLACE: &str = "the export";

/// What an export holds.
#[derive(Debug, Default)]
pub(crate) struct Export {
    revision: Revision,
    entries: Entries,
}

/// Keys with their last revision and their value.
pub(crate) type Entries = BTreeMap<Vec<u8>, (Revision, Vec<u8>)>;

impl Export {
    /// A store before its first commit.
    pub(crate) fn empty() -> Export {
        Export::default()
    }

    /// The revision at which it was made.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// What it held.
    pub(crate) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// What it held, to keep.
    pub(crate) fn into_entries(self) -> Entries {
        self.entries
    }

    /// Reads and verifies an export to its end.
    pub(crate) fn read(source: &mut dyn Read) -> Result<Export, StoreError> {
        let mut source = HashingReader { inner: source, hash: Xxh3::new() };
        if source.take(MAGIC.len())? != MAGIC {
            return Err(damaged("it does not begin as an export does"));
        }
        let format = u32::from_le_bytes(source.array()?);
        if format != EXPORT_FORMAT {
            let (place, supported) = (PLACE.to_string(), EXPORT_FORMAT);
            return Err(StoreError::UnknownFormat { place, found: format, supported });
        }
        let mut entries = BTreeMap::new();
        loop {
            match source.array()? {
                [TAG_ENTRY] => {
                    let modified = Revision::new(u64::from_le_bytes(source.array()?));
                    let (key, value) = (source.field()?, source.field()?);
                    entries.insert(key, (modified, value));
                }
                [TAG_END] => break,
                _ => return Err(damaged("a record is neither an entry nor the end")),
            }
        }
        let revision = Revision::new(u64::from_le_bytes(source.array()?));
        let count = u64::from_le_bytes(source.array()?);
        let checksum = source.hash.digest128();
        if u128::from_le_bytes(source.array()?) != checksum {
            return Err(damaged("its checksum does not match"));
        }
        if u64::try_from(entries.len()) != Ok(count) {
            return Err(damaged("its count does not match"));
        }
        match source.inner.read(&mut [0]) {
            Ok(0) => Ok(Export { revision, entries }),
            Ok(_) => Err(damaged("something follows its end")),
            Err(error) => Err(StoreError::io("read", Path::new(PLACE), error)),
        }
    }
}

fn damaged(detail: &str) -> StoreError {
    StoreError::corrupt(PLACE, detail)
}

struct Hashing<W: Write> {
    inner: W,
    hash: Xxh3,
}

impl<W: Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.inner.write_all(bytes)
    }

    fn put_entry(&mut self, modified: Revision, key: &[u8], value: &[u8]) -> std::io::Result<()> {
        self.put(&[TAG_ENTRY])?;
        self.put(&modified.number().to_le_bytes())?;
        for field in [key, value] {
            let length = u64::try_from(field.len()).unwrap_or(u64::MAX);
            self.put(&length.to_le_bytes())?;
            self.put(field)?;
        }
        Ok(())
    }
}

struct HashingReader<'a> {
    inner: &'a mut dyn Read,
    hash: Xxh3,
}

impl HashingReader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(read_failure)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn field(&mut self) -> Result<Vec<u8>, StoreError> {
        let length = u64::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).map_err(|_| damaged("a length is impossible"))?)
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let missing = u64::try_from(length - bytes.len()).unwrap_or(u64::MAX);
            let mut piece = (&mut *self.inner).take(missing.min(PIECE_BYTES));
            let read = piece.read_to_end(&mut bytes).map_err(read_failure)?;
            if read == 0 {
                return Err(damaged("it is cut off"));
            }
        }
        self.hash.update(&bytes);
        Ok(bytes)
    }
}

fn read_failure(error: std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
        _ => StoreError::io("read", Path::new(PLACE), error),
    }
}
