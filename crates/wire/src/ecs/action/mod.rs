//! One table per action: its name, product, parameters and how they become a command.
//!
//! The table is the single source: required parameters are checked from it, refusals take their
//! code and their words from it, a decoder may ask for no name that is not in it, and help and
//! reference pages are printed from it. What a command does is the state's business.
use portcullis_core::command::Command;

use super::arguments::Arguments;
use super::carrier::{Call, Route};
use super::refusal::{Code, Refusal, code, shown};

mod absent;
mod addresses;
mod groups;
mod instances;
mod interfaces;
mod lists;
mod machines;
mod membership;
mod networks;
mod rules;
mod run_interfaces;
mod services;
mod shared;
mod tags;

pub use shared::ANY_TEXT;
pub(super) use tags::kind_name;

/// A product of the public API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Elastic compute: groups, rules, interfaces.
    Ecs,
    /// Networks: VPCs and vSwitches.
    Vpc,
    /// Tokens of identity.
    Sts,
    /// Where endpoints are.
    Location,
}

/// The version that the Apsara gateway gives to every product.
pub const GATEWAY_VERSION: &str = "2016-01-01";

impl Product {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ecs, Self::Vpc, Self::Sts, Self::Location];

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ecs => "Ecs",
            Self::Vpc => "Vpc",
            Self::Sts => "Sts",
            Self::Location => "Location",
        }
    }

    /// The public version.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Ecs => "2014-05-26",
            Self::Vpc => "2016-04-28",
            Self::Sts => "2015-04-01",
            Self::Location => "2015-06-12",
        }
    }

    /// The product of a call: the route's segment, else `Product`, else by version, else Ecs.
    fn of(call: &Call<'_>) -> Result<Self, Refusal> {
        let version = call.version();
        let by_version = version.and_then(|v| Self::ALL.into_iter().find(|p| p.version() == v));
        let named = match &call.route {
            Route::Apsara { product, .. } => Some(product.as_str()),
            Route::Rpc | Route::Asapi => call.parameters.get("Product"),
        };
        let product = match named {
            Some(name) => {
                let mut all = Self::ALL.into_iter();
                all.find(|product| product.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
                    let message =
                        format!("Specified api is not found: no product `{}`.", shown(name));
                    code::ACTION_NOT_FOUND.refuse(message).at("Product")
                })?
            }
            None => by_version.unwrap_or(Self::Ecs),
        };
        match version {
            Some(version) if version != product.version() && version != GATEWAY_VERSION => {
                let message = format!("`{}` is no version of {}", shown(version), product.name());
                let help = format!("Send `Version={}`.", product.version());
                Err(code::VERSION.refuse(message).with_help(help).at("Version"))
            }
            _ => Ok(product),
        }
    }
}

/// The type of a parameter, as the public definition names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// `Name.N`.
    List,
    /// `Name.N.Key`, or the list as one JSON text.
    Structures,
    /// `Name.Key`, or the object as one JSON text.
    Structure,
}

/// What comes of a parameter that the public API has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// What its explanation says.
    Obeyed,
    /// None, whatever its value: ignoring it misleads nobody, for the reason that its explanation
    /// gives.
    Ignored,
    /// It asks for what is not offered, and ignoring it would mislead: refused, for the reason that
    /// its explanation gives. These values ask for nothing and are let pass.
    Refused(&'static [&'static str]),
}

/// One parameter of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; `N` counts from 1.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What comes of it.
    pub effect: Effect,
    /// Whether the action needs it.
    pub required: bool,
    /// How its absence is refused where it is required; `None`: `Missing` and its name.
    pub absent: Option<Code>,
    /// How a value that does not fit is refused.
    pub refused: Code,
    /// What a value may be: "`{value}` is not {limits}".
    pub limits: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

impl Parameter {
    /// The same parameter, required.
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same parameter, required, its absence refused with a code of its own.
    pub(super) const fn required_else(self, absent: Code) -> Self {
        Self { required: true, absent: Some(absent), ..self }
    }

    /// The same parameter with another explanation.
    pub(super) const fn documented(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }

    /// The refusal of a call that lacks it.
    pub fn missing(&self) -> Refusal {
        let refusal = Refusal::missing(self.name);
        match self.absent {
            Some(Code { name, status }) => Refusal { code: name.into(), status, ..refusal },
            None => refusal,
        }
    }

