//! `fanfare log export DIR`: everything in a data directory as lines of JSON.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use fanfare::TopicPattern;
use fanfare_log::{Log, Recovery, StateError};

use super::directory::DataDirectory;
use super::line::{End, Line};
use super::survey::{Selection, Survey};
use super::{counted, directory_argument, directory_of};
use crate::failure::{Failure, note, tell};

/// The subcommand.
pub(super) fn command() -> Command {
    Command::new("export")
        .about("Write what a data directory has as lines of JSON")
        .long_about(
            "Write what a data directory has as lines of JSON: the values beside the log, where every topic stands, and every \
             publication that is kept. What is damaged is named on standard error, and the rest is written. Nothing in the \
             directory is changed.\n\nExits with 0 when everything was written, 1 when something is damaged or the output \
             cannot be written, 2 when the directory cannot be read. An export is as secret as the directory.",
        )
        .arg(directory_argument("Data directory, as for `fanfare serve --data`"))
        .arg(
            Arg::new(TOPIC)
                .long("topic")
                .value_name("PATTERN")
                .action(ArgAction::Append)
                .value_parser(|text: &str| text.parse::<TopicPattern>())
                .help("Only topics that it matches, such as `chat:*`, and no values; repeatable"),
        )
        .arg(
            Arg::new(OUTPUT)
                .long("output")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .value_hint(clap::ValueHint::FilePath)
                .help("Write FILE in place of standard output; never over a file"),
        )
}

/// Writes the export.
///
/// # Errors
/// The directory cannot be used, something in it is damaged, or the output cannot be written.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let path = directory_of(matches)?;
    let patterns = matches.get_many::<TopicPattern>(TOPIC).into_iter().flatten();
    let selection = Selection::of(patterns.cloned().collect());
    let directory = DataDirectory::open(path)?;
    let (log, recovery) = directory.rehearse_what_is_there()?;
    let survey = Survey::of(&log.reader(), &selection).map_err(Failure::failed)?;
    if let Some(pattern) = selection.unmatched(&survey) {
        return Err(Failure::Usage(vec![format!(
            "--topic is `{pattern}`, which matches no topic of {}: `fanfare log inspect --topics` prints them",
            path.display()
        )]));
    }
    let output = matches.get_one::<PathBuf>(OUTPUT).map(PathBuf::as_path);
    let mut export = Export {
        output: Output::open(output)?,
        counts: End::default(),
    };
    match export.write_all(&log, &recovery, survey, &selection) {
        Err(Broken::Gone) => Ok(()),
        Err(Broken::Failed(failure)) => Err(failure),
        Ok(()) => said(&export.counts, &recovery, path),
    }
}

/// Says what was written, and whether it is everything.
fn said(counts: &End, recovery: &Recovery, path: &Path) -> Result<(), Failure> {
    note(&format!(
        "exported {}, {}, {}",
        counted(counts.topics, "topic", "topics"),
        counted(counts.publications, "publication", "publications"),
        counted(counts.values, "value", "values"),
    ));
    if recovery.renewed > 0 {
        tell(
            "warning",
            "positions may have been lost: every topic has a new epoch in the export, as the next start would give it",
        );
    }
    match counts.damages {
        0 => Ok(()),
        count => Err(Failure::Failed(format!(
            "{} in {}: what is whole is exported",
            counted(count, "damage", "damages"),
            path.display()
        ))),
    }
}

/// An export that is being written.
struct Export {
    output: Output,
    counts: End,
}

/// Why an export ends early.
enum Broken {
    /// Whoever reads standard output has gone, and wants no more.
    Gone,
    Failed(Failure),
}

impl Export {
    fn write_all(
        &mut self,
        log: &Log,
        recovery: &Recovery,
        mut survey: Survey,
        selection: &Selection,
    ) -> Result<(), Broken> {
        self.write(&Line::first())?;
        if selection.is_all() {
            self.write_values(log)?;
        }
        for topic in survey.topics() {
            self.counts.topics += 1;
            self.write(&Line::Topic(topic))?;
        }
        self.write_publications(log, &mut survey)?;
        let findings = survey.findings(recovery);
        findings.lines().for_each(|line| tell("warning", &line));
        self.counts.damages += findings.count();
        self.write(&Line::End(self.counts))?;
        self.output.finish()
    }

    fn write_values(&mut self, log: &Log) -> Result<(), Broken> {
        let state = log.state();
        for name in state.names().map_err(failed)? {
            match state.value(&name) {
                Ok(None) => {}
                Ok(Some(value)) => {
                    self.counts.values += 1;
                    let value = value.to_vec();
                    self.write(&Line::Value { name, value })?;
                }
                Err(error @ StateError::Damaged(_)) => {
                    self.counts.damages += 1;
                    tell("warning", &error.to_string());
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    fn write_publications(&mut self, log: &Log, survey: &mut Survey) -> Result<(), Broken> {
        let mut outcome = Ok(());
        let visited = log.reader().visit(0, |record| {
            if let Some(publication) = survey.publication(&record) {
                self.counts.publications += 1;
                outcome = self.write(&Line::Publication(Box::new(publication)));
            }
            if outcome.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        outcome?;
        visited.map(|_| ()).map_err(failed)
    }

    fn write(&mut self, line: &Line) -> Result<(), Broken> {
        self.output.with(|out| line.write(out))
    }
}

fn failed(error: impl std::fmt::Display) -> Broken {
    Broken::Failed(Failure::failed(error))
}

/// Where an export goes.
struct Output {
    name: String,
    out: BufWriter<Box<dyn Write>>,
    /// To be synced at the end.
    file: Option<File>,
}

impl Output {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self {
                name: "standard output".to_owned(),
                out: BufWriter::with_capacity(WRITE_BYTES, Box::new(io::stdout())),
                file: None,
            });
        };
        let name = path.display().to_string();
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(PRIVATE_MODE).open(path);
        let cannot = |error| Failure::Usage(vec![format!("{name} cannot be made: {error}; name a new file")]);
        let file = file.map_err(cannot)?;
        let handle = file.try_clone().map_err(Failure::failed)?;
        Ok(Self {
            name,
            out: BufWriter::with_capacity(WRITE_BYTES, Box::new(file)),
            file: Some(handle),
        })
    }

    fn with(
        &mut self,
        write: impl FnOnce(&mut BufWriter<Box<dyn Write>>) -> io::Result<()>,
    ) -> Result<(), Broken> {
        write(&mut self.out).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe if self.file.is_none() => Broken::Gone,
            _ => failed(format_args!(
                "{} cannot be written: {error}; what is there is no complete export",
                self.name
            )),
        })
    }

    fn finish(&mut self) -> Result<(), Broken> {
        let file = self.file.take();
        self.with(|out| {
            out.flush()?;
            file.map_or(Ok(()), |file| file.sync_all())
        })
    }
}

const TOPIC: &str = "topic";
const OUTPUT: &str = "output";

const WRITE_BYTES: usize = 256 << 10;

/// What only the owner may read.
const PRIVATE_MODE: u32 = 0o600;
