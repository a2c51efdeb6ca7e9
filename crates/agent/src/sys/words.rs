//! An array map's words, mapped into memory: one store reaches every processor.
//!
//! Knows no meaning. A word is read and written whole; stores are seen in the order in which they
//! were made.
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shared words of a map that was made mappable.
#[derive(Debug)]
pub(super) struct Words {
    first: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the words are atomics in memory shared with the kernel; any thread may use them, and the
// last owner unmaps them.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Maps the first `count` words of a map.
    pub(super) fn map(map: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at a place of the kernel's choice; it refuses one longer than the
        // map.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * size_of::<u64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let first = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Self { first, count })
    }

    fn word(&self, index: usize) -> Option<&AtomicU64> {
        // SAFETY: within the mapping, which lives as long as `self`, page-aligned, and used by all
        // as whole words.
        (index < self.count).then(|| unsafe { self.first.add(index).as_ref() })
    }

    /// The word at `index`; `None` beyond the last.
    pub(super) fn load(&self, index: usize) -> Option<u64> {
        self.word(index).map(|word| word.load(Ordering::Acquire))
    }

    /// Sets the word at `index`, after all earlier stores.
    pub(super) fn store(&self, index: usize, value: u64) -> io::Result<()> {
        let word = self.word(index).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("there are {} words, no word {index}", self.count),
            )
        })?;
        word.store(value, Ordering::Release);
        Ok(())
    }

    /// Adds one to the word at `index`, after all earlier stores.
    pub(super) fn raise(&self, index: usize) -> Option<u64> {
        self.word(index).map(|word| word.fetch_add(1, Ordering::AcqRel) + 1)
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, of that length, and nobody borrows it any more.
        unsafe { libc::munmap(self.first.as_ptr().cast(), self.count * size_of::<u64>()) };
    }
}
