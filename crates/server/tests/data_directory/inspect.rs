//! What there is, and that looking changes nothing.

use std::fs;

use crate::harness::*;

#[test]
fn a_directory_is_summed_up() {
    let folder = Folder::written("summary");
    let text = printed(&["inspect", folder.name()]);
    for row in [
        "topics        3\n",
        "publications  130\n",
        "values        keys (5 B)\n",
        "left          closed in order\n",
        "next start    goes on where it was\n",
        "damage        none seen;",
    ] {
        assert!(text.contains(row), "{row}: {text}");
    }
    assert!(
        text.contains(&format!("directory     {}\n", folder.name())),
        "{text}"
    );

    drop(folder.log());
    let text = printed(&["inspect", folder.name()]);
    assert!(
        text.contains("left          open: the server that had it was killed\n"),
        "{text}"
    );
}

#[test]
fn topics_come_in_pages_by_their_names() {
    let folder = Folder::written("topics");
    let text = printed(&["inspect", folder.name(), "--topics", "--limit", "2"]);
    assert!(text.ends_with("and 1 more: --after 'bb'\n"), "{text}");
    let row = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.ends_with(&format!(" {name}")))
            .unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("a")[1..4], ["1", "60", "60"]);
    assert_eq!(row("bb")[1..4], ["51", "60", "10"]);
    assert_eq!(row("bb")[5..7], ["2026-01-01T00:00:00.000Z"; 2]);
    let epoch = folder.log().reader().standing("a").unwrap().epoch;
    assert_eq!(row("a")[0], fanfare::Epoch(epoch).to_string());

    let text = printed(&["inspect", folder.name(), "--topics", "--after", "bb"]);
    assert!(text.ends_with(" ccc\n") && !text.contains(" bb\n"), "{text}");
}

#[test]
fn the_newest_publications_of_a_topic_are_printed() {
    let folder = Folder::written("topic");
    let text = printed(&["inspect", folder.name(), "bb", "--limit", "2"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("offsets 51 to 60, 10 publications"), "{text}");
    assert_eq!(lines[1].split_whitespace().next(), Some("60"));
    assert_eq!(lines[2].split_whitespace().next(), Some("59"));
    assert_eq!(lines.len(), 3);
    assert!(
        !text.contains("bb 60"),
        "payloads are printed when they are asked for"
    );

    let text = printed(&["inspect", folder.name(), "bb", "--limit", "1", "--payloads"]);
    assert!(text.ends_with(" \"bb 60\"\n"), "{text}");

    let output = log(&["inspect", folder.name(), "other"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("topic `other` is not in the directory"));
}

#[test]
fn a_payload_does_not_speak_to_the_terminal() {
    let folder = Folder::new("terminal");
    let mut log = folder.log();
    append(&mut log, publication("a", "\u{1b}[2J\u{202e}\u{9b}\n"));
    log.close().unwrap();
    let text = printed(&["inspect", folder.name(), "a", "--payloads"]);
    assert!(text.ends_with("\"\\u001b[2J\\u202e\\u009b\\n\"\n"), "{text:?}");
}

#[test]
fn looking_changes_nothing() {
    let folder = Folder::written("unchanged");
    let mut log = folder.log();
    append(&mut log, publication("a", "one more"));
    drop(log);
    let last = folder.last_segment();
    let path = folder.path().join(&last);
    let mut content = fs::read(&path).unwrap();
    content.extend_from_slice(b"torn");
    fs::write(&path, content).unwrap();
    folder.flip(FIRST_SEGMENT, 30);
    fs::write(folder.path().join("old.tmp"), b"left over").unwrap();
    let before = folder.files();
    let name = folder.name();
    for arguments in [
        &["inspect", name, "--topics"][..],
        &["inspect", name, "a"],
        &["verify", name],
        &["export", name],
        &["export", name, "--topic", "a"],
    ] {
        super::harness::log(arguments);
        assert!(folder.files() == before, "{arguments:?}");
    }
    let text = printed(&["inspect", name]);
    assert!(text.contains("next start    cuts off 4 bytes at"), "{text}");
}

/// FAULTS 65.
#[test]
fn a_directory_in_use_is_said_to_be() {
    let folder = Folder::written("in-use");
    let export = exported(&folder);
    let held = folder.log();
    let name = folder.name();
    for arguments in [
        &["inspect", name][..],
        &["verify", name],
        &["export", name],
        &["import", name],
    ] {
        let output = log_with(arguments, &export);
        assert_eq!(code(&output), 2, "{arguments:?}");
        let said = stderr(&output);
        assert!(
            said.contains("is in use, by a server or another `fanfare log`"),
            "{said}"
        );
        assert!(said.contains("stop that one, or look at a snapshot"), "{said}");
    }
    drop(held);
    printed(&["verify", name]);
}

#[test]
fn a_directory_that_is_not_there_is_not_made() {
    let folder = Folder::new("missing");
    for command in ["inspect", "verify", "export"] {
        let output = log(&[command, folder.name()]);
        assert_eq!(code(&output), 2, "{command}");
        assert!(stderr(&output).contains("cannot be read"), "{}", stderr(&output));
        assert!(!folder.path().exists());
    }
}

#[test]
fn a_directory_of_something_else_is_said_to_be() {
    let folder = Folder::new("else");
    fs::create_dir(folder.path()).unwrap();
    fs::write(folder.path().join("notes.txt"), b"").unwrap();
    for command in ["inspect", "verify", "export", "import"] {
        let output = log(&[command, folder.name()]);
        assert_eq!(code(&output), 2, "{command}");
        assert!(stderr(&output).contains("notes.txt in the data directory is not a file of the log"));
    }
}
