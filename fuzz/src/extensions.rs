//! `extensions`: the negotiation of compression against a second, naive reading of the headers.
//!
//! The input is the lines of `Sec-WebSocket-Extensions`, with a line's end between two. Checked: what is accepted is what
//! RFC 7692 section 7.1 allows; the answer says no more than was offered; nothing is allocated but that answer.

use fanfare_protocol::websocket::{Agreement, Compression, DEFLATE_WINDOW_BITS};

use crate::bounds::bounded;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let agreement = Agreement::negotiate(bytes.split(|&byte| byte == b'\n'));
    bounded(1 << 10, || {
        assert_eq!(
            Agreement::negotiate(bytes.split(|&byte| byte == b'\n')),
            agreement
        );
    });
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let expected = lines.find_map(first_acceptable);
    assert_eq!(
        agreement.map(|agreement| agreement.to_string()),
        expected.map(answer)
    );
    if let (Some(agreement), Some(offer)) = (agreement, expected) {
        let is_small = offer.window.is_some_and(|bits| bits < DEFLATE_WINDOW_BITS);
        let compression = if is_small {
            Compression::FromClient
        } else {
            Compression::Both
        };
        assert_eq!(agreement.compression(), compression);
    }
}

/// An offer that is accepted, by what it says of the server's window.
#[derive(Clone, Copy)]
struct Offer {
    window: Option<u8>,
}

fn answer(offer: Offer) -> String {
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    offer.window.map_or(answer.to_owned(), |bits| {
        format!(
            "{answer}; server_max_window_bits={}",
            bits.min(DEFLATE_WINDOW_BITS)
        )
    })
}

/// A part of a header: a token, a quoted string, or one of the characters between.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Token(Vec<u8>),
    Quoted(Vec<u8>),
    Mark(u8),
}

/// The first offer in a line that is acceptable. A line is read up to where it breaks the grammar.
fn first_acceptable(line: &[u8]) -> Option<Offer> {
    let (parts, is_whole) = parts(line);
    let mut elements: Vec<&[Part]> = parts.split(|part| *part == Part::Mark(b',')).collect();
    if !is_whole {
        // What the line breaks off in is no element.
        elements.pop();
    }
    for element in elements {
        if element.is_empty() {
            continue;
        }
        let (name, parameters) = read_element(element)?;
        if name == b"permessage-deflate"
            && let Some(offer) = offer(&parameters)
        {
            return Some(offer);
        }
    }
    None
}

/// A parameter's name and its value, if it has one.
type Parameter = (Vec<u8>, Option<Vec<u8>>);

/// `NAME; PARAMETER; PARAMETER=VALUE`; none where it is anything else.
fn read_element(element: &[Part]) -> Option<(Vec<u8>, Vec<Parameter>)> {
    let mut words = element.split(|part| *part == Part::Mark(b';'));
    let name = match words.next()? {
        [Part::Token(name)] => name.clone(),
        _ => return None,
    };
    let parameters = words.map(|word| match word {
        [Part::Token(name)] => Some((name.clone(), None)),
        [
            Part::Token(name),
            Part::Mark(b'='),
            Part::Token(value) | Part::Quoted(value),
        ] => Some((name.clone(), Some(value.clone()))),
        _ => None,
    });
    Some((name, parameters.collect::<Option<_>>()?))
}

/// What an offer with these parameters asks, when it may be accepted.
fn offer(parameters: &[Parameter]) -> Option<Offer> {
    let mut window = None;
    for (at, (name, value)) in parameters.iter().enumerate() {
        let bits = value.as_deref().map(window_bits);
        let is_good = match &name[..] {
            b"server_no_context_takeover" | b"client_no_context_takeover" => value.is_none(),
            b"client_max_window_bits" => bits != Some(None),
            b"server_max_window_bits" => {
                window = bits.flatten();
                window.is_some()
            }
            _ => false,
        };
        let is_twice = parameters[..at].iter().any(|(earlier, _)| earlier == name);
        if !is_good || is_twice {
            return None;
        }
    }
    Some(Offer { window })
}

fn window_bits(value: &[u8]) -> Option<u8> {
    (8..=15).find(|bits: &u8| bits.to_string().as_bytes() == value)
}

/// The parts of a line, and whether all of it could be read.
fn parts(line: &[u8]) -> (Vec<Part>, bool) {
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some((&first, after)) = rest.split_first() {
        match first {
            b' ' | b'\t' => rest = after,
            b',' | b';' | b'=' => {
                parts.push(Part::Mark(first));
                rest = after;
            }
            b'"' => {
                let Some((text, after)) = quoted(after) else {
                    return (parts, false);
                };
                parts.push(Part::Quoted(text));
                rest = after;
            }
            _ => {
                let length = rest.iter().take_while(|&&byte| is_token(byte)).count();
                if length == 0 {
                    return (parts, false);
                }
                parts.push(Part::Token(rest[..length].to_vec()));
                rest = &rest[length..];
            }
        }
    }
    (parts, true)
}

/// The text up to the closing quote, which must be a token, and what follows.
fn quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    loop {
        let (&first, after) = rest.split_first()?;
        rest = after;
        match first {
            b'"' => return (!text.is_empty()).then_some((text, rest)),
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                rest = after;
                text.push(escaped);
            }
            byte => text.push(byte),
        }
        if !is_token(*text.last()?) {
            return None;
        }
    }
}

fn is_token(byte: u8) -> bool {
    let is_separator = b"()<>@,;:\\\"/[]?={} \t".contains(&byte);
    byte.is_ascii() && !byte.is_ascii_control() && !is_separator
}
