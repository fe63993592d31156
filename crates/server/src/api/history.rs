//! Reading what was published to a topic.

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::IntoResponse;
use fanfare::{Position, Reading, Since};

use super::Api;
use super::answer::{Code, Problem};
use super::listing::limit;
use super::query::Query;
use super::scope::Caller;

/// `GET /api/history`: what a client is answered to `history`, without `type` and `id`.
pub(super) async fn history(State(api): State<Api>, request: Request) -> Result<impl IntoResponse, Problem> {
    let query = Query::parse(request.uri(), &["topic", "since", "last", "before", "limit"])?;
    let caller = Caller::of(&request)?;
    let topic = query.topic()?;
    let (reading, limit) = (reading(&query)?, limit(&query)?);
    caller.check_history(&api.fanfare, &topic)?;
    let page = api.fanfare.history(topic.as_str(), reading, limit as u32).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], page.to_json()))
}

/// What is to be read, and in which direction.
fn reading(query: &Query) -> Result<Reading, Problem> {
    match (query.one("since")?, query.one("last")?, query.one("before")?) {
        (None, None, None) => Ok(Reading::Oldest),
        (Some(since), None, None) => match since.parse() {
            Ok(since) => Ok(Reading::Since(since)),
            Err(_) => Err(bad(format!(
                "`since` is {since:?}, it is a position such as k2w9:17 or an age such as 30s, 5m, 12h or 7d"
            ))),
        },
        (None, Some(last), None) => count(last).map(|count| Reading::Since(Since::Last(count))),
        (None, None, Some("end")) => Ok(Reading::Newest),
        (None, None, Some(before)) => match before.parse::<Position>() {
            Ok(place) => Ok(Reading::Before(place)),
            Err(_) => Err(bad(format!(
                "`before` is {before:?}, it is a position such as k2w9:17 or `end`"
            ))),
        },
        _ => Err(bad(
            "`since`, `last` and `before` each say where to read, give one of them".to_owned(),
        )),
    }
}

/// A number of publications. More than can be counted here are more than are kept.
fn count(text: &str) -> Result<u32, Problem> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(count) if is_plain => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        _ => Err(bad(format!("`last` is {text:?}, it is a number of publications"))),
    }
}

fn bad(message: String) -> Problem {
    Problem::new(Code::BadQuery, message)
}
