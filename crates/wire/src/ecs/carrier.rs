//! From a request to a call: which route it came by and what parameters its carriers hold together.
//!
//! Query, form body and JSON body are merged; one name with two values is refused. Beside the
//! merged parameters stand the pairs that a signature over parameters covers. Who calls, and what
//! the action means, is decided elsewhere.
use super::form::{decode_pairs, decode_segment};
use super::http::HttpRequest;
use super::json::Json;
use super::limits::{BODY_BYTES_MAX, QUERY_BYTES_MAX};
use super::parameters::Parameters;
use super::refusal::{Refusal, code, shown};

/// Where a request was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/`: the public RPC form.
    Rpc,
    /// `/asapi/v3`: the Apsara Stack gateway.
    Asapi,
    /// `/apsara/route/{product}/{action}`.
    Apsara {
        /// The product's segment as sent.
        product: String,
        /// The action's segment as sent.
        action: String,
    },
}

impl Route {
    /// The route of a path, with or without a trailing slash.
    pub fn of(path: &str) -> Result<Self, Refusal> {
        let segments: Vec<&str> = path.split('/').collect();
        let segments = match segments.as_slice() {
            ["", inner @ .., ""] | ["", inner @ ..] => inner,
            _ => return Err(no_such_path(path)),
        };
        match segments {
            [] => Ok(Self::Rpc),
            ["asapi", "v3"] => Ok(Self::Asapi),
            ["apsara", "route", product, action] if !product.is_empty() && !action.is_empty() => {
                let (product, action) = (decode_segment(product)?, decode_segment(action)?);
                Ok(Self::Apsara { product, action })
            }
            _ => Err(no_such_path(path)),
        }
    }

    /// Whether it is the route whose lower-case `regionId` and `version` count.
    pub fn is_apsara(&self) -> bool {
        matches!(self, Self::Apsara { .. })
    }
}

fn no_such_path(path: &str) -> Refusal {
    let message = "Specified api is not found, please check your url and method.";
    code::ACTION_NOT_FOUND
        .refuse(format!("{message} No path `{}`.", shown(path)))
        .with_help("Use `/`, `/asapi/v3` or `/apsara/route/Ecs/<Action>`.")
}

/// A request whose carriers have been read.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The request itself, for what is signed beside parameters.
    pub request: &'a HttpRequest,
    /// Where it was sent.
    pub route: Route,
    /// What it says.
    pub parameters: Parameters,
    /// What a signature over parameters covers, where that is something else.
    signed: Option<Parameters>,
}

impl<'a> Call<'a> {
    /// Reads the carriers of a request.
    pub fn read(request: &'a HttpRequest) -> Result<Self, Refusal> {
        if !matches!(request.method.as_str(), "GET" | "POST") {
            let message = format!("the HTTP method `{}` is not supported", shown(&request.method));
            return Err(code::UNSUPPORTED_HTTP_METHOD.refuse(message).with_help("Use POST."));
        }
        let route = Route::of(&request.path)?;
        check_size("query", request.query.len(), QUERY_BYTES_MAX)?;
        check_size("body", request.body.len(), BODY_BYTES_MAX)?;
        let mut call = Self { request, route, parameters: Parameters::default(), signed: None };
        call.put_pairs(call.query_pairs()?)?;
        match body_kind(request)? {
            BodyKind::Empty => {}
            BodyKind::Form(form) => call.put_pairs(decode_pairs(form, "body")?)?,
            BodyKind::Json => call.put_json(Json::read(&request.body, "body")?)?,
        }
        Ok(call)
    }

    /// What a signature over parameters covers: query and form as sent, JSON flattened one step.
    pub fn signed(&self) -> &Parameters {
        self.signed.as_ref().unwrap_or(&self.parameters)
    }

    /// The region asked for. On the Apsara route `regionId` stands beside `RegionId`.
    pub fn region(&self) -> Result<Option<&str>, Refusal> {
        let upper = self.parameters.get("RegionId");
        if !self.route.is_apsara() {
            return Ok(upper);
        }
        match (upper, self.parameters.get("regionId")) {
            (Some(upper), Some(lower)) if upper != lower => {
                let (upper, lower) = (shown(upper), shown(lower));
                let message = format!("`RegionId` is `{upper}` and `regionId` is `{lower}`");
                Err(code::CONFLICT.refuse(message).with_help("Send one of them.").at("RegionId"))
            }
            (upper, lower) => Ok(upper.or(lower)),
        }
    }

