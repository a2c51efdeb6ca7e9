//! From an outcome or a refusal to an HTTP answer, in the format and with the fields that the route
//! and the client expect. What happened is not judged here.
use portcullis_core::command::Outcome;

use super::answer::{Answer, Fields};
use super::carrier::Call;
use super::decode::Decoded;
use super::form::decode_pairs;
use super::http::{HttpRequest, HttpResponse};
use super::limits::GATEWAY_MESSAGE_BYTES_MAX;
use super::outcome;
use super::refusal::{Refusal, code, shown};

/// `Content-Type` of XML; one published client reads XML errors under exactly this one.
pub const CONTENT_TYPE_XML: &str = "text/xml;charset=utf-8";
/// `Content-Type` of JSON.
pub const CONTENT_TYPE_JSON: &str = "application/json;charset=utf-8";

/// How an answer is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object.
    Json,
    /// XML below `<ActionResponse>` or `<Error>`.
    Xml,
}

/// What of a request the answer's shape depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation {
    format: Format,
    apsara: bool,
    /// Whether the request is signed as the API gateway's are, which has header fields of its own.
    x_ca: bool,
    host: String,
}

impl Presentation {
    /// For a call that could be read.
    pub fn of(call: &Call<'_>) -> Self {
        Self::new(call.request, call.parameters.get("Format"))
    }

    /// For a request that could not be read, from what can be known of it.
    pub fn guess(request: &HttpRequest) -> Self {
        let pairs = decode_pairs(request.query.as_bytes(), "query").unwrap_or_default();
        let format = pairs.iter().find(|(name, _)| name == "Format").map(|(_, v)| v.as_str());
        Self::new(request, format)
    }

    fn new(request: &HttpRequest, format: Option<&str>) -> Self {
        // Wherever below it, so that a misspelled path is refused in the dialect of its neighbours.
        let apsara = request.path.starts_with("/apsara/");
        let accepts_json =
            request.header("accept").is_some_and(|accept| accept.contains("application/json"));
        let default = if apsara || accepts_json { Format::Json } else { Format::Xml };
        Self {
            format: format.and_then(parse_format).unwrap_or(default),
            apsara,
            x_ca: request.header("x-ca-key").is_some(),
            host: request.header("host").unwrap_or_default().to_owned(),
        }
    }

    /// The `Host` of the request, which answers name as the place they come from.
    pub fn host(&self) -> &str {
        &self.host
    }
}

fn parse_format(text: &str) -> Option<Format> {
    let formats = [("JSON", Format::Json), ("XML", Format::Xml)];
    formats.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, format)| format)
}

/// Refuses a `Format` that is neither JSON nor XML.
pub fn check_format(call: &Call<'_>) -> Result<(), Refusal> {
    match call.parameters.get("Format") {
        Some(text) if parse_format(text).is_none() => {
            let message = format!("the format `{}` is neither JSON nor XML", shown(text));
            Err(code::FORMAT.refuse(message).at("Format"))
        }
        _ => Ok(()),
    }
}

/// How far a write has come to the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnforcementStatus {
    /// Read back from every host concerned.
    Enforced,
    /// The wait ended first.
    Pending,
    /// A host could not take it.
    Failed,
    /// A host concerned is lost.
    Unknown,
    /// No agent runs, or nothing concerned is bound.
    NotEnforced,
}

impl EnforcementStatus {
    /// The spelling in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforced => "Enforced",
            Self::Pending => "Pending",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
            Self::NotEnforced => "NotEnforced",
        }
    }
}

/// What a wait for enforcement found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcement {
    /// All in all.
    pub status: EnforcementStatus,
    /// The interfaces that are not there yet, with the reason where there is one.
    pub interfaces: Vec<(String, String)>,
}

/// What surrounds an outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The request's own id.
    pub request_id: String,
    /// The revision at which a write stands.
    pub revision: Option<u64>,
    /// What the wait for enforcement found, where one was asked for.
    pub enforcement: Option<Enforcement>,
}

/// The answer to a call that was carried out.
pub fn success(
    presentation: &Presentation,
    action_name: &str,
    decoded: &Decoded,
    outcome: &Outcome,
    receipt: &Receipt,
) -> HttpResponse {
    let mut fields = Fields::new().text("RequestId", &receipt.request_id);
    if presentation.apsara {
        fields = fields.text("RequestID", &receipt.request_id);
    }
    fields = outcome::fields(fields, presentation, decoded, outcome);
    if let Some(revision) = receipt.revision {
        fields = fields.number("Revision", revision);
    }
    if let Some(enforcement) = &receipt.enforcement {
        let places = enforcement.interfaces.iter().map(|(interface, reason)| {
            Fields::new().text("NetworkInterfaceId", interface).text("Reason", reason).into()
        });
        fields = fields.text("EnforcementStatus", enforcement.status.name()).list(
            "EnforcementDetails",
            "EnforcementDetail",
            places,
        );
    }
    let root = format!("{action_name}Response");
    let mut response = write(presentation, 200, &fields, &root);
    if presentation.x_ca {
        response.headers.push(("x-ca-request-id", receipt.request_id.clone()));
    }
    response
}

