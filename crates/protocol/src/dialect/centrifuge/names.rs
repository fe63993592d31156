//! Channels and clients of Centrifuge in the words of the hub: which topic a channel is, and which connection a client.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::{ConnectionId, TopicName};

/// The topic of a channel: its name, with what the names of topics may not have percent-encoded (RFC 3986 section 2.1), and `%`
/// itself. `$private` is `%24private`, `dialog#1,2` is `dialog%231,2`; most channels are as they are. Two channels are never
/// one topic. The result may still be too long, or empty.
pub fn topic_of(channel: &str) -> Cow<'_, str> {
    if !channel.contains('%') && TopicName::check(channel).is_ok() {
        return Cow::Borrowed(channel);
    }
    let mut topic = String::with_capacity(channel.len() + 8);
    for (at, character) in channel.char_indices() {
        let text = &channel[at..at + character.len_utf8()];
        let is_kept = character != '%' && !(at == 0 && character == '$') && TopicName::check(text) == Ok(());
        if is_kept || (at > 0 && character == '$') {
            topic.push(character);
        } else {
            for byte in text.bytes() {
                // A string has always room.
                let _ = write!(topic, "%{byte:02X}");
            }
        }
    }
    Cow::Owned(topic)
}

/// The channel of a topic: what [`topic_of`] was given.
///
/// A topic that no channel could be, because a `%` in it stands for nothing, is its own channel: it can be received, and
/// not be asked for.
pub fn channel_of(topic: &str) -> Cow<'_, str> {
    if !topic.contains('%') {
        return Cow::Borrowed(topic);
    }
    match decoded(topic) {
        Some(channel) if topic_of(&channel) == topic => Cow::Owned(channel),
        _ => Cow::Borrowed(topic),
    }
}

fn decoded(topic: &str) -> Option<String> {
    let mut pieces = topic.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The id of a connection as clients of Centrifuge know ids: a UUID (version 8, RFC 9562 section 5.8) that has nothing in it
/// but the connection's own id.
pub fn client_of(connection: ConnectionId) -> String {
    let bits = connection.to_bits();
    format!(
        "{:08x}-{:04x}-8{:03x}-8{:x}00-000000000000",
        bits >> 32,
        bits >> 16 & 0xffff,
        bits >> 4 & 0xfff,
        bits & 0xf
    )
}

/// The connection of [`client_of`]; none where the text is no such id.
pub fn connection_of(client: &str) -> Option<ConnectionId> {
    let digits = |from: usize, to: usize| u64::from_str_radix(client.get(from..to)?, 16).ok();
    let bits = digits(0, 8)? << 32 | digits(9, 13)? << 16 | digits(15, 18)? << 4 | digits(20, 21)?;
    let connection = ConnectionId::from_bits(bits);
    (client_of(connection) == client).then_some(connection)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn most_channels_are_topics_as_they_are() {
        for channel in ["news", "chat:index", "personal:a-b_c", "聊天室", "a$b", "a,b"] {
            assert!(matches!(topic_of(channel), Cow::Borrowed(topic) if topic == channel));
            assert!(matches!(channel_of(channel), Cow::Borrowed(same) if same == channel));
        }
    }

    #[test]
    fn others_are_encoded() {
        for (channel, topic) in [
            ("$private", "%24private"),
            ("dialog#42,43", "dialog%2342,43"),
            ("100%", "100%25"),
            ("%24private", "%2524private"),
            ("a b", "a%20b"),
            ("a?*>", "a%3F%2A%3E"),
            ("a\u{200b}b", "a%E2%80%8Bb"),
            ("$$", "%24$"),
        ] {
            assert_eq!(topic_of(channel), topic);
            assert_eq!(channel_of(topic), channel);
        }
    }

    #[test]
    fn a_topic_that_no_channel_is_stays_what_it_is() {
        for topic in ["100%", "%zz", "%6", "%61", "%ff", "%é0"] {
            assert_eq!(channel_of(topic), topic);
        }
    }

    #[test]
    fn a_client_is_its_connection() {
        let connection = ConnectionId::new(3, 70_000, 0xdead_beef);
        assert_eq!(client_of(connection), "03011170-dead-8bee-8f00-000000000000");
        for other in [
            "",
            "03011170-dead-4bee-8f00-000000000000",
            "03011170deadbeef",
            "é",
        ] {
            assert_eq!(connection_of(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_channel_has_a_topic_of_its_own(channel in "[\\PC%$#]{1,40}") {
            let topic = topic_of(&channel).into_owned();
            prop_assert_eq!(channel_of(&topic), channel.as_str());
            prop_assert!(topic.len() > crate::TOPIC_BYTES_MAX || TopicName::check(&topic).is_ok());
        }

        #[test]
        fn every_connection_is_found_again(bits: u64) {
            let connection = ConnectionId::from_bits(bits);
            prop_assert_eq!(connection_of(&client_of(connection)), Some(connection));
        }
    }
}
