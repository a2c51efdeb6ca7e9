//! Times as the API writes them: `2026-01-31T08:00:00Z`, always UTC, whole seconds. Reads no clock.
use jiff::Timestamp;

/// Milliseconds of Unix time; nothing where the text is written in any other way.
pub fn parse(text: &str) -> Option<u64> {
    let shape = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == form,
    };
    let form = b"0000-00-00T00:00:00Z";
    if text.len() != form.len() || !text.bytes().zip(*form).all(shape) {
        return None;
    }
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// The API's text for a time; later times than the calendar knows are its last.
pub fn format(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::MAX)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[test]
    fn one_spelling_both_ways() {
        for text in ["1970-01-01T00:00:00Z", "2026-11-24T02:00:43Z", "2024-02-29T23:59:59Z"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(parse("1970-01-01T00:00:01Z"), Some(1000));
        for bad in [
            "",
            "2026-11-24",
            "2026-11-24T02:00:43",
            "2026-11-24T02:00:43+00:00",
            "2026-11-24t02:00:43z",
            "2026-13-24T02:00:43Z",
            "2023-02-29T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-24T02:00:43.5Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(format(u64::MAX).starts_with("9999-"));
    }
}
