//! From a call to the command it asks for, with the options that surround every action.
//!
//! Required parameters are checked from the action's table before its decoder runs. Who calls and
//! whether the command is carried out is decided elsewhere.
use portcullis_core::command::{Command, Idempotency};
use portcullis_core::ids::RegionId;
use sha2::{Digest, Sha256};

use super::action::{Action, Kind};
use super::arguments::Arguments;
use super::carrier::Call;
use super::limits::{WAIT_TIMEOUT_MS_DEFAULT, WAIT_TIMEOUT_MS_MAX};
use super::refusal::Refusal;

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The command.
    pub command: Command,
    /// The region, where one was named.
    pub region: Option<RegionId>,
    /// The client token of a write, with the digest of what it asks for.
    pub idempotency: Option<Idempotency>,
    /// Whether to check only.
    pub dry_run: bool,
    /// How long to wait for enforcement, where that is asked for.
    pub wait_timeout_ms: Option<u64>,
}

/// Reads a call as the action's table says.
pub fn decode(action: &'static Action, call: &Call<'_>) -> Result<Decoded, Refusal> {
    let arguments = Arguments::new(action, &call.parameters);
    let region = region(action, call, &arguments)?;
    for parameter in action.parameters().filter(|parameter| parameter.required) {
        // A list is asked for by its decoder, which knows what else may stand for it.
        let listed =
            matches!(parameter.kind, Kind::List | Kind::Structures) || within_list(parameter.name);
        let absent = !listed && arguments.text(parameter.name).is_none();
        if absent && parameter.name != "RegionId" {
            return Err(parameter.missing());
        }
    }
    arguments.refuse_unsupported()?;
    let command = (action.decode)(&arguments)?;
    let dry_run = arguments.boolean("DryRun")?.unwrap_or(false);
    let mut decoded =
        Decoded { command, region, idempotency: None, dry_run, wait_timeout_ms: None };
    if action.write {
        let token = arguments.parse("ClientToken")?;
        decoded.idempotency =
            token.map(|token| Idempotency { token, digest: digest(action, call, &decoded.region) });
        let timeout = arguments.integer("WaitTimeout", 0..=WAIT_TIMEOUT_MS_MAX)?;
        let wait = arguments.boolean("WaitUntilEnforced")?.unwrap_or(false);
        decoded.wait_timeout_ms = wait.then_some(timeout.unwrap_or(WAIT_TIMEOUT_MS_DEFAULT));
    }
    Ok(decoded)
}

fn region(
    action: &Action,
    call: &Call<'_>,
    arguments: &Arguments<'_>,
) -> Result<Option<RegionId>, Refusal> {
    let named = call.region()?;
    let Some(parameter) = action.parameter("RegionId") else { return Ok(None) };
    match named {
        Some(text) => text.parse().map(Some).map_err(|_| arguments.refuse("RegionId", text)),
        None if parameter.required => Err(parameter.missing()),
        None => Ok(None),
    }
}

/// Parameters of every write that are no part of what it asks for.
const NOT_ASKED: [&str; 4] = ["ClientToken", "DryRun", "WaitUntilEnforced", "WaitTimeout"];

/// SHA-256 over the action and those parameters that its table knows, by name. Whatever carried
/// them and whatever surrounds them (signature, format, unknown parameters) does not matter.
fn digest(action: &Action, call: &Call<'_>, region: &Option<RegionId>) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut put = |text: &str| {
        // Lengths keep neighbours apart.
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    put(action.name);
    put(region.as_ref().map_or("", RegionId::as_str));
    let known = |name: &str| {
        let root = root(name);
        root != "RegionId"
            && !NOT_ASKED.contains(&root)
            && action.parameters().any(|parameter| self::root(parameter.name) == root)
    };
    // An empty value is as if absent, but for the text that a Modify action clears by it.
    let clears = |name: &str| {
        name.rsplit('.').next() == Some("Description") && action.name.starts_with("Modify")
    };
    for (name, value) in call.parameters.pairs() {
        if known(name) && (!value.is_empty() || clears(name)) {
            put(name);
            put(value);
        }
    }
    digest.finalize().into()
}

