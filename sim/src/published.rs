//! What a client hears of its publications: where they stand, whether they repeat one, and why not.

use fanfare_protocol::Position;
use serde_json::Value;

use crate::client::{Client, Verb};
use crate::truth::Truth;

impl Client {
    pub(crate) fn hear_published(&mut self, json: &Value, truth: &Truth) {
        let verb = self.answered(json, true);
        let is_repetition = json["repeated"] == true;
        let number = match verb {
            Verb::PublishOnce(number) => {
                if !is_repetition {
                    self.firsts.push(number);
                }
                number
            }
            Verb::Publish(number) | Verb::PublishBehind(number, ..) => {
                assert!(!is_repetition, "{}: {number} repeats nothing", self.id);
                number
            }
            _ => return,
        };
        let position = truth.said(number).position;
        assert_eq!(place_in(json), Some(position), "{}: {json}", self.id);
    }

    pub(crate) fn hear_unpublished(&mut self, json: &Value, truth: &Truth) {
        let (number, behind) = match self.answered(json, false) {
            Verb::Publish(number) => (number, None),
            Verb::PublishBehind(number, topic, place) => (number, Some((topic, place))),
            _ => return,
        };
        assert!(
            !truth.is_said(number),
            "{}: {number} was refused and published",
            self.id
        );
        assert_eq!(json["code"] == "conflict", place_in(json).is_some(), "{json}");
        if let Some(standing) = place_in(json) {
            let Some((topic, place)) = behind else {
                panic!("{}: {number} expected nothing: {json}", self.id);
            };
            assert_ne!(standing, place, "{}: {topic} stood there", self.id);
            assert!(
                truth.end_of(&topic, standing.epoch) >= standing.offset,
                "{}: {topic} was never at {standing}",
                self.id
            );
        }
    }
}

/// The place that an answer tells.
fn place_in(json: &Value) -> Option<Position> {
    Position::from_parts(json["epoch"].as_str()?, json["offset"].as_u64()?).ok()
}
