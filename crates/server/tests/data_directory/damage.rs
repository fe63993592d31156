//! Directories that are not as they were written. FAULTS 64.

use std::fs;

use serde_json::Value;

use crate::harness::*;

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn offsets_of(lines: &[Value], topic: &str) -> Vec<u64> {
    let is_of = |line: &&Value| line["type"] == "publication" && line["topic"] == topic;
    let offset = |line: &Value| line["offset"].as_u64().unwrap();
    lines.iter().filter(is_of).map(offset).collect()
}

#[test]
fn what_is_whole_is_verified() {
    let folder = Folder::written("sound");
    let output = log(&["verify", folder.name()]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    assert!(stdout(&output).contains("181 records"), "{}", stdout(&output));
}

#[test]
fn a_flipped_byte_is_named_and_the_rest_is_exported() {
    let folder = Folder::written("flipped");
    let at = folder.place_of(FIRST_SEGMENT, "a 5");
    folder.flip(FIRST_SEGMENT, at);

    let output = log(&["verify", folder.name()]);
    assert_eq!(code(&output), 1);
    let said = stdout(&output);
    assert!(said.contains(&format!("{FIRST_SEGMENT}: ")), "{said}");
    assert!(said.contains("the checksum is wrong\n"), "{said}");
    assert!(said.contains("topic a: publication 5 is lost\n"), "{said}");
    assert!(!said.contains("next start"), "{said}");

    let output = log(&["export", folder.name()]);
    assert_eq!(code(&output), 1);
    let said = stderr(&output);
    assert!(
        said.contains("warning: topic a: publication 5 is lost\n"),
        "{said}"
    );
    assert!(said.contains(": the checksum is wrong\n"), "{said}");
    assert!(said.contains("error: 2 damages in"), "{said}");
    let exported = lines(&stdout(&output));
    let whole: Vec<u64> = (1..=60).filter(|offset| *offset != 5).collect();
    assert_eq!(offsets_of(&exported, "a"), whole);
    assert_eq!(offsets_of(&exported, "ccc").len(), 60);
    let topic = exported
        .iter()
        .find(|line| line["type"] == "topic" && line["topic"] == "a")
        .unwrap();
    assert_eq!((&topic["first"], &topic["offset"]), (&6.into(), &60.into()));
    assert_eq!(exported.last().unwrap()["damages"], 2);

    let copy = Folder::new("flipped-copy");
    let output = log_with(&["import", copy.name()], &stdout(&output));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("4 publications in front of lost ones left out"),
        "{said}"
    );
    assert!(said.contains("made of a directory with 2 damages"), "{said}");
    let (before, after) = (
        folder.log().reader().standing("a"),
        copy.log().reader().standing("a"),
    );
    assert_eq!(before.unwrap().position(), after.unwrap().position());
    assert_eq!(after.unwrap().first, 6);
}

#[test]
fn a_topic_whose_last_publication_is_lost_goes_on_behind_it() {
    let folder = Folder::written("last");
    let mut log = folder.log();
    // Seals the segment, so that only a reader sees it.
    append(&mut log, publication("a", &"x".repeat(5_000)));
    append(&mut log, publication("bb", &"y".repeat(5_000)));
    append(&mut log, publication("ccc", "end"));
    log.close().unwrap();
    let file = folder
        .files()
        .into_iter()
        .find(|(_, content)| content.windows(9).any(|part| part == b"xxxxxxxxx"))
        .unwrap()
        .0;
    let at = folder.place_of(&file, "xxxxxxxxx");
    folder.flip(&file, at);

    let output = super::harness::log(&["export", folder.name()]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("topic a: publication 61 is lost"),
        "{}",
        stderr(&output)
    );
    let copy = Folder::new("last-copy");
    log_with(&["import", copy.name()], &stdout(&output));
    let mut log = copy.log();
    let standing = log.reader().standing("a").unwrap();
    assert_eq!((standing.first, standing.last), (62, 61));
    assert_eq!(append(&mut log, publication("a", "next")).offset, 62);
}

#[test]
fn damage_that_may_hide_positions_is_said_to_begin_new_epochs() {
    let folder = Folder::written("tail");
    let last = folder.last_segment();
    let at = folder.place_of(&last, "ccc 59");
    folder.flip(&last, at);
    let output = log(&["verify", folder.name()]);
    assert_eq!(code(&output), 1);
    let said = stdout(&output);
    assert!(
        said.contains("the next start begins a new epoch for 3 topics"),
        "{said}"
    );
    let said = printed(&["inspect", folder.name(), "--topics"]);
    assert!(
        said.contains("begins a new epoch for every topic: positions may have been lost"),
        "{said}"
    );
    assert!(said.contains("damage        1 place, the first is"), "{said}");
    assert!(said.contains("(new) "), "{said}");

    let epoch = folder.log().reader().standing("a").unwrap().epoch;
    let again = log(&["export", folder.name()]);
    let topic = lines(&stdout(&again))
        .into_iter()
        .find(|line| line["topic"] == "a")
        .unwrap();
    assert_eq!(
        topic["epoch"],
        fanfare::Epoch(epoch).to_string(),
        "the start kept what it said"
    );
}

