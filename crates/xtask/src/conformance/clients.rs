//! Which clients there are and how each is started: its environment, its program and its words. A
//! new client is a line here and a driver in `conformance/`.

use super::environment::Environment;
use super::scenario::Shape;

/// One real client in one of its ways to call.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its name in the table and on the command line, and in the scenario's `error of`.
    pub(crate) name: &'static str,
    /// What it is and how it calls.
    pub(crate) about: &'static str,
    pub(crate) environment: Environment,
    /// The driver, in the environment's folder, and its words.
    pub(crate) driver: &'static [&'static str],
    pub(crate) shape: Shape,
    /// Whether it calls by TLS, with a certificate of our own authority.
    pub(crate) tls: bool,
}

const fn client(
    name: &'static str,
    about: &'static str,
    environment: Environment,
    driver: &'static [&'static str],
) -> Client {
    Client { name, about, environment, driver, shape: Shape::Json, tls: false }
}

const fn by_tls(client: Client) -> Client {
    Client { tls: true, ..client }
}

/// All of them.
pub(crate) const CLIENTS: &[Client] = &[
    client(
        "core",
        "aliyun-python-sdk-ecs, typed: 1.0, POST, query",
        Environment::Python("rpc"),
        &["drive_core.py", "typed"],
    ),
    client(
        "core-common",
        "aliyun-python-sdk-core, CommonRequest: 1.0, form body",
        Environment::Python("rpc"),
        &["drive_core.py", "common"],
    ),
    by_tls(client(
        "core-tls",
        "aliyun-python-sdk-ecs, typed, by TLS",
        Environment::Python("rpc"),
        &["drive_core.py", "typed"],
    )),
    Client {
        shape: Shape::Text,
        ..client(
            "libcloud",
            "apache-libcloud: 1.0, GET, XML",
            Environment::Python("rpc"),
            &["drive_libcloud.py"],
        )
    },
    client(
        "tea",
        "alibabacloud_ecs20140526: ACS3",
        Environment::Python("tea"),
        &["drive_tea.py", "acs3"],
    ),
    client(
        "tea-v2",
        "alibabacloud_ecs20140526: signature_algorithm='v2'",
        Environment::Python("tea"),
        &["drive_tea.py", "v2"],
    ),
    by_tls(client(
        "tea-tls",
        "alibabacloud_ecs20140526: ACS3, by TLS",
        Environment::Python("tea"),
        &["drive_tea.py", "acs3"],
    )),
    client(
        "asapi",
        "aliyun-python-sdk-asapi: 2.1, GET",
        Environment::Python("asapi"),
        &["drive_asapi.py", "get"],
    ),
    client(
        "asapi-json",
        "aliyun-python-sdk-asapi: 2.1, JSON body",
        Environment::Python("asapi"),
        &["drive_asapi.py", "json"],
    ),
    client(
        "asapi-route",
        "aliyun-python-sdk-asapi: 2.1, /apsara/route",
        Environment::Python("asapi"),
        &["drive_asapi.py", "route"],
    ),
    client("pop-get", "@alicloud/pop-core: 1.0, GET", Environment::Node, &["drive_pop.js", "GET"]),
    client(
        "pop-post",
        "@alicloud/pop-core: 1.0, form body",
        Environment::Node,
        &["drive_pop.js", "POST"],
    ),
    client(
        "gateway",
        "aliyun-api-gateway: X-Ca, form body at /apsara/route",
        Environment::Node,
        &["drive_gateway.js", "form"],
    ),
    client(
        "gateway-query",
        "aliyun-api-gateway: X-Ca, GET",
        Environment::Node,
        &["drive_gateway.js", "query"],
    ),
    client("node", "@alicloud/ecs20140526: ACS3", Environment::Node, &["drive_typed.js"]),
    by_tls(client(
        "node-tls",
        "@alicloud/ecs20140526: ACS3, by TLS",
        Environment::Node,
        &["drive_typed.js"],
    )),
    client("go", "alibaba-cloud-sdk-go, typed: 1.0, POST, query", Environment::Go, &["typed"]),
    client(
        "go-common",
        "alibaba-cloud-sdk-go, CommonRequest: 1.0, GET",
        Environment::Go,
        &["common"],
    ),
    by_tls(client("go-tls", "alibaba-cloud-sdk-go, typed, by TLS", Environment::Go, &["typed"])),
];
