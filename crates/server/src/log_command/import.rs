//! `fanfare log import DIR [FILE]`: what an export has, into a data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use fanfare_log::{Directory, Draft, INCOMPLETE_IMPORT, Log, Memory, Options, Storage};

use super::directory::{DataDirectory, limits, not_opened, refused};
use super::intake::{Epochs, Intake, Step};
use super::lines::Lines;
use super::{counted, directory_argument, directory_of};
use crate::failure::{Failure, print, tell};

/// The subcommand.
pub(super) fn command() -> Command {
    Command::new("import")
        .about("Write what an export has into a data directory")
        .long_about(
            "Write what an export has into a data directory: a new or empty one, or one that has none of its topics and \
             values. Topics go on where they were, with the same epochs and offsets, so that clients do too.\n\nA file is read \
             twice: nothing is written unless every line is right. Standard input can be read only once; what is wrong with it \
             leaves a part behind, which no server starts with.\n\nExits with 0 when everything was written, 1 when it could \
             not be written, 2 when the export or the directory is not as it must be.",
        )
        .arg(directory_argument("Data directory; made if it is not there"))
        .arg(
            Arg::new(FILE)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .value_hint(clap::ValueHint::FilePath)
                .help("What `fanfare log export` wrote; standard input if there is none, or `-`"),
        )
        .arg(
            Arg::new(NEW_EPOCHS)
                .long(NEW_EPOCHS)
                .action(ArgAction::SetTrue)
                .help(
                    "Begin a new epoch for every topic: for an export that is older than what clients have seen since, such as a \
                     backup",
                ),
        )
}

/// Writes everything.
///
/// # Errors
/// A line is wrong, the directory cannot be used or has some of it already, or it cannot be written.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let path = directory_of(matches)?;
    let file = matches.get_one::<PathBuf>(FILE).map(PathBuf::as_path);
    let file = file.filter(|file| file.as_os_str() != "-");
    let epochs = if matches.get_flag(NEW_EPOCHS) {
        Epochs::New
    } else {
        Epochs::Kept
    };
    if file.is_some_and(Path::is_file) {
        check(path, Lines::open(file)?, epochs)?;
    }
    let intake = Import::into(path)?.write_all(Lines::open(file)?, epochs)?;
    said(&intake, path)
}

/// Goes through all lines and writes nothing.
fn check(path: &Path, mut lines: Lines, epochs: Epochs) -> Result<(), Failure> {
    let (log, _) = if path.exists() {
        DataDirectory::open(path)?.rehearse_what_is_there()?
    } else {
        Log::open(Arc::new(Memory::new(0)), options()).map_err(|error| not_opened(&error))?
    };
    let mut intake = Intake::new(epochs);
    while let Some(line) = lines.next()? {
        intake
            .take(line, &log)
            .map_err(|problem| lines.refused(problem))?;
    }
    intake.finish().map_err(|problem| lines.refused(problem))
}

fn options() -> Options {
    Options {
        limits: limits(),
        ..Options::default()
    }
}

/// Says what was written.
fn said(intake: &Intake, path: &Path) -> Result<(), Failure> {
    let counts = intake.counts();
    if counts.damages > 0 {
        let problem = counted(counts.damages, "damage", "damages");
        tell(
            "warning",
            &format!("the export was made of a directory with {problem}"),
        );
    }
    if intake.left_out() > 0 {
        let left_out = counted(intake.left_out(), "publication", "publications");
        tell(
            "warning",
            &format!(
                "{left_out} in front of lost ones left out: a topic begins behind the last one that it lost"
            ),
        );
    }
    print(&format!(
        "imported {}, {}, {} into {}\n",
        counted(counts.topics, "topic", "topics"),
        counted(
            counts.publications - intake.left_out(),
            "publication",
            "publications"
        ),
        counted(counts.values, "value", "values"),
        path.display()
    ))
}

/// An import on its way into a directory.
struct Import {
    name: String,
    storage: Arc<dyn Storage>,
    log: Log,
    /// Whether the directory says that it has a part.
    is_marked: bool,
    group: Vec<Draft>,
    group_bytes: usize,
}

