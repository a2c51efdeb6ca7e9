//! The clients' environments: installed by pip, npm and go as this machine has them configured, at
//! the pinned versions, into the build folder, and kept until a pin changes.

use crate::{Outcome, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a driver runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Environment {
    /// A virtual environment of Python; its pins are in the requirements file of this name.
    Python(&'static str),
    /// The folder of node's modules.
    Node,
    /// The compiled driver.
    Go,
}

/// The last thing written into an environment: the pins that it was made from.
const MADE_FROM: &str = "made-from";

impl Environment {
    /// Its folder under `conformance/`.
    fn sources(self) -> PathBuf {
        let folder = match self {
            Self::Python(_) => "python",
            Self::Node => "node",
            Self::Go => "go",
        };
        run::root().join("conformance").join(folder)
    }

    /// Where it is made, under the folder for all.
    fn place(self, all: &Path) -> PathBuf {
        match self {
            Self::Python(name) => all.join(format!("python-{name}")),
            Self::Node => all.join("node"),
            Self::Go => all.join("go"),
        }
    }

    /// The files that it is made from.
    fn pins(self) -> Vec<PathBuf> {
        let sources = self.sources();
        match self {
            Self::Python(name) => vec![sources.join(format!("{name}.txt"))],
            Self::Node => ["package.json", "package-lock.json"].map(|f| sources.join(f)).into(),
            Self::Go => ["go.mod", "go.sum", "main.go"].map(|f| sources.join(f)).into(),
        }
    }

    /// Makes it, unless it stands as the pins say.
    pub(crate) fn provide(self, all: &Path) -> Outcome<()> {
        let place = self.place(all);
        let mut pins = Vec::new();
        for path in self.pins() {
            let text = std::fs::read(&path);
            pins.extend(text.map_err(|error| format!("{}: {error}", path.display()))?);
        }
        if std::fs::read(place.join(MADE_FROM)).is_ok_and(|made_from| made_from == pins) {
            return Ok(());
        }
        let broken = |error: std::io::Error| format!("{}: {error}", place.display());
        if place.exists() {
            std::fs::remove_dir_all(&place).map_err(broken)?;
        }
        std::fs::create_dir_all(&place).map_err(broken)?;
        self.make(&place)?;
        std::fs::write(place.join(MADE_FROM), pins).map_err(broken)
    }

    fn make(self, place: &Path) -> Outcome<()> {
        let sources = self.sources();
        let target = place.to_string_lossy();
        match self {
            Self::Python(name) => {
                quietly(run::command("python3", &["-m", "venv", &target]))?;
                let pip = place.join("bin/pip");
                let pins = sources.join(format!("{name}.txt"));
                let words = ["install", "--quiet", "--no-deps", "--requirement"];
                let mut install = run::command(&pip.to_string_lossy(), &words);
                install.arg(pins);
                quietly(install)
            }
            Self::Node => {
                for pin in self.pins() {
                    let to = place.join(pin.file_name().unwrap_or_default());
                    std::fs::copy(&pin, to).map_err(|error| error.to_string())?;
                }
                let words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
                let mut install = run::command("npm", &words);
                install.current_dir(place);
                quietly(install)
            }
            Self::Go => {
                let mut build = run::command("go", &["build", "-o", &target, "."]);
                build.current_dir(sources).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
                quietly(build)
            }
        }
    }

    /// The program that plays `words`, the driver first where it is a file.
    pub(crate) fn command(self, all: &Path, words: &[&str]) -> Command {
        let place = self.place(all);
        let (program, driver) = match self {
            Self::Python(_) => (place.join("bin/python"), true),
            Self::Node => (PathBuf::from("node"), true),
            Self::Go => (place.join("conformance"), false),
        };
        let mut command = Command::new(program);
        if driver && let [file, rest @ ..] = words {
            command.arg(self.sources().join(file)).args(rest);
        } else {
            command.args(words);
        }
        if self == Self::Node {
            command.env("NODE_PATH", place.join("node_modules"));
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(place);
        command
    }

    /// A program that the environment brings.
    pub(crate) fn program(self, all: &Path, name: &str) -> PathBuf {
        self.place(all).join("bin").join(name)
    }
}

/// Runs a command; what it printed is shown only when it fails.
pub(crate) fn quietly(mut command: Command) -> Outcome<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{}`: {error}", run::shown(&command)))?;
    if output.status.success() {
        return Ok(());
    }
    let told = [output.stdout, output.stderr].concat();
    Err(format!("`{}`: {}", run::shown(&command), String::from_utf8_lossy(&told).trim_end()))
}
