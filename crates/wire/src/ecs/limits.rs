//! Every bound of a request by name. A number that limits what a client may send stands here and
//! nowhere else; what the product's own state may hold is not known here.

/// Most bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 512 * 1024;
/// Most bytes of a request's query, as sent. HTTP libraries stop at 64 KiB for a whole target;
/// just below that the refusal is ours, in the client's dialect.
pub const QUERY_BYTES_MAX: usize = 65_500;
/// Most parameters of a request, all carriers together, lists and objects flattened.
pub const PARAMETERS_MAX: usize = 4096;
/// Longest name of a parameter, decoded, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest value of a parameter, decoded, in bytes (the longest are lists written as JSON text).
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Highest N of `Name.N`.
pub const LIST_INDEX_MAX: usize = 1000;
/// Deepest nesting of lists and objects in JSON.
pub const JSON_NESTING_MAX: usize = 8;
/// How far a request's time stamp may lie from the server's clock, either way.
pub const TIMESTAMP_WINDOW_MS: u64 = 15 * 60 * 1000;
/// Most characters of a client's text that a message repeats.
pub const CHARACTERS_SHOWN_MAX: usize = 100;
/// Most bytes of the string to sign that a refused signature is answered with.
pub const STRING_TO_SIGN_SHOWN_MAX: usize = 64 * 1024;
/// Longest signature nonce, in bytes.
pub const NONCE_BYTES_MAX: usize = 128;
/// Longest access key id, in bytes.
pub const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
/// Most header fields that one signature may cover.
pub const SIGNED_HEADERS_MAX: usize = 64;
/// Most bytes of the message that the gateway's dialect repeats in a header field; clients bound
/// the head of an answer.
pub const GATEWAY_MESSAGE_BYTES_MAX: usize = 4096;
/// Longest wait for enforcement that may be asked for, in milliseconds: proxies cut what takes
/// longer than a minute.
pub const WAIT_TIMEOUT_MS_MAX: u64 = 60_000;
/// The wait for enforcement where the call names none, in milliseconds.
pub const WAIT_TIMEOUT_MS_DEFAULT: u64 = 10_000;
/// Most groups that one call may name for an interface; how many it may be in is a quota.
pub const INTERFACE_GROUPS_NAMED_MAX: usize = 64;
/// Most interfaces that one RunInstances may name; how many an instance may have is a quota.
pub const INSTANCE_INTERFACES_NAMED_MAX: usize = 32;
