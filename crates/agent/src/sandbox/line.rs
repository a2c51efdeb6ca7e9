//! What the two halves say to each other: a line each.
use super::{Ending, SandboxError};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// From inside: the namespaces are there.
    Ready,
    /// From outside: start the command.
    Go,
    /// From inside: it is started.
    Started,
    /// From inside: it cannot be started.
    NotStarted { is_absent: bool, message: String },
    /// From inside: something else does not work.
    Failed(String),
    /// From inside: it has ended.
    Ended(Ending),
}

impl Line {
    pub(super) fn text(&self) -> String {
        // Messages are one line.
        let flat = |message: &str| message.replace('\n', " ");
        match self {
            Self::Ready => "ready\n".into(),
            Self::Go => "go\n".into(),
            Self::Started => "started\n".into(),
            Self::NotStarted { is_absent: true, message } => format!("absent {}\n", flat(message)),
            Self::NotStarted { is_absent: false, message } => format!("unable {}\n", flat(message)),
            Self::Failed(message) => format!("failed {}\n", flat(message)),
            Self::Ended(Ending::Exited(status)) => format!("exited {status}\n"),
            Self::Ended(Ending::Signaled(signal)) => format!("signaled {signal}\n"),
        }
    }

    /// `None` for what is not a whole line of ours.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.strip_suffix('\n')?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let not_started = |is_absent| Self::NotStarted { is_absent, message: rest.to_owned() };
        Some(match word {
            "ready" => Self::Ready,
            "go" => Self::Go,
            "started" => Self::Started,
            "absent" => not_started(true),
            "unable" => not_started(false),
            "failed" => Self::Failed(rest.to_owned()),
            "exited" => Self::Ended(Ending::Exited(rest.parse().ok()?)),
            "signaled" => Self::Ended(Ending::Signaled(rest.parse().ok()?)),
            _ => return None,
        })
    }

    /// What a line means where another one was to come.
    pub(super) fn into_error(self) -> SandboxError {
        match self {
            Self::NotStarted { is_absent, message } => SandboxError::Command { is_absent, message },
            Self::Failed(message) => SandboxError::Inside(message),
            Self::Ready | Self::Go | Self::Started | Self::Ended(_) => SandboxError::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_comes_back() {
        for line in [
            Line::Ready,
            Line::Go,
            Line::Started,
            Line::NotStarted { is_absent: true, message: "no such file".into() },
            Line::NotStarted { is_absent: false, message: "not allowed".into() },
            Line::Failed("cannot mount".into()),
            Line::Ended(Ending::Exited(255)),
            Line::Ended(Ending::Signaled(9)),
        ] {
            assert_eq!(Line::read(&line.text()), Some(line));
        }
        let two = Line::Failed("two\nlines".into()).text();
        assert_eq!(Line::read(&two), Some(Line::Failed("two lines".into())));
        for nothing in ["", "ready", "exited\n", "exited 256\n", "ended 1\n"] {
            assert_eq!(Line::read(nothing), None, "{nothing:?}");
        }
    }
}