    /// The version asked for. On the Apsara route `version` counts where `Version` is absent.
    pub fn version(&self) -> Option<&str> {
        let lower = self.route.is_apsara().then(|| self.parameters.get("version")).flatten();
        let header = || self.request.header("x-acs-version").filter(|text| !text.is_empty());
        self.parameters.get("Version").or(lower).or_else(header)
    }

    /// The pairs of the query alone, in the order sent.
    pub fn query_pairs(&self) -> Result<Vec<(String, String)>, Refusal> {
        decode_pairs(self.request.query.as_bytes(), "query")
    }

    /// The pairs of a form body alone, in the order sent.
    pub fn form_pairs(&self) -> Result<Vec<(String, String)>, Refusal> {
        match body_kind(self.request)? {
            BodyKind::Form(form) => decode_pairs(form, "body"),
            BodyKind::Empty | BodyKind::Json => Ok(Vec::new()),
        }
    }

    /// Whether a body is read at all.
    pub fn has_body(&self) -> bool {
        !matches!(body_kind(self.request), Ok(BodyKind::Empty))
    }

    /// Whether the body is JSON.
    pub fn has_json_body(&self) -> bool {
        matches!(body_kind(self.request), Ok(BodyKind::Json))
    }

    fn put_pairs(&mut self, pairs: Vec<(String, String)>) -> Result<(), Refusal> {
        for (name, value) in pairs {
            self.parameters.put(name, value)?;
        }
        Ok(())
    }

    fn put_json(&mut self, body: Json) -> Result<(), Refusal> {
        let Json::Object(members) = body else {
            let message = "the JSON body is not an object";
            return Err(code::JSON.refuse(message).at("body"));
        };
        let mut signed = self.parameters.clone();
        for (name, value) in &members {
            value.flatten_signed(name, &mut |name, text| signed.put(name, text))?;
            value.flatten(name, &mut |name, text| self.parameters.put(name, text))?;
        }
        self.signed = Some(signed);
        Ok(())
    }
}

enum BodyKind<'a> {
    Empty,
    Form(&'a [u8]),
    Json,
}

/// What a body is: by its content type, and by its first byte where none is given.
fn body_kind(request: &HttpRequest) -> Result<BodyKind<'_>, Refusal> {
    let body = request.body.trim_ascii();
    if body.is_empty() {
        return Ok(BodyKind::Empty);
    }
    let content_type = request.header("content-type").unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => Ok(BodyKind::Json),
        "application/x-www-form-urlencoded" => {
            // One published gateway client wraps its form into a JSON string.
            let inner = body.strip_prefix(b"\"").and_then(|body| body.strip_suffix(b"\""));
            Ok(BodyKind::Form(inner.unwrap_or(body)))
        }
        "" if body.first() == Some(&b'{') => Ok(BodyKind::Json),
        "" => Ok(BodyKind::Form(body)),
        _ => {
            let message = format!("a body of type `{}` cannot be read", shown(&kind));
            let help = "Send application/x-www-form-urlencoded or application/json.";
            Err(code::CONTENT_TYPE.refuse(message).with_help(help).at("Content-Type"))
        }
    }
}

