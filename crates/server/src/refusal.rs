//! What a client is told when the server itself is at a bound: too many, too large, too slow, or
//! out of order. The codes are in the style of the public API's gateway.
//!
//! Refusals of what a request *says* are made elsewhere; this page knows no action.

use portcullis_core::error::{ApiError, ErrorClass};
use portcullis_wire::ecs::http::{HttpRequest, HttpResponse};
use portcullis_wire::ecs::refusal::{Code, Refusal, code};
use portcullis_wire::ecs::render::{self, Presentation};

use crate::identity::request_id;

/// `ServiceUnavailable`: something is full or out of order for now; trying again is right.
pub(crate) fn unavailable(message: &'static str, help: &'static str) -> ApiError {
    ApiError::new(ErrorClass::Unavailable, "ServiceUnavailable", message).help(help)
}

/// `InternalError`: a fault of ours that trying again need not cure.
pub(crate) fn internal(message: &'static str, help: &'static str) -> ApiError {
    ApiError::new(ErrorClass::Internal, "InternalError", message).help(help)
}

/// Of a write whose key was good when it was signed, and is not when its turn comes.
pub(crate) fn key_is_gone() -> ApiError {
    let code = code::ACCESS_KEY_NOT_FOUND.name;
    ApiError::not_found(code, "Specified access key is not found.").at("AccessKeyId")
}

/// Likewise.
pub(crate) fn key_is_disabled() -> ApiError {
    let code = code::ACCESS_KEY_INACTIVE.name;
    ApiError::invalid(code, "Specified access key is disabled.").at("AccessKeyId")
}

pub(crate) fn body_too_large(maximum: usize) -> Refusal {
    let message = format!("The body of a request is at most {maximum} bytes.");
    code::REQUEST_TOO_LARGE.refuse(message).with_help("Split the call.")
}

pub(crate) fn body_too_slow(time_max_ms: u64) -> Refusal {
    let message = format!("The body did not arrive within {time_max_ms} milliseconds.");
    Code { name: "RequestTimeout", status: 408 }.refuse(message)
}

pub(crate) fn body_unreadable(cause: &dyn std::error::Error) -> Refusal {
    let message = format!("The body could not be read: {cause}.");
    Code { name: "InvalidParameter.Body", status: 400 }.refuse(message)
}

/// Of a request that came without TLS where it must not.
pub(crate) fn needs_tls(request: &HttpRequest) -> HttpResponse {
    let refusal = code::NEED_TLS
        .refuse("The request came by plain HTTP, and this server answers TLS alone.")
        .with_help("Call https at the same host and port.");
    render::failure(&Presentation::guess(request), &refusal, &request_id())
}

/// `HostId` where no request was read: else it is the request's `Host`.
const HOST_ID: &str = "portcullis";

/// Of a request that was not read, so that nobody knows which format it asks for.
pub(crate) fn too_many_connections() -> HttpResponse {
    let body = serde_json::json!({
        "RequestId": request_id(),
        "HostId": HOST_ID,
        "Code": "ServiceUnavailable",
        "Message": "The server has too many connections. Try again.",
        "Recommend": "",
    });
    HttpResponse {
        status: 503,
        content_type: render::CONTENT_TYPE_JSON,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    }
}
