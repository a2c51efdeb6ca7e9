//! What a client is told when the server itself is at a bound: too many, too large, too slow, or
//! out of order. The codes are in the style of the public API's gateway.
//!
//! Refusals of what a request *says* are made elsewhere; this page knows no action.

use portcullis_core::error::{ApiError, ErrorClass};
use portcullis_wire::ecs::http::HttpResponse;

use crate::identity::request_id;

/// `ServiceUnavailable`: something is full or out of order for now; trying again is right.
pub(crate) fn unavailable(message: &'static str, help: &'static str) -> ApiError {
    ApiError::new(ErrorClass::Unavailable, "ServiceUnavailable", message).help(help)
}

/// `InternalError`: a fault of ours that trying again need not cure.
pub(crate) fn internal(message: &'static str, help: &'static str) -> ApiError {
    ApiError::new(ErrorClass::Internal, "InternalError", message).help(help)
}

pub(crate) fn too_many_connections() -> HttpResponse {
    let message = "The server has too many connections. Try again.";
    before_the_request(503, "ServiceUnavailable", message)
}

pub(crate) fn body_too_large(maximum: usize) -> HttpResponse {
    let message = format!("The body of a request is at most {maximum} bytes.");
    before_the_request(413, "RequestTooLarge", &message)
}

pub(crate) fn body_too_slow(time_max_ms: u64) -> HttpResponse {
    let message = format!("The body did not arrive within {time_max_ms} milliseconds.");
    before_the_request(408, "RequestTimeout", &message)
}

pub(crate) fn body_unreadable(cause: &dyn std::error::Error) -> HttpResponse {
    let message = format!("The body could not be read: {cause}.");
    before_the_request(400, "InvalidParameter.Body", &message)
}

/// A refusal of a request that was not read, so that nobody knows which format it asks for.
fn before_the_request(status: u16, code: &str, message: &str) -> HttpResponse {
    let body = serde_json::json!({
        "RequestId": request_id(),
        "HostId": crate::identity::HOST_ID,
        "Code": code,
        "Message": message,
        "Recommend": "",
    });
    HttpResponse {
        status,
        content_type: "application/json;charset=utf-8",
        body: body.to_string().into_bytes(),
    }
}
