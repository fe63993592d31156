//! Clients that say hello where the application is asked who comes in, in the words of Centrifuge.

use std::sync::Arc;

use fanfare_hub::access::Identity;
use fanfare_hub::{Admission, Answer, Concerns, Denial, Input, Output, Question};
use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{ConnectionId, Greeting, Payload, UserName};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::driver::{Door, Shard, topic};
use crate::hailing::{hear, say};

fn asking() -> Shard {
    Shard::with_concerns(Concerns {
        newcomers: true,
        ..Concerns::default()
    })
}

fn door(dialect: Dialect) -> Door {
    Door {
        dialect,
        is_awaited: true,
        ..Door::default()
    }
}

fn named(name: &str) -> Admission {
    Admission {
        identity: Arc::new(Identity::of_user(UserName::parse(name).unwrap())),
        ..Admission::default()
    }
}

fn hello(shard: &mut Shard, client: ConnectionId, dialect: Dialect) {
    let hello = if dialect.is_unidirectional() {
        json!({})
    } else {
        json!({"id": 1, "connect": {}})
    };
    say(shard, client, &hello);
}

fn answer(shard: &mut Shard, client: ConnectionId, outcome: Result<Option<Admission>, Denial>) -> Vec<Value> {
    shard.handle(Input::Answered(client, Answer::Enter(outcome)));
    shard.turn();
    hear(shard, client)
}

/// What the application was asked last.
fn question(shard: &Shard) -> Question {
    match shard.performed.last() {
        Some(Output::Ask(_, _, question)) => question.clone(),
        other => panic!("nothing is asked: {other:?}"),
    }
}

fn payload(json: &str) -> Payload {
    Payload::json(serde_json::from_str::<&RawValue>(json).unwrap())
}

