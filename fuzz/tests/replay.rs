//! Plays every input that is kept: what the engine found worth keeping, and what failed once.

use std::fs;
use std::path::{Path, PathBuf};

use fanfare_fuzz::TARGETS;

/// The inputs of one kind for one target, in an order that is always the same.
fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    let files = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = files.map(|file| file.path()).collect();
    files.sort_unstable();
    files
}

/// One test for all of them, because what is allocated is measured for the whole process.
#[test]
fn every_kept_input_passes() {
    for target in TARGETS {
        let corpus = inputs("corpus", target.name);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for input in corpus.iter().chain(&inputs("regressions", target.name)) {
            // Shown when it fails.
            println!("{}", input.display());
            (target.run)(&fs::read(input).unwrap());
        }
    }
}
