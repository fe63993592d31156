//! Identities that come to their end where the application says who somebody is from now on.

use std::sync::Arc;

use fanfare_hub::access::Identity;
use fanfare_hub::{Admission, Answer, Concerns, Denial, Input, Output, Question};
use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{ConnectionId, Timestamp, UserName};
use serde_json::{Value, json};

use crate::driver::{Door, Shard};
use crate::hailing::say;

/// When the first identity ends.
const END: u64 = 60_000;

fn renewing() -> Shard {
    Shard::with_concerns(Concerns {
        endings: true,
        ..Concerns::default()
    })
}

/// Ada until then.
fn ada(until: u64, info: &str) -> Arc<Identity> {
    Arc::new(Identity {
        expires_at: Some(Timestamp(until)),
        info: Some(info.into()),
        ..Identity::of_user(UserName::parse("ada").unwrap())
    })
}

/// The messages that a client got; a close frame is its code.
fn hear(shard: &mut Shard, client: ConnectionId) -> Vec<Value> {
    let frames = shard.read(client).into_iter();
    let messages = frames.filter_map(|frame| match frame.split_once(' ') {
        Some(("text", text)) => Some(serde_json::from_str(text).unwrap()),
        Some(("close", code)) => Some(json!(code.parse::<u16>().unwrap())),
        _ => None,
    });
    messages.filter(|message| *message != json!({})).collect()
}

/// Ada, who showed a token that ends at [`END`]; what she was told.
fn enter(shard: &mut Shard) -> (ConnectionId, Value) {
    let client = shard.open(Door {
        dialect: Dialect::CentrifugeJson,
        is_awaited: true,
        ..Door::default()
    });
    say(shard, client, &json!({"id": 1, "connect": {"token": "t"}}));
    let admission = Admission {
        identity: ada(END, "1"),
        ..Admission::default()
    };
    shard.handle(Input::Answered(client, Answer::Enter(Ok(Some(admission)))));
    shard.turn();
    let told = hear(shard, client).remove(0);
    (client, told)
}

/// Time goes by until then, in which the client answers pings.
fn pass_until(shard: &mut Shard, client: ConnectionId, ms: u64) {
    while shard.now.monotonic.0 < ms {
        shard.pass(100);
        let is_pinged = shard.read(client).iter().any(|frame| frame == "text {}");
        if is_pinged {
            shard.say(client, "{}");
        }
    }
}

fn renewals(shard: &Shard) -> usize {
    let is_renewal = |output: &&Output| matches!(output, Output::Ask(_, _, Question::Renew));
    shard.performed.iter().filter(is_renewal).count()
}

fn answer(
    shard: &mut Shard,
    client: ConnectionId,
    outcome: Result<Option<Arc<Identity>>, Denial>,
) -> Vec<Value> {
    shard.handle(Input::Answered(client, Answer::Renew(outcome)));
    shard.turn();
    hear(shard, client)
}

#[test]
fn the_application_is_asked_at_the_end_and_the_client_never() {
    let mut shard = renewing();
    let (client, told) = enter(&mut shard);
    assert!(told["connect"].is_object(), "{told}");
    assert_eq!(
        (&told["connect"]["expires"], &told["connect"]["ttl"]),
        (&Value::Null, &Value::Null)
    );
    say(
        &mut shard,
        client,
        &json!({"id": 2, "subscribe": {"channel": "a"}}),
    );
    pass_until(&mut shard, client, END - 200);
    assert_eq!(renewals(&shard), 0, "not before it ends");
    pass_until(&mut shard, client, END + 1_500);
    assert_eq!(renewals(&shard), 1);
    assert_eq!(
        answer(&mut shard, client, Ok(Some(ada(2 * END, "2")))),
        [] as [Value; 0]
    );
    say(
        &mut shard,
        client,
        &json!({"id": 3, "publish": {"channel": "a", "data": 1}}),
    );
    let infos: Vec<Value> = hear(&mut shard, client)
        .iter()
        .map(|message| message["push"]["pub"]["info"]["conn_info"].clone())
        .filter(|info| !info.is_null())
        .collect();
    assert_eq!(infos, [json!(2)]);
    pass_until(&mut shard, client, 2 * END - 200);
    assert_eq!(renewals(&shard), 1);
    pass_until(&mut shard, client, 2 * END + 1_500);
    assert_eq!(renewals(&shard), 2);
    shard.end();
}

