//! Protobuf by hand: what is built of these is what a field of that number looks like.

/// A message behind its length, as it travels.
pub(super) fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    let fields = fields.concat();
    [varint(fields.len() as u64), fields].concat()
}

/// A number: wire type 0.
pub(super) fn int(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

/// A text, or bytes: wire type 2.
pub(super) fn text(number: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [&varint(number << 3 | 2), &varint(value.len() as u64), value].concat()
}

/// A message in a message, or an entry of a map, which is one of the fields 1 and 2.
pub(super) fn part(number: u64, fields: &[Vec<u8>]) -> Vec<u8> {
    text(number, fields.concat())
}

/// Seven bits in a byte, the lowest first, with the highest bit where more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[test]
fn fields_are_what_the_definition_of_the_encoding_says() {
    // The examples of protobuf.dev: field 1 is 150, field 2 is "testing", field 3 is the first message.
    assert_eq!(int(1, 150), b"\x08\x96\x01");
    assert_eq!(text(2, "testing"), b"\x12\x07testing");
    assert_eq!(part(3, &[int(1, 150)]), b"\x1a\x03\x08\x96\x01");
    assert_eq!(message(&[int(1, 150)]), b"\x03\x08\x96\x01");
}
