//! The policy pool seen from user space: which words stand where, shared by content, freed only
//! after a settling.
//!
//! Knows offsets and words, not what they mean. Each blob is preceded by one *extent* word that
//! holds its length, so that an agent which starts anew can read from the kernel what is in use and
//! needs no memory of its own. Space that was given up is used again only after [`Pool::settle`]:
//! until then a packet may still be judged by it.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Upper half of every extent word.
const EXTENT_MARK: u64 = 0x5043_4558 << 32;
/// The first offset that is ever given, so that offset 0 means "none".
const FIRST: u32 = 1;

/// The extent word of a blob of `length` words.
pub fn extent_word(length: u32) -> u64 {
    EXTENT_MARK | u64::from(length)
}

/// The length in an extent word; `None` if it is none.
pub fn extent_length(word: u64) -> Option<u32> {
    (word & !u64::from(u32::MAX) == EXTENT_MARK).then_some(word as u32)
}

/// There is no room for a blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy pool of {pool} words has no room for {needed} more in one piece")]
pub struct PoolFull {
    /// Words of the blob, its extent word included.
    pub needed: usize,
    /// Words of the pool.
    pub pool: u32,
}

/// Two blobs that were read from the kernel overlap: what is there was not written by this code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the words at pool offset {offset} belong to two blobs")]
pub struct Overlap {
    /// Where.
    pub offset: u32,
}

#[derive(Debug, Clone)]
struct Blob {
    words: Arc<[u64]>,
    users: usize,
}

/// Words to be written for a blob that was not there yet: the extent word and the blob itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Where the first word goes.
    pub offset: u32,
    /// The words.
    pub words: Vec<u64>,
}

/// What stands where.
#[derive(Debug, Clone)]
pub struct Pool {
    words: u32,
    blobs: BTreeMap<u32, Blob>,
    by_content: HashMap<Arc<[u64]>, u32>,
    /// Start and length of free space; neighbours are joined.
    free: BTreeMap<u32, u32>,
    retired: Vec<(u32, u32)>,
}

impl Pool {
    /// An empty pool of so many words.
    pub fn new(words: u32) -> Self {
        Self {
            words,
            blobs: BTreeMap::new(),
            by_content: HashMap::new(),
            free: BTreeMap::from([(FIRST, words.saturating_sub(FIRST))]),
            retired: Vec::new(),
        }
    }

    /// One more user of these words: where they stand, and what must be written if they are new.
    pub fn take(&mut self, words: &[u64]) -> Result<(u32, Option<Write>), PoolFull> {
        if let Some(offset) = self.by_content.get(words) {
            if let Some(blob) = self.blobs.get_mut(offset) {
                blob.users += 1;
            }
            return Ok((*offset, None));
        }
        let needed = words.len() + 1;
        let full = PoolFull { needed, pool: self.words };
        let length = u32::try_from(needed).map_err(|_| full.clone())?;
        let start = self.cut_first_fit(length).ok_or(full)?;
        let offset = start + 1;
        self.insert(offset, words.into(), 1);
        let mut write = Vec::with_capacity(needed);
        write.push(extent_word(length - 1));
        write.extend_from_slice(words);
        Ok((offset, Some(Write { offset: start, words: write })))
    }

    /// One more user of these very words, if they still stand where they stood. For whoever keeps
    /// what [`Pool::shared_words`] gave.
    pub fn take_again(&mut self, offset: u32, words: &Arc<[u64]>) -> bool {
        let blob = self.blobs.get_mut(&offset).filter(|blob| Arc::ptr_eq(&blob.words, words));
        blob.map(|blob| blob.users += 1).is_some()
    }

    /// The words of a blob, to be known again by.
    pub fn shared_words(&self, offset: u32) -> Option<Arc<[u64]>> {
        self.blobs.get(&offset).map(|blob| blob.words.clone())
    }

    /// One more user of a blob that was found in the kernel. The first one claims its space.
    pub fn adopt(&mut self, offset: u32, words: Vec<u64>) -> Result<(), Overlap> {
        if let Some(blob) = self.blobs.get_mut(&offset) {
            blob.users += 1;
            return Ok(());
        }
        let start = offset.saturating_sub(1);
        let length = words.len() as u32 + 1;
        let space = self.free.range(..=start).next_back().map(|(s, l)| (*s, *l));
        let (space_start, space_length) =
            space.filter(|(s, l)| start + length <= s + l).ok_or(Overlap { offset })?;
        self.free.remove(&space_start);
        self.add_free(space_start, start - space_start);
        self.add_free(start + length, space_start + space_length - (start + length));
        self.insert(offset, words.into(), 1);
        Ok(())
    }

