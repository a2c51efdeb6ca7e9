//! ansible-alicloud: its playbook is declarative and cannot be played step by step, so it asserts
//! for itself what must come of each task; here the tasks are counted. It has no option for the
//! server's address: the calls come through a proxy's variable.

use super::environment::Environment;
use super::server::{KEY, SECRET, Server};
use super::{Ground, Row};
use crate::{Outcome, run};
use std::path::Path;
use std::process::{Command, Stdio};

/// With a lasting access key, and with a temporary one.
pub(crate) const NAMES: [&str; 2] = ["ansible", "ansible-token"];
pub(crate) const ENVIRONMENT: Environment = Environment::Python("ansible");

/// Runs the playbook under one of [`NAMES`]; a task that fails ends it, and those after it count as
/// failed.
pub(crate) fn play(ground: &Ground, name: &'static str) -> Outcome<Row> {
    let server = Server::start(&ground.program, &ground.folder, name)?;
    let playbook = run::root().join("conformance/ansible/play.yml");
    let text = std::fs::read_to_string(&playbook);
    let text = text.map_err(|error| format!("{}: {error}", playbook.display()))?;
    let steps = text.lines().filter(|line| line.starts_with("    - name:")).count();
    let mut command = command(&ground.folder, &playbook, &server.place);
    if name != NAMES[0] {
        let temporary = Server::temporary_key(&ground.program, &ground.folder, name)?;
        command
            .env("ALICLOUD_ACCESS_KEY", temporary.key)
            .env("ALICLOUD_SECRET_KEY", temporary.secret)
            .env("ALICLOUD_SECURITY_TOKEN", temporary.token);
    }
    let output = command.output();
    let output = output.map_err(|error| format!("`{}`: {error}", run::shown(&command)))?;
    let (passed, mut complaints) = count(&String::from_utf8_lossy(&output.stdout));
    if passed != steps && complaints.is_empty() {
        complaints.push(String::from_utf8_lossy(&output.stderr).trim_end().to_owned());
    }
    eprintln!("{name}: {passed} of {steps}");
    let about = "ansible-alicloud, footmark: 1.0, through HTTP_PROXY";
    Ok(Row { name, about, passed, steps, complaints })
}

/// Ansible with a playbook, led to the server by a proxy's variable.
pub(crate) fn command(folder: &Path, playbook: &Path, place: &str) -> Command {
    let mut command = Command::new(ENVIRONMENT.program(folder, "ansible-playbook"));
    command
        .args(["--inventory", "localhost,", "--connection", "local"])
        .arg(playbook)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("ANSIBLE_HOME", folder.join("ansible-home"))
        .env("HTTP_PROXY", format!("http://{place}"))
        .env("ALICLOUD_REGION", "cn-hangzhou")
        .env("ALICLOUD_ACCESS_KEY", KEY)
        .env("ALICLOUD_SECRET_KEY", SECRET);
    command
}

/// The tasks that went well, and what the others said, from what ansible prints.
fn count(printed: &str) -> (usize, Vec<String>) {
    let mut task = "";
    let mut passed = 0;
    let mut complaints = Vec::new();
    for line in printed.lines() {
        if let Some(rest) = line.strip_prefix("TASK [") {
            task = rest.split(']').next().unwrap_or_default();
        } else if line.starts_with("ok: [") || line.starts_with("changed: [") {
            passed += 1;
        } else if let Some(rest) = line.strip_prefix("fatal: [localhost]: ") {
            complaints.push(format!("{task}: {rest}"));
        }
    }
    (passed, complaints)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn counts_tasks() {
        let printed = "PLAY [groups] ****\n\nTASK [one] ****\nchanged: [localhost]\n\n\
                       TASK [two] ****\nok: [localhost]\n\nTASK [three] ****\n\
                       fatal: [localhost]: FAILED! => {}\n\nPLAY RECAP ****\n\
                       localhost : ok=2 changed=1\n";
        assert_eq!(count(printed), (2, vec!["three: FAILED! => {}".to_owned()]));
        assert_eq!(count("nothing"), (0, vec![]));
    }
}
