//! What is asked and answered.

use std::time::Duration;

use fanfare_client::{Delivery, Error};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::server::{PATIENCE, Server};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    item: String,
    count: u32,
}

fn order() -> Order {
    Order {
        item: "tea".to_owned(),
        count: 2,
    }
}

#[tokio::test]
async fn what_is_published_as_a_type_arrives_as_one() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut stream = client.subscription("open:orders").await.unwrap();
    client.publish("open:orders", &order()).await.unwrap();
    match timeout(PATIENCE, stream.next()).await.unwrap() {
        Some(Delivery::Publication(publication)) => {
            assert_eq!(publication.json::<Order>().unwrap(), order());
            assert!(publication.json::<Vec<Order>>().is_err());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_gives_what_the_application_gives_or_its_reason() {
    let server = Server::start().await;
    let client = server.client().await;
    let given: Order = client.call_json("echo", &order()).await.unwrap();
    assert_eq!(given, order());
    let error = client.call_json::<_, u64>("echo", &order()).await.unwrap_err();
    assert!(matches!(error, Error::UnexpectedJson(_)), "{error}");
    let error = client.call("closed", &1).await.unwrap_err();
    assert!(
        error.is_forbidden() && error.to_string().contains("the shop is closed"),
        "{error}"
    );
    let error = client.call("nothing", &1).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refusal) if refusal.code == "not_found"),
        "{error}"
    );
    let error = client.call("busy", &1).await.unwrap_err();
    assert!(error.is_rate_limited() && error.is_temporary(), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
}
