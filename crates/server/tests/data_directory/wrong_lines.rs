//! Every line that is not what the format says, and what is said about it.

use fanfare_log::INCOMPLETE_IMPORT;

use crate::harness::*;

/// An export that is right: of a topic that begins at 3, one of which nothing is kept, and a value.
const LINES: [&str; 7] = [
    r#"{"type":"export","format":"fanfare-log","version":1}"#,
    r#"{"type":"value","name":"keys","data_base64":"AAEC"}"#,
    r#"{"type":"topic","topic":"a","epoch":"k2w9","first":3,"offset":4,"time":7}"#,
    r#"{"type":"topic","topic":"b","epoch":"z","first":3,"offset":2,"time":7}"#,
    r#"{"type":"publication","topic":"a","epoch":"k2w9","offset":3,"time":6,"data":null}"#,
    r#"{"type":"publication","topic":"a","epoch":"k2w9","offset":4,"time":7,"from":{"connection":"0300000200000001","user":"ada","info":"{}"},"key":"k","idempotency_key":"i","except":"0300000200000001","data_text":"hi"}"#,
    r#"{"type":"end","values":1,"topics":2,"publications":2,"damages":0}"#,
];

/// Which line, what in it is replaced by what, and what is said.
const WRONG: &[(usize, &str, &str, &str)] = &[
    (
        1,
        "\"type\":\"export\"",
        "\"type\":\"end\"",
        "unknown field `format`, expected",
    ),
    (1, "{", "{\"more\":1,", "unknown field `more`, expected"),
    (
        1,
        "fanfare-log",
        "other",
        "format is `other`: it is `fanfare-log`; correct the line, or export again",
    ),
    (
        1,
        "1}",
        "2}",
        "version is 2: this program knows version 1; import with the program that exported it",
    ),
    (
        1,
        "1}",
        "\"1\"}",
        "invalid type: string \"1\", expected u64 at column",
    ),
    (1, "{", "", "it is no line of an export"),
    (
        1,
        "export",
        "exports",
        "unknown variant `exports`, expected one of `export`, `value`",
    ),
    (
        2,
        "\"type\":\"value\"",
        "\"type\":\"export\"",
        "unknown field `name`",
    ),
    (
        2,
        "keys",
        "Keys",
        "\"Keys\" is no name of a value, it must have 1 to 64 lower-case letters",
    ),
    (2, "keys", "../keys", "is no name of a value"),
    (2, "AAEC", "AAE", "data_base64 is no padded standard base64"),
    (2, "AAEC", "AA C", "data_base64 is no padded standard base64"),
    (2, "}", "", "EOF while parsing an object at column"),
    (
        3,
        "\"a\"",
        "\"\"",
        "topic is ``: topic name is empty, it needs 1 to 255 bytes; correct the line",
    ),
    (
        3,
        "\"a\"",
        "\"a b\"",
        "topic is `a b`: topic name has \\u{20} at byte 1",
    ),
    (
        3,
        "\"a\"",
        "\"$other\"",
        "topic is `$other`: topic names that begin with `$` belong to the server",
    ),
    (3, "\"a\"", "7", "invalid type: integer `7`, expected"),
    (
        3,
        "k2w9",
        "K2W9",
        "epoch is `K2W9`: it is a number of 64 bits in base 36, in small letters",
    ),
    (
        3,
        "k2w9",
        "3w5e11264sgsg",
        "epoch is `3w5e11264sgsg`: it is a number of 64 bits",
    ),
    (3, "k2w9", "", "epoch is ``: it is a number of 64 bits"),
    (
        3,
        "\"first\":3",
        "\"first\":0",
        "topic `a` has first 0 and offset 4: first is from 1 to one more than offset",
    ),
    (
        3,
        "\"first\":3",
        "\"first\":6",
        "topic `a` has first 6 and offset 4",
    ),
    (
        3,
        "\"offset\":4",
        "\"offset\":9223372036854775808",
        "and that is below 2^63",
    ),
    (
        3,
        "\"offset\":4",
        "\"offset\":18446744073709551615",
        "and that is below 2^63",
    ),
    (
        3,
        "\"offset\":4",
        "\"offset\":18446744073709551616",
        "expected u64",
    ),
    (
        3,
        "\"offset\":4",
        "\"offset\":-1",
        "invalid value: integer `-1`, expected u64",
    ),
    (
        3,
        "\"offset\":4",
        "\"offset\":4.5",
        "invalid type: floating point `4.5`, expected u64",
    ),
    (
        3,
        "\"time\":7",
        "\"time\":null",
        "invalid type: null, expected u64",
    ),
    (3, ",\"time\":7", "", "missing field `time`"),
    (3, "\"time\":7", "\"time\":7,\"time\":7", "duplicate field `time`"),
    (4, "\"b\"", "\"a\"", "topic `a` has a line already"),
    (
        5,
        "\"a\"",
        "\"c\"",
        "topic `c` has no line of the type `topic` before",
    ),
    (
        5,
        "\"offset\":3",
        "\"offset\":4",
        "offset is 4: of topic `a`, the next one is 3",
    ),
    (5, "\"data\":null", "\"data\":nul", "at column"),
    (
        5,
        ",\"data\":null",
        "",
        "one of data, data_json, data_text and data_base64, this one has none or several",
    ),
    (
        5,
        "\"data\":null",
        "\"data\":1,\"data_text\":\"\"",
        "this one has none or several",
    ),
    (
        5,
        "\"data\":null",
        "\"data_json\":\"[1\"",
        "data_json is no JSON at column 2",
    ),
    (
        5,
        "\"data\":null",
        "\"data_base64\":\"=\"",
        "data_base64 is no padded standard base64",
    ),
    (
        5,
        "\"data\":null",
        "\"data_text\":null",
        "invalid type: null, expected",
    ),
    (
        6,
        "\"offset\":4",
        "\"offset\":5",
        "offset is 5: of topic `a`, the next one is 4",
    ),
    (
        6,
        "\"offset\":4",
        "\"offset\":3",
        "offset is 3: of topic `a`, the next one is 4",
    ),
    (
        6,
        "\"connection\":\"0300000200000001\"",
        "\"connection\":\"3\"",
        "connection is `3`: connection id is not 16 lower-case hexadecimal digits",
    ),
    (
        6,
        "\"connection\":\"0300000200000001\",",
        "",
        "missing field `connection`",
    ),
    (6, "ada", "a*", "user is `a*`: user name has"),
    (6, "\"info\":\"{}\"", "\"info\":{}", "invalid type: map, expected"),
    (6, "\"key\":\"k\"", "\"key\":\"\"", "key is ``: key is empty"),
    (
        6,
        "\"key\":\"k\"",
        "\"key\":\"\\u001b\"",
        "key is `\\u001b`: key has a control character",
    ),
    (6, "\"key\":\"k\"", "\"key\":null", "invalid type: null, expected"),
    (
        6,
        "\"idempotency_key\":\"i\"",
        "\"idempotency_key\":\"\"",
        "idempotency_key is ``: key is empty",
    ),
    (
        6,
        "\"except\":\"0300000200000001\"",
        "\"except\":\"x\"",
        "except is `x`: connection id is not 16",
    ),
    (7, "\"values\":1", "\"values\":2", "values is 2: there were 1"),
    (7, "\"topics\":2", "\"topics\":1", "topics is 1: there were 2"),
    (
        7,
        "\"publications\":2",
        "\"publications\":3",
        "publications is 3: there were 2",
    ),
];

