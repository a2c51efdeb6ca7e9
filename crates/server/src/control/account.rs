//! What the control socket says of accounts, access keys and shared VPCs: the lines, and how they
//! are found.
//!
//! Accounts are called by number or by name. Keys are drawn here, and a secret is told in the
//! answer to the question that made it and nowhere else.

use std::fmt;

use portcullis_core::command::{
    Command, Context, CreateAccessKey, NewSession, Outcome, RotateAccessKey, Written,
};
use portcullis_core::ids::{AccessKeyId, AccountId, VpcId};
use portcullis_core::records::{AccessKeySecret, Account, SecurityToken};
use portcullis_core::text::AccountName;
use portcullis_wire::ecs::time;
use serde::{Deserialize, Serialize};

use crate::clock::SystemDice;
use crate::control::message::{Answer, Problem};
use crate::control::server::{Administration, NOBODY, administrative, parse, problem};
use crate::identity::{Credentials, security_token};

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Its number.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Whether it is the root account.
    pub root: bool,
    /// How many permanent keys it has.
    pub access_keys: usize,
    /// How many temporary keys it has that have not expired.
    pub temporary_keys: usize,
    /// When it was made.
    pub created: String,
}

/// One access key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Its id.
    pub access_key_id: String,
    /// The number of its account.
    pub account: String,
    /// The name of its account.
    pub account_name: String,
    /// `active`, `disabled` or `expired`.
    pub status: String,
    /// When it was made.
    pub created: String,
    /// When it ends; empty of a permanent key.
    pub expires: String,
}

/// An access key that was made: the one time that its secret is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// Its id.
    pub access_key_id: String,
    /// What it signs with.
    pub access_key_secret: String,
    /// What its requests must carry; empty of a permanent key.
    pub security_token: String,
    /// When it ends; empty of a permanent key.
    pub expires: String,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({}, secret withheld)", self.access_key_id)
    }
}

/// One VPC of any account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcRow {
    /// Its id.
    pub vpc: String,
    /// Its name; may be empty.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its IPv4 block.
    pub cidr: String,
    /// The number of its account.
    pub account: String,
    /// The name of its account.
    pub account_name: String,
    /// With whom it is shared.
    pub shared_with: Vec<ShareRow>,
}

/// One account that may use a VPC of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareRow {
    /// The number of the account.
    pub account: String,
    /// Its name.
    pub account_name: String,
    /// Since when.
    pub since: String,
}

/// A change that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The revision of the change.
    pub revision: u64,
}

impl Administration {
    /// The account of this number or name.
    fn account(&self, text: &str) -> Result<AccountId, Problem> {
        let found = self.published.read(|state, _| state.account_called(text).map(|own| own.id));
        found.ok_or_else(|| {
            let message = format!("there is no account `{text}`");
            let help = "`portcullis account list` shows those that there are";
            Problem::new("EntityNotExist.Account", message, help, "account")
        })
    }

    /// Has a change made that is nobody's to wait for.
    async fn keep(&self, command: Command) -> Result<(Outcome, Kept), Problem> {
        let committed = self.queue.write(administrative(command)).await.map_err(problem)?;
        Ok((committed.outcome, Kept { revision: committed.revision }))
    }

    async fn kept(&self, command: Command) -> Result<Answer, Problem> {
        self.keep(command).await.map(|(_, kept)| Answer::Kept(kept))
    }

    /// What the published state says to an administrative question.
    fn look(&self, command: &Command) -> Result<Outcome, Problem> {
        let mut context = Context {
            caller: NOBODY,
            region: None,
            now_ms: self.clock.now_ms(),
            dice: &mut SystemDice,
            settings: &self.settings,
            idempotency: None,
            dry_run: false,
        };
        let decided = self.published.read(|state, _| state.apply(&mut context, command));
        decided.map(|decision| decision.outcome).map_err(problem)
    }

    pub(super) async fn create_account(&self, name: &str) -> Result<Answer, Problem> {
        let name: AccountName = parse(name, "name")?;
        match self.keep(Command::CreateAccount { name }).await? {
            (Outcome::Written(Written::Account { account }), _) => {
                let own = |row: &AccountRow| row.account == account.to_string();
                let row = self.accounts()?.into_iter().find(own).ok_or_else(strange)?;
                Ok(Answer::Account(row))
            }
            _ => Err(strange()),
        }
    }

    pub(super) async fn delete_account(&self, account: &str) -> Result<Answer, Problem> {
        let account = self.account(account)?;
        self.kept(Command::DeleteAccount { account }).await
    }

