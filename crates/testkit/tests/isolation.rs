//! What one account may not see, it cannot tell from what is not there.
//!
//! Every call of every case that succeeds is made by another account first, on a copy of the
//! server: once with the ids that the case made, once with ids that nobody made. The two answers
//! must be the same, whatever they are. The same again with the VPCs shared: then VPCs may be seen,
//! and nothing else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use portcullis_testkit::exchange::in_process::InProcess;
use portcullis_testkit::exchange::language::Share;
use portcullis_testkit::exchange::{
    Reply, Server, Watched, is_runnable, read_folder, run_watched, send,
};
use portcullis_wire::ecs::action;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The key of an account that no case knows.
const STRANGER: &str = "stranger";
/// Characters at the end of an id that are replaced to make one that nobody has.
const REPLACED: usize = 8;

type Kept = BTreeMap<String, String>;

/// Whether a kept text is an id that was drawn, and of what.
fn kind(text: &str) -> Option<&str> {
    let (kind, drawn) = text.split_once('-')?;
    let is_drawn = drawn.len() >= 20 && drawn.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_drawn && kind.bytes().all(|b| b.is_ascii_lowercase())).then_some(kind)
}

/// The same with ids that nobody has, but for VPCs where those are shared: with their routers and
/// route tables, which are a part of them.
fn unknown(kept: &Kept, is_shared: bool) -> Kept {
    let stays = |text: &str| match kind(text) {
        None => true,
        Some(kind) => is_shared && matches!(kind, "vpc" | "vrt" | "vtb"),
    };
    let changed = kept.iter().map(|(name, text)| {
        let text = match stays(text) {
            true => text.clone(),
            false => format!("{}{}", &text[..text.len() - REPLACED], "z".repeat(REPLACED)),
        };
        (name.clone(), text)
    });
    changed.collect()
}

/// An answer without what differs from call to call, and with ids by their names.
fn plain(reply: &Reply, kept: &Kept) -> (u16, String) {
    let mut text = String::from_utf8(reply.body.clone()).unwrap();
    if let Ok(mut body) = serde_json::from_str::<Value>(&text) {
        if let Some(body) = body.as_object_mut() {
            for name in ["RequestId", "RequestID", "Revision"] {
                body.remove(name);
            }
        }
        text = body.to_string();
    }
    for (name, id) in kept.iter().filter(|(_, text)| kind(text).is_some()) {
        text = text.replace(id.as_str(), &format!("${name}"));
    }
    (reply.status, text)
}

/// What the stranger is told.
fn told(server: &InProcess, call: &Watched<'_>, kept: &Kept) -> Result<(u16, String), String> {
    let mut copy = server.clone();
    let call = Watched { exchange: call.exchange, kept, way: call.way, key: STRANGER };
    let (_, reply) = send(&call, "stranger".to_owned(), &mut copy)?;
    Ok(plain(&reply, kept))
}

fn check(is_shared: bool) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/api");
    let (mut seen, mut failures) = (BTreeSet::new(), Vec::new());
    for case in read_folder(&folder).unwrap() {
        let mut server = InProcess::new().unwrap();
        if !is_runnable(&case, &server) {
            continue;
        }
        let watch = &mut |server: &InProcess, call: &Watched<'_>| {
            let has_ids = call.kept.values().any(|text| kind(text).is_some());
            if call.exchange.status != 200 || call.key != "root" || !has_ids {
                return Ok(());
            }
            let mut server = server.clone();
            let vpcs = call.kept.values().filter(|text| kind(text) == Some("vpc"));
            for vpc in vpcs.filter(|_| is_shared) {
                let share = Share { vpc: vpc.clone(), key: STRANGER.into(), shared: true };
                // One that is gone by now is shared with nobody.
                let _ = server.share(&share);
            }
            let existing = told(&server, call, call.kept)?;
            let absent = told(&server, call, &unknown(call.kept, is_shared))?;
            let action = &call.exchange.action;
            if existing != absent {
                failures.push(format!("{} {action}: {existing:?} and {absent:?}", case.place));
            }
            seen.insert(action.rsplit('.').next().unwrap_or(action).to_owned());
            Ok(())
        };
        let played = run_watched(&case, case.ways[0], &mut server, watch);
        failures.extend(played.err());
    }
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
    seen
}

/// Every action that must be given an id has been tried.
fn check_all(seen: &BTreeSet<String>) {
    let is_id = |name: &str| {
        let last = name.rsplit('.').find(|part| *part != "N").unwrap_or(name);
        last.ends_with("Id") && !matches!(last, "Id" | "RegionId" | "ZoneId" | "ResourceGroupId")
    };
    for action in action::all() {
        let needs_id = action.parameters().any(|row| row.required && is_id(row.name));
        assert!(!needs_id || seen.contains(action.name), "{} was not tried", action.name);
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn nothing_of_another_account_is_seen() {
    check_all(&check(false));
}

#[test]
fn a_shared_vpc_shows_itself_and_nothing_more() {
    check_all(&check(true));
}
