//! The bounds of a store, each with its name and its reason.
//!
//! It refuses to know how an engine keeps them; what happens at a bound is in [`crate::error`].

/// The bounds that a store keeps. Reaching one is a
/// [`CommitError::Limit`](crate::CommitError::Limit) that names it, or, for the history, a
/// [`StoreError::Compacted`](crate::StoreError::Compacted) for a watcher that is too slow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one key. A key has at least one.
    pub key_bytes_max: usize,
    /// Bytes of one value. A value may be empty.
    pub value_bytes_max: usize,
    /// Operations of one transaction. A transaction has at least one.
    pub operations_per_transaction_max: usize,
    /// Guards of one transaction.
    pub guards_per_transaction_max: usize,
    /// Bytes of all keys and values of the operations of one transaction.
    pub transaction_bytes_max: usize,
    /// Transactions of one batch.
    pub transactions_per_batch_max: usize,
    /// Bytes of all keys and values of the operations of one batch.
    pub batch_bytes_max: usize,
    /// Revisions whose operations are kept for watchers; older ones are compacted by themselves.
    pub history_revisions_max: usize,
    /// Bytes of operations held in memory for watchers. A watcher that is further behind reads
    /// from the disk, or, on an engine without one, is cut.
    pub watch_bytes_max: usize,
}

impl Limits {
    /// A key is a few identifiers long.
    pub const KEY_BYTES_MAX: usize = 1024;
    /// A record is about 300 bytes; a megabyte leaves room for one that holds a whole group.
    pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
    /// Deleting a full group touches one record per rule and per member.
    pub const OPERATIONS_PER_TRANSACTION_MAX: usize = 4096;
    /// One guard for everything that a transaction touches.
    pub const GUARDS_PER_TRANSACTION_MAX: usize = 4096;
    /// Several of the largest values, and still small beside the memory of a host.
    pub const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
    /// As many requests as can sensibly wait for one write to the disk.
    pub const TRANSACTIONS_PER_BATCH_MAX: usize = 1024;
    /// A thousand ordinary transactions or a few of the largest; written in well under a second.
    pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
    /// At a hundred changes a second, ten minutes of absence.
    pub const HISTORY_REVISIONS_MAX: usize = 65_536;
    /// All of that history at 1 KiB a commit.
    pub const WATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            key_bytes_max: Limits::KEY_BYTES_MAX,
            value_bytes_max: Limits::VALUE_BYTES_MAX,
            operations_per_transaction_max: Limits::OPERATIONS_PER_TRANSACTION_MAX,
            guards_per_transaction_max: Limits::GUARDS_PER_TRANSACTION_MAX,
            transaction_bytes_max: Limits::TRANSACTION_BYTES_MAX,
            transactions_per_batch_max: Limits::TRANSACTIONS_PER_BATCH_MAX,
            batch_bytes_max: Limits::BATCH_BYTES_MAX,
            history_revisions_max: Limits::HISTORY_REVISIONS_MAX,
            watch_bytes_max: Limits::WATCH_BYTES_MAX,
        }
    }
}
