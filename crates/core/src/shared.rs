//! A sorted map in shared pieces: a changed copy has all pieces in common with the original but
//! those that were changed, so that what differs between the two is found without walking both.
//!
//! Knows keys and their order, not what they stand for.
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;

/// Entries of a piece before it is cut in two: few enough to copy one at every change, many enough
/// that 100,000 entries have but a few hundred pieces.
const PIECE_MAX: usize = 256;
/// Neighbours that have no more than this together become one.
const JOIN_MAX: usize = PIECE_MAX / 2;

type Piece<K, V> = Arc<Vec<(K, V)>>;

/// The map. Copies are cheap, and so is a change of one entry.
#[derive(Clone)]
pub struct SharedMap<K, V> {
    /// In order, none of them empty.
    pieces: Vec<Piece<K, V>>,
    count: usize,
}

/// Where in the pieces a key is, or would be.
struct At {
    piece: usize,
    entry: usize,
    found: bool,
}

impl<K, V> SharedMap<K, V> {
    /// Nothing.
    pub const fn new() -> Self {
        Self { pieces: Vec::new(), count: 0 }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.pieces.iter().flat_map(|piece| piece.iter()).map(|(key, value)| (key, value))
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> At
    where
        K: Borrow<Q>,
    {
        let begins = |piece: &Piece<K, V>| piece.first().is_some_and(|(k, _)| k.borrow() <= key);
        let piece = self.pieces.partition_point(begins).saturating_sub(1);
        let entries = self.pieces.get(piece).map_or(&[][..], |piece| piece);
        match entries.binary_search_by(|(k, _)| k.borrow().cmp(key)) {
            Ok(entry) => At { piece, entry, found: true },
            Err(entry) => At { piece, entry, found: false },
        }
    }

    /// What stands at a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let At { piece, entry, found } = self.find(key);
        let (_, value) = self.pieces.get(piece)?.get(entry).filter(|_| found)?;
        Some(value)
    }

    /// Sets what stands at a key, and answers what stood there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let At { piece, entry, found } = self.find(&key);
        let Some(entries) = self.pieces.get_mut(piece).map(Arc::make_mut) else {
            self.pieces.push(Arc::new(Vec::from([(key, value)])));
            self.count = 1;
            return None;
        };
        if found {
            return entries.get_mut(entry).map(|(_, old)| core::mem::replace(old, value));
        }
        entries.insert(entry, (key, value));
        self.count += 1;
        if entries.len() > PIECE_MAX {
            let rest = entries.split_off(entries.len() / 2);
            self.pieces.insert(piece + 1, Arc::new(rest));
        }
        None
    }

    /// Takes a key out, and answers what stood there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let At { piece, entry, found } = self.find(key);
        let entries = self.pieces.get_mut(piece).filter(|_| found).map(Arc::make_mut)?;
        let (_, value) = entries.remove(entry);
        self.count -= 1;
        let left = entries.len();
        if left == 0 {
            self.pieces.remove(piece);
        } else if self.pieces.get(piece + 1).is_some_and(|next| left + next.len() <= JOIN_MAX) {
            let next = self.pieces.remove(piece + 1);
            if let Some(entries) = self.pieces.get_mut(piece).map(Arc::make_mut) {
                entries.extend(next.iter().cloned());
            }
        }
        Some(value)
    }
}

impl<K: Ord, V: PartialEq> SharedMap<K, V> {
    /// Tells every key at which another map says something else: the key, what stands there here,
    /// and there. Pieces that both have in common are passed over.
    pub fn differences<'m>(
        &'m self,
        other: &'m Self,
        mut tell: impl FnMut(&'m K, Option<&'m V>, Option<&'m V>),
    ) {
        let (mut here, mut there) = (Cursor::at_start(self), Cursor::at_start(other));
        loop {
            if here.begins_what(&there) {
                here.skip();
                there.skip();
                continue;
            }
            let order = match (here.entry(), there.entry()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((one, _)), Some((two, _))) => one.cmp(two),
            };
            let mine = here.entry().filter(|_| order.is_le());
            let theirs = there.entry().filter(|_| order.is_ge());
            let (old, new) = (mine.map(|(_, value)| value), theirs.map(|(_, value)| value));
            if let Some((key, _)) = mine.or(theirs).filter(|_| old != new) {
                tell(key, old, new);
            }
            if order.is_le() {
                here.step();
            }
            if order.is_ge() {
                there.step();
            }
        }
    }
}

