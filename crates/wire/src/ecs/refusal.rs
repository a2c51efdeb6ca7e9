//! Why a request was not carried out, in the terms of the wire: a public code with its HTTP status.
//!
//! Codes and statuses are the contract that clients branch on; every code that this crate raises by
//! itself stands in [`CODES`]. Which of them applies is decided elsewhere.
use std::borrow::Cow;
use std::fmt;

use portcullis_core::error::{ApiError, ErrorClass};

use super::limits::CHARACTERS_SHOWN_MAX;

/// A refusal as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable public code.
    pub code: Cow<'static, str>,
    /// What happened, with the client's own text in backticks.
    pub message: String,
    /// What to do next; may be empty.
    pub help: String,
    /// The parameter or header concerned; may be empty.
    pub place: String,
    /// After how many milliseconds the same request may succeed, where that is known.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// The same refusal with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// The same refusal naming the parameter or header concerned.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    /// The same refusal saying when to try again.
    #[must_use]
    pub fn after(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }

    /// A required parameter is absent.
    pub fn missing(name: &str) -> Self {
        // A list and a scalar of one name are the same to a reader of the code.
        let bare = name.split('.').next().unwrap_or(name);
        Self {
            status: 400,
            code: Cow::Owned(format!("Missing{bare}")),
            message: format!("{bare} is mandatory for this action."),
            help: format!("Send `{name}`; an empty value counts as absent."),
            place: name.to_owned(),
            retry_after_ms: None,
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let status = match error.class {
            ErrorClass::Invalid => 400,
            ErrorClass::Forbidden => 403,
            ErrorClass::NotFound => 404,
            ErrorClass::Conflict => 409,
            ErrorClass::Internal => 500,
            ErrorClass::Unavailable => 503,
        };
        Self {
            status,
            code: error.code,
            message: error.message.into_owned(),
            help: error.help.into_owned(),
            place: error.place.into_owned(),
            retry_after_ms: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}

/// As much of a client's text as a message repeats.
pub(super) fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(CHARACTERS_SHOWN_MAX).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// One public code with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The code.
    pub name: &'static str,
    /// The HTTP status that goes with it.
    pub status: u16,
}

impl Code {
    /// A refusal with this code.
    pub fn refuse(self, message: impl Into<String>) -> Refusal {
        Refusal {
            status: self.status,
            code: Cow::Borrowed(self.name),
            message: message.into(),
            help: String::new(),
            place: String::new(),
            retry_after_ms: None,
        }
    }
}

macro_rules! codes {
    ($($constant:ident $status:literal $name:literal;)*) => {
        /// The codes by name.
        pub mod code {
            use super::Code;
            $(
                #[doc = concat!("`", $name, "`, HTTP ", stringify!($status), ".")]
                pub const $constant: Code = Code { name: $name, status: $status };
            )*
        }

        /// Every code that this crate raises by itself, but for `Missing…` of required parameters.
        pub const CODES: &[Code] = &[$(code::$constant),*];
    };
}

codes! {
    UNSUPPORTED_HTTP_METHOD 403 "UnsupportedHTTPMethod";
    REQUEST_TOO_LARGE 413 "RequestTooLarge";
    CONTENT_TYPE 400 "InvalidParameter.ContentType";
    ENCODING 400 "InvalidParameter.Encoding";
    JSON 400 "InvalidParameter.Json";
    NESTING 400 "InvalidParameter.Nesting";
    TOO_MANY 400 "InvalidParameter.TooMany";
    TOO_LONG 400 "InvalidParameter.TooLong";
    LIST_INDEX 400 "InvalidParameter.ListIndex";
    CONFLICT 400 "InvalidParameter.Conflict";
    FORMAT 400 "InvalidParameter.Format";
    MISSING_ACCESS_KEY_ID 400 "MissingAccessKeyId";
    INCOMPLETE_SIGNATURE 400 "IncompleteSignature";
    SIGNATURE_METHOD 400 "InvalidSignatureMethod";
    SIGNATURE_VERSION 400 "InvalidSignatureVersion";
    TIMESTAMP_FORMAT 400 "InvalidTimeStamp.Format";
    TIMESTAMP_EXPIRED 400 "InvalidTimeStamp.Expired";
    SIGNATURE_MISMATCH 400 "SignatureDoesNotMatch";
    THROTTLING_USER 400 "Throttling.User";
    NEED_TLS 404 "InvalidProtocol.NeedSsl";
    NONCE_USED 400 "SignatureNonceUsed";
    ACCESS_KEY_NOT_FOUND 404 "InvalidAccessKeyId.NotFound";
    ACCESS_KEY_INACTIVE 400 "InvalidAccessKeyId.Inactive";
    TOKEN_MISMATCH 400 "InvalidSecurityToken.MismatchWithAccessKey";
    TOKEN_MALFORMED 400 "InvalidSecurityToken.Malformed";
    TOKEN_EXPIRED 400 "InvalidSecurityToken.Expired";
    ACTION_NOT_FOUND 404 "InvalidAction.NotFound";
    MISSING_ACTION 400 "MissingAction";
    VERSION 400 "InvalidVersion";
    INVALID_PARAMETER 400 "InvalidParameter";
    UNSUPPORTED 400 "UnsupportedParameter";
    MISSING_PARAMETER 400 "MissingParameter";
    CLIENT_TOKEN 400 "InvalidClientToken.ValueNotSupported";
    REGION_NOT_FOUND 404 "InvalidRegionId.NotFound";
    ZONE_NOT_FOUND 404 "InvalidZoneId.NotFound";
    RESOURCE_GROUP_NOT_FOUND 404 "InvalidResourceGroup.NotFound";
    MISSING_REGION_ID 400 "MissingParameter.RegionId";
    MISSING_RESOURCE_TYPE 404 "MissingParameter.ResourceType";
    MISSING_TAGS 404 "MissingParameter.Tags";
    RESOURCE_TYPE 404 "InvalidResourceType.NotFound";
    RESOURCE_ID 404 "InvalidResourceId.NotFound";
    RESOURCE_IDS_EXCEED 400 "NumberExceed.ResourceIds";
    TAG_KEY 400 "InvalidTagKey.Malformed";
    TAG_VALUE 400 "InvalidTagValue.Malformed";
    TAG_DUPLICATE 400 "Duplicate.TagKey";
    TAGS_EXCEED 400 "NumberExceed.Tags";
    DESCRIPTION 400 "InvalidDescription.Malformed";
    VPC_NAME 400 "InvalidVpcName.Malformed";
    VSWITCH_NAME 400 "InvalidVSwitchName.Malformed";
    CIDR_BLOCK 400 "InvalidCidrBlock.Malformed";
    USER_CIDR 400 "InvalidUserCidr.Malformed";
    IPV6_CIDR_BLOCK 400 "InvalidIpv6CidrBlock.Malformed";
    VPC_VPC_NOT_FOUND 404 "InvalidVpcID.NotFound";
    VPC_VSWITCH_NOT_FOUND 404 "InvalidVswitchID.NotFound";
    ECS_VPC_NOT_FOUND 404 "InvalidVpcId.NotFound";
    ECS_VSWITCH_NOT_FOUND 404 "InvalidVSwitchId.NotFound";
    SECURITY_GROUP_ID_MALFORMED 400 "InvalidSecurityGroupId.Malformed";
    SECURITY_GROUP_NAME 400 "InvalidSecurityGroupName.Malformed";
    GROUP_DESCRIPTION 400 "InvalidSecurityGroupDiscription.Malformed";
    POLICY 400 "InvalidPolicy.Malformed";
    PROTOCOL 400 "InvalidIpProtocol.ValueNotSupported";
    PORT_RANGE 400 "InvalidParam.PortRange";
    SOURCE_PORT_RANGE 400 "InvalidSourcePortRange.Malformed";
    PORT_RANGE_LIST_NOT_FOUND 404 "InvalidPortRangeListId.NotFound";
    SOURCE_CIDR 400 "InvalidSourceCidrIp.Malformed";
    IPV6_SOURCE_CIDR 400 "InvalidParam.Ipv6SourceCidrIp";
    DEST_CIDR 400 "InvalidDestCidrIp.Malformed";
    IPV6_DEST_CIDR 400 "InvalidParam.Ipv6DestCidrIp";
    PRIORITY 400 "InvalidPriority.Malformed";
    PRIORITY_NOT_SUPPORTED 400 "InvalidPriority.ValueNotSupported";
    NIC_TYPE 400 "InvalidNicType.ValueNotSupported";
    DEST_GROUP_NOT_FOUND 404 "InvalidDestGroupId.NotFound";
    SOURCE_GROUP_NOT_FOUND 404 "InvalidSourceGroupId.NotFound";
    DEST_GROUP_OWNER 400 "InvalidParam.DestGroupOwner";
    SOURCE_GROUP_OWNER 400 "InvalidParam.SourceGroupOwner";
    PREFIX_LIST_NOT_FOUND 404 "InvalidPrefixListId.NotFound";
    PREFIX_LIST_NAME 400 "InvalidParameter.PrefixListName";
    ADDRESS_FAMILY 400 "InvalidParameter.AddressFamily";
    ENTRY_CIDR 400 "InvalidParameter.CidrMalformed";
    PORT_RANGE_LIST_NAME 400 "InvalidParameter.PortRangeListName";
    PORT_RANGE_LIST_MAX_ENTRIES 400 "InvalidOperation.MaxEntriesCountExceed";
    ENTRY_PORT_RANGE 400 "InvalidParameter.PortRange";
    PERMISSIONS 400 "InvalidParam.Permissions";
    RULE_ID 400 "InvalidParam.SecurityGroupRuleId";
    INTERFACE_NOT_FOUND 404 "InvalidEniId.NotFound";
    INTERFACE_NAME 400 "InvalidNetworkInterfaceName.Malformed";
    PRIVATE_IP 400 "InvalidPrivateIpAddress.Malformed";
    IPV6_ADDRESS 400 "InvalidIpv6Address.Malformed";
    INSTANCE_MALFORMED 400 "InvalidInstanceId.Malformed";
    INTERFACE_INSTANCE_MALFORMED 400 "InvalidInstanceID.Malformed";
    INSTANCE_NAME 400 "InvalidInstanceName.Malformed";
    HOST_NAME 400 "InvalidHostName.Malformed";
    NETWORK_INTERFACE 400 "InvalidParam.NetworkInterface";
    MAC_ADDRESS 400 "InvalidParam.MacAddress";
}

#[cfg(test)]
mod tests {
    use super::{CHARACTERS_SHOWN_MAX, CODES, Refusal, code, shown};

    #[test]
    fn a_refusal_has_four_fields() {
        let refusal = code::CONFLICT.refuse("`a` is not `b`").with_help("send one").at("RegionId");
        assert_eq!(refusal.to_string(), "InvalidParameter.Conflict: `a` is not `b`");
        assert_eq!((refusal.help.as_str(), refusal.place.as_str()), ("send one", "RegionId"));
        let missing = Refusal::missing("SecurityGroupIds.N");
        assert_eq!((missing.code.as_ref(), missing.status), ("MissingSecurityGroupIds", 400));
    }

    #[test]
    fn a_message_repeats_so_much_and_no_more() {
        let text = "網".repeat(CHARACTERS_SHOWN_MAX);
        assert_eq!(shown(&text), text);
        assert_eq!(shown(&format!("{text}x")), format!("{text}…"));
    }

    #[test]
    fn no_code_is_declared_twice() {
        let mut names: Vec<_> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
    }
}
