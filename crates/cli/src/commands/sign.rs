//! `portcullis sign`: the signed parameters of one call, for `curl --data` and for links.
//!
//! Makes no call and reads no state: the key comes from the environment, time and nonce from the
//! system.

use portcullis_server::clock::{Clock, SystemClock};
use portcullis_server::identity::request_id;
use portcullis_wire::ecs::form::encode_pairs;
use portcullis_wire::ecs::parameters::Parameters;
use portcullis_wire::ecs::signature::rpc;
use portcullis_wire::ecs::time;

use crate::commands::serve::{KEY_ID_VARIABLE, KEY_SECRET_VARIABLE};
use crate::configuration::variable_text;
use crate::failure::{Failure, STATUS_BAD_INPUT};

/// The token of a temporary access key.
pub(crate) const SECURITY_TOKEN_VARIABLE: &str = "PORTCULLIS_SECURITY_TOKEN";
/// The version of a call that names none.
const VERSION_DEFAULT: &str = "2014-05-26";

/// What to sign.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The action, for example DescribeSecurityGroups
    #[arg(value_name = "ACTION")]
    action: String,
    /// Its parameters
    #[arg(value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// The HTTP method that the call will use
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    method: String,
}

/// Prints them as a form, ready to be sent as a body or after a `?`.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (key_id, key_secret) = (key(KEY_ID_VARIABLE)?, key(KEY_SECRET_VARIABLE)?);
    let mut pairs = vec![
        ("Action", arguments.action.clone()),
        ("Version", VERSION_DEFAULT.to_owned()),
        ("Format", "JSON".to_owned()),
        ("AccessKeyId", key_id),
        ("SignatureMethod", rpc::METHOD.to_owned()),
        ("SignatureVersion", rpc::VERSION.to_owned()),
        ("SignatureNonce", request_id()),
        ("Timestamp", time::format(SystemClock.now_ms())),
    ];
    let environment = |name: &str| std::env::var_os(name);
    let token = variable_text(&environment, SECURITY_TOKEN_VARIABLE);
    if let Some(token) = token.map_err(Failure::of_configuration)? {
        pairs.push(("SecurityToken", token));
    }
    for text in &arguments.parameters {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            let help = "write every parameter as NAME=VALUE";
            bad_input("BadParameter", format!("`{text}` has no `=`"), help)
        })?;
        pairs.retain(|(own, _)| *own != name);
        pairs.push((name, value.to_owned()));
    }
    let mut parameters = Parameters::default();
    for (name, value) in pairs {
        parameters
            .put(name.to_owned(), &value)
            .map_err(|refusal| bad_input("BadParameter", refusal.message, &refusal.help))?;
    }
    let signature = rpc::sign(&arguments.method, &parameters, key_secret.as_bytes());
    let all = parameters.pairs().chain([("Signature", signature.as_str())]);
    println!("{}", encode_pairs(all));
    Ok(())
}

fn key(variable: &str) -> Result<String, Failure> {
    let read = variable_text(&|name| std::env::var_os(name), variable);
    read.map_err(Failure::of_configuration)?.ok_or_else(|| {
        let help = "set the access key; the first start of `serve` prints one and keeps it";
        bad_input("NoAccessKey", format!("{variable} is not set"), help)
    })
}

fn bad_input(code: &'static str, message: String, help: &str) -> Failure {
    Failure { status: STATUS_BAD_INPUT, code, message, help: help.to_owned(), place: String::new() }
}
