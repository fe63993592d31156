//! What is agreed on about compression when a connection is opened: permessage-deflate (RFC 7692) and no other
//! extension.

use std::fmt;

use super::DEFLATE_WINDOW_BITS;

/// Who may compress on a connection. Whether a message is compressed is told by its first frame, so whoever may need
/// not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Nobody: no extension was agreed on.
    #[default]
    None,
    /// The client. What it is sent goes uncompressed, because it has less memory for a window than the server's
    /// frames need.
    FromClient,
    /// Both sides.
    Both,
}

impl Compression {
    /// The name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FromClient => "from_client",
            Self::Both => "both",
        }
    }
}

/// An offer of permessage-deflate that was accepted. Neither side keeps a context from one message to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The largest window that the client wants to hold, as a power of two, if it said so.
    server_window_bits: Option<u8>,
}

impl Agreement {
    /// Accepts the first acceptable offer in the `Sec-WebSocket-Extensions` of a request, in the order of the headers;
    /// none when there is none, and then the connection goes without compression.
    ///
    /// An offer is declined when a parameter of it is unknown, stands twice, or has a value that is not allowed
    /// (section 7). A header that breaks the grammar (RFC 6455, section 9.1) is not read further. One pass, and nothing
    /// is allocated.
    ///
    /// ```
    /// use fanfare_protocol::websocket::{Agreement, Compression};
    ///
    /// let header = b"permessage-deflate; server_max_window_bits=15; client_max_window_bits";
    /// let agreement = Agreement::negotiate([header.as_slice()]).ok_or("declined")?;
    /// assert_eq!(agreement.compression(), Compression::Both);
    /// assert_eq!(
    ///     agreement.to_string(),
    ///     "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12"
    /// );
    /// # Ok::<(), &str>(())
    /// ```
    pub fn negotiate<'h>(headers: impl IntoIterator<Item = &'h [u8]>) -> Option<Self> {
        headers
            .into_iter()
            .find_map(|header| Scanner { rest: header }.first_acceptable())
    }

    /// Who may compress. A client whose window is smaller than [`DEFLATE_WINDOW_BITS`] is sent nothing compressed,
    /// because everyone shares the same compressed frames.
    pub fn compression(self) -> Compression {
        match self.server_window_bits {
            Some(..DEFLATE_WINDOW_BITS) => Compression::FromClient,
            _ => Compression::Both,
        }
    }
}

/// The `Sec-WebSocket-Extensions` of the answer. The server's window is in it only if the client asked for that
/// (section 7.1.2.1); the client's own is left to it, because any can be read here.
impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate; server_no_context_takeover; client_no_context_takeover")?;
        match self.server_window_bits {
            Some(bits) => write!(f, "; server_max_window_bits={}", bits.min(DEFLATE_WINDOW_BITS)),
            None => Ok(()),
        }
    }
}

/// The parameters of an offer that were read so far (section 7.1).
#[derive(Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_window_bits: Option<u8>,
    client_max_window_bits: bool,
}

impl Offer {
    /// Takes a parameter in; false when the offer is to be declined for it.
    fn take(&mut self, name: &[u8], value: Option<Value>) -> bool {
        let is_twice = match name {
            b"server_no_context_takeover" if value.is_none() => {
                std::mem::replace(&mut self.server_no_context_takeover, true)
            }
            b"client_no_context_takeover" if value.is_none() => {
                std::mem::replace(&mut self.client_no_context_takeover, true)
            }
            b"client_max_window_bits" if value.is_none_or(|value| value.window_bits().is_some()) => {
                std::mem::replace(&mut self.client_max_window_bits, true)
            }
            b"server_max_window_bits" => {
                let bits = value.and_then(Value::window_bits);
                bits.is_none() || std::mem::replace(&mut self.server_window_bits, bits).is_some()
            }
            _ => return false,
        };
        !is_twice
    }
}

/// The value of a parameter. No value that is allowed anywhere is longer than two bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    start: [u8; 2],
    length: usize,
}

impl Value {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.start.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
    }

    /// 8 to 15, without a leading zero.
    fn window_bits(self) -> Option<u8> {
        match (self.length, self.start) {
            (1, [digit @ b'8'..=b'9', _]) => Some(digit - b'0'),
            (2, [b'1', digit @ b'0'..=b'5']) => Some(10 + digit - b'0'),
            _ => None,
        }
    }
}

/// What is left of a header.
struct Scanner<'h> {
    rest: &'h [u8],
}

/// The header breaks the grammar.
struct Malformed;

impl<'h> Scanner<'h> {
    fn first_acceptable(&mut self) -> Option<Agreement> {
        loop {
            // A list may have empty elements.
            while self.takes(b',') {}
            if self.rest.is_empty() {
                return None;
            }
            match self.extension() {
                Ok(None) => {}
                Ok(accepted) => return accepted,
                Err(Malformed) => return None,
            }
        }
    }

    /// One extension with its parameters; none if it is not wanted.
    fn extension(&mut self) -> Result<Option<Agreement>, Malformed> {
        let mut is_acceptable = self.token()? == b"permessage-deflate";
        let mut offer = Offer::default();
        while self.takes(b';') {
            let name = self.token()?;
            let value = self.takes(b'=').then(|| self.value()).transpose()?;
            is_acceptable &= offer.take(name, value);
        }
        if !self.rest.is_empty() && !self.takes(b',') {
            return Err(Malformed);
        }
        Ok(is_acceptable.then_some(Agreement {
            server_window_bits: offer.server_window_bits,
        }))
    }

