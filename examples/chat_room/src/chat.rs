//! What the chat decides: who may come in, what a message is, and what is told of who comes and goes.

use fanfare::{
    Admission, Caller, Denial, Draft, Entrant, ErrorCode, Fanfare, Happening, Hooks, Identity, Notice,
    Payload, TopicName, UserName,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// The topic of the room.
pub const ROOM: &str = "chat";

/// The longest message, in characters.
const CONTENT_MAX: usize = 1_000;

/// The chat's decisions.
pub struct Chat {
    /// The room that everyone is in.
    pub room: TopicName,
    /// Who came and went.
    pub happenings: mpsc::Sender<Happening>,
}

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
        let query = entrant.target.split_once('?').map_or("", |(_, query)| query);
        let name = form_urlencoded::parse(query.as_bytes()).find(|(parameter, _)| parameter == "name");
        let Some((_, name)) = name else {
            return Err(Denial::unauthenticated("give your name: /ws?name=ada"));
        };
        let user = UserName::parse(&name).map_err(|error| Denial::forbidden(error.to_string()))?;
        Ok(Some(Admission {
            identity: Identity::of_user(user).into(),
            topics: vec![self.room.clone()],
        }))
    }

    async fn publish(&self, caller: &Caller, draft: &Draft) -> Result<Option<Payload>, Denial> {
        let bad = |rule: &str| Denial::refused(ErrorCode::BadCommand, rule);
        let said: Said = serde_json::from_slice(draft.payload.as_bytes())
            .map_err(|_| bad(r#"a message is {"content": "text"}"#))?;
        let content = said.content.trim();
        if content.is_empty() || content.chars().count() > CONTENT_MAX {
            return Err(bad("a message has 1 to 1000 characters"));
        }
        let user = caller
            .identity
            .as_ref()
            .and_then(|identity| identity.user.as_ref());
        let message = Message {
            user: user.map_or("", UserName::as_str),
            content,
            time: draft.time.0,
        };
        Payload::serialize(&message)
            .map(Some)
            .map_err(|error| bad(&error.to_string()))
    }

    async fn notice(&self, notice: Notice) {
        // It fails when nobody announces any more, at the end of the program.
        let _ = self.happenings.send(notice.happening).await;
    }
}

/// Tells the room who came and who went. Not done in the hook itself, which has no hub yet when it is made.
pub async fn announce(fanfare: Fanfare, mut happenings: mpsc::Receiver<Happening>) {
    while let Some(happening) = happenings.recv().await {
        let told = match &happening {
            Happening::Online { user } => Told::Came(user.as_str()),
            Happening::Offline { user } => Told::Went(user.as_str()),
            _ => continue,
        };
        if let Ok(payload) = Payload::serialize(&told)
            && let Err(error) = fanfare.publish(ROOM, payload).await
        {
            eprintln!("the room was not told: {error}");
        }
    }
}