/// The answer to a call that was refused.
pub fn failure(presentation: &Presentation, refusal: &Refusal, request_id: &str) -> HttpResponse {
    let mut fields = Fields::new()
        .text("RequestId", request_id)
        .text("HostId", &presentation.host)
        .text("Code", &refusal.code)
        .text("Message", &refusal.message)
        .text("Recommend", recommendation(refusal));
    if presentation.apsara {
        let text = format!("{}: {}", refusal.code, refusal.message);
        let sample = |fields: Fields| {
            fields.number("resultCode", -1).text("resultMsg", &text).with("result", Answer::Null)
        };
        let inner = sample(Fields::new());
        fields = sample(fields.with("errorSample", inner.into())).text("RequestID", request_id);
    }
    let mut response = write(presentation, refusal.status, &fields, "Error");
    if let Some(retry_after_ms) = refusal.retry_after_ms {
        response.headers.push((RETRY_AFTER_HEADER, retry_after_ms.to_string()));
    }
    if presentation.x_ca {
        response.headers.push(("x-ca-request-id", request_id.to_owned()));
        response.headers.push(("x-ca-error-message", one_line(&refusal.message)));
    }
    response
}

/// Where SDKs look for how long to wait, in milliseconds.
const RETRY_AFTER_HEADER: &str = "x-acs-retry-after";

/// A message as a header field can hold it.
fn one_line(message: &str) -> String {
    let line: String = message.chars().filter(|c| !c.is_control()).collect();
    let end = line.floor_char_boundary(GATEWAY_MESSAGE_BYTES_MAX);
    line.get(..end).unwrap_or_default().to_owned()
}

/// The advice, and the place where the message does not name it.
fn recommendation(refusal: &Refusal) -> String {
    let Refusal { message, help, place, .. } = refusal;
    if place.is_empty() || message.contains(place.as_str()) {
        return help.clone();
    }
    let text = format!("See `{}`. {help}", shown(place));
    text.trim_end().to_owned()
}

fn write(presentation: &Presentation, status: u16, fields: &Fields, root: &str) -> HttpResponse {
    let (content_type, body) = match presentation.format {
        Format::Json => (CONTENT_TYPE_JSON, fields.to_json()),
        Format::Xml => (CONTENT_TYPE_XML, fields.to_xml(root)),
    };
    HttpResponse { status, content_type, headers: Vec::new(), body }
}

/// A request's id from 16 random bytes: an upper-case UUID of version 4.
pub fn request_id(random: [u8; 16]) -> String {
    let number = u128::from_be_bytes(random);
    let version = (number & !(0xf << 76)) | (0x4 << 76);
    let variant = (version & !(0x3 << 62)) | (0x2 << 62);
    let text = format!("{variant:032X}");
    let (a, rest) = text.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &HttpResponse) -> &str {
        std::str::from_utf8(&response.body).unwrap()
    }

    #[test]
    fn the_format_follows_the_request() {
        let format = |request: &HttpRequest| {
            let guessed = Presentation::guess(request);
            assert_eq!(guessed, Presentation::of(&Call::read(request).unwrap()));
            guessed.format
        };
        let get = |target| HttpRequest::new("GET", target);
        assert_eq!(format(&get("/")), Format::Xml);
        assert_eq!(format(&get("/?Format=json")), Format::Json);
        assert_eq!(format(&get("/").with_header("Accept", "application/json")), Format::Json);
        let both = get("/?Format=XML").with_header("Accept", "application/json");
        assert_eq!(format(&both), Format::Xml);
        assert_eq!(format(&get("/apsara/route/Ecs/X")), Format::Json);
        assert_eq!(format(&get("/apsara/route/Ecs/X?Format=xml")), Format::Xml);
        let odd = get("/?Format=YAML");
        let refusal = check_format(&Call::read(&odd).unwrap()).unwrap_err();
        assert_eq!(refusal.code, "InvalidParameter.Format");
    }

    #[test]
    fn a_refusal_is_told_in_both_dialects() {
        let refusal = code::CONFLICT.refuse("two").with_help("send one").at("RegionId");
        let request = HttpRequest::new("GET", "/").with_header("Host", "h:1");
        let response = failure(&Presentation::guess(&request), &refusal, "ID");
        assert_eq!((response.status, response.content_type), (400, "text/xml;charset=utf-8"));
        assert!(text(&response).ends_with(
            "<Error><RequestId>ID</RequestId><HostId>h:1</HostId>\
             <Code>InvalidParameter.Conflict</Code><Message>two</Message>\
             <Recommend>See `RegionId`. send one</Recommend></Error>"
        ));
        let request = HttpRequest::new("POST", "/apsara/route/Ecs/X");
        let response = failure(&Presentation::guess(&request), &refusal, "ID");
        assert_eq!(
            text(&response),
            r#"{"RequestId":"ID","HostId":"","Code":"InvalidParameter.Conflict","Message":"two","#
                .to_owned()
                + r#""Recommend":"See `RegionId`. send one","errorSample":{"resultCode":-1,"#
                + r#""resultMsg":"InvalidParameter.Conflict: two","result":null},"#
                + r#""resultCode":-1,"resultMsg":"#
                + r#""InvalidParameter.Conflict: two","result":null,"RequestID":"ID"}"#
        );
    }

    #[test]
    fn the_gateways_header_fields_are_short_and_of_one_line() {
        let request = HttpRequest::new("GET", "/").with_header("X-Ca-Key", "k");
        let refusal = code::CONFLICT.refuse(format!("a\nb{}", "網".repeat(2000)));
        let response = failure(&Presentation::guess(&request), &refusal, "ID");
        let [(_, id), (name, message)] = response.headers.as_slice() else { panic!() };
        assert_eq!((id.as_str(), *name), ("ID", "x-ca-error-message"));
        assert!(message.starts_with("ab網") && message.len() == GATEWAY_MESSAGE_BYTES_MAX - 2);
    }

    #[test]
    fn a_request_id_is_a_uuid() {
        assert_eq!(request_id([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(request_id([0xff; 16]), "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF");
    }
}
