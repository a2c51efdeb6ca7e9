//! `./x conformance terraform`: builds the program and hands over to the script that drives the
//! Terraform providers and the public cloud's command line. What those do it does not know.

use crate::{Outcome, run};

const DRIVER: &str = "conformance/terraform/run.py";

/// Builds, drives, and says what failed.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    run::must_succeed(run::cargo(&["build", "-p", "portcullis"]))?;
    let program = run::target_directory()?.join("debug/portcullis");
    let program = program.to_string_lossy();
    let mut command = run::command("python3", &[DRIVER, "--portcullis", &program]);
    command.args(arguments);
    run::must_succeed(command)
}

#[cfg(test)]
mod tests {
    use crate::run::root;

    /// The configurations of a folder, one after the other.
    fn configurations() -> String {
        let names = ["alicloud", "alibabacloudstack"];
        let files = names.iter().flat_map(|name| ["provider.tf", "main.tf"].map(|f| (name, f)));
        let read = |(name, file): (&&str, &str)| {
            let path = root().join("conformance/terraform").join(name).join(file);
            std::fs::read_to_string(path).unwrap()
        };
        files.map(read).collect()
    }

    #[test]
    fn the_guide_shows_what_is_driven() {
        let guide = std::fs::read_to_string(root().join("docs/guide/terraform.md")).unwrap();
        let driven = configurations();
        let fences: Vec<&str> = guide.split("```hcl\n").skip(1).collect();
        assert!(fences.len() >= 2);
        for fence in fences {
            let shown = fence.split("\n```").next().unwrap();
            assert!(driven.contains(shown), "not in conformance/terraform:\n{shown}");
        }
    }
}