    /// Whether a name in a call is this parameter, or lies below it.
    pub(super) fn covers(&self, name: &str) -> bool {
        let mut given = name.split('.');
        self.name.split('.').all(|own| match (own, given.next()) {
            ("N", Some(number)) => is_number(number),
            // A list may come as one JSON text under its bare name.
            ("N", None) => true,
            (own, given) => given == Some(own),
        })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// One action.
#[derive(Debug, Clone, Copy)]
pub struct Action {
    /// Its name.
    pub name: &'static str,
    /// The products it belongs to.
    pub products: &'static [Product],
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Whether it may change anything; writes take `ClientToken` and the wait for enforcement.
    pub write: bool,
    /// Its own parameters, in groups that actions share.
    pub parameters: &'static [&'static [Parameter]],
    /// From its parameters to the command.
    pub(super) decode: fn(&Arguments<'_>) -> Result<Command, Refusal>,
}

impl Action {
    /// Every parameter: its own, and those that all writes or all reads have.
    pub fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        let common = if self.write { shared::WRITE } else { shared::READ };
        self.parameters.iter().copied().chain([common]).flatten()
    }

    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters().find(|parameter| parameter.name == name)
    }

    /// Whether a name in a call is one of its parameters, or lies below one.
    pub fn knows(&self, name: &str) -> bool {
        self.parameters().any(|parameter| parameter.covers(name))
    }
}

/// Actions on one kind of thing.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Its short name, that of its reference page.
    pub name: &'static str,
    /// Its name for readers.
    pub title: &'static str,
    /// Its actions.
    pub actions: &'static [Action],
}

/// Every subject, in the order of the reference.
pub const SUBJECTS: &[Subject] = &[
    Subject { name: "networks", title: "VPCs, vSwitches, routes", actions: networks::ACTIONS },
    Subject { name: "groups", title: "Security groups", actions: groups::ACTIONS },
    Subject { name: "rules", title: "Rules", actions: rules::ACTIONS },
    Subject { name: "membership", title: "Members of groups", actions: membership::ACTIONS },
    Subject { name: "lists", title: "Prefix lists and port range lists", actions: lists::ACTIONS },
    Subject { name: "interfaces", title: "Network interfaces", actions: interfaces::ACTIONS },
    Subject { name: "tags", title: "Tags and resource groups", actions: tags::ACTIONS },
    Subject { name: "services", title: "Regions, zones, endpoints", actions: services::ACTIONS },
    Subject { name: "absent", title: "What there is none of", actions: absent::ACTIONS },
    Subject { name: "addresses", title: "Addresses of interfaces", actions: addresses::ACTIONS },
    Subject { name: "instances", title: "Instances", actions: instances::ACTIONS },
];

/// Every action, in the order of its subject.
pub fn all() -> impl Iterator<Item = &'static Action> {
    SUBJECTS.iter().flat_map(|subject| subject.actions)
}

/// The action that a call asks for.
pub fn dispatch(call: &Call<'_>) -> Result<&'static Action, Refusal> {
    let name = action_name(call)?;
    let product = Product::of(call)?;
    let mut same_name = all().filter(|action| action.name == name).peekable();
    if let Some(other) = same_name.peek().copied() {
        let found = same_name.find(|action| action.products.contains(&product));
        return found.ok_or_else(|| {
            let owner = other.products.first().copied().unwrap_or(Product::Ecs);
            let help = format!(
                "`{name}` belongs to {}: send `Version={}` or use its route.",
                owner.name(),
                owner.version()
            );
            no_such_action(name, product).with_help(help)
        });
    }
    Err(no_such_action(name, product))
}

fn no_such_action(name: &str, product: Product) -> Refusal {
    let message = "Specified api is not found, please check your url and method.";
    let message = format!("{message} {} has no action `{}`.", product.name(), shown(name));
    code::ACTION_NOT_FOUND.refuse(message).at("Action")
}

/// `Action` from the parameters, the `x-acs-action` header and the path; all that speak must agree.
fn action_name<'a>(call: &'a Call<'_>) -> Result<&'a str, Refusal> {
    let path = match &call.route {
        Route::Apsara { action, .. } => Some(action.as_str()),
        Route::Rpc | Route::Asapi => None,
    };
    let header = call.request.header("x-acs-action").filter(|name| !name.is_empty());
    let places =
        [("Action", call.parameters.get("Action")), ("x-acs-action", header), ("the path", path)];
    let mut said = places.into_iter().filter_map(|(place, name)| Some((place, name?)));
    let Some((first_place, name)) = said.next() else {
        let message = "Action is mandatory for this request.";
        return Err(code::MISSING_ACTION.refuse(message).at("Action"));
    };
    match said.find(|(_, other)| *other != name) {
        None => Ok(name),
        Some((place, other)) => {
            let message =
                format!("{first_place} says `{}` and {place} says `{}`", shown(name), shown(other));
            Err(code::CONFLICT.refuse(message).with_help("Name one action.").at("Action"))
        }
    }
}

#[cfg(test)]
mod tests;
