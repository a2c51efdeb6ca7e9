//! Every bound of the model by name. A number that limits something stands here and nowhere else.

/// Longest id, in bytes (the API's own bound for group ids).
pub const ID_LENGTH_MAX: usize = 100;
/// Lowest and highest `Priority`.
pub const PRIORITY_MIN: u8 = 1;
/// Highest `Priority` number, the last to be asked.
pub const PRIORITY_MAX: u8 = 100;
/// Most groups that one interface may be in, whatever the quota says
/// (`docs/reference/verdicts.md`, section 1).
pub const GROUPS_PER_INTERFACE_MAX: usize = 16;
/// Most tags of one resource.
pub const TAGS_PER_RESOURCE_MAX: usize = 20;
/// Longest key of a tag.
pub const TAG_KEY_CHARACTERS_MAX: usize = 128;
/// Longest value of a tag.
pub const TAG_VALUE_CHARACTERS_MAX: usize = 128;
/// Most resources that one call may tag.
pub const RESOURCES_PER_TAG_CALL_MAX: usize = 50;
/// Most tag filters with parts of texts in one call, and most values in each.
pub const TAG_SEARCHES_MAX: usize = 5;
/// Rows of a page of DescribeTags where `PageSize` is not sent.
pub const TAG_PAGE_SIZE_DEFAULT: u32 = 50;
/// Largest `MaxResults` of ListTagResources, and where none is sent.
pub const TAG_RESULTS_MAX: u32 = 50;
/// Most rules that one call may authorize or revoke.
pub const PERMISSIONS_PER_CALL_MAX: usize = 100;
/// Most instances that one call may make, start, stop or delete.
pub const INSTANCES_PER_CALL_MAX: usize = 100;
/// Most `MaxEntries` of a prefix list.
pub const PREFIX_LIST_ENTRIES_MAX: u16 = 200;
/// Most `MaxEntries` of a port range list.
pub const PORT_RANGE_LIST_ENTRIES_MAX: u16 = 2000;
/// Most entries that one call may add to a list, and most that it may remove.
pub const ENTRIES_PER_CALL_MAX: usize = 200;
/// Most groups that one DescribeSecurityGroupReferences may ask about.
pub const REFERENCED_GROUPS_PER_CALL_MAX: usize = 10;
/// Most ids in one `Describe` filter.
pub const IDS_PER_FILTER_MAX: usize = 100;
/// Most IPv4 addresses of an interface beside its primary one.
pub const SECONDARY_ADDRESSES_MAX: usize = 49;
/// Most IPv6 addresses of an interface.
pub const IPV6_ADDRESSES_MAX: usize = 10;
/// Most prefixes of one family of an interface.
pub const INTERFACE_PREFIXES_MAX: usize = 10;
/// Length of an interface's IPv4 prefixes.
pub const IPV4_PREFIX_LENGTH: u8 = 28;
/// Length of an interface's IPv6 prefixes.
pub const IPV6_PREFIX_LENGTH: u8 = 80;
/// Largest `QueueNumber` of an interface.
pub const QUEUE_NUMBER_MAX: u16 = 2048;
/// How long a client token is remembered: 24 hours.
pub const CLIENT_TOKEN_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
/// Most expired client tokens that one write removes, so that no write pays for many.
pub const EXPIRED_TOKENS_PER_WRITE_MAX: usize = 16;
/// `PageSize` where none is sent.
pub const PAGE_SIZE_DEFAULT: u32 = 10;
/// Largest `PageSize`.
pub const PAGE_SIZE_MAX: u32 = 100;
/// `MaxResults` of DescribeSecurityGroups and its like where only `NextToken` is sent.
pub const MAX_RESULTS_DEFAULT: u32 = 10;
/// Largest `MaxResults` of DescribeSecurityGroups.
pub const MAX_RESULTS_MAX: u32 = 100;
/// `MaxResults` of DescribeSecurityGroupAttribute where only `NextToken` is sent.
pub const LONG_RESULTS_DEFAULT: u32 = 500;
/// Smallest `MaxResults` of DescribeNetworkInterfaces; a smaller one counts as this.
pub const INTERFACE_RESULTS_MIN: u32 = 10;
/// Largest `MaxResults` of DescribeNetworkInterfaces; a larger one counts as this.
pub const INTERFACE_RESULTS_MAX: u32 = 500;
/// Largest `MaxResults` of DescribeSecurityGroupAttribute.
pub const RULE_RESULTS_MAX: u32 = 1000;
/// Shortest and longest prefix of a VPC's IPv4 block.
pub const VPC_PREFIX_LENGTHS: core::ops::RangeInclusive<u8> = 8..=28;
/// Shortest and longest prefix of a vSwitch's IPv4 block.
pub const VSWITCH_PREFIX_LENGTHS: core::ops::RangeInclusive<u8> = 16..=29;
/// Length of a VPC's IPv6 block.
pub const VPC_IPV6_PREFIX_LENGTH: u8 = 56;
/// Length of a vSwitch's IPv6 block.
pub const VSWITCH_IPV6_PREFIX_LENGTH: u8 = 64;
/// Most `UserCidr` of a VPC.
pub const USER_CIDRS_MAX: usize = 3;
/// Live flows of one interface.
pub const FLOWS_PER_INTERFACE_DEFAULT: u32 = 16_384;
/// Live flows that one interface can always have, whatever others have.
pub const FLOWS_PER_INTERFACE_RESERVED: u32 = 256;
/// Most live flows that one interface may be allowed.
pub const FLOWS_PER_INTERFACE_MAX: u32 = 65_536;
/// Live flows that all interfaces of a host share beyond what is reserved for each.
pub const FLOWS_SHARED: u32 = 131_072;
/// Most accounts of a server.
pub const ACCOUNTS_MAX: usize = 10_000;
/// Shortest and longest life of a temporary key: a quarter of an hour to half a day.
pub const KEY_SESSION_LIVES_S: core::ops::RangeInclusive<u64> = 900..=43_200;
/// Life of a temporary key where none is asked for: an hour.
pub const KEY_SESSION_LIFE_DEFAULT_S: u64 = 3600;
/// Most expired temporary keys that one write removes, so that no write pays for many.
pub const EXPIRED_KEYS_PER_WRITE_MAX: usize = 16;
/// Most runs of one host at the same time: half of the interfaces that a host may have.
pub const RUNS_PER_HOST_MAX: usize = 512;
/// Most things that a refusal names.
pub const NAMED_IN_REFUSAL_MAX: usize = 10;
