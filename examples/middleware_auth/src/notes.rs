//! Notes from one user to another: checked by the application, delivered to the inbox by the hub.

use std::sync::Arc;

use axum::extract::{Extension, Form, State};
use axum::http::StatusCode;
use fanfare::{Identity, Payload, UserName};
use serde::{Deserialize, Serialize};

use crate::{App, auth};

/// The longest note, in characters.
const TEXT_MAX: usize = 1_000;

#[derive(Deserialize)]
pub struct Note {
    to: String,
    text: String,
}

/// A note as the inbox gets it.
#[derive(Serialize)]
struct Delivered<'a> {
    from: &'a str,
    text: &'a str,
}

pub async fn send(
    State(app): State<App>,
    Extension(identity): Extension<Arc<Identity>>,
    Form(note): Form<Note>,
) -> Result<StatusCode, (StatusCode, String)> {
    if !auth::is_user(&note.to) {
        return Err((StatusCode::NOT_FOUND, format!("there is no user {:?}\n", note.to)));
    }
    if note.text.chars().count() > TEXT_MAX {
        return Err((
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("a note has at most {TEXT_MAX} characters\n"),
        ));
    }
    let from = identity.user.as_ref().map_or("", UserName::as_str);
    let payload = Payload::serialize(&Delivered {
        from,
        text: &note.text,
    })
    .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let published = app.fanfare.publish(&format!("inbox:{}", note.to), payload).await;
    match published {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}
