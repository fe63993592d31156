//! Making text harmless: what clients sent must not begin a line of its own or speak to the operator's terminal.

use std::fmt::{self, Write as _};

use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// Writes the fields of a line of text, each with everything hostile in it escaped.
pub(super) fn fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    let field = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| match field.name() {
        "message" => write!(Escaping(writer), "{value:?}"),
        name => {
            write!(writer, "{name}=")?;
            write!(Escaping(writer), "{value:?}")
        }
    };
    debug_fn(field).delimited(" ")
}

/// Whether a character could begin a line, speak to a terminal, or turn the text around it (Unicode's bidirectional
/// controls).
pub(super) fn is_hostile(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes on with everything hostile escaped.
struct Escaping<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_hostile) {
            let (plain, hostile) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = hostile.chars();
            let escaped = chars.next().map(char::escape_default);
            escaped
                .into_iter()
                .flatten()
                .try_for_each(|char| self.0.write_char(char))?;
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Escapes within a line of JSON, where the encoder leaves some of it: it stands in strings only.
pub(crate) fn json_line(line: &str) -> String {
    let (object, end) = line
        .strip_suffix('\n')
        .map_or((line, ""), |object| (object, "\n"));
    let mut escaped = String::with_capacity(line.len());
    for char in object.chars() {
        if is_hostile(char) {
            // All of them have four hexadecimal digits. Writing into a string does not fail.
            let _ = write!(escaped, "\\u{:04x}", char as u32);
        } else {
            escaped.push(char);
        }
    }
    escaped + end
}
