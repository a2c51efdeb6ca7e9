//! The server itself: its regions, zones and endpoints, and who is asking.
use portcullis_core::command::{Command, DescribeEndpoints, Service};

use super::shared::{ANY_TEXT, REGION, ignored, text};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::refusal::{Refusal, code};

const ONE_LANGUAGE: &str = "Names here are in one language.";
const NOTHING_SOLD: &str = "Nothing is sold here: every region and zone offers the same.";

const ACCEPT_LANGUAGE: Parameter = ignored("AcceptLanguage", Kind::Text, ONE_LANGUAGE);

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "DescribeRegions",
        products: &[Product::Ecs, Product::Vpc],
        summary: "Lists the regions of this server.",
        write: false,
        // Without `RegionId`: clients send their own default region, known here or not.
        parameters: &[&[
            ACCEPT_LANGUAGE,
            ignored("InstanceChargeType", Kind::Text, NOTHING_SOLD),
            ignored("ResourceType", Kind::Text, NOTHING_SOLD),
            ignored("ProductType", Kind::Text, NOTHING_SOLD),
        ]],
        decode: |_| Ok(Command::DescribeRegions),
    },
    Action {
        name: "DescribeZones",
        products: &[Product::Ecs, Product::Vpc],
        summary: "Lists the zones of a region: `a`, `b`, `c`, and those of the caller's vSwitches.",
        write: false,
        parameters: &[&[
            REGION,
            ACCEPT_LANGUAGE,
            ignored("InstanceChargeType", Kind::Text, NOTHING_SOLD),
            ignored("SpotStrategy", Kind::Text, NOTHING_SOLD),
            ignored("Verbose", Kind::Boolean, "The answer has the same fields in any case."),
            ignored("ZoneType", Kind::Text, "All zones here are of one type."),
        ]],
        decode: |_| Ok(Command::DescribeZones),
    },
    Action {
        name: "GetCallerIdentity",
        products: &[Product::Sts],
        summary: "Says whose access key signed the call.",
        write: false,
        parameters: &[],
        decode: |_| Ok(Command::GetCallerIdentity),
    },
    Action {
        name: "DescribeEndpoints",
        products: &[Product::Location],
        summary: "Says where a service is: here.",
        write: false,
        parameters: &[&[
            text(
                "Id",
                code::REGION_NOT_FOUND,
                "a region of this server: 1 to 100 letters, digits, `-`, `_`, `.`",
                "The region.",
            )
            .required(),
            text(
                "ServiceCode",
                code::INVALID_PARAMETER,
                ANY_TEXT,
                "The service: `ecs`, `vpc`, `sts` or `location`, in any case; others are not here.",
            )
            .required(),
            text(
                "Type",
                code::INVALID_PARAMETER,
                ANY_TEXT,
                "`openAPI`, which is the default; endpoints of other types are not here.",
            ),
            ignored("Namespace", Kind::Text, "There is one."),
        ]],
        decode: endpoints,
    },
];

fn endpoints(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let named: String = arguments.required("ServiceCode")?;
    let service = Service::ALL.into_iter().find(|own| own.name().eq_ignore_ascii_case(&named));
    let open = arguments.text("Type").is_none_or(|text| text.eq_ignore_ascii_case("openAPI"));
    Ok(Command::DescribeEndpoints(DescribeEndpoints {
        region: arguments.required("Id")?,
        service: service.filter(|_| open),
    }))
}
