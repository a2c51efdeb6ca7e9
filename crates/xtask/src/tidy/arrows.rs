//! Which crate may use which of ours. Reads the output of `cargo metadata`, knows no sources.

use super::Finding;
use crate::Outcome;
use serde_json::Value;

/// Each crate with everything of ours that it may use in the product. No other edge is allowed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("portcullis-core", &[]),
    ("portcullis-compile", &["portcullis-core"]),
    ("portcullis-wire", &["portcullis-core"]),
    ("portcullis-store", &[]),
    ("portcullis-server", &["portcullis-store", "portcullis-wire", "portcullis-core"]),
    ("portcullis-agent", &["portcullis-compile", "portcullis-wire", "portcullis-core"]),
    (
        "portcullis",
        &[
            "portcullis-server",
            "portcullis-agent",
            "portcullis-compile",
            "portcullis-wire",
            "portcullis-store",
            "portcullis-core",
        ],
    ),
    (
        TESTKIT,
        &[
            "portcullis",
            "portcullis-server",
            "portcullis-agent",
            "portcullis-compile",
            "portcullis-wire",
            "portcullis-store",
            "portcullis-core",
        ],
    ),
    (XTASK, &[]),
];

const TESTKIT: &str = "portcullis-testkit";
const XTASK: &str = "xtask";

/// These take nothing from anybody: what they may do is compute.
const PURE: &[&str] = &["portcullis-core", "portcullis-compile"];

pub(super) fn check(metadata: &Value) -> Outcome<Vec<Finding>> {
    let packages = metadata.get("packages").and_then(Value::as_array);
    let packages = packages.ok_or("cargo metadata names no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        let name = text(package, "name");
        let path = format!("crates/{}/Cargo.toml", name.trim_start_matches("portcullis-"));
        let path = if name == "portcullis" { "crates/cli/Cargo.toml".to_owned() } else { path };
        let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
            let message = format!("crate `{name}` is not on the map: no arrow is declared for it");
            findings.push(Finding::new(&path, 1, message));
            continue;
        };
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        for dependency in dependencies.into_iter().flatten() {
            if let Some(message) = judge(name, allowed, dependency) {
                findings.push(Finding::new(&path, 1, message));
            }
        }
    }
    Ok(findings)
}

/// What is wrong with one dependency, if anything. Tests may look at everything but the chores;
/// the arrows are about what is shipped.
fn judge(name: &str, allowed: &[&str], dependency: &Value) -> Option<String> {
    let target = text(dependency, "name");
    let ours = ALLOWED.iter().any(|(crate_name, _)| *crate_name == target);
    let in_tests = text(dependency, "kind") == "dev";
    match (ours, in_tests) {
        (true, true) if target != XTASK && name != XTASK => None,
        (true, false) if target == TESTKIT => {
            Some(format!("forbidden arrow {name} -> {target}: only as a dev-dependency"))
        }
        (true, false) if allowed.contains(&target) => None,
        (true, _) => Some(format!("forbidden arrow {name} -> {target}")),
        (false, false) if PURE.contains(&name) => {
            Some(format!("{name} is pure and takes nothing from outside, but uses `{target}`"))
        }
        (false, _) => None,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::check;
    use serde_json::{Value, json};

    fn messages(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|(target, kind)| json!({ "name": target, "kind": kind }))
            .collect();
        let metadata = json!({ "packages": [{ "name": name, "dependencies": dependencies }] });
        check(&metadata).unwrap().into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn allows_the_arrows_of_the_map() {
        assert!(messages("portcullis-compile", &[("portcullis-core", None)]).is_empty());
        assert!(
            messages("portcullis-server", &[("portcullis-store", None), ("axum", None)]).is_empty()
        );
        assert!(messages("portcullis-core", &[("portcullis-testkit", Some("dev"))]).is_empty());
        assert!(messages("portcullis-core", &[("proptest", Some("dev"))]).is_empty());
    }

    #[test]
    fn refuses_every_other_arrow() {
        let refused = messages("portcullis-core", &[("portcullis-wire", None)]);
        assert_eq!(refused, ["forbidden arrow portcullis-core -> portcullis-wire"]);
        assert_eq!(messages("portcullis-server", &[("portcullis-agent", None)]).len(), 1);
        assert_eq!(messages("portcullis-agent", &[("portcullis-store", Some("build"))]).len(), 1);
        assert_eq!(messages("xtask", &[("portcullis-core", None)]).len(), 1);
        assert_eq!(messages("portcullis", &[("xtask", Some("dev"))]).len(), 1);
    }

    #[test]
    fn refuses_testkit_in_the_product_and_weight_in_the_heart() {
        let refused = messages("portcullis", &[("portcullis-testkit", None)]);
        assert_eq!(
            refused,
            ["forbidden arrow portcullis -> portcullis-testkit: only as a dev-dependency"]
        );
        assert_eq!(messages("portcullis-core", &[("serde", None)]).len(), 1);
    }

    #[test]
    fn refuses_a_crate_that_is_not_on_the_map() {
        assert_eq!(messages("portcullis-utils", &[]).len(), 1);
    }
}
