//! The lines of a file or of standard input, one after the other.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use super::line::Line;
use crate::failure::Failure;

/// Where the lines of an export come from.
pub(super) struct Lines {
    name: String,
    input: Box<dyn BufRead>,
    /// Which line was read last, from 1 on.
    number: u64,
    text: Vec<u8>,
}

impl Lines {
    /// Those of a file; of standard input, when none is named.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let (name, input): (_, Box<dyn BufRead>) = match file {
            None => ("standard input".to_owned(), Box::new(BufReader::new(io::stdin()))),
            Some(path) => {
                let name = path.display().to_string();
                let file = File::open(path)
                    .map_err(|error| Failure::Usage(vec![format!("{name} cannot be read: {error}")]))?;
                (name, Box::new(BufReader::with_capacity(READ_BYTES, file)))
            }
        };
        Ok(Self {
            name,
            input,
            number: 0,
            text: Vec::new(),
        })
    }

    /// The next line; `None` behind the last one.
    ///
    /// # Errors
    /// It cannot be read, or is no line of an export.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Failure> {
        self.text.clear();
        self.number += 1;
        let read = (&mut self.input)
            .take(LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut self.text);
        read.map_err(|error| Failure::failed(format!("{} cannot be read: {error}", self.name)))?;
        if self.text.is_empty() {
            return Ok(None);
        }
        if self.text.last() == Some(&b'\n') {
            self.text.pop();
        }
        if self.text.len() as u64 > LINE_BYTES_MAX {
            return Err(self.refused(format_args!(
                "it has more than {LINE_BYTES_MAX} bytes, which no line of an export has; export again"
            )));
        }
        let text = std::str::from_utf8(&self.text).map_err(|error| {
            self.refused(format_args!(
                "it is not UTF-8 from byte {} on; export again",
                error.valid_up_to()
            ))
        })?;
        Line::parse(text)
            .map(Some)
            .map_err(|problem| self.refused(problem))
    }

    /// What is wrong with the line that was read last.
    pub(super) fn refused(&self, problem: impl fmt::Display) -> Failure {
        Failure::Usage(vec![format!("{}, line {}: {problem}", self.name, self.number)])
    }
}

const READ_BYTES: usize = 256 << 10;

/// The longest line: a message that a client sends has at most 16 MiB, of which JSON makes at most six times as much.
const LINE_BYTES_MAX: u64 = 128 << 20;