fn import(copy: &Folder, text: &str) -> (i32, String) {
    let output = log_with(&["import", copy.name()], text);
    (code(&output), stderr(&output))
}

fn refused(text: &str, line: usize, expected: &str) {
    let copy = Folder::new("wrong-line");
    let (code, said) = import(&copy, text);
    assert_eq!(code, 2, "{expected}: {said}");
    let place = format!("error: standard input, line {line}: ");
    assert!(said.starts_with(&place), "{place}: {said}");
    assert!(said.contains(expected), "{expected}: {said}");
    let is_part = copy.path().join(INCOMPLETE_IMPORT).exists();
    assert_eq!(said.contains("has a part of the import"), is_part, "{said}");
}

#[test]
fn the_lines_are_right_as_they_are() {
    let copy = Folder::new("right-lines");
    let text = LINES.join("\n");
    assert_eq!(
        import(&copy, &text),
        (0, String::new()),
        "also without a line feed at the end"
    );
    assert_eq!(exported(&copy), text + "\n");
}

#[test]
fn a_wrong_line_is_refused_with_its_number_its_value_and_the_rule() {
    for (line, part, other, expected) in WRONG {
        let mut lines = LINES.map(str::to_owned);
        let text = &mut lines[line - 1];
        assert!(text.contains(part), "{part} in line {line}");
        *text = text.replacen(part, other, 1);
        refused(&lines.join("\n"), *line, expected);
    }
}

#[test]
fn lines_in_a_wrong_order_are_refused() {
    let without = |line: usize| {
        let mut lines = LINES.to_vec();
        lines.remove(line - 1);
        lines.join("\n")
    };
    let twice = |line: usize| {
        let mut lines = LINES.to_vec();
        lines.insert(line, LINES[line - 1]);
        lines.join("\n")
    };
    for (text, line, expected) in [
        (
            String::new(),
            1,
            "the export ends without its line of the type `end`",
        ),
        ("\n".to_owned(), 1, "EOF while parsing a value"),
        (
            without(1),
            1,
            "it is not of the type `export`, as the first one is",
        ),
        (without(5), 5, "offset is 4: of topic `a`, the next one is 3"),
        (without(6), 6, "publications is 2: there were 1"),
        (
            without(7),
            7,
            "the export ends without its line of the type `end`, so it is a part; export again",
        ),
        (
            twice(1),
            2,
            "it is of the type `export`, as only the first one is",
        ),
        (twice(2), 3, "value `keys` has a line already"),
        (twice(3), 4, "topic `a` has a line already"),
        (twice(6), 7, "offset is 4: of topic `a`, it has no more"),
        (twice(7), 8, "it stands behind the line of the type `end`"),
    ] {
        refused(&text, line, expected);
    }
    let short = without(6).replace("\"publications\":2", "\"publications\":1");
    refused(
        &short,
        6,
        "topic `a` has publications up to 4 by its line, and 4 is the first that did not come",
    );
}

#[test]
fn a_line_has_a_bound() {
    let long = format!("{}\n{}", LINES[0], " ".repeat((128 << 20) + 1));
    refused(
        &long,
        2,
        "it has more than 134217728 bytes, which no line of an export has",
    );
}

#[test]
fn the_longest_message_comes_through() {
    let folder = Folder::new("longest");
    let copy = Folder::new("longest-copy");
    let mut log = folder.log();
    append(&mut log, publication("a", &"\u{1}".repeat(16 << 20)));
    log.close().unwrap();
    let export = exported(&folder);
    assert!(export.len() > 6 * (16 << 20));
    assert_eq!(import(&copy, &export), (0, String::new()));
    let bytes = |folder: &Folder| folder.log().reader().standing("a").map(|standing| standing.bytes);
    assert_eq!(bytes(&copy), bytes(&folder));
}
