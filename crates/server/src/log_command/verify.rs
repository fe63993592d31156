//! `fanfare log verify DIR`: is everything as it was written?

use std::fmt::Write as _;

use bytesize::ByteSize;
use clap::{ArgMatches, Command};
use fanfare_log::{Damage, OpenError, Recovery, Truncated};

use super::directory::{DataDirectory, Missing, limits, not_opened};
use super::findings::Findings;
use super::survey::{Selection, Survey};
use super::{counted, directory_argument, directory_of};
use crate::failure::{Failure, print};

/// The subcommand.
pub(super) fn command() -> Command {
    Command::new("verify")
        .about("Read every byte of a data directory and name what is damaged")
        .long_about(
            "Read every byte of a data directory and name what is damaged, and what the next start would do about it. Nothing \
             in it is changed.\n\nExits with 0 when all is as it was written, 1 when something is damaged, 2 when it cannot be \
             read.",
        )
        .arg(directory_argument("Data directory, as for `fanfare serve --data`"))
}

/// Reads everything.
///
/// # Errors
/// Something is damaged, or the directory cannot be used.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let path = directory_of(matches)?;
    let directory = DataDirectory::open(path)?;
    let start = directory.rehearse(Missing::Refused);
    if let Err(error) = &start
        && let unreadable @ Failure::Usage(_) = not_opened(error)
    {
        return Err(unreadable);
    }
    let unreadable = |error: String| Failure::Usage(vec![error]);
    let verified = fanfare_log::verify(&directory.storage, &limits()).map_err(|error| {
        unreadable(format!(
            "data directory {} cannot be read: {error}",
            path.display()
        ))
    })?;
    let torn = start
        .as_ref()
        .ok()
        .and_then(|(_, recovery)| recovery.truncated.as_ref());
    let mut findings = Findings::default();
    findings.add_all(&verified.damages, |damage| !is_torn(damage, torn));
    if let Ok((log, _)) = directory.rehearse_what_is_there() {
        let survey = Survey::of(&log.reader(), &Selection::default());
        findings.append(survey.map_err(|error| unreadable(error.to_string()))?.lost);
    }
    let mut text = String::new();
    for line in findings
        .lines()
        .chain(next_start(start.map(|(_, recovery)| recovery)))
    {
        // Writing into a string does not fail.
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(
        text,
        "{}, {}, {} read",
        counted(verified.segments as u64, "segment", "segments"),
        counted(verified.records, "record", "records"),
        ByteSize::b(verified.bytes).display().iec()
    );
    print(&text)?;
    match findings.count() {
        0 => Ok(()),
        count => Err(Failure::Failed(format!(
            "{} in {}; `fanfare log export` carries what is whole",
            counted(count, "damage", "damages"),
            path.display()
        ))),
    }
}

/// Whether it is the end of the last segment that was being written: nobody was told that it is there.
fn is_torn(damage: &Damage, torn: Option<&Truncated>) -> bool {
    torn.is_some_and(|torn| damage.file == torn.file && damage.at >= torn.at)
}

/// What the next start does, where that is more than going on.
fn next_start(start: Result<Recovery, OpenError>) -> Vec<String> {
    let recovery = match start {
        Ok(recovery) => recovery,
        Err(error) => return vec![format!("the next start is refused: {error}")],
    };
    let mut does = Vec::new();
    if let Some(torn) = &recovery.truncated {
        does.push(format!(
            "the next start cuts off {} at {} of {}, which were being written when the server ended",
            counted(torn.bytes, "byte", "bytes"),
            torn.at,
            torn.file
        ));
    }
    if recovery.renewed > 0 {
        does.push(format!(
            "the next start begins a new epoch for {}: clients that come back are told that they may have missed something",
            counted(recovery.renewed as u64, "topic", "topics")
        ));
    }
    does
}