#[test]
fn what_was_being_written_is_no_damage() {
    let folder = Folder::written("torn");
    let mut log = folder.log();
    append(&mut log, publication("a", "one more"));
    drop(log);
    let last = folder.last_segment();
    let path = folder.path().join(&last);
    let mut content = fs::read(&path).unwrap();
    content.extend_from_slice(&[7; 50]);
    fs::write(path, content).unwrap();
    let said = printed(&["verify", folder.name()]);
    assert!(said.contains("the next start cuts off 50 bytes at"), "{said}");
}

#[test]
fn a_missing_segment_is_named_and_the_rest_is_exported() {
    let folder = Folder::written("segment");
    fs::remove_file(folder.path().join(FIRST_SEGMENT)).unwrap();
    let output = log(&["verify", folder.name()]);
    assert_eq!(code(&output), 1);
    let said = stdout(&output);
    assert!(said.contains(&format!("{FIRST_SEGMENT}: missing\n")), "{said}");
    assert!(said.contains("the next start is refused"), "{said}");
    let output = log(&["export", folder.name()]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains(&format!("{FIRST_SEGMENT}: missing")));
    assert!(!offsets_of(&lines(&stdout(&output)), "a").is_empty());
}

#[test]
fn a_damaged_value_is_named_and_the_rest_is_exported() {
    let folder = Folder::written("value");
    folder.flip("keys.state", 26);
    let output = log(&["verify", folder.name()]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("keys.state"), "{}", stdout(&output));
    let output = log(&["export", folder.name()]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("keys.state in the data directory is damaged"));
    let exported = lines(&stdout(&output));
    let end = exported.last().unwrap();
    assert_eq!((&end["values"], &end["publications"]), (&0.into(), &130.into()));
    assert!(printed(&["inspect", folder.name()]).contains("keys (damaged)"));
}

/// Changes both slots of the list of segments, with their checksums, as the page on storage says.
fn change_list(folder: &Folder, change: impl Fn(&mut [u8])) {
    let path = folder.path().join("segments");
    let mut list = fs::read(&path).unwrap();
    for slot in [0, 33_280] {
        let slot = &mut list[slot..];
        change(slot);
        let count = u32::from_le_bytes(slot[48..52].try_into().unwrap()) as usize;
        let mut sum = flate2::Crc::new();
        sum.update(&slot[..52]);
        sum.update(&slot[56..56 + 8 * count]);
        slot[52..56].copy_from_slice(&sum.sum().to_le_bytes());
    }
    fs::write(path, list).unwrap();
}

#[test]
fn a_machine_that_ended_is_no_damage_and_is_told() {
    let folder = Folder::written("machine");
    // Not closed, with something that may not be durable, by another start of the machine.
    change_list(&folder, |slot| {
        slot[12] = 1;
        slot[32] ^= 1;
        slot[40..48].fill(0);
    });
    let said = printed(&["inspect", folder.name()]);
    assert!(
        said.contains("for every topic: the machine ended while not everything was synced"),
        "{said}"
    );
    let said = printed(&["verify", folder.name()]);
    assert!(said.contains("begins a new epoch for 3 topics"), "{said}");
    let output = log(&["export", folder.name()]);
    assert_eq!(code(&output), 0);
    let said = stderr(&output);
    assert!(
        said.contains("warning: positions may have been lost: every topic has a new epoch in the export"),
        "{said}"
    );
}

#[test]
fn another_version_is_left_to_its_program() {
    let folder = Folder::written("version");
    change_list(&folder, |slot| slot[8] = 2);
    for command in ["inspect", "verify", "export", "import"] {
        let output = log(&[command, folder.name()]);
        assert_eq!(code(&output), 2, "{command}");
        let said = stderr(&output);
        assert!(
            said.contains("version 2 of the format, this program knows version 1"),
            "{said}"
        );
    }
}

#[test]
fn a_record_that_is_no_publication_is_named() {
    let folder = Folder::new("form");
    let mut log = folder.log();
    for text in ["one", "two", "three"] {
        append(&mut log, publication("a", text));
    }
    append(
        &mut log,
        fanfare_log::Draft::publication("b", NOON, &[9, 0, 0][..]),
    );
    append(&mut log, fanfare_log::Draft::publication("c d", NOON, "body"));
    log.close().unwrap();
    let output = super::harness::log(&["export", folder.name()]);
    assert_eq!(code(&output), 1);
    let said = stderr(&output);
    assert!(
        said.contains("topic b: publication 1: a stored publication has the form 9"),
        "{said}"
    );
    assert!(said.contains("topic c d: topic name has"), "{said}");
    assert!(said.contains("2 damages"), "{said}");
    assert_eq!(offsets_of(&lines(&stdout(&output)), "a"), [1, 2, 3]);
    assert_eq!(code(&super::harness::log(&["verify", folder.name()])), 1);
}
