//! What becomes of an import: whole, refused, or a part that says so.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

use fanfare_log::INCOMPLETE_IMPORT;

use crate::harness::*;

#[test]
fn clients_go_on_where_they_were() {
    let folder = Folder::written("moved");
    let copy = Folder::new("moved-copy");
    let output = log_with(&["import", copy.name()], &exported(&folder));
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let said = format!(
        "imported 3 topics, 130 publications, 1 value into {}\n",
        copy.name()
    );
    assert_eq!(stdout(&output), said);
    assert!(!copy.path().join(INCOMPLETE_IMPORT).exists());
    let (mut log, mut copied) = (folder.log(), copy.log());
    for (topic, first) in [("a", 1), ("bb", 51), ("ccc", 1)] {
        let standing = copied.reader().standing(topic).unwrap();
        assert_eq!(
            standing.position(),
            log.reader().standing(topic).unwrap().position()
        );
        assert_eq!(standing.first, first);
        let next = publication(topic, "next");
        assert_eq!(append(&mut copied, next.clone()), append(&mut log, next));
    }
    assert_eq!(
        copied.state().value("keys").unwrap().as_deref(),
        Some(&b"value"[..])
    );
}

#[test]
fn a_backup_that_is_put_back_begins_new_epochs() {
    let folder = Folder::written("backup");
    let copy = Folder::new("backup-copy");
    let output = log_with(&["import", copy.name(), "--new-epochs"], &exported(&folder));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for (topic, first) in [("a", 1), ("bb", 51), ("ccc", 1)] {
        let before = folder.log().reader().standing(topic).unwrap();
        let after = copy.log().reader().standing(topic).unwrap();
        assert_ne!(after.epoch, before.epoch, "{topic}");
        assert_eq!((after.first, after.last), (first, 60), "what is kept stays");
    }
}

#[test]
fn an_export_goes_into_a_file_of_its_owner_and_never_over_one() {
    let folder = Folder::written("file");
    let file = Folder::new("file-export");
    let output = log(&["export", folder.name(), "--output", file.name()]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
    assert_eq!(stderr(&output), "exported 3 topics, 130 publications, 1 value\n");
    assert_eq!(fs::read_to_string(file.path()).unwrap(), exported(&folder));
    assert_eq!(
        fs::metadata(file.path()).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let output = log(&["export", folder.name(), "--output", file.name()]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("name a new file"), "{}", stderr(&output));

    let copy = Folder::new("file-copy");
    printed(&["import", copy.name(), file.name()]);
    assert_eq!(exported(&copy), fs::read_to_string(file.path()).unwrap());
    fs::remove_file(file.path()).unwrap();
}

#[test]
fn topics_are_chosen_by_patterns() {
    let folder = Folder::written("chosen");
    let text = printed(&["export", folder.name(), "--topic", "b*", "--topic", "ccc"]);
    assert!(
        !text.contains("\"topic\":\"a\"") && !text.contains("\"type\":\"value\""),
        "{text}"
    );
    assert!(
        text.ends_with("{\"type\":\"end\",\"values\":0,\"topics\":2,\"publications\":70,\"damages\":0}\n")
    );
    let output = log(&["export", folder.name(), "--topic", "z*"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""));
    assert!(stderr(&output).contains("--topic is `z*`, which matches no topic"));
}

#[test]
fn topics_go_into_a_directory_that_has_others() {
    let folder = Folder::written("others");
    let copy = Folder::new("others-copy");
    let one = printed(&["export", folder.name(), "--topic", "a"]);
    assert_eq!(code(&log_with(&["import", copy.name()], &one)), 0);
    let two = printed(&["export", folder.name(), "--topic", "bb"]);
    assert_eq!(code(&log_with(&["import", copy.name()], &two)), 0);
    let before = copy.segments();
    let output = log_with(&["import", copy.name()], &one);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(
        said.contains("standard input, line 2: topic `a` is in the directory already, at offset 60"),
        "{said}"
    );
    assert!(
        !copy.path().join(INCOMPLETE_IMPORT).exists(),
        "nothing was written"
    );
    assert!(copy.segments() == before);
}

#[test]
fn nothing_is_written_of_a_file_with_a_wrong_line() {
    let folder = Folder::written("wrong-file");
    let file = Folder::new("wrong-file-export");
    let copy = Folder::new("wrong-file-copy");
    fs::write(
        file.path(),
        exported(&folder).replace("\"offset\":59", "\"offset\":61"),
    )
    .unwrap();
    let output = log(&["import", copy.name(), file.name()]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains(": offset is 61: of topic `a`, the next one is 59"),
        "{}",
        stderr(&output)
    );
    assert!(!copy.path().exists());
    fs::remove_file(file.path()).unwrap();
}

#[test]
fn a_part_of_an_import_is_no_directory_to_start_with() {
    let folder = Folder::written("part");
    let copy = Folder::new("part-copy");
    let export = exported(&folder);
    let (part, _) = export.rsplit_once("{\"type\":\"publication\"").unwrap();
    let output = log_with(&["import", copy.name()], part);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(
        said.contains("the export ends without its line of the type `end`"),
        "{said}"
    );
    assert!(
        said.contains("has a part of the import, and no server starts with it"),
        "{said}"
    );
    for command in ["inspect", "verify", "export", "import"] {
        let output = log(&[command, copy.name()]);
        assert_eq!(code(&output), 2, "{command}");
        assert!(
            stderr(&output).contains("a part of an import that did not end"),
            "{}",
            stderr(&output)
        );
    }
    fs::remove_file(copy.path().join(INCOMPLETE_IMPORT)).unwrap();
    printed(&["verify", copy.name()]);
}

#[test]
fn a_killed_import_leaves_a_part() {
    let folder = Folder::written("killed");
    let copy = Folder::new("killed-copy");
    let mut child = begin(&["import", copy.name()]);
    let mut input = child.stdin.take().unwrap();
    // The value comes first, and is put at once.
    input.write_all(exported(&folder).as_bytes()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !copy.path().join("keys.state").exists() {
        assert!(Instant::now() < deadline, "nothing is written");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(copy.path().join(INCOMPLETE_IMPORT).exists());
    let output = log(&["verify", copy.name()]);
    assert_eq!(code(&output), 2);
}
