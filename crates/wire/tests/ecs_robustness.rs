//! Whatever bytes arrive: no decoder panics, every refusal is complete, and what a request makes
//! the server hold is bounded by what it sent and by the named limits.

use portcullis_core::records::AccessKeySecret;
use portcullis_wire::ecs::action::{self, Action, dispatch};
use portcullis_wire::ecs::carrier::Call;
use portcullis_wire::ecs::decode::decode;
use portcullis_wire::ecs::http::HttpRequest;
use portcullis_wire::ecs::limits::{NAME_BYTES_MAX, PARAMETERS_MAX, VALUE_BYTES_MAX};
use portcullis_wire::ecs::parameters::Parameters;
use portcullis_wire::ecs::refusal::Refusal;
use portcullis_wire::ecs::render::{Presentation, check_format, failure};
use portcullis_wire::ecs::signature::{SigningKey, verify};
use proptest::prelude::*;

/// Values that some decoder takes, and near misses.
const VALUES: &[&str] = &[
    "",
    "true",
    "FALSE",
    "0",
    "1",
    "-1",
    "256",
    "99999999999999999999",
    "1e3",
    "tcp",
    "ALL",
    "icmpv6",
    "-1/-1",
    "80/90",
    "90/80",
    "10.0.0.0/8",
    "10.0.0.1",
    "2001:db8::/32",
    "::ffff:1.2.3.4",
    "::1/129",
    "sg-1",
    "vpc-1,vpc-2",
    "cn-hangzhou",
    "accept",
    "Drop",
    "normal",
    "[\"sg-1\"]",
    "[{\"IpProtocol\":\"tcp\",\"PortRange\":\"1/2\",\"DestCidrIp\":\"::\"}]",
    "{\"UdpTimeout\":60}",
    "[[[[[[[[[]]]]]]]]]",
    "{",
    "02:00:00:00:00:01",
    "\u{0}\u{1f}\u{7f}",
    "网关 \u{10ffff}",
    "a&b=c%d+e",
];

fn actions() -> Vec<&'static Action> {
    action::all().collect()
}

fn complete(refusal: &Refusal) -> Result<(), TestCaseError> {
    prop_assert!((400..500).contains(&refusal.status), "{refusal:?}");
    prop_assert!(!refusal.code.is_empty() && !refusal.message.is_empty(), "{refusal:?}");
    Ok(())
}

fn held(parameters: &Parameters) -> Result<usize, TestCaseError> {
    let (mut count, mut bytes) = (0, 0);
    for (name, value) in parameters.pairs() {
        prop_assert!(name.len() <= NAME_BYTES_MAX && value.len() <= VALUE_BYTES_MAX);
        count += 1;
        bytes += name.len() + value.len();
    }
    prop_assert!(count <= PARAMETERS_MAX);
    Ok(bytes)
}

/// The whole way of a request but for the state.
fn take(request: &HttpRequest) -> Result<(), TestCaseError> {
    let call = match Call::read(request) {
        Ok(call) => call,
        Err(refusal) => {
            let answer = failure(&Presentation::guess(request), &refusal, "ID");
            prop_assert_eq!(answer.status, refusal.status);
            return complete(&refusal);
        }
    };
    let sent = request.query.len() + request.body.len();
    // Names of what is nested repeat what is around them, bounded name by name.
    prop_assert!(held(&call.parameters)? <= sent + PARAMETERS_MAX * NAME_BYTES_MAX);
    // A control character of one byte is six in the compact text that is signed, then escaped
    // again.
    prop_assert!(held(call.signed())? <= 12 * sent + PARAMETERS_MAX * NAME_BYTES_MAX);
    let key = |_: &str| {
        let account = portcullis_core::ids::AccountId(1);
        let secret = AccessKeySecret::new(b"s");
        Some(SigningKey { account, secret, active: true, session: None })
    };
    if let Err(refusal) = verify(&call, 1_764_000_000_000, key) {
        complete(&refusal)?;
    }
    if let Err(refusal) = check_format(&call) {
        complete(&refusal)?;
    }
    match dispatch(&call) {
        Ok(action) => {
            if let Err(refusal) = decode(action, &call) {
                complete(&refusal)?;
            }
        }
        Err(refusal) => complete(&refusal)?,
    }
    Ok(())
}

