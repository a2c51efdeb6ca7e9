//! The state that answers come from: what is durable, and nothing that is not.
//!
//! Many read, the writer alone changes it. It knows no command.

use std::sync::{PoisonError, RwLock};

use portcullis_core::host::Derivation;
use portcullis_core::records::Change;
use portcullis_core::state::State;
use tokio::sync::{mpsc, watch};

/// So many commits the writer may be ahead of whoever follows them; with one more it waits. What is
/// waiting is taken together, so that only a follower that stands still is waited for.
const NEWS_MAX: usize = 64;

/// The durable state, shared.
pub(crate) struct Published {
    snapshot: RwLock<Snapshot>,
    revisions: watch::Sender<u64>,
}

struct Snapshot {
    state: State,
    revision: u64,
    follower: Option<mpsc::Sender<News>>,
}

/// What a commit has brought.
pub(crate) enum News {
    /// These changes, those left out that no [`Derivation`] heeds.
    Changes(Vec<Change>, u64),
    /// A state that was read back from the store.
    Anew(Box<Derivation>, u64),
}

/// What a host should enforce, and how it goes on: asks nothing of the state, and holds no lock.
pub(crate) struct Following {
    pub(crate) derivation: Derivation,
    pub(crate) revision: u64,
    news: mpsc::Receiver<News>,
}

impl Following {
    /// Waits for news; nothing once there will be none.
    pub(crate) async fn news(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// Takes news in, and all that have come since.
    pub(crate) fn follow(&mut self, first: News) {
        let mut next = Some(first);
        while let Some(news) = next {
            match news {
                News::Changes(changes, revision) => {
                    self.derivation.follow(changes);
                    self.revision = revision;
                }
                News::Anew(derivation, revision) => {
                    self.derivation = *derivation;
                    self.revision = revision;
                }
            }
            next = self.news.try_recv().ok();
        }
    }
}

impl Published {
    pub(crate) fn new(state: State, revision: u64) -> Published {
        let (revisions, _) = watch::channel(revision);
        let snapshot = RwLock::new(Snapshot { state, revision, follower: None });
        Published { snapshot, revisions }
    }

    /// Looks at one moment. Keep it short: the writer waits.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State, u64) -> T) -> T {
        // A lock is poisoned when the writer panicked; the server is then on its way down.
        let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        look(&snapshot.state, snapshot.revision)
    }

    /// Follows every commit from now on. For the one who tells the host, at the start: all that
    /// there is is looked at once.
    pub(crate) fn follow(&self) -> Following {
        let (follower, news) = mpsc::channel(NEWS_MAX);
        let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        snapshot.follower = Some(follower);
        let derivation = Derivation::new(&snapshot.state);
        Following { derivation, revision: snapshot.revision, news }
    }

    /// Shows what has become durable. For the writer's thread: it may wait.
    pub(crate) fn absorb(&self, changes: Vec<Change>, revision: u64) {
        self.write(revision, |snapshot| {
            let heeded = snapshot.follower.as_ref().map(|_| {
                let heeded = changes.iter().filter(|change| Derivation::heeds(change));
                News::Changes(heeded.cloned().collect(), revision)
            });
            for change in changes {
                snapshot.state.absorb(change);
            }
            heeded
        });
    }

    /// Shows a state that was read back from the store. For the writer's thread: it may wait.
    pub(crate) fn replace(&self, state: State, revision: u64) {
        let news = News::Anew(Box::new(Derivation::new(&state)), revision);
        self.write(revision, |snapshot| {
            snapshot.state = state;
            Some(news)
        });
    }

    fn write(&self, revision: u64, change: impl FnOnce(&mut Snapshot) -> Option<News>) {
        let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        let news = change(&mut snapshot);
        snapshot.revision = revision;
        let follower = snapshot.follower.clone();
        drop(snapshot);
        self.revisions.send_replace(revision);
        if let Some((follower, news)) = follower.zip(news) {
            // One that has gone is told nothing more.
            let _ = follower.blocking_send(news);
        }
    }

    /// The newest revision, as it moves on.
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::host::desired;
    use portcullis_core::records::{Binding, Record, RecordKey};

    use super::*;

    fn tie(number: u64) -> Change {
        Change::Put(Record::Binding(Binding {
            interface: format!("eni-{number}").parse().unwrap(),
            device: format!("veth{number}").parse().unwrap(),
            created_ms: 0,
        }))
    }

    fn check(published: &Published, following: &mut Following) {
        let first = following.news.blocking_recv().unwrap();
        following.follow(first);
        let expected = published.read(desired);
        assert_eq!(following.derivation.desired(following.revision), expected);
    }

    #[test]
    fn a_follower_has_what_the_state_comes_to() {
        let published = Published::new(State::new(), 0);
        published.absorb(vec![tie(1)], 1);
        let mut following = published.follow();
        assert_eq!(following.derivation.desired(1), published.read(desired));
        published.absorb(vec![tie(2), tie(3)], 2);
        check(&published, &mut following);
        // A revision that changes nothing there is one all the same.
        published.absorb(vec![], 3);
        check(&published, &mut following);
        published.absorb(vec![Change::Delete(RecordKey::Binding("eni-1".parse().unwrap()))], 4);
        let mut restored = State::new();
        restored.absorb(tie(9));
        published.replace(restored, 5);
        published.absorb(vec![tie(10)], 6);
        check(&published, &mut following);
        assert_eq!(following.derivation.desired(6).interfaces.len(), 2);
    }

    #[test]
    fn a_writer_goes_so_far_ahead_and_waits_until_it_is_followed() {
        let published = Published::new(State::new(), 0);
        let mut following = published.follow();
        let most = NEWS_MAX as u64;
        for revision in 1..=most {
            published.absorb(vec![tie(revision)], revision);
        }
        std::thread::scope(|scope| {
            let ahead = scope.spawn(|| published.absorb(vec![tie(most + 1)], most + 1));
            while following.revision <= most {
                let first = following.news.blocking_recv().unwrap();
                following.follow(first);
            }
            ahead.join().unwrap();
        });
        assert_eq!(following.derivation.desired(most + 1), published.read(desired));
        // One that has gone is not waited for.
        drop(following);
        (most + 2..3 * most).for_each(|revision| published.absorb(vec![], revision));
    }
}
