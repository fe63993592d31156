//! YAML as a tree of JSON values: one document of the core schema (YAML 1.2.2 section 10.3), without aliases.

use std::str::FromStr as _;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Number, Value};

/// Reads a document.
///
/// # Errors
/// Where it is no YAML, or more than a configuration is: line and column (from 1), rule, way out.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut document = Document {
        events: Parser::new_from_str(text),
    };
    match document.next()? {
        Some((Event::StreamEnd, _)) | None => return Ok(Value::Object(Map::new())),
        Some(_) => {}
    }
    let (first, span) = document.expect()?;
    let value = document.value(first, span, 0)?;
    while let Some((event, span)) = document.next()? {
        if let Event::DocumentStart(_) = event {
            return Err(at(span.start, "a second document begins; keep one"));
        }
    }
    Ok(value)
}

struct Document<'t> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
}

impl<'t> Document<'t> {
    /// The next event that says something.
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, String> {
        loop {
            match self.events.next() {
                Some(Ok((Event::StreamStart | Event::Nothing, _))) => {}
                other => return other.transpose().map_err(|error| problem(&error)),
            }
        }
    }

    fn expect(&mut self) -> Result<(Event<'t>, Span), String> {
        self.next()?
            .ok_or_else(|| "the text ends within a value; complete it".to_owned())
    }

    /// The value that an event begins.
    fn value(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            let rule = format!("values are nested more than {DEPTH_MAX} deep; no setting is, take some away");
            return Err(at(span.start, &rule));
        }
        match event {
            Event::Scalar(text, style, _, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                Ok(if is_plain { plain(&text) } else { Value::from(text) })
            }
            Event::SequenceStart(..) => self.sequence(depth),
            Event::MappingStart(..) => self.mapping(depth),
            Event::Alias(_) => Err(at(span.start, "aliases are not read; write the value out")),
            _ => Err(at(span.start, "there is no value; write one")),
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, String> {
        let mut elements = Vec::new();
        loop {
            match self.expect()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(elements)),
                (event, span) => elements.push(self.value(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut entries = Map::new();
        loop {
            let (key, place) = match self.expect()? {
                (Event::MappingEnd, _) => return Ok(Value::Object(entries)),
                (Event::Scalar(key, ..), span) => (key.into_owned(), span.start),
                (_, span) => return Err(at(span.start, "a key is a text; write `key: value`")),
            };
            let (event, span) = self.expect()?;
            let value = self.value(event, span, depth + 1)?;
            if entries.insert(key, value).is_some() {
                return Err(at(place, "the key is there twice; keep one"));
            }
        }
    }
}

/// What a plain scalar stands for.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    // What begins otherwise is no number, though Rust would read `inf`.
    let is_numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let digits = text.strip_prefix('+').unwrap_or(text);
    match Number::from_str(digits) {
        Ok(number) if is_numeric => Value::Number(number),
        _ => Value::from(text),
    }
}

fn problem(error: &ScanError) -> String {
    at(*error.marker(), &format!("{}; correct it", error.info()))
}

/// A rule with the place where it is broken.
fn at(marker: Marker, rule: &str) -> String {
    format!("{}:{}: {rule}", marker.line(), marker.col() + 1)
}

/// Deeper than any configuration.
const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_those_of_the_core_schema() {
        let text =
            "a: 1\nb: [true, \"true\", ~, 1.5, 12s]\nc:\n  d: 'x'\n  e:\nf: 0o7\ng: !!str 5\nh: .inf\n";
        assert_eq!(
            parse(text),
            Ok(json!({
                "a": 1, "b": [true, "true", null, 1.5, "12s"], "c": {"d": "x", "e": null},
                "f": "0o7", "g": "5", "h": ".inf",
            }))
        );
        assert_eq!(parse(""), Ok(json!({})));
        assert_eq!(parse("---\n# nothing\n"), Ok(Value::Null));
    }

    #[test]
    fn what_is_no_configuration_is_refused_at_its_place() {
        for (text, says) in [
            ("a: 1\nb: [1, 2\n", "3:1: "),
            ("a: 1\n b: 2\n", "2:3: "),
            ("a: &x 1\nb: *x\n", "2:4: aliases are not read"),
            ("a: 1\na: 2\n", "2:1: the key is there twice"),
            ("? [a]\n: 1\n", "1:3: a key is a text"),
            ("a: 1\n---\nb: 2\n", "2:1: a second document"),
            ("a: \"x", "1:4: "),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.starts_with(says), "{text:?}: {problem}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in [
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            "- ".repeat(100_000),
            (0..2_000)
                .flat_map(|depth| [" ".repeat(depth), "a:\n".to_owned()])
                .collect(),
        ] {
            assert!(parse(&text).is_err());
        }
    }
}
