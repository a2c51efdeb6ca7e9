//! `portcullis api`: what can be called, and one signed call to a running server.
//!
//! Names and explanations come from the action tables; what a call does, the server decides.

use std::path::PathBuf;

use portcullis_server::clock::{Clock, SystemClock};
use portcullis_server::directory::DataDirectory;
use portcullis_server::identity::request_id;
use portcullis_wire::ecs::action::{self, Action, Product};
use portcullis_wire::ecs::form::encode_pairs;
use portcullis_wire::ecs::help;
use portcullis_wire::ecs::parameters::Parameters;
use portcullis_wire::ecs::signature::rpc;
use portcullis_wire::ecs::time;
use serde_json::Value;

use crate::client::{self, Answer, Endpoint};
use crate::commands::serve::{KEY_ID_VARIABLE, KEY_SECRET_VARIABLE, half};
use crate::commands::sign::SECURITY_TOKEN_VARIABLE;
use crate::configuration::{Configuration, Flags, variable_text};
use crate::failure::{Failure, STATUS_BAD_INPUT};

/// Names the server to call.
const ENDPOINT_VARIABLE: &str = "PORTCULLIS_ENDPOINT";
/// Names the certificate to trust.
const AUTHORITY_VARIABLE: &str = "PORTCULLIS_CA_CERT";

const USAGE: &str = "\
Calls an action of a running server and prints its answer.

Usage: portcullis api [OPTIONS] ACTION [--NAME VALUE | --NAME=VALUE | NAME=VALUE]...
       portcullis api ACTION --help

Where two products have an action of one name, ACTION is that of Ecs; the other one is named with
its product, like Vpc.TagResources.

Options, ahead of the action:
  --endpoint URL      where the server answers [default: where `serve` is configured to]
  --ca-cert FILE      the certificate to trust at an https endpoint
  --data DIRECTORY    the server's data directory, for the first access key
  --config FILE       read the configuration from this file

The access key comes from PORTCULLIS_ACCESS_KEY_ID and PORTCULLIS_ACCESS_KEY_SECRET (and
PORTCULLIS_SECURITY_TOKEN), else from `credentials` in the data directory. RegionId is the first
configured region where the call names none.

Actions:
";

/// Calls an action of a running server, or explains it
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Explain the actions, or the one that is named
    #[arg(short, long)]
    help: bool,
    /// Where the server answers
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The certificate to trust at an https endpoint
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// The data directory of the running server
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The action and its parameters
    #[arg(value_name = "ACTION", trailing_var_arg = true, allow_hyphen_values = true)]
    call: Vec<String>,
}

/// Explains, or calls and prints the answer.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Some((name, rest)) = arguments.call.split_first() else {
        print!("{USAGE}{}", help::overview());
        return Ok(());
    };
    let (action, product) = find_action(name)?;
    if arguments.help || rest.iter().any(|word| word == "--help" || word == "-h") {
        print!("{}{}", help::page(action), others(action));
        return Ok(());
    }
    let environment = |name: &str| std::env::var_os(name);
    let flags = Flags {
        data: arguments.data.clone(),
        config: arguments.config.clone(),
        ..Flags::default()
    };
    let configuration =
        Configuration::read(&flags, &environment).map_err(Failure::of_configuration)?;
    let variable = |name| variable_text(&environment, name).map_err(Failure::of_configuration);
    let endpoint = match arguments.endpoint.clone().or(variable(ENDPOINT_VARIABLE)?) {
        Some(text) => text,
        None => format!("http://{}", configuration.reachable()),
    };
    let endpoint: Endpoint = endpoint.parse().map_err(|error| {
        let help = "write it like http://127.0.0.1:8080";
        bad_input("BadEndpoint", format!("`{endpoint}` is no endpoint: {error}"), help)
    })?;
    let authority = arguments.ca_cert.clone().or(variable(AUTHORITY_VARIABLE)?.map(PathBuf::from));
    let mut parameters = read_parameters(action, rest)?;
    let has_region = action.parameter("RegionId").is_some();
    if has_region && !parameters.is_present("RegionId") {
        let region = configuration.regions.first().map(ToString::to_string);
        put(&mut parameters, "RegionId", &region.unwrap_or_default())?;
    }
    let key = Key::find(&configuration)?;
    let form = sign(action, product, parameters, &key)?;
    let help = "check that the server runs and the endpoint is right";
    let answer = client::post(&endpoint, authority.as_deref(), &form)
        .map_err(|error| Failure::new("NoAnswer", error, help))?;
    print_answer(&answer)
}

/// The action of a name with the product it is called of: `Vpc.TagResources`, or the name alone.
fn find_action(name: &str) -> Result<(&'static Action, Product), Failure> {
    let unknown = || {
        let help = "`portcullis api --help` lists what there is";
        bad_input("NoSuchAction", format!("there is no action `{name}`"), help)
    };
    let (product, bare) = match name.split_once('.') {
        Some((product, bare)) => {
            let mut all = Product::ALL.into_iter();
            let named = all.find(|own| own.name().eq_ignore_ascii_case(product));
            (Some(named.ok_or_else(unknown)?), bare)
        }
        None => (None, name),
    };
    let mut tables = action::all().filter(|action| action.name == bare);
    let found = tables.find_map(|action| {
        let mut products = action.products.iter().copied();
        let called = products.find(|own| product.is_none_or(|product| product == *own))?;
        Some((action, called))
    });
    found.ok_or_else(unknown)
}

