//! Publishing again, and behind a place: what is read and what is answered.

use super::*;
use crate::IdempotencyKey;

#[test]
fn what_makes_publishing_again_safe_is_read() {
    let options = publish_options(r#""idempotency_key":"order 7""#);
    assert_eq!(options.idempotency_key, IdempotencyKey::parse("order 7").ok());
    assert_eq!((options.key, options.expected), (None, None));
    let place = Position {
        epoch: Epoch(36),
        offset: 7,
    };
    for expected in [r#"{"epoch":"10","offset":7}"#, r#""10:7""#] {
        let options = publish_options(&format!(r#""expected":{expected}"#));
        assert_eq!(options.expected, Some(place), "{expected}");
    }
}

#[test]
fn what_became_of_a_publication_is_written() {
    let topic = TopicName::parse("a\"b").unwrap();
    let position = Position {
        epoch: Epoch(36),
        offset: 7,
    };
    assert_eq!(
        reply(
            Some("\"x\""),
            &Reply::Published {
                topic: topic.clone(),
                position,
                is_repetition: false
            }
        ),
        r#"{"type":"published","id":"x","topic":"a\"b","epoch":"10","offset":7}"#
    );
    assert_eq!(
        reply(
            None,
            &Reply::Published {
                topic,
                position,
                is_repetition: true
            }
        ),
        r#"{"type":"published","topic":"a\"b","epoch":"10","offset":7,"repeated":true}"#
    );
}

#[test]
fn refusals_are_written() {
    let position = Position {
        epoch: Epoch(36),
        offset: 7,
    };
    assert_eq!(
        reply(
            Some("9"),
            &Reply::Error {
                code: ErrorCode::Overloaded,
                message: "full".to_owned(),
                retry_after_ms: None,
                position: None,
                application_code: None,
            }
        ),
        r#"{"type":"error","id":9,"code":"overloaded","message":"full","temporary":true}"#
    );
    assert_eq!(
        reply(
            None,
            &Reply::Error {
                code: ErrorCode::RateLimited,
                message: "slower".to_owned(),
                retry_after_ms: Some(40),
                position: None,
                application_code: None,
            }
        ),
        r#"{"type":"error","code":"rate_limited","message":"slower","temporary":true,"retry_after_ms":40}"#
    );
    assert_eq!(
        reply(
            None,
            &Reply::Error {
                code: ErrorCode::Conflict,
                message: "moved".to_owned(),
                retry_after_ms: None,
                position: Some(position),
                application_code: None,
            }
        ),
        r#"{"type":"error","code":"conflict","message":"moved","temporary":false,"epoch":"10","offset":7}"#
    );
    assert_eq!(
        reply(
            None,
            &Reply::Error {
                code: ErrorCode::Forbidden,
                message: "not paid".to_owned(),
                retry_after_ms: None,
                position: None,
                application_code: Some(402),
            }
        ),
        r#"{"type":"error","code":"forbidden","message":"not paid","temporary":false,"application_code":402}"#
    );
}
