//! The program, and calls of Centrifugo's API.

use fanfare::{ConnectionId, centrifuge};
use serde_json::{Value, json};

use crate::client::Client;
use crate::process::Server;

/// The line of a head that says that the body is JSON.
pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

/// A server where everyone may do everything and nothing is kept but of `kept:*`.
pub(crate) struct Stand {
    pub(crate) server: Server,
}

/// What a call was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl Stand {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// One with more flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let rules = [
            r#"--topic-rule={ pattern = "kept:*", subscribe = "anyone", publish = "anyone", history = "anyone", presence = "anyone", history_frames = 1000 }"#,
            r#"--topic-rule={ pattern = "unseen", subscribe = "anyone", keep_presence = false }"#,
            r#"--topic-rule={ pattern = "*", subscribe = "anyone", publish = "anyone", history_frames = 0 }"#,
        ];
        let all = [&["--dev"][..], &rules, flags].concat();
        Self {
            server: Server::start(&all),
        }
    }

    /// The answer to a call of a method.
    pub(crate) fn call(&self, method: &str, parameters: &Value) -> Answer {
        self.call_with(method, &parameters.to_string(), JSON)
    }

    /// The same, with these lines in the head.
    pub(crate) fn call_with(&self, method: &str, body: &str, lines: &str) -> Answer {
        self.request("POST", &format!("/api/{method}"), body, lines)
    }

    pub(crate) fn request(&self, verb: &str, target: &str, body: &str, lines: &str) -> Answer {
        let mut client = Client::connect(self.server.address);
        let head = format!("{verb} {target} HTTP/1.1\r\nHost: localhost\r\n{lines}");
        client.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        let response = client.response().expect("an answer");
        Answer {
            status: response.status,
            json: serde_json::from_str(&response.body).unwrap(),
        }
    }

    /// The result of a call that succeeds.
    pub(crate) fn done(&self, method: &str, parameters: Value) -> Value {
        self.call(method, &parameters).done()
    }

    /// Asserts that a call is answered with this error, whose text has these words.
    pub(crate) fn assert_refused(&self, method: &str, parameters: Value, code: u32, words: &str) {
        let answer = self.call(method, &parameters);
        assert_eq!(answer.status, 200, "{method} {parameters}: {}", answer.json);
        let error = &answer.json["error"];
        assert_eq!(
            answer.json,
            json!({"error": error}),
            "nothing stands beside an error"
        );
        assert_eq!(error["code"], code, "{method} {parameters}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{method} {parameters}: {message}");
    }

    /// A client of the json dialect that has subscribed to the topic in the query; with its id in Centrifugo's words.
    pub(crate) fn member(&self, query: &str) -> (Client, String) {
        let (mut client, id) = Client::open_json(self.server.address, &format!("/ws?{query}"));
        if query.contains("topic=") {
            client.expect("subscribed");
        }
        let id: ConnectionId = id.parse().unwrap();
        (client, centrifuge::client_of(id))
    }
}

impl Answer {
    /// The result, beside which there is nothing.
    pub(crate) fn done(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.json);
        let result = self.json["result"].clone();
        assert_eq!(self.json, json!({"result": result}));
        result
    }
}
