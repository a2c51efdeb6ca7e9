//! What is done with each input: one function for every decoder, shared by the fuzz targets and by
//! the test that runs every kept seed. A function panics where a decoder breaks its promise; that a
//! decoder refuses an input is no such thing. It knows no fuzzer.

use portcullis_core::ids::AccountId;
use portcullis_core::records::{AccessKeySecret, Change};
use portcullis_server::control::message::read_question;
use portcullis_server::nonces::Nonce;
use portcullis_wire::ecs::action::dispatch;
use portcullis_wire::ecs::carrier::{Call, Route};
use portcullis_wire::ecs::decode::decode;
use portcullis_wire::ecs::form::{decode_pairs, encode_pairs};
use portcullis_wire::ecs::http::HttpRequest;
use portcullis_wire::ecs::json::Json;
use portcullis_wire::ecs::limits::{JSON_NESTING_MAX, LIST_INDEX_MAX, PARAMETERS_MAX};
use portcullis_wire::ecs::parameters::Parameters;
use portcullis_wire::ecs::refusal::Refusal;
use portcullis_wire::ecs::render::{Presentation, failure};
use portcullis_wire::ecs::signature::{SignatureFamily, SigningKey, SigningSession, verify};
use portcullis_wire::record;
use portcullis_wire::record::seal::SealKey;
use portcullis_wire::world::{flow_line, read_flow, read_world, write_world};

/// What is done with an input of a target.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("carrier", carrier),
    ("form", form),
    ("json", json),
    ("parameters", parameters),
    ("signature_rpc", signature_rpc),
    ("signature_asapi", signature_asapi),
    ("signature_acs3", signature_acs3),
    ("signature_gateway", signature_gateway),
    ("action", action),
    ("record", record),
    ("world", world),
    ("flow", flow),
    ("control", control),
];

/// The secret with which the kept requests are signed.
const KNOWN_SECRET: &[u8] = b"testsecret";
/// A secret with which nothing is signed.
const OTHER_SECRET: &[u8] = b"a secret that no input is signed with";
/// When the kept requests were made, in milliseconds since 1970.
const TIMES_MS: [u64; 3] = [1_795_523_040_000, 1_795_485_646_000, 1_671_538_946_068];
/// What stored secrets are sealed with.
pub const SEAL_KEY: [u8; 32] = [7; 32];

/// A request as text: the first line, header fields, an empty line, the body.
fn request(data: &[u8]) -> Option<HttpRequest> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, body) = data.split_at(end);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let mut request = HttpRequest::new(words.next()?, words.next()?);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request = request.with_header(name, value.trim());
    }
    let body = body.get(2..).unwrap_or_default();
    Some(request.with_body(body.strip_suffix(b"\n").unwrap_or(body)))
}

/// A refusal is a client's own fault, named, and can be told in both spellings.
fn complete(request: &HttpRequest, refusal: &Refusal) {
    assert!((400..500).contains(&refusal.status), "{refusal:?}");
    assert!(!refusal.code.is_empty() && !refusal.message.is_empty(), "{refusal:?}");
    let response = failure(&Presentation::guess(request), refusal, "ID");
    assert!(std::str::from_utf8(&response.body).is_ok());
    for (_, value) in &response.headers {
        assert!(!value.chars().any(char::is_control), "{value:?}");
    }
}

/// A request's carriers.
pub fn carrier(data: &[u8]) {
    let Some(request) = request(data) else { return };
    match Call::read(&request) {
        Err(refusal) => complete(&request, &refusal),
        Ok(call) => {
            assert!(call.parameters.pairs().count() <= PARAMETERS_MAX);
            let _ = (call.region(), call.version(), Presentation::of(&call));
            assert_eq!(Route::of(&request.path).ok(), Some(call.route.clone()));
            assert!(call.query_pairs().is_ok() && call.form_pairs().is_ok());
            if let Err(refusal) = dispatch(&call) {
                complete(&request, &refusal);
            }
        }
    }
}

/// A query or form: what was read is read again from its canonical spelling.
pub fn form(data: &[u8]) {
    let Ok(pairs) = decode_pairs(data, "query") else { return };
    assert!(pairs.len() <= PARAMETERS_MAX);
    let text = encode_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    assert_eq!(decode_pairs(text.as_bytes(), "query"), Ok(pairs));
}

/// A JSON body.
pub fn json(data: &[u8]) {
    let Ok(value) = Json::read(data, "body") else { return };
    assert!(depth(&value) <= JSON_NESTING_MAX);
    let (mut flat, mut signed) = (Parameters::default(), Parameters::default());
    let _ = value.flatten("A", &mut |name, text| flat.put(name, text));
    let _ = value.flatten_signed("A", &mut |name, text| signed.put(name, text));
}

