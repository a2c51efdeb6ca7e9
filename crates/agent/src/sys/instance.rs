//! Where an instance's maps, programs and links are pinned: one directory for each layout of them.
//!
//! Knows names and directories, not what is in them.
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_compile::abi::LAYOUT_VERSION;

use super::{bpffs, upgrade};

/// Where an instance's maps, programs and links are pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Where all layouts of all instances are.
    root: PathBuf,
    name: String,
    directory: PathBuf,
}

impl Instance {
    /// An instance of this name (letters, digits, `-`), in the machine's BPF file system, which is
    /// mounted if need be.
    pub fn new(name: &str) -> io::Result<Self> {
        Self::in_directory(&bpffs::ensure()?, name)
    }

    /// The same in a BPF file system at a known place.
    pub fn in_directory(bpffs: &Path, name: &str) -> io::Result<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            let message = format!("`{name}` is no instance name: 1 to 64 letters, digits and `-`");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let root = bpffs.join("portcullis");
        let directory = root.join(format!("v{LAYOUT_VERSION}")).join(name);
        Ok(Self { root, name: name.to_owned(), directory })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layouts that it is pinned in, with their directories, oldest first.
    pub(super) fn layouts(&self) -> io::Result<BTreeMap<u32, PathBuf>> {
        self.directories_named(&self.name)
    }

    /// The directories of this name in each layout.
    pub(super) fn directories_named(&self, name: &str) -> io::Result<BTreeMap<u32, PathBuf>> {
        let mut found = BTreeMap::new();
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let layout = entry?.file_name();
            let version = layout.to_str().and_then(|name| name.strip_prefix('v')?.parse().ok());
            let directory = self.root.join(&layout).join(name);
            if let Some(version) = version
                && directory.is_dir()
            {
                found.insert(version, directory);
            }
        }
        Ok(found)
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether something of it is pinned.
    pub fn exists(&self) -> bool {
        self.directory.is_dir()
    }

    /// Takes the programs off every device and removes every pin, of every layout up to this
    /// version's own. Returns how many devices were freed.
    pub fn detach_all(&self) -> io::Result<usize> {
        upgrade::detach_all(self)
    }
}
