//! Files that are not as they were written, and a directory that is in use. FAULTS 64, 65.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::house::{House, end, kept, publish, resume, stands, texts};
use crate::process::Server;

type Place = (String, u64);

/// A directory in which a program published and then ended so; where its topics stood.
fn left_behind(name: &str, signal: Signal) -> (House, Place, Place) {
    let mut house = House::new(name, &[]);
    let server = house.start();
    publish(&server, "b", "another");
    for text in ["the first", "the second", "the third"] {
        publish(&server, "a", text);
    }
    let places = (stands(&server, "a"), stands(&server, "b"));
    end(server, signal);
    (house, places.0, places.1)
}

/// Changes a file.
fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(path).unwrap();
    change(&mut content);
    fs::write(path, content).unwrap();
}

/// Flips a bit of the first of these bytes.
fn flip(content: &mut [u8], bytes: &[u8]) {
    let at = content
        .windows(bytes.len())
        .position(|there| there == bytes)
        .unwrap();
    content[at] ^= 1;
}

/// Whoever comes back to a topic from a place is told this.
fn assert_told(server: &Server, topic: &str, place: &Place, reason: &str) {
    let (told, _) = resume(server, topic, place);
    assert_eq!(
        (&told["recovered"], &told["reason"]),
        (&json!(false), &json!(reason)),
        "{told}"
    );
}

fn assert_goes_on(server: &Server, topic: &str, place: &Place) {
    let (told, _) = resume(server, topic, place);
    assert_eq!(
        (&told["recovered"], &told["reason"]),
        (&json!(true), &Value::Null),
        "{told}"
    );
}

fn damages(server: &Server) -> u64 {
    server.metric("fanfare_log_damages_total")
}

#[test]
fn what_was_being_written_at_the_end_is_cut_off() {
    let tails: [fn(&mut Vec<u8>); 3] = [
        |content| content.truncate(content.len() - 3),
        |content| {
            let at = content.len() - 20;
            content[at..].fill(0);
            content.resize(at + 4_096, 0);
        },
        |content| content.extend_from_slice(b"the beginning of something"),
    ];
    for (number, tail) in tails.into_iter().enumerate() {
        let (mut house, a, b) = left_behind(&format!("torn-{number}"), Signal::KILL);
        change(&house.last_segment(), tail);
        let server = house.start();
        house.await_log("what was being written at the end was cut off");
        let is_whole = number == 2;
        if is_whole {
            assert_goes_on(&server, "a", &a);
        } else {
            assert_eq!(texts(&server, "a"), ["the first", "the second"]);
            assert_told(&server, "a", &a, "ahead");
        }
        assert_goes_on(&server, "a", &(a.0.clone(), 2));
        assert_goes_on(&server, "b", &b);
        assert_eq!(publish(&server, "a", "the next"), if is_whole { 4 } else { 3 });
        assert_eq!(damages(&server), 0);
    }
}

#[test]
fn a_log_that_was_closed_in_order_knows_that_its_end_is_missing() {
    let (mut house, a, b) = left_behind("shortened", Signal::TERM);
    change(&house.last_segment(), |content| {
        content.truncate(content.len() - 3);
    });
    let server = house.start();
    house.await_log("the end of the file is missing");
    assert_told(&server, "a", &a, "epoch_changed");
    assert_told(&server, "b", &b, "epoch_changed");
    assert_eq!(texts(&server, "a"), ["the first", "the second"]);
}

#[test]
fn a_flipped_bit_in_what_was_durable_is_told_to_everybody_and_never_served() {
    for signal in [Signal::KILL, Signal::TERM] {
        let (mut house, a, b) = left_behind(&format!("flipped-{signal:?}"), signal);
        change(&house.last_segment(), |content| flip(content, b"the second"));
        let server = house.start();
        house.await_log("the data directory is damaged");
        assert_eq!(damages(&server), 1);
        assert_told(&server, "a", &a, "epoch_changed");
        assert_told(&server, "b", &b, "epoch_changed");
        assert_eq!(texts(&server, "b"), ["another"]);
        // What is whole behind the damage.
        assert_eq!(kept(&server, "a"), [(3, json!("the third"))]);
        assert_eq!(publish(&server, "a", "the fourth"), 4);
        // The next start finds all in order, and the epoch of this one.
        let (a, b) = (stands(&server, "a"), stands(&server, "b"));
        end(server, Signal::KILL);
        let server = house.start();
        assert_eq!(damages(&server), 0, "{}", house.log());
        assert_goes_on(&server, "a", &a);
        assert_goes_on(&server, "b", &b);
    }
}