fn depth(value: &Json) -> usize {
    let below = match value {
        Json::Null | Json::Text(_) => return 0,
        Json::List(items) => items.iter().map(depth).max(),
        Json::Object(members) => members.iter().map(|(_, member)| depth(member)).max(),
    };
    1 + below.unwrap_or(0)
}

/// Lists and structures below a name.
pub fn parameters(data: &[u8]) {
    let Ok(pairs) = decode_pairs(data, "query") else { return };
    let mut parameters = Parameters::default();
    for (name, value) in pairs {
        if parameters.put(name, &value).is_err() {
            return;
        }
    }
    if let Ok(items) = parameters.list("A") {
        assert!(items.len() <= LIST_INDEX_MAX);
    }
    if let Ok(items) = parameters.structures("A") {
        for (number, inner) in items {
            assert!((1..=LIST_INDEX_MAX).contains(&number));
            let _ = inner.list("B");
        }
    }
}

/// The families of [`SignatureFamily`], each for itself.
pub fn signature_rpc(data: &[u8]) {
    signature(data, SignatureFamily::Rpc);
}

/// Version 2.1.
pub fn signature_asapi(data: &[u8]) {
    signature(data, SignatureFamily::Asapi);
}

/// ACS3.
pub fn signature_acs3(data: &[u8]) {
    signature(data, SignatureFamily::Acs3);
}

/// X-Ca.
pub fn signature_gateway(data: &[u8]) {
    signature(data, SignatureFamily::XCa);
}

/// Nothing is believed that was not signed with the secret, and no refusal is ours to blame.
fn signature(data: &[u8], family: SignatureFamily) {
    let Some(request) = request(data) else { return };
    let Ok(call) = Call::read(&request) else { return };
    if SignatureFamily::of(&call) != family {
        return;
    }
    let key = |secret| SigningKey {
        account: AccountId(7),
        secret: AccessKeySecret::new(secret),
        active: true,
        session: None,
    };
    for now_ms in TIMES_MS {
        let other = verify(&call, now_ms, |_| Some(key(OTHER_SECRET)));
        assert!(other.is_err(), "believed without the secret");
        let session = SigningSession { token: "to+ken/==".to_owned(), expires_at_ms: u64::MAX };
        for session in [None, Some(session)] {
            let known = SigningKey { session, ..key(KNOWN_SECRET) };
            match verify(&call, now_ms, |_| Some(known)) {
                Err(refusal) => complete(&request, &refusal),
                Ok(evidence) => assert!(evidence.timestamp_ms().abs_diff(now_ms) <= 900_000),
            }
        }
    }
}

/// The parameters of an action, as a query: a command, always the same one, or a refusal.
pub fn action(data: &[u8]) {
    let query = String::from_utf8_lossy(data).replace(['\n', '\r'], "");
    let request = HttpRequest { query, ..HttpRequest::new("GET", "/") };
    let Ok(call) = Call::read(&request) else { return };
    let decoded = dispatch(&call).and_then(|action| decode(action, &call));
    match decoded {
        Err(refusal) => complete(&request, &refusal),
        Ok(decoded) => {
            let again = dispatch(&call).and_then(|action| decode(action, &call));
            assert_eq!(again, Ok(decoded));
        }
    }
}

/// A stored record: the length of its key, its key, its value. What is read is written as it was,
/// but for secrets, which are sealed anew each time.
pub fn record(data: &[u8]) {
    let _ = Nonce::from_key(data);
    let Some((length, rest)) = data.split_first() else { return };
    let Some((key, value)) = rest.split_at_checked(usize::from(*length)) else { return };
    let seal = SealKey::new(&SEAL_KEY);
    if let Ok(key_read) = record::decode_key(key) {
        assert_eq!(record::decode_key(&record::encode_key(&key_read)).as_ref(), Ok(&key_read));
    }
    let Ok(read) = record::decode(key, value, &seal) else { return };
    let (key, value) = record::encode(&Change::Put(read.clone()), &seal);
    let again = record::decode(&key, &value.unwrap_or_default(), &seal);
    assert_eq!(again, Ok(read));
}

/// A world file: what was read is read again from what is written of it.
pub fn world(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(world) = read_world(text) else { return };
    let again = read_world(&write_world(&world));
    assert_eq!(again.as_ref(), Ok(&world));
}

/// What the flows of the seeds take place in.
const WORLD: &str = include_str!("../../docs/guide/world.json");

/// A line of a flow file, likewise.
pub fn flow(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(world) = read_world(WORLD) else { panic!("the world of the seeds") };
    let Ok(flow) = read_flow(&world, 1, text) else { return };
    assert_eq!(read_flow(&world, 1, &flow_line(&flow)), Ok(flow));
}

/// A line on the control socket.
pub fn control(data: &[u8]) {
    if let Err(problem) = read_question(data) {
        assert!(!problem.code.is_empty() && !problem.message.is_empty());
    }
}