impl Import {
    /// Opens the directory as a start would, and tells what is wrong with it.
    fn into(path: &Path) -> Result<Self, Failure> {
        let directory = Directory::open(path).map_err(|error| refused(&error))?;
        let storage: Arc<dyn Storage> = Arc::new(directory);
        let opened = Log::open(Arc::clone(&storage), options());
        let (log, recovery) = opened.map_err(|error| not_opened(&error))?;
        for damage in &recovery.damages.listed {
            tell("warning", &damage.to_string());
        }
        if recovery.renewed > 0 {
            tell(
                "warning",
                "positions may have been lost: every topic that is there began a new epoch",
            );
        }
        Ok(Self {
            name: path.display().to_string(),
            storage,
            log,
            is_marked: false,
            group: Vec::new(),
            group_bytes: 0,
        })
    }

    fn write_all(mut self, lines: Lines, epochs: Epochs) -> Result<Intake, Failure> {
        let mut intake = Intake::new(epochs);
        let written = self.write_lines(lines, &mut intake);
        let (name, is_marked) = (self.name.clone(), self.is_marked);
        match written.and_then(|()| self.finish()) {
            Ok(()) => Ok(intake),
            Err(failure) if is_marked => Err(left_behind(&name, failure)),
            Err(failure) => Err(failure),
        }
    }

    fn write_lines(&mut self, mut lines: Lines, intake: &mut Intake) -> Result<(), Failure> {
        while let Some(line) = lines.next()? {
            let step = intake.take(line, &self.log);
            match step.map_err(|problem| lines.refused(problem))? {
                Step::Append(drafts) => self.append(drafts)?,
                Step::Put { name, value } => {
                    self.mark()?;
                    self.log.state().put(&name, &value).map_err(Failure::failed)?;
                }
            }
        }
        intake.finish().map_err(|problem| lines.refused(problem))?;
        self.write_group()
    }

    fn append(&mut self, drafts: Vec<Draft>) -> Result<(), Failure> {
        for draft in drafts {
            self.group_bytes += draft.bytes();
            self.group.push(draft);
        }
        let limits = self.log.limits();
        if self.group.len() < limits.group_records_max && self.group_bytes < limits.group_bytes_max {
            return Ok(());
        }
        self.write_group()
    }

    fn write_group(&mut self) -> Result<(), Failure> {
        if self.group.is_empty() {
            return Ok(());
        }
        self.mark()?;
        for answer in self.log.append(&self.group) {
            answer.map_err(Failure::failed)?;
        }
        self.group.clear();
        self.group_bytes = 0;
        Ok(())
    }

    /// Lets no server start with what is about to be a part.
    fn mark(&mut self) -> Result<(), Failure> {
        if self.is_marked {
            return Ok(());
        }
        let marked = self.storage.create(INCOMPLETE_IMPORT).and_then(|file| {
            file.sync()?;
            self.storage.sync_names()
        });
        marked.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", self.name)))?;
        self.is_marked = true;
        Ok(())
    }

    /// Makes everything durable, and then says that it is no part.
    fn finish(self) -> Result<(), Failure> {
        self.log.close().map_err(Failure::failed)?;
        if self.is_marked {
            let removed = self.storage.remove(INCOMPLETE_IMPORT);
            removed
                .and_then(|()| self.storage.sync_names())
                .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", self.name)))?;
        }
        Ok(())
    }
}

/// Adds what is to be done about the part that is there.
fn left_behind(name: &str, failure: Failure) -> Failure {
    let more = format!(
        "{name} has a part of the import, and no server starts with it: import again into an empty directory, or remove its \
         file {INCOMPLETE_IMPORT} to go on with that part"
    );
    match failure {
        Failure::Usage(mut problems) => {
            problems.push(more);
            Failure::Usage(problems)
        }
        Failure::Failed(problem) => Failure::Failed(format!("{problem}; {more}")),
        Failure::Incomplete(problem) => Failure::Incomplete(format!("{problem}; {more}")),
    }
}

const FILE: &str = "file";
const NEW_EPOCHS: &str = "new-epochs";