/// What else has the name of an action, in a sentence.
fn others(action: &Action) -> String {
    let same = action::all().filter(|other| other.name == action.name);
    let others = same.filter(|other| other.products != action.products);
    others
        .flat_map(|other| other.products)
        .map(|product| {
            format!("\nAnother action of this name is `{}.{}`.\n", product.name(), action.name)
        })
        .collect()
}

/// An access key as calls need it.
struct Key {
    id: String,
    secret: String,
    token: Option<String>,
}

impl Key {
    /// The key of the environment, else the first key of the data directory.
    fn find(configuration: &Configuration) -> Result<Self, Failure> {
        let variable = |name| {
            variable_text(&|name: &str| std::env::var_os(name), name)
                .map_err(Failure::of_configuration)
        };
        let token = variable(SECURITY_TOKEN_VARIABLE)?;
        // Half a key never makes the call another's: that of the data directory may be root's.
        match (variable(KEY_ID_VARIABLE)?, variable(KEY_SECRET_VARIABLE)?) {
            (Some(id), Some(secret)) => return Ok(Self { id, secret, token }),
            (Some(_), None) => return Err(half(KEY_ID_VARIABLE, KEY_SECRET_VARIABLE)),
            (None, Some(_)) => return Err(half(KEY_SECRET_VARIABLE, KEY_ID_VARIABLE)),
            (None, None) if token.is_some() => {
                return Err(half(SECURITY_TOKEN_VARIABLE, KEY_ID_VARIABLE));
            }
            (None, None) => {}
        }
        let path = DataDirectory::at(&configuration.data).credentials();
        let none = |cause: String| {
            let help = format!("set {KEY_ID_VARIABLE} and {KEY_SECRET_VARIABLE}");
            let message = format!("no access key, and none in {}: {cause}", path.display());
            bad_input("NoAccessKey", message, &help)
        };
        let text = std::fs::read_to_string(&path).map_err(|error| none(error.to_string()))?;
        let value = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
        };
        match (value(KEY_ID_VARIABLE), value(KEY_SECRET_VARIABLE)) {
            (Some(id), Some(secret)) => Ok(Self { id, secret, token: None }),
            _ => Err(none("the file does not hold one".to_owned())),
        }
    }
}

/// The parameters of a command line, each one that the action knows.
fn read_parameters(action: &Action, words: &[String]) -> Result<Parameters, Failure> {
    let mut parameters = Parameters::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let bare = word.strip_prefix("--");
        let (name, value) = match (word.split_once('='), bare) {
            (Some((name, value)), _) => (name.strip_prefix("--").unwrap_or(name), value),
            (None, Some(name)) => match words.next() {
                Some(value) => (name, value.as_str()),
                None => {
                    let message = format!("`{word}` has no value");
                    return Err(bad_input("BadParameter", message, "write --NAME VALUE"));
                }
            },
            (None, None) => {
                let help = "write --NAME VALUE or NAME=VALUE";
                return Err(bad_input("BadParameter", format!("`{word}` has no `=`"), help));
            }
        };
        if !action.knows(name) {
            let help = format!("`portcullis api {} --help` lists its parameters", action.name);
            let message = format!("{} has no parameter `{name}`", action.name);
            return Err(bad_input("BadParameter", message, &help));
        }
        put(&mut parameters, name, value)?;
    }
    Ok(parameters)
}

/// The call as a signed form.
fn sign(
    action: &Action,
    product: Product,
    mut parameters: Parameters,
    key: &Key,
) -> Result<String, Failure> {
    for (name, value) in [
        ("Action", action.name),
        ("Version", product.version()),
        ("Format", "JSON"),
        ("AccessKeyId", &key.id),
        ("SignatureMethod", rpc::METHOD),
        ("SignatureVersion", rpc::VERSION),
        ("SignatureNonce", &request_id()),
        ("Timestamp", &time::format(SystemClock.now_ms())),
    ] {
        put(&mut parameters, name, value)?;
    }
    if let Some(token) = &key.token {
        put(&mut parameters, "SecurityToken", token)?;
    }
    let signature = rpc::sign("POST", &parameters, key.secret.as_bytes());
    Ok(encode_pairs(parameters.pairs().chain([("Signature", signature.as_str())])))
}

/// Prints a success as it is; a refusal is a failure with the server's code.
fn print_answer(answer: &Answer) -> Result<(), Failure> {
    let body: Value = serde_json::from_str(&answer.body).map_err(|error| {
        let help = "check that the endpoint is a Portcullis server";
        Failure::because("NoAnswer", &error, help)
    })?;
    if answer.status == 200 {
        return crate::commands::socket::print_json(&body);
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = format!("{} ({}): {}", text("Code"), answer.status, text("Message"));
    let failure = Failure::new("Refused", message, text("Recommend"));
    Err(Failure { place: format!("request {}", text("RequestId")), ..failure })
}

fn put(parameters: &mut Parameters, name: &str, value: &str) -> Result<(), Failure> {
    parameters
        .put(name.to_owned(), value)
        .map_err(|refusal| bad_input("BadParameter", refusal.message, &refusal.help))
}

fn bad_input(code: &'static str, message: String, help: &str) -> Failure {
    Failure { status: STATUS_BAD_INPUT, code, message, help: help.to_owned(), place: String::new() }
}