    pub(super) fn accounts(&self) -> Result<Vec<AccountRow>, Problem> {
        let Outcome::Accounts(rows) = self.look(&Command::DescribeAccounts)? else {
            return Err(strange());
        };
        let row = |row: portcullis_core::command::AccountRow| AccountRow {
            account: row.account.id.to_string(),
            name: row.account.name.to_string(),
            root: row.account.root,
            access_keys: row.access_keys,
            temporary_keys: row.temporary_keys,
            created: time::format(row.account.created_ms),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// A new key; with a life it is a temporary one.
    pub(super) async fn create_key(
        &self,
        account: &str,
        life_s: Option<u64>,
    ) -> Result<Answer, Problem> {
        let account = self.account(account)?;
        let drawn = match life_s {
            None => Credentials::draw().map(|key| (key, None)),
            Some(life_s) => Credentials::draw_temporary()
                .and_then(|key| Ok((key, Some((security_token()?, life_s))))),
        };
        let (key, session) = drawn.map_err(no_randomness)?;
        let id = key_id(&key)?;
        let token = session.as_ref().map(|(token, _)| token.clone()).unwrap_or_default();
        let command = Command::CreateAccessKey(CreateAccessKey {
            account,
            access_key: id.clone(),
            secret: AccessKeySecret::new(key.access_key_secret.as_bytes()),
            session: session
                .map(|(token, life_s)| NewSession { token: SecurityToken::new(&token), life_s }),
        });
        self.keep(command).await?;
        Ok(Answer::NewKey(self.new_key(key, &id, token)))
    }

    pub(super) async fn rotate_key(&self, key: &str, keep_old: bool) -> Result<Answer, Problem> {
        let access_key: AccessKeyId = parse(key, "key")?;
        let new = Credentials::draw().map_err(no_randomness)?;
        let id = key_id(&new)?;
        let command = Command::RotateAccessKey(RotateAccessKey {
            access_key,
            replacement: id.clone(),
            secret: AccessKeySecret::new(new.access_key_secret.as_bytes()),
            keep_old,
        });
        self.keep(command).await?;
        Ok(Answer::NewKey(self.new_key(new, &id, String::new())))
    }

    fn new_key(&self, key: Credentials, id: &AccessKeyId, security_token: String) -> NewKey {
        let expires_ms = self.published.read(|state, _| {
            state.access_key(id).and_then(|key| Some(key.session.as_ref()?.expires_ms))
        });
        NewKey {
            access_key_id: key.access_key_id,
            access_key_secret: key.access_key_secret,
            security_token,
            expires: expires_ms.map(time::format).unwrap_or_default(),
        }
    }

    pub(super) async fn set_key_active(&self, key: &str, active: bool) -> Result<Answer, Problem> {
        let access_key = parse(key, "key")?;
        self.kept(Command::SetAccessKeyActive { access_key, active }).await
    }

    pub(super) async fn delete_key(&self, key: &str) -> Result<Answer, Problem> {
        let access_key = parse(key, "key")?;
        self.kept(Command::DeleteAccessKey { access_key }).await
    }

    pub(super) fn keys(&self, account: &str) -> Result<Answer, Problem> {
        let account = match account {
            "" => None,
            account => Some(self.account(account)?),
        };
        let command = Command::DescribeAccessKeys { account };
        let Outcome::AccessKeys(rows) = self.look(&command)? else { return Err(strange()) };
        let now_ms = self.clock.now_ms();
        let row = |row: portcullis_core::command::AccessKeyRow| KeyRow {
            access_key_id: row.id.to_string(),
            account: row.account.id.to_string(),
            account_name: row.account.name.to_string(),
            status: match row.expires_ms {
                Some(expires_ms) if expires_ms <= now_ms => "expired",
                _ if row.active => "active",
                _ => "disabled",
            }
            .to_owned(),
            created: time::format(row.created_ms),
            expires: row.expires_ms.map(time::format).unwrap_or_default(),
        };
        Ok(Answer::Keys(rows.into_iter().map(row).collect()))
    }

    pub(super) async fn share_vpc(&self, vpc: &str, account: &str) -> Result<Answer, Problem> {
        let (vpc, account) = (parse::<VpcId>(vpc, "vpc")?, self.account(account)?);
        self.kept(Command::ShareVpc { vpc, account }).await
    }

    pub(super) async fn unshare_vpc(&self, vpc: &str, account: &str) -> Result<Answer, Problem> {
        let (vpc, account) = (parse::<VpcId>(vpc, "vpc")?, self.account(account)?);
        self.kept(Command::UnshareVpc { vpc, account }).await
    }

    pub(super) fn vpcs(&self) -> Result<Answer, Problem> {
        let Outcome::OwnedVpcs(rows) = self.look(&Command::DescribeOwnedVpcs)? else {
            return Err(strange());
        };
        let name = |account: &Account| account.name.to_string();
        let row = |row: portcullis_core::command::OwnedVpcRow| VpcRow {
            vpc: row.vpc.id.to_string(),
            name: row.vpc.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            region: row.vpc.region.to_string(),
            cidr: row.vpc.cidr.to_string(),
            account: row.owner.id.to_string(),
            account_name: name(&row.owner),
            shared_with: row
                .shares
                .iter()
                .map(|(share, account)| ShareRow {
                    account: account.id.to_string(),
                    account_name: name(account),
                    since: time::format(share.created_ms),
                })
                .collect(),
        };
        Ok(Answer::Vpcs(rows.into_iter().map(row).collect()))
    }
}

fn key_id(key: &Credentials) -> Result<AccessKeyId, Problem> {
    parse(&key.access_key_id, "key")
}

fn no_randomness(error: crate::identity::NoRandomness) -> Problem {
    let help = "check that the system has a source of random numbers";
    Problem::new("NoRandomness", error.to_string(), help, "")
}

/// The state answered another question than was asked.
fn strange() -> Problem {
    let help = "this is a fault of the program";
    Problem::new("InternalError", "the state's answer does not fit the question", help, "")
}

#[cfg(test)]
mod tests {
    use crate::identity::NoRandomness;

    #[test]
    fn a_system_without_chance_is_named() {
        let problem = super::no_randomness(NoRandomness::from(getrandom::Error::UNSUPPORTED));
        assert_eq!((problem.code.as_str(), problem.place.as_str()), ("NoRandomness", ""));
        assert!(problem.message.starts_with("the system gives no random numbers: "));
        assert!(!problem.help.is_empty());
    }
}
