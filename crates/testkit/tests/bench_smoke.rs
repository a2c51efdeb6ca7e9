//! One tiny round of every contender of `./x bench datapath`: each is put in place, agrees with the
//! reference and lets packets through, so that the bench still works when it is wanted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at its first surprise")]

use portcullis_testkit::bench::contender::CONTENDERS;
use portcullis_testkit::bench::session::{Options, Refused, Session};
use portcullis_testkit::{capability, netns};

#[test]
fn every_contender_agrees_and_is_measured() {
    if !capability::need("bench of the data path", netns::available) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (rules, members) = (300, 4_000);
    let folder = folder.path().to_owned();
    let mut session = Session::new(Options { seed: 3, rules, members, folder, processor: 0 });
    for contender in CONTENDERS {
        match session.put(contender.name) {
            Ok(_) => {}
            Err(Refused::Wrong(reason)) => panic!("{reason}"),
            Err(Refused::Absent(reason)) => {
                capability::need(contender.name, || Err(reason.clone()));
                continue;
            }
        }
        let is_v4 = !contender.name.ends_with("IPv6");
        let of_v4 = ["established", "tcp"].into_iter().filter(|_| is_v4);
        for part in ["new-flow", "denied"].into_iter().chain(of_v4) {
            let sample = session.measure(contender.name, part).unwrap();
            let is_told = sample.values().all(|number| number.is_finite() && *number > 0.0);
            assert!(is_told, "{} {part}: {sample:?}", contender.name);
        }
    }
    assert!(session.measure("none", "nothing").is_err());
    assert!(session.measure("nobody", "denied").is_err());
}
