//! Client tokens: the same write twice, another write under the same token, and the end of a
//! token's life.
use portcullis_core::command::{Command, CreateVpc, Idempotency, Outcome, Written};
use portcullis_core::limits::{CLIENT_TOKEN_LIFE_MS, EXPIRED_TOKENS_PER_WRITE_MAX};

use super::harness::{Harness, rebuilt};
use super::language::{check, execute, run};

#[test]
fn the_same_write_happens_once() {
    check(
        "
        vpc v
        group g vpc=v
        egress g dest=1.1.1.1 token=t => ok +2
        egress g dest=1.1.1.1 token=t => ok
        egress g dest=1.1.1.1 token=t later=86399999 => ok
        egress g dest=2.2.2.2 token=t digest=1 => 400 IdempotentParameterMismatch ClientToken
        egress g dest=1.1.1.1 token=u => ok +1
        egress g dest=2.2.2.2 token=t digest=1 later=1 => ok +2
        egress g dest=2.2.2.2 token=t digest=1 => ok
        ",
    );
}

#[test]
fn a_refusal_and_a_dry_run_are_not_remembered() {
    check(
        "
        vpc v
        group g vpc=v
        egress g peer=g token=t => 403 InvalidSecurityGroup.IsSame DestGroupId
        egress g dest=1.1.1.1 token=t dry => 400 DryRunOperation DryRun
        egress g peer=g token=t dry => 403 InvalidSecurityGroup.IsSame DestGroupId
        rules g token=t dry => 400 DryRunOperation DryRun
        rules g => 0 []
        egress g dest=1.1.1.1 token=t digest=2 => ok +2
        egress g dest=1.1.1.1 token=t digest=2 dry => 400 DryRunOperation DryRun
        delete-group g dry => 400 DryRunOperation DryRun
        rules g token=t digest=9 => 1 [egress TCP 80/80 1.1.1.1 Accept 1 intranet]
        egress g dest=1.1.1.1 token=t digest=2 as=other => \
            404 InvalidSecurityGroupId.NotFound SecurityGroupId
        ",
    );
}

#[test]
fn the_first_answer_comes_again_whatever_happened_since() {
    let mut harness = Harness::new();
    let mut sender = harness.sender();
    sender.idempotency = Some(Idempotency { token: "t".parse().unwrap(), digest: [7; 32] });
    let create = Command::CreateVpc(CreateVpc::default());
    let first = harness.send(&sender, &create).unwrap();
    let Outcome::Written(Written::Vpc { vpc, .. }) = &first.outcome else { panic!("{first:?}") };
    let delete = Command::DeleteVpc { vpc: vpc.clone() };
    let plain = harness.sender();
    harness.send(&plain, &delete).unwrap();
    // A restart: only the records are left.
    harness.state = rebuilt(&harness.state);
    let again = harness.send(&sender, &create).unwrap();
    assert_eq!((again.outcome, again.changes.len()), (first.outcome, 0));
}

#[test]
fn an_account_has_so_many_tokens_and_no_more() {
    let mut harness = Harness::new();
    harness.settings.quotas.client_tokens_per_account = 2;
    run(
        &mut harness,
        "
        vpc v
        group g vpc=v
        policy g drop token=a => ok +2
        policy g drop token=b => ok +1
        policy g accept token=c => 403 QuotaExceed.ClientToken ClientToken
        policy g drop token=a => ok
        policy g accept => ok +1
        ",
    );
    harness.now_ms += CLIENT_TOKEN_LIFE_MS;
    // Those that go with this very write make room for it, and so does its own old place.
    run(
        &mut harness,
        "
        policy g accept token=c => ok +1 -2
        policy g accept token=d => ok +1
        policy g accept token=e => 403 QuotaExceed.ClientToken ClientToken
        ",
    );
    harness.now_ms += CLIENT_TOKEN_LIFE_MS;
    harness.settings.quotas.client_tokens_per_account = 1;
    run(&mut harness, "policy g accept token=c => ok +1 -1");
}

#[test]
fn the_answers_of_an_account_take_so_many_bytes_and_no_more() {
    let mut harness = Harness::new();
    // 512 bytes each, and their own text.
    harness.settings.quotas.client_token_bytes_per_account = 2 * (512 + 1);
    run(
        &mut harness,
        "
        vpc v
        group g vpc=v
        policy g drop token=a => ok +2
        policy g drop token=bb => 403 QuotaExceed.ClientToken ClientToken
        policy g drop token=b => ok +1
        policy g drop token=c => 403 QuotaExceed.ClientToken ClientToken
        policy g drop token=c as=other => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        policy g drop token=a => ok
        ",
    );
    harness.now_ms += CLIENT_TOKEN_LIFE_MS;
    run(
        &mut harness,
        "
        policy g accept token=c => ok +2 -2
        policy g drop token=dd => 403 QuotaExceed.ClientToken ClientToken
        policy g drop token=d => ok +2
        ",
    );
}

#[test]
fn a_long_answer_takes_as_much_as_it_is_long() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        vpc v cidr=10.0.0.0/8
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        ",
    );
    // Room for ten answers that say nothing more, but not for ten records of interfaces.
    harness.settings.quotas.client_token_bytes_per_account = 10 * (512 + 2);
    let mut made = 0;
    while made < 10 {
        let answer =
            execute(&mut harness, &format!("eni n{made} vswitch=s groups=g token=n{made}"));
        if answer != "ok +2" {
            assert_eq!(answer, "403 QuotaExceed.ClientToken ClientToken");
            break;
        }
        made += 1;
    }
    assert!((1..9).contains(&made), "{made}");
}

#[test]
fn expired_tokens_go_a_few_with_every_write() {
    let mut harness = Harness::new();
    run(&mut harness, "vpc v\ngroup g vpc=v");
    let count = EXPIRED_TOKENS_PER_WRITE_MAX + 3;
    for index in 0..count {
        run(&mut harness, &format!("policy g accept token=t{index} => ok +1"));
    }
    harness.now_ms += CLIENT_TOKEN_LIFE_MS;
    run(
        &mut harness,
        &format!(
            "
            rules g => 0 []
            policy g accept => ok
            policy g drop => ok +1 -{EXPIRED_TOKENS_PER_WRITE_MAX}
            policy g accept token=t9 => ok +2 -2
            policy g drop => ok +1
            "
        ),
    );
}