/// A new epoch for all topics seals the segment that was appended to; what is damaged in it after that is found when it is
/// read.
#[test]
fn damage_in_a_full_segment_ends_the_epoch_of_the_topic_that_is_read() {
    let (mut house, _, _) = left_behind("sealed", Signal::KILL);
    fs::remove_file(house.data().join("segments")).unwrap();
    let first = house.last_segment();
    let server = house.start();
    assert_eq!(texts(&server, "a").len(), 3, "{}", house.log());
    let (a, b) = (stands(&server, "a"), stands(&server, "b"));
    end(server, Signal::KILL);
    change(&first, |content| flip(content, b"the second"));
    let server = house.start();
    assert_eq!(damages(&server), 0);
    // Its position is sound, and then what follows is not.
    let (told, mut client) = resume(&server, "a", &(a.0.clone(), 1));
    assert_eq!(told["recovered"], true);
    assert_eq!(client.ending().code, 3005);
    house.await_log("a publication is lost");
    assert_told(&server, "a", &a, "epoch_changed");
    assert_eq!(kept(&server, "a"), [(3, json!("the third"))]);
    assert_goes_on(&server, "b", &b);
    assert_eq!(publish(&server, "a", "the fourth"), 4);
}

#[test]
fn a_missing_segment_refuses_the_start_unless_that_is_accepted() {
    let (mut house, a, b) = left_behind("missing", Signal::TERM);
    let (segment, aside) = (house.last_segment(), house.path("aside"));
    fs::rename(&segment, &aside).unwrap();
    let error = house.refused();
    assert!(
        error.contains("00000000000000000000.seg is missing from the data directory"),
        "{error}"
    );
    fs::rename(&aside, &segment).unwrap();
    let server = house.start();
    assert_goes_on(&server, "a", &a);
    assert_goes_on(&server, "b", &b);
    end(server, Signal::TERM);
    fs::remove_file(&segment).unwrap();
    house.add_argument("--data-accept-missing");
    let server = house.start();
    assert_eq!(damages(&server), 1);
    assert_told(&server, "a", &a, "epoch_changed");
    assert_told(&server, "b", &b, "epoch_changed");
    publish(&server, "a", "anew");
    assert_eq!(texts(&server, "a"), ["anew"]);
}

#[test]
fn a_list_that_is_lost_is_made_anew_and_half_of_it_is_enough() {
    let second = |content: &mut Vec<u8>| content[33_280] ^= 1;
    let (mut house, a, _) = left_behind("half-a-list", Signal::TERM);
    change(&house.data().join("segments"), second);
    let server = house.start();
    assert_goes_on(&server, "a", &a);
    assert_eq!(damages(&server), 0);
    end(server, Signal::TERM);
    assert_eq!(house.log(), "");
    let lose: [fn(&Path); 2] = [
        |list| fs::remove_file(list).unwrap(),
        |list| change(list, |content| content.fill(7)),
    ];
    for (number, lose) in lose.into_iter().enumerate() {
        let (mut house, a, b) = left_behind(&format!("no-list-{number}"), Signal::TERM);
        lose(&house.data().join("segments"));
        let server = house.start();
        assert_eq!(damages(&server), 1, "{}", house.log());
        assert_told(&server, "a", &a, "epoch_changed");
        assert_told(&server, "b", &b, "epoch_changed");
        assert_eq!(texts(&server, "a"), ["the first", "the second", "the third"]);
    }
}

#[test]
fn what_another_version_or_somebody_else_wrote_refuses_the_start_and_is_left_alone() {
    let (mut house, a, _) = left_behind("strange", Signal::TERM);
    let segment = house.last_segment();
    let ours = fs::read(&segment).unwrap();
    change(&segment, |content| {
        content[..24].copy_from_slice(&HEADER_OF_VERSION_2);
    });
    let theirs = fs::read(&segment).unwrap();
    let error = house.refused();
    assert!(
        error.contains("00000000000000000000.seg has version 2 of the format"),
        "{error}"
    );
    assert!(fs::read(&segment).unwrap() == theirs);
    fs::write(&segment, &ours).unwrap();
    let stranger = house.data().join("notes.txt");
    fs::write(&stranger, "mine").unwrap();
    let error = house.refused();
    assert!(
        error.contains("notes.txt in the data directory is not a file of the log"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&stranger).unwrap(), "mine");
    fs::remove_file(&stranger).unwrap();
    assert_goes_on(&house.start(), "a", &a);
}

/// The header of segment 0 in a version that there is not yet.
const HEADER_OF_VERSION_2: [u8; 24] =
    *b"FANFLOG\n\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x71\x42\x09\x98";

#[test]
fn a_second_program_does_not_get_a_directory_that_is_in_use() {
    let mut house = House::new("shared", &[]);
    let server = house.start();
    publish(&server, "a", "the first");
    let mut second = House::new("shared-by", &[]);
    let shared = house.data();
    let error = second.refused_by(&mut second.command_in(&shared));
    let expected = format!("data directory {} is in use by another process", shared.display());
    assert!(error.contains(&expected), "{error}");
    assert_eq!(publish(&server, "a", "the second"), 2);
    // The lock ends with the process, however that ends.
    end(server, Signal::KILL);
    let server = second.start_by(|second| second.command_in(&shared));
    assert_eq!(texts(&server, "a"), ["the first", "the second"]);
}
