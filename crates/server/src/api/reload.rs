//! Reading the configuration again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::Api;
use super::answer::{Code, Problem};
use super::query::Query;
use crate::serve::{Reloaded, tell};

/// What became of the configuration.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    applied: Vec<&'static str>,
    at_restart: Vec<&'static str>,
}

/// `POST /api/reload`
pub(super) async fn reload(State(api): State<Api>, request: Request) -> Result<Json<Answer>, Problem> {
    Query::parse(request.uri(), &[])?;
    let reload = Arc::clone(&api.reload);
    let outcome = spawn_blocking(move || reload.reload()).await;
    let outcome = outcome.map_err(|error| Problem::new(Code::Failed, error.to_string()))?;
    tell("API", &outcome);
    match outcome {
        Ok(Reloaded { applied, at_restart }) => Ok(Json(Answer { applied, at_restart })),
        Err(problems) => Err(Problem::new(Code::BadConfiguration, problems.join("; "))),
    }
}
