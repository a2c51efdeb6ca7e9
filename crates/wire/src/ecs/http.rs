//! An HTTP request and its answer as plain data, so that decoding is a function from value to value
//! and tests need no socket. Knows no HTTP library.

/// A request as it came, bytes not yet interpreted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, upper case as sent.
    pub method: String,
    /// The path, still percent-encoded, beginning with `/`.
    pub path: String,
    /// What followed the `?`, still percent-encoded; empty without one.
    pub query: String,
    /// The header fields in the order sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A request for a target in origin form (`/path?query`) or absolute form (`http://host/path`).
    pub fn new(method: &str, target: &str) -> Self {
        let origin = match target.find("://") {
            // Only a scheme may stand before `://`; a query may hold it too.
            Some(end) if !target[..end].contains(['/', '?']) => {
                let rest = &target[end + "://".len()..];
                rest.find(['/', '?']).map_or("", |start| &rest[start..])
            }
            _ => target,
        };
        let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
        let path = if path.is_empty() { "/" } else { path };
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same request with one more header field.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same request with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The first header field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    /// Every header field of this name, in any case.
    pub fn header_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let own = self.headers.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
        own.map(|(_, value)| value.trim())
    }
}

/// An answer, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// Further header fields; values without control characters.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::HttpRequest;

    #[test]
    fn a_target_has_two_forms() {
        for (target, path, query) in [
            ("/?A=1", "/", "A=1"),
            ("?A=1", "/", "A=1"),
            ("/asapi/v3", "/asapi/v3", ""),
            ("http://ecs-cn-hangzhou.example:8080/?A=1&B=?", "/", "A=1&B=?"),
            ("http://host?A=1", "/", "A=1"),
            ("https://host", "/", ""),
            ("/?Url=http://host/x", "/", "Url=http://host/x"),
            ("", "/", ""),
        ] {
            let request = HttpRequest::new("GET", target);
            assert_eq!((request.path.as_str(), request.query.as_str()), (path, query), "{target}");
        }
    }

    #[test]
    fn a_header_is_found_in_any_case() {
        let request = HttpRequest::new("GET", "/").with_header("X-Acs-Action", " A ");
        assert_eq!((request.header("x-acs-action"), request.header("host")), (Some("A"), None));
    }
}