    fn value(&mut self) -> Result<Value, Malformed> {
        if self.takes(b'"') {
            return self.quoted();
        }
        let mut value = Value::default();
        for &byte in self.token()? {
            value.push(byte);
        }
        Ok(value)
    }

    /// The rest of a quoted string, which stands for a token (RFC 6455, section 9.1).
    fn quoted(&mut self) -> Result<Value, Malformed> {
        let mut value = Value::default();
        loop {
            match self.byte()? {
                b'"' if value.length > 0 => return Ok(value),
                b'\\' => value.push(token_byte(self.byte()?)?),
                byte => value.push(token_byte(byte)?),
            }
        }
    }

    fn token(&mut self) -> Result<&'h [u8], Malformed> {
        self.skip_space();
        let length = self.rest.iter().take_while(|&&byte| is_token(byte)).count();
        match self.rest.split_off(..length) {
            Some(token) if length > 0 => Ok(token),
            _ => Err(Malformed),
        }
    }

    /// Takes `byte` if it comes next, behind white space or not.
    fn takes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.rest.first() == Some(&byte);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.rest.split_off_first().copied().ok_or(Malformed)
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

fn token_byte(byte: u8) -> Result<u8, Malformed> {
    is_token(byte).then_some(byte).ok_or(Malformed)
}

/// Whether a byte may stand in a token (RFC 7230, section 3.2.6).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[&str]) -> Option<String> {
        Agreement::negotiate(headers.iter().map(|header| header.as_bytes()))
            .map(|agreement| agreement.to_string())
    }

    const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn acceptable_offers_are_answered_without_takeover() {
        let offers = [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate; client_max_window_bits=\"15\"",
            "permessage-deflate;server_no_context_takeover;client_no_context_takeover",
            "  permessage-deflate \t;\tclient_no_context_takeover , other",
            ",, permessage-deflate,",
            "other; a=b; c=\"d\\e\", permessage-deflate",
        ];
        for offer in offers {
            assert_eq!(answer(&[offer]).as_deref(), Some(PLAIN), "{offer}");
        }
    }

    #[test]
    fn a_window_is_named_if_the_client_named_one_and_is_never_larger() {
        let table = [
            ("8", 8, Compression::FromClient),
            ("9", 9, Compression::FromClient),
            ("11", 11, Compression::FromClient),
            ("12", 12, Compression::Both),
            ("\"13\"", 12, Compression::Both),
            ("\"1\\5\"", 12, Compression::Both),
        ];
        for (asked, bits, compression) in table {
            let offer = format!("permessage-deflate; server_max_window_bits={asked}");
            let agreement = Agreement::negotiate([offer.as_bytes()]).unwrap();
            assert_eq!(
                agreement.to_string(),
                format!("{PLAIN}; server_max_window_bits={bits}")
            );
            assert_eq!(agreement.compression(), compression, "{offer}");
        }
    }

    #[test]
    fn bad_parameters_decline_the_offer_and_the_next_is_looked_at() {
        let parameters = [
            "server_max_window_bits",
            "server_max_window_bits=0",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=-9",
            "server_max_window_bits=1e1",
            "server_max_window_bits=99999999999999999999",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits=0",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=115",
            "client_max_window_bits; client_max_window_bits=10",
            "server_no_context_takeover=true",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover=\"15\"",
            "client_no_context_takeover; client_no_context_takeover",
            "mem_level=9",
            "Server_no_context_takeover",
        ];
        for parameter in parameters {
            let offer = format!("permessage-deflate; {parameter}");
            assert_eq!(answer(&[&offer]), None, "{offer}");
            let both = format!("{offer}, permessage-deflate");
            assert_eq!(answer(&[&both]).as_deref(), Some(PLAIN), "{both}");
            assert_eq!(
                answer(&[&offer, "permessage-deflate"]).as_deref(),
                Some(PLAIN),
                "{offer}"
            );
        }
    }

    #[test]
    fn a_header_that_breaks_the_grammar_is_not_read_further() {
        let broken = [
            "permessage-deflate;",
            "permessage-deflate; =10",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=\"\"",
            "permessage-deflate; server_max_window_bits=\"10",
            "permessage-deflate; server_max_window_bits=\"1 0\"",
            "permessage-deflate; server_max_window_bits=\"10\\",
            "permessage-deflate client_no_context_takeover",
            "permessage-deflate\u{0}",
            "permessage-deflate/1",
            "; permessage-deflate",
            "é, permessage-deflate",
        ];
        for header in broken {
            let header = format!("{header}, permessage-deflate");
            assert_eq!(answer(&[&header]), None, "{header:?}");
            assert_eq!(
                answer(&[&header, "permessage-deflate"]).as_deref(),
                Some(PLAIN),
                "{header:?}"
            );
        }
    }

    #[test]
    fn other_extensions_and_no_header_agree_on_nothing() {
        for header in [
            "",
            ",",
            "x-webkit-deflate-frame",
            "permessage-deflate2",
            "permessage-bzip2",
        ] {
            assert_eq!(answer(&[header]), None, "{header}");
        }
        assert_eq!(answer(&[]), None);
    }

    #[test]
    fn very_long_lists_are_read_once() {
        let parameters = format!("permessage-deflate{}", "; client_max_window_bits".repeat(10_000));
        assert_eq!(answer(&[&parameters]), None);
        let offers = "permessage-deflate; no, ".repeat(10_000) + "permessage-deflate";
        assert_eq!(answer(&[&offers]).as_deref(), Some(PLAIN));
    }
}