#[test]
fn the_application_hears_what_a_client_says_and_answers_into_its_welcome() {
    let mut shard = asking();
    let client = shard.open(Door {
        user: Some("ada"),
        granted_topics: &["inbox"],
        ..door(Dialect::CentrifugeJson)
    });
    let connect = json!({"data": {"a": 1}, "name": "js", "version": "5", "subs": {"news": {"recover": true}, "$x": {}},
        "headers": {"X-Tenant": "red"}});
    say(&mut shard, client, &json!({"id": 1, "connect": connect}));
    assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
    let expected = Question::Enter {
        token: None,
        known: Some(Admission {
            topics: vec![topic("inbox")],
            ..named("ada")
        }),
        greeting: Box::new(Greeting {
            data: Some(payload(r#"{"a":1}"#)),
            name: "js".to_owned(),
            version: "5".to_owned(),
            topics: vec![topic("%24x"), topic("news")],
            headers: [("X-Tenant".to_owned(), "red".to_owned())].into(),
        }),
    };
    assert_eq!(question(&shard), expected);
    let admission = Admission {
        topics: vec![topic("news")],
        data: Some(payload(r#"{"hello": "bob"}"#)),
        ..named("bob")
    };
    let heard = answer(&mut shard, client, Ok(Some(admission)));
    let connect = &heard[0]["connect"];
    assert_eq!(connect["data"], json!({"hello": "bob"}), "{heard:?}");
    let subs: Vec<&String> = connect["subs"].as_object().unwrap().keys().collect();
    assert_eq!(subs, ["news"], "who it was before is forgotten");
    say(
        &mut shard,
        client,
        &json!({"id": 2, "publish": {"channel": "news", "data": 1}}),
    );
    let from = hear(&mut shard, client).into_iter().find_map(|message| {
        let user = &message["push"]["pub"]["info"]["user"];
        user.as_str().map(str::to_owned)
    });
    assert_eq!(from.as_deref(), Some("bob"));
    shard.end();
}

#[test]
fn nobody_in_particular_comes_in_where_such_may() {
    for (user, is_awaited, comes_in) in [
        (None, false, true),
        (None, true, false),
        (Some("ada"), false, true),
        (Some("ada"), true, false),
    ] {
        let mut shard = asking();
        let client = shard.open(Door {
            user,
            is_awaited,
            ..door(Dialect::CentrifugeJson)
        });
        hello(&mut shard, client, Dialect::CentrifugeJson);
        let heard = answer(&mut shard, client, Ok(None));
        if comes_in {
            assert!(heard[0]["connect"].is_object(), "{heard:?}");
            say(
                &mut shard,
                client,
                &json!({"id": 2, "subscribe": {"channel": "a"}}),
            );
            say(
                &mut shard,
                client,
                &json!({"id": 3, "publish": {"channel": "a", "data": 1}}),
            );
            let heard = hear(&mut shard, client);
            let infos = heard.iter().map(|message| &message["push"]["pub"]["info"]);
            let infos: Vec<_> = infos.filter(|info| info.is_object()).collect();
            assert_eq!(
                (infos.len(), &infos[0]["user"]),
                (1, &json!("")),
                "it is {user:?} no more"
            );
        } else {
            assert_eq!(heard, [json!(3501)]);
        }
        shard.end();
    }
}

fn refused(code: ErrorCode, application_code: Option<u16>) -> Denial {
    Denial::Refused {
        code,
        message: "no".to_owned(),
        retry_after_ms: None,
        application_code,
    }
}

#[test]
fn a_no_is_an_error_with_its_code_and_to_those_who_only_receive_the_end() {
    for (denial, error, end) in [
        (refused(ErrorCode::Forbidden, Some(412)), 412, 3004),
        (refused(ErrorCode::Forbidden, Some(103)), 103, 3507),
        (refused(ErrorCode::Forbidden, Some(109)), 109, 3005),
        (refused(ErrorCode::Forbidden, Some(110)), 110, 3005),
        (refused(ErrorCode::Forbidden, Some(111)), 111, 3013),
        (refused(ErrorCode::Unavailable, Some(1_500)), 1_500, 3004),
        (refused(ErrorCode::Forbidden, None), 103, 3507),
        (refused(ErrorCode::Unauthenticated, None), 101, 3004),
        (Denial::unavailable(), 100, 3004),
    ] {
        let mut shard = asking();
        let client = shard.open(door(Dialect::CentrifugeJson));
        hello(&mut shard, client, Dialect::CentrifugeJson);
        let heard = answer(&mut shard, client, Err(denial.clone()));
        assert_eq!(heard[0]["error"]["code"], error, "{heard:?}");
        let is_temporary = denial == Denial::unavailable() || error == 1_500;
        assert_eq!(
            heard[0]["error"]["temporary"].as_bool().unwrap_or(false),
            is_temporary
        );
        let is_counted = |output: &Output| matches!(output, Output::TokenRefused(_));
        assert!(!shard.performed.iter().any(is_counted), "there was no token");
        hello(&mut shard, client, Dialect::CentrifugeJson);
        assert_eq!(hear(&mut shard, client), [json!(3501)], "it is heard once");
        let receiver = shard.open(door(Dialect::CentrifugeUniJson));
        hello(&mut shard, receiver, Dialect::CentrifugeUniJson);
        let heard = answer(&mut shard, receiver, Err(denial));
        assert_eq!(heard.last(), Some(&json!(end)), "{error}");
        shard.end();
    }
}

#[test]
fn an_application_that_closes_closes_with_its_code() {
    let banned = Disconnect::Application {
        code: 4500,
        reason: "banned".into(),
    };
    for dialect in [Dialect::CentrifugeJson, Dialect::CentrifugeUniJson] {
        let mut shard = asking();
        let client = shard.open(door(dialect));
        hello(&mut shard, client, dialect);
        let heard = answer(&mut shard, client, Err(Denial::Closed(banned.clone())));
        assert_eq!(heard.last(), Some(&json!(4500)));
        shard.end();
    }
}

#[test]
fn who_has_no_words_for_what_the_application_has_is_closed() {
    let mut shard = asking();
    let client = shard.open(door(Dialect::CentrifugeJson));
    hello(&mut shard, client, Dialect::CentrifugeJson);
    let bytes = Admission {
        data: Some(Payload::binary(&b"\x00\xff"[..])),
        ..named("ada")
    };
    assert_eq!(answer(&mut shard, client, Ok(Some(bytes))), [json!(3506)]);
    shard.end();
}

#[test]
fn who_waits_for_an_answer_does_not_wait_for_ever() {
    let mut shard = asking();
    let client = shard.open(door(Dialect::CentrifugeJson));
    shard.pass(5_000);
    hello(&mut shard, client, Dialect::CentrifugeJson);
    shard.pass(6_500);
    assert_eq!(hear(&mut shard, client), [json!(3502)]);
    assert_eq!(
        answer(&mut shard, client, Ok(Some(named("ada")))),
        [] as [Value; 0]
    );
    shard.end();
}

#[test]
fn who_would_be_subscribed_to_too_much_is_closed() {
    let mut shard = asking();
    let client = shard.open(door(Dialect::CentrifugeJson));
    hello(&mut shard, client, Dialect::CentrifugeJson);
    let topics_of = |count: u32| (0..count).map(|number| topic(&number.to_string())).collect();
    let max = fanfare_hub::Limits::default().subscriptions_max;
    let beyond = Admission {
        topics: topics_of(max + 1),
        ..named("ada")
    };
    assert_eq!(answer(&mut shard, client, Ok(Some(beyond))), [json!(3505)]);
    let client = shard.open(door(Dialect::CentrifugeJson));
    hello(&mut shard, client, Dialect::CentrifugeJson);
    let all = Admission {
        topics: topics_of(max),
        ..named("ada")
    };
    let heard = answer(&mut shard, client, Ok(Some(all)));
    assert_eq!(
        heard[0]["connect"]["subs"].as_object().unwrap().len(),
        max as usize
    );
    shard.end();
}
