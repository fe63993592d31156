//! What the chat decides: who may come in, what a message is, and what is told of who comes and goes.

use fanfare::{
    Admission, Amendment, Caller, Denial, Draft, Entrant, ErrorCode, Fanfare, Happening, Hooks, Identity,
    Notice, Payload, UserName,
};
use serde::{Deserialize, Serialize};

/// The topic of the room.
pub const ROOM: &str = "chat";

/// The longest message, in characters.
const CONTENT_MAX: usize = 1_000;

/// The chat's decisions.
pub struct Chat;

/// What a client says.
#[derive(Deserialize)]
struct Said {
    content: String,
}

/// What everyone hears: the name is the one given at the door, whatever the client says.
#[derive(Serialize)]
struct Message<'a> {
    user: &'a str,
    content: &'a str,
    time: u64,
}

/// What everyone is told.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Told<'a> {
    Came(&'a str),
    Went(&'a str),
}

impl Hooks for Chat {
    async fn connect(&self, entrant: &Entrant, _: Option<Admission>) -> Result<Option<Admission>, Denial> {
        let Some(name) = entrant.parameter("name") else {
            return Err(Denial::unauthenticated("give your name: /ws?name=ada"));
        };
        let user = UserName::parse(&name).map_err(|error| Denial::forbidden(error.to_string()))?;
        Ok(Some(Admission {
            identity: Identity::of_user(user).into(),
            ..Admission::default()
        }))
    }

    async fn publish(&self, caller: &Caller, draft: &Draft) -> Result<Amendment, Denial> {
        let bad = |rule: &str| Denial::refused(ErrorCode::BadCommand, rule);
        let said: Said = serde_json::from_slice(draft.payload.as_bytes())
            .map_err(|_| bad(r#"a message is {"content": "text"}"#))?;
        let content = said.content.trim();
        if content.is_empty() || content.chars().count() > CONTENT_MAX {
            return Err(bad("a message has 1 to 1000 characters"));
        }
        let message = Message {
            user: caller.user().map_or("", UserName::as_str),
            content,
            time: draft.time.0,
        };
        Payload::serialize(&message)
            .map(Amendment::from)
            .map_err(|error| bad(&error.to_string()))
    }

    /// Tells the room who came and who went.
    async fn notice(&self, fanfare: &Fanfare, notice: Notice) {
        let told = match &notice.happening {
            Happening::Online { user } => Told::Came(user.as_str()),
            Happening::Offline { user } => Told::Went(user.as_str()),
            _ => return,
        };
        if let Ok(payload) = Payload::serialize(&told)
            && let Err(error) = fanfare.publish(ROOM, payload).await
        {
            eprintln!("the room was not told: {error}");
        }
    }
}
