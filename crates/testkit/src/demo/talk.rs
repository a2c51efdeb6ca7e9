//! How to talk to what was left running: a shell script for curl and a Python program, written out.

use super::stage::Stage;
use crate::lab::product::{KEY_ID, KEY_SECRET, REGION};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes both beside the data, and returns what to print.
pub(super) fn write(stage: &dyn Stage) -> Result<Vec<String>, String> {
    let product = stage.product();
    let client = &stage.estate().client;
    let inside = client
        .namespace
        .as_ref()
        .map_or(String::new(), |namespace| format!("ip netns exec {} ", namespace.name()));
    let group = stage.estate().group("web")?;
    let directory = product.data().parent().map(Path::to_owned).unwrap_or_default();
    let (shell, python) = (directory.join("talk.sh"), directory.join("talk.py"));
    let shell_text = SHELL
        .replace("{inside}", &inside)
        .replace("{program}", &product.program().to_string_lossy())
        .replace("{address}", &client.address.to_string())
        .replace("{group}", group);
    let python_text = PYTHON.replace("{address}", &client.address.to_string());
    for (path, text) in [(&shell, &shell_text), (&python, &python_text)] {
        let text = text
            .replace("{region}", REGION)
            .replace("{key}", KEY_ID)
            .replace("{secret}", KEY_SECRET);
        let written = std::fs::write(path, text)
            .and_then(|()| std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let sdk = directory.join("sdk");
    let sdk = sdk.display();
    let mut lines = vec![
        "\nIt is still running. From another terminal:".to_owned(),
        format!("\n  with curl:        bash {}", shell.display()),
        format!(
            "  with the SDK:     python3 -m venv {sdk} && {sdk}/bin/pip install --quiet \
             aliyun-python-sdk-core && {inside}{sdk}/bin/python {}",
            python.display()
        ),
    ];
    if let Some(namespace) = &client.namespace {
        let data = product.data();
        lines.push(format!(
            "  what it counts:   {} drops --data {}",
            product.program().display(),
            data.display()
        ));
        lines.push(format!("  inside the host:  ip netns exec {} bash", namespace.name()));
    }
    for (name, path) in [("talk.sh", &shell), ("talk.py", &python)] {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        lines.push(format!("\n--- {name}\n{}", text.trim_end()));
    }
    lines.push("\nCtrl-C ends it and removes everything.".to_owned());
    Ok(lines)
}

const SHELL: &str = r#"#!/bin/sh
# Opens one port by the call it all starts from, then shows the group's rules.
set -eu
export PORTCULLIS_ACCESS_KEY_ID={key} PORTCULLIS_ACCESS_KEY_SECRET={secret}
call() {
  action=$1; shift
  {inside}curl --silent --show-error --data "$({program} sign "$action" RegionId={region} "$@")" \
    "http://{address}/apsara/route/Ecs/$action"
  echo
}
call AuthorizeSecurityGroupEgress SecurityGroupId={group} IpProtocol=tcp PortRange=8443/8443 \
  DestCidrIp=198.51.100.0/24 Policy=accept Priority=1
call DescribeSecurityGroupAttribute SecurityGroupId={group}
"#;

const PYTHON: &str = r#"from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

client = AcsClient("{key}", "{secret}", "{region}")
request = CommonRequest(
    domain="{address}", version="2014-05-26", action_name="DescribeSecurityGroups"
)
request.set_protocol_type("http")
request.set_method("POST")
print(client.do_action_with_exception(request).decode())
"#;