/// Whether a row is about one of a list.
fn within_list(name: &str) -> bool {
    name.contains(".N.")
}

/// `Tag` of `Tag.1.Key`.
fn root(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::action::dispatch;
    use crate::ecs::http::HttpRequest;

    fn decoded(request: &HttpRequest) -> Decoded {
        let call = Call::read(request).unwrap();
        decode(dispatch(&call).unwrap(), &call).unwrap()
    }

    fn get(more: &str) -> HttpRequest {
        let call = "Action=AuthorizeSecurityGroupEgress&SecurityGroupId=sg-1&IpProtocol=tcp\
            &PortRange=80/80&DestCidrIp=10.0.0.0/8&ClientToken=t";
        HttpRequest::new("GET", &format!("/?{call}&{more}"))
    }

    fn digest_of(request: &HttpRequest) -> [u8; 32] {
        decoded(request).idempotency.unwrap().digest
    }

    #[test]
    fn a_digest_is_of_what_is_asked_not_of_how() {
        let one = digest_of(&get("RegionId=r-1"));
        let surrounded = "RegionId=r-1&Timestamp=1&SignatureNonce=2&Signature=3&Department=4\
            &WaitUntilEnforced=true&WaitTimeout=5&Format=XML&Priority=&DryRun=false";
        assert_eq!(digest_of(&get(surrounded)), one);
        let path = "/apsara/route/Ecs/AuthorizeSecurityGroupEgress?regionId=r-1";
        let body = r#"{"SecurityGroupId":"sg-1","IpProtocol":"tcp","PortRange":"80/80",
            "DestCidrIp":"10.0.0.0/8","ClientToken":"t"}"#;
        assert_eq!(digest_of(&HttpRequest::new("POST", path).with_body(body)), one);
        for other in ["RegionId=r-2", "RegionId=r-1&Priority=1", "RegionId=r-1&Description=80/80"] {
            assert_ne!(digest_of(&get(other)), one, "{other}");
        }
    }

    #[test]
    fn clearing_a_text_is_something_else_than_leaving_it() {
        let modify = |more: &str| {
            let call = "Action=ModifyNetworkInterfaceAttribute&RegionId=r-1&NetworkInterfaceId=e\
                &ClientToken=t";
            digest_of(&HttpRequest::new("GET", &format!("/?{call}{more}")))
        };
        assert_ne!(modify("&Description="), modify(""));
        assert_eq!(modify("&NetworkInterfaceName="), modify(""));
        let entry = |more: &str| {
            let call = "Action=ModifyPrefixList&RegionId=r-1&PrefixListId=p&ClientToken=t\
                &AddEntry.1.Cidr=10.0.0.0/8";
            digest_of(&HttpRequest::new("GET", &format!("/?{call}{more}")))
        };
        assert_ne!(entry("&AddEntry.1.Description="), entry(""));
        assert_eq!(digest_of(&get("RegionId=r-1&Description=")), digest_of(&get("RegionId=r-1")));
    }

    #[test]
    fn the_other_options_surround_writes_only() {
        let write = decoded(&get("RegionId=r-1&DryRun=true&WaitUntilEnforced=TRUE"));
        assert!(write.dry_run && write.idempotency.is_some());
        assert_eq!(write.wait_timeout_ms, Some(WAIT_TIMEOUT_MS_DEFAULT));
        let write = decoded(&get("RegionId=r-1&WaitTimeout=5"));
        assert_eq!((write.dry_run, write.wait_timeout_ms), (false, None));
        let write = decoded(&get("RegionId=r-1&WaitUntilEnforced=true&WaitTimeout=5"));
        assert_eq!(write.wait_timeout_ms, Some(5));
        let read = HttpRequest::new("GET", "/?Action=DescribeRegions&ClientToken=t&DryRun=true");
        let read = decoded(&read);
        assert!(read.idempotency.is_none() && read.dry_run && read.wait_timeout_ms.is_none());
    }
}