    /// One user less. The space of a blob without users is retired until the next settling.
    pub fn leave(&mut self, offset: u32) {
        let Some(blob) = self.blobs.get_mut(&offset) else { return };
        blob.users -= 1;
        if blob.users == 0
            && let Some(blob) = self.blobs.remove(&offset)
        {
            if self.by_content.get(&blob.words) == Some(&offset) {
                self.by_content.remove(&blob.words);
            }
            self.retired.push((offset - 1, blob.words.len() as u32 + 1));
        }
    }

    /// Whether there is space that packets may still be judged by.
    pub fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Nobody reads retired space any more: it may be used again.
    pub fn settle(&mut self) {
        for (start, length) in std::mem::take(&mut self.retired) {
            self.add_free(start, length);
        }
    }

    /// The words of a blob.
    pub fn words(&self, offset: u32) -> Option<&[u64]> {
        self.blobs.get(&offset).map(|blob| &*blob.words)
    }

    /// The blobs behind an offset, in order.
    pub fn blobs_after(&self, offset: u32) -> impl Iterator<Item = (u32, &[u64])> {
        self.blobs.range(offset + 1..).map(|(offset, blob)| (*offset, &*blob.words))
    }

    /// Words in use or retired, the extent words included.
    pub fn used(&self) -> u32 {
        self.words - FIRST - self.free.values().sum::<u32>()
    }

    fn insert(&mut self, offset: u32, words: Arc<[u64]>, users: usize) {
        self.by_content.insert(words.clone(), offset);
        self.blobs.insert(offset, Blob { words, users });
    }

    fn cut_first_fit(&mut self, length: u32) -> Option<u32> {
        let (start, space) =
            self.free.iter().find(|(_, space)| **space >= length).map(|(s, l)| (*s, *l))?;
        self.free.remove(&start);
        self.add_free(start + length, space - length);
        Some(start)
    }

    fn add_free(&mut self, mut start: u32, mut length: u32) {
        if length == 0 {
            return;
        }
        if let Some((before, space)) = self.free.range(..start).next_back().map(|(s, l)| (*s, *l))
            && before + space == start
        {
            self.free.remove(&before);
            start = before;
            length += space;
        }
        if let Some(space) = self.free.remove(&(start + length)) {
            length += space;
        }
        self.free.insert(start, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_words_stand_once_and_go_with_their_last_user() {
        let mut pool = Pool::new(16);
        let (a, write) = pool.take(&[7, 8]).unwrap();
        assert_eq!(write, Some(Write { offset: 1, words: vec![extent_word(2), 7, 8] }));
        assert_eq!(pool.take(&[7, 8]), Ok((a, None)));
        pool.leave(a);
        assert_eq!(pool.words(a), Some(&[7, 8][..]));
        pool.leave(a);
        assert_eq!((pool.words(a), pool.used()), (None, 3));
        let (b, _) = pool.take(&[7, 8]).unwrap();
        assert_ne!(a, b, "retired space is not used before it has settled");
        pool.settle();
        assert_eq!(pool.used(), 3);
        assert_eq!(pool.take(&[9, 9]).unwrap().0, a);
    }

    #[test]
    fn words_are_taken_again_only_where_they_still_stand() {
        let mut pool = Pool::new(16);
        let (a, _) = pool.take(&[7, 8]).unwrap();
        let words = pool.shared_words(a).unwrap();
        assert!(pool.take_again(a, &words));
        (0..2).for_each(|_| pool.leave(a));
        assert!(!pool.take_again(a, &words), "retired");
        pool.settle();
        assert_eq!(pool.take(&[7, 8]).unwrap().0, a);
        assert!(!pool.take_again(a, &words), "equal words of another life");
    }

    #[test]
    fn a_full_pool_says_so_and_is_unchanged() {
        let mut pool = Pool::new(8);
        pool.take(&[1, 2, 3]).unwrap();
        let error = pool.take(&[4, 5, 6]).unwrap_err();
        assert_eq!(error, PoolFull { needed: 4, pool: 8 });
        assert_eq!((pool.used(), pool.take(&[4, 5]).unwrap().0), (4, 6));
    }

    #[test]
    fn what_is_in_the_kernel_is_adopted_once_for_each_user() {
        let mut pool = Pool::new(32);
        pool.adopt(10, vec![1, 2]).unwrap();
        pool.adopt(10, vec![1, 2]).unwrap();
        assert_eq!(pool.adopt(11, vec![2]), Err(Overlap { offset: 11 }));
        assert_eq!(pool.take(&[1, 2]), Ok((10, None)));
        for _ in 0..3 {
            assert_eq!(pool.used(), 3);
            pool.leave(10);
        }
        pool.settle();
        assert_eq!((pool.used(), pool.free.len()), (0, 1));
        assert_eq!(extent_length(extent_word(5)), Some(5));
        assert_eq!(extent_length(5), None);
    }
}
