//! The client libraries as they are published, in the versions of the lock files beside this, installed into the build's
//! folder where they are not there yet.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A client library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sdk {
    /// `centrifuge` of npm.
    JavaScript,
    /// `centrifuge-python` of PyPI.
    Python,
    /// The module `github.com/centrifugal/centrifuge-go`.
    Go,
}

impl Sdk {
    /// Whether this machine can run it. Only Go may be missing.
    pub(crate) fn is_here(self) -> bool {
        static HAS_GO: LazyLock<bool> = LazyLock::new(|| {
            let has_go = runs("go", "version");
            if !has_go {
                // Past the capture of what tests print, so that it is seen when they pass.
                let _ = writeln!(
                    std::io::stderr(),
                    "Go is not installed: centrifuge-go is left out of the tests of Centrifuge's clients"
                );
            }
            has_go
        });
        self != Self::Go || *HAS_GO
    }

    /// The command that starts the program that uses it; it is installed first, if that is not done yet.
    pub(crate) fn puppet(self) -> Command {
        let folder = self.install();
        match self {
            Self::JavaScript => {
                let mut node = Command::new("node");
                node.arg(folder.join("puppet.js"));
                node
            }
            Self::Python => {
                let mut python = Command::new(folder.join("venv/bin/python"));
                python.arg(folder.join("puppet.py"));
                python
            }
            Self::Go => Command::new(folder.join("puppet")),
        }
    }

    /// Installs it; gives its folder. Whoever else installs meanwhile, in this process or another one, is waited for.
    pub(crate) fn install(self) -> PathBuf {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("centrifuge");
        let folder = all.join(self.name());
        fs::create_dir_all(&folder).unwrap();
        let lock = File::create(all.join(format!("{}.lock", self.name()))).unwrap();
        lock.lock().unwrap();
        // What is there may be of other versions, or half of it.
        let (mark, versions) = (folder.join("installed"), self.versions());
        let is_installed = fs::read_to_string(&mark).is_ok_and(|installed| installed == versions);
        for (name, text) in self.files() {
            fs::write(folder.join(name), text).unwrap();
        }
        self.fetch(&folder, is_installed);
        fs::write(mark, versions).unwrap();
        folder
    }

    fn fetch(self, folder: &Path, is_installed: bool) {
        match self {
            Self::JavaScript if !is_installed => {
                let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
                run(Command::new("npm").args(arguments).current_dir(folder));
            }
            Self::Python if !is_installed => {
                run(Command::new("python3")
                    .args(["-m", "venv", "venv"])
                    .current_dir(folder));
                let mut pip = Command::new(folder.join("venv/bin/pip"));
                pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]);
                run(pip.arg(folder.join("requirements.txt")));
            }
            Self::JavaScript | Self::Python => {}
            // It knows by itself what is to be done. Its modules can be deleted with the folder.
            Self::Go => run(Command::new("go")
                .args(["build", "-modcacherw", "-buildvcs=false", "-o", "puppet", "."])
                .env("GOPATH", folder.join("path"))
                .current_dir(folder)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::Go => "go",
        }
    }

    /// The file that says which versions are installed.
    fn versions(self) -> &'static str {
        let names = ["package-lock.json", "requirements.txt", "go.sum"];
        let mut files = self.files().iter();
        files.find(|(name, _)| names.contains(name)).unwrap().1
    }

    /// What is needed to install it, and the program that uses it.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::JavaScript => &[
                ("package.json", include_str!("puppets/javascript/package.json")),
                (
                    "package-lock.json",
                    include_str!("puppets/javascript/package-lock.json"),
                ),
                ("puppet.js", include_str!("puppets/javascript/puppet.js")),
            ],
            Self::Python => &[
                (
                    "requirements.txt",
                    include_str!("puppets/python/requirements.txt"),
                ),
                ("puppet.py", include_str!("puppets/python/puppet.py")),
            ],
            Self::Go => &[
                ("go.mod", include_str!("puppets/go/go.mod")),
                ("go.sum", include_str!("puppets/go/go.sum")),
                ("main.go", include_str!("puppets/go/main.go")),
            ],
        }
    }
}

fn runs(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a program of the machine's to its end.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{command:?}: {error}; Centrifuge's clients are tested as they are published: \
             apt-get install -y nodejs npm python3 python3-venv"
        )
    });
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