#[test]
fn who_is_over_is_closed() {
    let banned = Disconnect::Application {
        code: 4500,
        reason: "banned".into(),
    };
    let bob = Arc::new(Identity::of_user(UserName::parse("bob").unwrap()));
    for (outcome, code) in [
        (Ok(None), 3005),
        (Ok(Some(ada(END, "1"))), 3005),
        (Ok(Some(bob)), 3005),
        (Err(Denial::forbidden("no")), 3005),
        (Err(Denial::Closed(banned)), 4500),
    ] {
        let mut shard = renewing();
        let (client, _) = enter(&mut shard);
        pass_until(&mut shard, client, END + 1_500);
        assert_eq!(answer(&mut shard, client, outcome), [json!(code)]);
        shard.end();
    }
}

#[test]
fn without_an_answer_it_is_asked_again_for_a_while() {
    for denial in [
        Denial::unavailable(),
        Denial::refused(ErrorCode::Overloaded, "later"),
    ] {
        let mut shard = renewing();
        let (client, _) = enter(&mut shard);
        let mut at = END;
        while at < END + 22_000 {
            at += 500;
            let before = renewals(&shard);
            pass_until(&mut shard, client, at);
            if renewals(&shard) > before {
                let heard = answer(&mut shard, client, Err(denial.clone()));
                assert_eq!(heard, [] as [Value; 0]);
            }
        }
        let asked = renewals(&shard);
        assert!((4..=10).contains(&asked), "{asked}");
        pass_until(&mut shard, client, END + 24_900);
        assert!(!shard.is_released(client));
        assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
        shard.pass(1_500);
        assert_eq!(hear(&mut shard, client), [json!(3005)], "its grace is over");
        shard.end();
    }
}

/// Who is always asked about something is asked about this as well.
#[test]
fn a_busy_client_is_asked_about_between_its_commands() {
    let mut shard = renewing();
    let (client, _) = enter(&mut shard);
    let call = json!({"id": 9, "rpc": {"method": "m", "data": 1}});
    say(&mut shard, client, &call);
    while shard.now.monotonic.0 < END + 3_000 {
        shard.pass(100);
        shard.handle(Input::Answered(
            client,
            Answer::Call(Err(Denial::forbidden("no"))),
        ));
        shard.turn();
        if renewals(&shard) > 0 {
            break;
        }
        say(&mut shard, client, &call);
    }
    assert_eq!(renewals(&shard), 1);
    assert!(shard.now.monotonic.0 < END + 1_000);
    hear(&mut shard, client);
    assert_eq!(
        answer(&mut shard, client, Ok(Some(ada(2 * END, "1")))),
        [] as [Value; 0]
    );
    shard.end();
}

#[test]
fn who_speaks_json_is_not_told_of_an_end_either() {
    let mut shard = renewing();
    let client = shard.open(Door {
        is_awaited: true,
        ..Door::default()
    });
    say(
        &mut shard,
        client,
        &json!({"type": "auth", "token": "t", "id": 1}),
    );
    let admission = Admission {
        identity: ada(END, "1"),
        ..Admission::default()
    };
    shard.handle(Input::Answered(client, Answer::Authenticate(Ok(admission))));
    shard.turn();
    let heard = String::from_utf8_lossy(&shard.read_bytes(client)).into_owned();
    assert!(heard.contains("authenticated"), "{heard}");
    assert!(!heard.contains("expires"), "{heard}");
    shard.end();
}
