//! The command line: which subcommands there are, and who runs each.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::failure::{Failure, print};
use crate::{
    check_command, import_command, keygen_command, log_command, publish_command, serve_command,
    subscribe_command, token_command,
};

/// Runs the subcommand the process was called with. Help, the version and wrong usage end the process.
///
/// # Errors
/// What the subcommand reports.
pub(crate) fn run() -> Result<(), Failure> {
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("serve", matches)) => serve_command::run(matches),
        Some(("check", matches)) => check_command::run(matches),
        Some(("schema", _)) => check_command::run_schema(),
        Some(("pub", matches)) => publish_command::run(matches),
        Some(("sub", matches)) => subscribe_command::run(matches),
        Some(("token", matches)) => token_command::run(matches),
        Some(("keygen", matches)) => keygen_command::run(matches),
        Some(("import", matches)) => import_command::run(matches),
        Some(("log", matches)) => log_command::run(matches),
        Some(("completions", matches)) => completions(matches),
        Some(("version", _)) => print(&command().render_version()),
        _ => print(&command().render_help().to_string()),
    }
}

/// The whole command line as data.
fn command() -> Command {
    Command::new("fanfare")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Real-time messaging: topics over WebSocket, in order, to nobody's delay")
        .subcommand(serve_command::command())
        .subcommand(check_command::command())
        .subcommand(check_command::schema_command())
        .subcommand(publish_command::command())
        .subcommand(subscribe_command::command())
        .subcommand(token_command::command())
        .subcommand(keygen_command::command())
        .subcommand(import_command::command())
        .subcommand(log_command::command())
        .subcommand(completions_command())
        .subcommand(Command::new("version").about("Print the version"))
}

/// `fanfare completions SHELL`.
fn completions_command() -> Command {
    let shell = Arg::new("shell")
        .value_name("SHELL")
        .required(true)
        .value_parser(value_parser!(Shell));
    Command::new("completions")
        .about("Print a shell's completions of this command line")
        .after_help("For bash: fanfare completions bash > ~/.local/share/bash-completion/completions/fanfare")
        .arg(shell.help("Shell to make them for"))
}

/// Prints what the named shell reads to complete this command line.
fn completions(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(shell) = matches.get_one::<Shell>("shell") else {
        return Err(Failure::Usage(vec![
            "no shell is named; write `fanfare completions bash`".to_owned(),
        ]));
    };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut command(), "fanfare", &mut script);
    print(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