fn check_size(place: &str, size: usize, most: usize) -> Result<(), Refusal> {
    if size <= most {
        return Ok(());
    }
    let message = format!("the {place} has {size} bytes, {most} at most");
    Err(code::REQUEST_TOO_LARGE.refuse(message).with_help("Split the call.").at(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

    fn post(target: &str, content_type: &str, body: &str) -> HttpRequest {
        HttpRequest::new("POST", target).with_header("Content-Type", content_type).with_body(body)
    }

    fn text(parameters: &Parameters) -> String {
        let pairs: Vec<_> = parameters.pairs().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(" ")
    }

    #[test]
    fn routes_have_their_paths_and_no_others() {
        let apsara = |product: &str, action: &str| Route::Apsara {
            product: product.to_owned(),
            action: action.to_owned(),
        };
        for (path, route) in [
            ("/", Some(Route::Rpc)),
            ("/asapi/v3", Some(Route::Asapi)),
            ("/asapi/v3/", Some(Route::Asapi)),
            ("/apsara/route/Ecs/DescribeRegions", Some(apsara("Ecs", "DescribeRegions"))),
            ("/apsara/route/vpc/Create%56pc/", Some(apsara("vpc", "CreateVpc"))),
            ("/apsara/route/Ecs", None),
            ("/apsara/route//X", None),
            ("/apsara/route/Ecs/X/Y", None),
            ("/asapi/v4", None),
            ("//", None),
            ("x", None),
        ] {
            assert_eq!(Route::of(path).ok(), route, "{path}");
        }
    }

    #[test]
    fn carriers_are_merged() {
        let request = post("/?A=1&B=x+y", FORM, "C=3&A=1");
        let call = Call::read(&request).unwrap();
        assert_eq!(text(&call.parameters), "A=1 B=x y C=3");
        assert_eq!(call.parameters, *call.signed());
        let request = post("/?A=1", "application/json", r#"{"A":1,"P":[{"K":"v"}],"N":null}"#);
        let call = Call::read(&request).unwrap();
        assert_eq!(text(&call.parameters), "A=1 P.1.K=v");
        assert_eq!(text(call.signed()), r#"A=1 P.1={"K":"v"}"#);
    }

    #[test]
    fn bodies_are_known_by_type_or_first_byte() {
        for (content_type, body, expected) in [
            ("", " {\"A\":\"1\"}", "A=1"),
            ("", "A=1", "A=1"),
            (FORM, "\"A=1&B=2\"", "A=1 B=2"),
            ("text/plain", "  ", ""),
            ("APPLICATION/JSON;charset=utf-8", "{}", ""),
        ] {
            let request = post("/", content_type, body);
            assert_eq!(text(&Call::read(&request).unwrap().parameters), expected, "{body}");
        }
        let error = Call::read(&post("/", "text/plain", "A=1")).unwrap_err();
        assert_eq!(error.code, "InvalidParameter.ContentType");
        let error = Call::read(&post("/", "application/json", "[]")).unwrap_err();
        assert_eq!(error.code, "InvalidParameter.Json");
    }

    #[test]
    fn two_values_of_one_name_are_refused_wherever_they_stand() {
        for request in [
            post("/?A=1&A=2", FORM, ""),
            post("/?A=1", FORM, "A=2"),
            post("/?A=1", "application/json", r#"{"A":2}"#),
            post("/", "application/json", r#"{"A":1,"A":2}"#),
        ] {
            let error = Call::read(&request).unwrap_err();
            assert_eq!(error.code, "InvalidParameter.Conflict");
        }
    }

    #[test]
    fn sizes_and_methods_are_bounded() {
        let query = |n| HttpRequest { query: "&".repeat(n), ..HttpRequest::new("GET", "/") };
        assert!(Call::read(&query(QUERY_BYTES_MAX)).is_ok());
        assert_eq!(Call::read(&query(QUERY_BYTES_MAX + 1)).unwrap_err().code, "RequestTooLarge");
        let body = |n| post("/", FORM, &"&".repeat(n));
        assert!(Call::read(&body(BODY_BYTES_MAX)).is_ok());
        assert_eq!(Call::read(&body(BODY_BYTES_MAX + 1)).unwrap_err().status, 413);
        let error = Call::read(&HttpRequest::new("PUT", "/")).unwrap_err();
        assert_eq!(error.code, "UnsupportedHTTPMethod");
    }

    #[test]
    fn the_lower_case_twins_count_on_one_route_only() {
        let target = "/apsara/route/Ecs/X?regionId=r-1&version=2016-01-01";
        let request = HttpRequest::new("POST", target);
        let call = Call::read(&request).unwrap();
        assert_eq!((call.region().unwrap(), call.version()), (Some("r-1"), Some("2016-01-01")));
        let request = HttpRequest::new("POST", &format!("{target}&RegionId=r-2&Version=v"));
        let call = Call::read(&request).unwrap();
        assert_eq!(call.region().unwrap_err().code, "InvalidParameter.Conflict");
        assert_eq!(call.version(), Some("v"));
        let request = HttpRequest::new("POST", "/?regionId=r-1&version=1")
            .with_header("x-acs-version", "2014-05-26");
        let call = Call::read(&request).unwrap();
        assert_eq!((call.region().unwrap(), call.version()), (None, Some("2014-05-26")));
    }
}