/// A place in a map's entries.
struct Cursor<'m, K, V> {
    pieces: &'m [Piece<K, V>],
    entry: usize,
}

impl<'m, K, V> Cursor<'m, K, V> {
    fn at_start(map: &'m SharedMap<K, V>) -> Self {
        Self { pieces: &map.pieces, entry: 0 }
    }

    fn entry(&self) -> Option<&'m (K, V)> {
        self.pieces.first()?.get(self.entry)
    }

    /// Whether both stand at the beginning of one piece.
    fn begins_what(&self, other: &Self) -> bool {
        let pieces = self.pieces.first().zip(other.pieces.first());
        (self.entry, other.entry) == (0, 0)
            && pieces.is_some_and(|(one, two)| Arc::ptr_eq(one, two))
    }

    fn skip(&mut self) {
        self.pieces = self.pieces.get(1..).unwrap_or_default();
        self.entry = 0;
    }

    fn step(&mut self) {
        self.entry += 1;
        if self.pieces.first().is_none_or(|piece| self.entry >= piece.len()) {
            self.skip();
        }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for SharedMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut map = Self::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    /// Numbers that look random, the same at every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (self.0 >> 33) % end
        }
    }

    /// Changes a map as it changes a plain one.
    fn change(
        dice: &mut Dice,
        shared: &mut SharedMap<u64, u64>,
        plain: &mut BTreeMap<u64, u64>,
        inserts: u64,
    ) {
        let (key, value) = (dice.below(4_000), dice.below(3));
        if dice.below(10) < inserts {
            assert_eq!(shared.insert(key, value), plain.insert(key, value));
        } else {
            assert_eq!(shared.remove(&key), plain.remove(&key));
        }
    }

    #[test]
    fn it_holds_what_a_plain_map_holds() {
        let (mut dice, mut shared, mut plain) = (Dice(1), SharedMap::new(), BTreeMap::new());
        for round in 0..40_000 {
            // It grows, shrinks to nearly nothing, and grows again.
            change(&mut dice, &mut shared, &mut plain, [9, 1, 8, 0][round / 10_000]);
            let key = dice.below(4_000);
            assert_eq!((shared.get(&key), shared.len()), (plain.get(&key), plain.len()));
        }
        assert!(shared.iter().eq(plain.iter()));
        assert!(shared.pieces.iter().all(|piece| (1..=PIECE_MAX).contains(&piece.len())));
        assert_eq!(plain.iter().map(|(k, v)| (*k, *v)).collect::<SharedMap<_, _>>(), shared);
    }

    #[test]
    fn differences_are_those_of_plain_maps() {
        let mut dice = Dice(2);
        let (mut shared, mut plain) = (SharedMap::new(), BTreeMap::new());
        for round in 0..400u64 {
            let (shared_before, plain_before) = (shared.clone(), plain.clone());
            for _ in 0..dice.below(60) {
                change(&mut dice, &mut shared, &mut plain, 9 - round / 50);
            }
            let mut told = BTreeMap::new();
            shared_before.differences(&shared, |key, before, after| {
                assert_eq!(told.insert(*key, (before.copied(), after.copied())), None);
            });
            let keys = plain_before.keys().chain(plain.keys());
            let both = keys.map(|key| (*key, (plain_before.get(key), plain.get(key))));
            let expected: BTreeMap<_, _> = both
                .filter(|(_, (before, after))| before != after)
                .map(|(key, (before, after))| (key, (before.copied(), after.copied())))
                .collect();
            assert_eq!(told, expected, "round {round}");
            assert_eq!(shared == shared_before, expected.is_empty());
        }
    }

    #[test]
    fn a_changed_copy_shares_all_pieces_but_one() {
        let map: SharedMap<u64, u64> = (0..100_000).map(|key| (key, 0)).collect();
        let mut changed = map.clone();
        changed.insert(50_000, 1);
        let common = map.pieces.iter().zip(&changed.pieces).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(common.count(), map.pieces.len() - 1);
        let mut told = Vec::new();
        map.differences(&changed, |key, before, after| told.push((*key, before, after)));
        assert_eq!(told, [(50_000, Some(&0), Some(&1))]);
    }
}
