//! A state, a clock, dice and names for the ids they make; every step is held against a state
//! rebuilt from its records, against whom it concerns, and against what a host should enforce.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_core::command::{
    Command, Context, CreateRootAccount, Dice, Idempotency, Outcome, Written,
};
use portcullis_core::error::ApiError;
use portcullis_core::host::{BoundInterface, Derivation, Desired, Members, concerned, desired};
use portcullis_core::ids::{AccountId, NetworkInterfaceId, RegionId};
use portcullis_core::records::{AccessKeySecret, Account, Change, Record};
use portcullis_core::settings::Settings;
use portcullis_core::state::{Decision, State};

/// Dice of a seed.
#[derive(Clone)]
pub(crate) struct SeededDice(pub u64);

impl SeededDice {
    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

impl Dice for SeededDice {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}

/// How one command is sent.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) caller: AccountId,
    pub(crate) region: Option<RegionId>,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) dry_run: bool,
}

#[derive(Clone)]
pub(crate) struct Harness {
    pub(crate) state: State,
    pub(crate) settings: Settings,
    pub(crate) dice: SeededDice,
    pub(crate) now_ms: u64,
    pub(crate) root: AccountId,
    /// Names of ids, and ids of names.
    pub(crate) ids: BTreeMap<String, String>,
    pub(crate) names: BTreeMap<String, String>,
    /// Follows every step.
    derivation: Derivation,
    /// Follows some steps together, and those that it has not followed yet.
    lagging: (Derivation, Vec<Change>),
}

/// So many changes are followed together.
const LAG: usize = 20;

pub(crate) const OTHER: AccountId = AccountId(42);

impl Harness {
    pub(crate) fn new() -> Self {
        let regions = ["cn-hangzhou", "cn-qingdao-env17-d01"].map(|region| region.parse().unwrap());
        let mut harness = Self {
            state: State::new(),
            settings: Settings::new(regions),
            dice: SeededDice(1),
            now_ms: 1_000_000,
            root: AccountId(0),
            ids: BTreeMap::new(),
            names: BTreeMap::new(),
            derivation: Derivation::new(&State::new()),
            lagging: (Derivation::new(&State::new()), Vec::new()),
        };
        let root = Command::CreateRootAccount(CreateRootAccount {
            name: "root".parse().unwrap(),
            access_key: "AKID".parse().unwrap(),
            secret: AccessKeySecret::new(b"secret"),
        });
        let outcome = harness.send(&harness.sender(), &root).unwrap().outcome;
        let Outcome::Written(Written::Account { account }) = outcome else { panic!("{outcome:?}") };
        harness.root = account;
        harness.absorb(Change::Put(Record::Account(Account {
            id: OTHER,
            name: "other@example.com".parse().unwrap(),
            root: false,
            created_ms: 0,
        })));
        harness
    }

    /// Takes a change in.
    pub(crate) fn absorb(&mut self, change: Change) {
        if Derivation::heeds(&change) {
            self.derivation.follow([change.clone()]);
            self.lagging.1.push(change.clone());
        }
        self.state.absorb(change);
    }

    /// What the host should enforce, as it is kept up.
    pub(crate) fn followed(&self) -> Desired {
        self.derivation.desired(0)
    }

    /// What is kept up with the changes is what is worked out from nothing.
    fn check_derivation(&mut self) {
        let expected = desired(&self.state, 0);
        assert_eq!(self.followed(), expected);
        let (lagging, changes) = &mut self.lagging;
        if changes.len() >= LAG {
            lagging.follow(changes.drain(..));
            assert_eq!(lagging.desired(0), expected);
        }
    }

    pub(crate) fn sender(&self) -> Sender {
        Sender {
            caller: self.root,
            region: Some("cn-hangzhou".parse().unwrap()),
            idempotency: None,
            dry_run: false,
        }
    }

    /// Decides and no more.
    pub(crate) fn decide(
        &mut self,
        sender: &Sender,
        command: &Command,
    ) -> Result<Decision, ApiError> {
        let mut context = Context {
            caller: sender.caller,
            region: sender.region.clone(),
            now_ms: self.now_ms,
            dice: &mut self.dice,
            settings: &self.settings,
            idempotency: sender.idempotency.clone(),
            dry_run: sender.dry_run,
        };
        self.state.apply(&mut context, command)
    }

    /// Decides, takes the changes in, and checks what holds after every step.
    pub(crate) fn send(
        &mut self,
        sender: &Sender,
        command: &Command,
    ) -> Result<Decision, ApiError> {
        let before = self.state.clone();
        let decided = self.decide(sender, command);
        assert_eq!(self.state, before, "deciding has changed the state");
        if let Ok(decision) = &decided {
            let keys: BTreeSet<_> = decision.changes.iter().map(Change::key).collect();
            assert_eq!(keys.len(), decision.changes.len(), "a record twice in {decision:?}");
            assert!(command.is_write() || decision.changes.is_empty(), "a read has changes");
            let concerned = concerned(&self.state, &decision.changes);
            decision.changes.iter().cloned().for_each(|change| self.absorb(change));
            self.check_derivation();
            let changed = differing(&enforced(&before), &enforced(&self.state));
            assert!(changed.is_subset(&concerned), "{command:?}: {changed:?}, not {concerned:?}");
            assert_eq!(rebuilt(&self.state), self.state, "after {command:?}");
        }
        decided
    }
}

/// The state that the records alone make.
pub(crate) fn rebuilt(state: &State) -> State {
    let mut rebuilt = State::new();
    for record in state.records() {
        rebuilt.absorb(Change::Put(record));
    }
    rebuilt
}

/// What decides verdicts at each tied interface: its policy, and the members that it asks for.
type Enforced = BTreeMap<NetworkInterfaceId, (Arc<BoundInterface>, Members)>;

fn enforced(state: &State) -> Enforced {
    let desired = desired(state, 0);
    let of_interface = |bound: &Arc<BoundInterface>| {
        let (policy, mut members) = (bound.policy.as_ref().ok(), Members::new());
        let referenced = policy.map(|policy| policy.referenced_groups()).unwrap_or_default();
        let in_vpc = policy.and_then(|policy| desired.members.get(&policy.vpc));
        for (prefix, groups) in in_vpc.into_iter().flat_map(|members| members.iter()) {
            let groups: Vec<_> =
                groups.iter().filter(|g| referenced.contains(g)).cloned().collect();
            if !groups.is_empty() {
                members.insert(*prefix, groups.into());
            }
        }
        (bound.interface.clone(), (Arc::clone(bound), members))
    };
    desired.interfaces.iter().map(of_interface).collect()
}

fn differing(before: &Enforced, after: &Enforced) -> BTreeSet<NetworkInterfaceId> {
    let all = before.keys().chain(after.keys());
    all.filter(|id| before.get(id) != after.get(id)).cloned().collect()
}
