//! Positions as the `json` dialect writes them, and what is written of where to begin.

use fanfare_protocol::{Epoch, Loss, Position, Reading, Since};
use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::server_message::text_or_number;

/// A position as an object.
#[derive(Deserialize)]
struct Place {
    #[serde(deserialize_with = "epoch")]
    epoch: Epoch,
    offset: u64,
}

impl From<Place> for Position {
    fn from(Place { epoch, offset }: Place) -> Self {
        Self { epoch, offset }
    }
}

/// Where a reading goes on, as the server says it.
#[derive(Deserialize)]
struct Next {
    since: Option<Place>,
    before: Option<Place>,
}

/// Reads the fields `epoch` and `offset` of an object.
pub(crate) fn position<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
    Place::deserialize(deserializer).map(Position::from)
}

fn epoch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Epoch, D::Error> {
    let text = text_or_number(deserializer)?;
    let position = Position::from_parts(&text, 0).map_err(|_| Error::custom("the epoch is not one"))?;
    Ok(position.epoch)
}

/// Reads why a client cannot go on; a reason that a later version of the dialect may have is none.
pub(crate) fn loss<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Loss>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    Ok(name.and_then(|name| Loss::ALL.iter().copied().find(|loss| loss.name() == name)))
}

/// Reads where a reading goes on.
pub(crate) fn next<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Reading>, D::Error> {
    let next = Option::<Next>::deserialize(deserializer)?;
    Ok(next.and_then(|next| match (next.since, next.before) {
        (Some(place), _) => Some(Reading::Since(Since::Position(place.into()))),
        (None, Some(place)) => Some(Reading::Before(place.into())),
        (None, None) => None,
    }))
}

/// A topic in a list, with a place of its own to begin at if it has one.
pub(crate) struct Entry<'a> {
    pub(crate) topic: &'a str,
    pub(crate) at: Option<Position>,
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(at) = self.at else {
            return serializer.serialize_str(self.topic);
        };
        let mut object = serializer.serialize_map(Some(2))?;
        object.serialize_entry("topic", self.topic)?;
        object.serialize_entry("since", &at.to_string())?;
        object.end()
    }
}

/// What a `since` says, as text; none for a number of the newest, which has a field of its own.
pub(crate) fn since_text(since: Since) -> Option<String> {
    match since {
        Since::Position(position) => Some(position.to_string()),
        Since::Age(ms) => Some(age_text(ms)),
        Since::Last(_) => None,
    }
}

/// An age in the smallest unit in which its number is one that the dialect takes; what is between two is more.
fn age_text(ms: u64) -> String {
    let units = [
        (1, "ms"),
        (1_000, "s"),
        (60_000, "m"),
        (3_600_000, "h"),
        (86_400_000, "d"),
    ];
    let written = units.map(|(unit_ms, unit)| (ms.div_ceil(unit_ms).min(u64::from(u32::MAX)), unit_ms, unit));
    let reaches = |(number, unit_ms, _): &&(u64, u64, &str)| number.saturating_mul(*unit_ms) >= ms;
    let (number, _, unit) = written.iter().find(reaches).unwrap_or(&written[4]);
    format!("{number}{unit}")
}

/// Bytes of an entry beside its topic, at most.
pub(crate) const ENTRY_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_written_in_a_unit_that_has_room_for_it() {
        for (ms, text) in [
            (0, "0ms"),
            (1_500, "1500ms"),
            (u64::from(u32::MAX) + 1, "4294968s"),
            (371_085_174_288_000_000, "4294967295d"),
            (u64::MAX, "4294967295d"),
        ] {
            assert_eq!(since_text(Since::Age(ms)).unwrap(), text);
            assert!(text.parse::<Since>().is_ok(), "{text}");
        }
    }

    #[test]
    fn an_entry_takes_no_more_than_it_says() {
        let entry = Entry {
            topic: "",
            at: Some(Position {
                epoch: Epoch(u64::MAX),
                offset: u64::MAX,
            }),
        };
        assert!(serde_json::to_string(&entry).unwrap().len() < ENTRY_BYTES_MAX);
    }
}