fn paths() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/".to_owned()),
        Just("/asapi/v3".to_owned()),
        Just("/apsara/route/Ecs/AuthorizeSecurityGroupEgress".to_owned()),
        "/[ -~]{0,20}",
        "/apsara/route/[a-zA-Z%0-9]{0,6}/[a-zA-Z%0-9]{0,6}",
    ]
}

/// Parameters of one action with values from the pool; the name may carry any number.
fn calls() -> impl Strategy<Value = (&'static Action, Vec<(String, &'static str)>)> {
    let action = (0..actions().len()).prop_map(|index| actions()[index]);
    action.prop_flat_map(|action| {
        let names: Vec<&'static str> = action.parameters().map(|row| row.name).collect();
        let pair = (0..names.len(), prop::sample::select(VALUES), 0usize..4);
        let pairs = prop::collection::vec(pair, 0..12).prop_map(move |pairs| {
            let named = pairs.into_iter().map(|(index, value, number)| {
                let number = number.to_string();
                let parts = names[index].split('.');
                let parts = parts.map(|part| if part == "N" { number.as_str() } else { part });
                (parts.collect::<Vec<_>>().join("."), value)
            });
            named.collect::<Vec<_>>()
        });
        (Just(action), pairs)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(
        path in paths(),
        query in "[ -~\u{80}-\u{ff}]{0,60}",
        kind in prop::sample::select(vec![
            "", "application/json", "application/x-www-form-urlencoded", "text/plain",
        ]),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let request = HttpRequest { path, query, ..HttpRequest::new("POST", "/") }
            .with_header("Content-Type", kind)
            .with_body(body);
        take(&request)?;
    }

    #[test]
    fn any_json_shape_is_read_or_refused(
        body in r#"[\[\]{}:,"a\\0-9.eEtruefalsn -]{0,80}"#,
    ) {
        let request = HttpRequest::new("POST", "/apsara/route/Ecs/AuthorizeSecurityGroupEgress")
            .with_header("Content-Type", "application/json")
            .with_body(body);
        take(&request)?;
    }

    #[test]
    fn any_values_of_an_actions_own_parameters_are_decoded_or_refused((action, pairs) in calls()) {
        let mut parameters = Parameters::default();
        for (name, value) in &pairs {
            // A repeated name with another value is refused before; here the first one stands.
            let _ = parameters.put(name.clone(), *value);
        }
        let pairs = parameters.pairs().collect::<Vec<_>>();
        let form = portcullis_wire::ecs::form::encode_pairs(pairs);
        let product = action.products[0].name();
        let path = format!("/apsara/route/{product}/{}", action.name);
        let request = HttpRequest::new("POST", &path)
            .with_header("Content-Type", "application/x-www-form-urlencoded")
            .with_body(form);
        let call = Call::read(&request).map_err(|refusal| {
            TestCaseError::fail(format!("the form itself was refused: {refusal}"))
        })?;
        prop_assert_eq!(&call.parameters, &parameters);
        take(&request)?;
    }
}

#[test]
fn names_that_grow_by_nesting_are_refused_early() {
    let children: Vec<String> = (0..20_000).map(|n| format!("\"{n}\":{{}}")).collect();
    let long = "k".repeat(200_000);
    let body = format!("{{\"{long}\":{{{}}}}}", children.join(","));
    let request = HttpRequest::new("POST", "/")
        .with_header("Content-Type", "application/json")
        .with_body(body);
    let refusal = Call::read(&request).err().map(|refusal| refusal.code);
    assert_eq!(refusal.as_deref(), Some("InvalidParameter.TooLong"));
}
