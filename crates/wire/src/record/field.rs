//! How one value lies in a record, written and read by the same type. Knows bytes, numbers and
//! text; no noun of ours.
use crate::record::Problem;

/// Bytes that are still to be read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// All that is still to be read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next bytes, of `what`.
    pub(super) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Problem::Truncated(what))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Problem> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Problem::Truncated(what))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, Problem> {
        self.array(what).map(|[byte]| byte)
    }
}

/// A value that is part of a record.
pub(super) trait Field: Sized {
    /// What an error calls it.
    const NAME: &'static str;

    fn write(&self, out: &mut Vec<u8>);

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem>;
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
impl Field for u64 {
    const NAME: &'static str = "number";

    fn write(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push((rest as u8) | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = reader.byte(Self::NAME)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return Err(Problem::BadValue(Self::NAME));
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Problem::BadValue(Self::NAME))
    }
}

impl Field for u16 {
    const NAME: &'static str = "number";

    fn write(&self, out: &mut Vec<u8>) {
        u64::from(*self).write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        u64::read(reader)?.try_into().map_err(|_| Problem::BadValue(Self::NAME))
    }
}

impl Field for () {
    const NAME: &'static str = "nothing";

    fn write(&self, _: &mut Vec<u8>) {}

    fn read(_: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok(())
    }
}

impl Field for bool {
    const NAME: &'static str = "switch";

    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        match reader.byte(Self::NAME)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Problem::BadValue(Self::NAME)),
        }
    }
}

/// Bytes after their count.
pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    (bytes.len() as u64).write(out);
    out.extend_from_slice(bytes);
}

/// Bytes after their count.
pub(super) fn read_bytes<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
) -> Result<&'a [u8], Problem> {
    let count = u64::read(reader)?;
    let count = usize::try_from(count).map_err(|_| Problem::Truncated(what))?;
    reader.take(count, what)
}

/// Text after its length in bytes.
pub(super) fn read_text<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
) -> Result<&'a str, Problem> {
    std::str::from_utf8(read_bytes(reader, what)?).map_err(|_| Problem::BadValue(what))
}

impl Field for String {
    const NAME: &'static str = "text";

    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self.as_bytes(), out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        read_text(reader, Self::NAME).map(String::from)
    }
}

impl<T: Field> Field for Option<T> {
    const NAME: &'static str = T::NAME;

    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        if bool::read(reader)? { T::read(reader).map(Some) } else { Ok(None) }
    }
}

impl<T: Field> Field for Vec<T> {
    const NAME: &'static str = T::NAME;

    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as u64).write(out);
        for value in self {
            value.write(out);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        let count = u64::read(reader)?;
        // Nothing is set aside for a count that may be damaged; every value takes a byte at least.
        (0..count).map(|_| T::read(reader)).collect()
    }
}

impl<const N: usize> Field for [u8; N] {
    const NAME: &'static str = "bytes";

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        reader.array(Self::NAME)
    }
}
