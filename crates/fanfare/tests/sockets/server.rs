//! A hub in this process, mounted in an axum application on a port of the system's choice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use fanfare::{CentrifugeTransport, ConnectionId, Fanfare, Limits, ListenerOptions, Options, TopicRules};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::client::{Client, eventually};

/// A running hub; it ends with the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) fanfare: Fanfare,
    pub(crate) runtime: Runtime,
}

impl Server {
    /// Two shards and the defaults.
    pub(crate) fn start() -> Self {
        Self::with(options())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self::with(Options { limits, ..options() })
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::listening(options, ListenerOptions::default())
    }

    pub(crate) fn listening(options: Options, listening: ListenerOptions) -> Self {
        Self::hosted(options, |fanfare, listener| async move {
            let router = Router::new()
                .route("/ws", fanfare.websocket())
                .route("/sse", fanfare.sse())
                .merge(centrifuge(&fanfare));
            let forever = std::future::pending();
            fanfare.serve(listener, router, listening, forever).await;
        })
    }

    /// A hub whose connections are somebody else's to accept.
    pub(crate) fn hosted<H: Future<Output = ()> + Send + 'static>(
        options: Options,
        host: impl FnOnce(Fanfare, TcpListener) -> H,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let fanfare = {
            let _on_it = runtime.enter();
            Fanfare::start(options).unwrap()
        };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(host(fanfare.clone(), listener));
        Self {
            address,
            fanfare,
            runtime,
        }
    }

    /// A connection of the json dialect in a given shard, with its id.
    pub(crate) fn open_in(&self, shard: usize, target: &str) -> (Client, String) {
        // Each connection goes to the less loaded of two random shards, so a few that stay lead to the other one.
        let mut others = Vec::new();
        while others.len() < 100 {
            let (client, id) = Client::open_json(self.address, target);
            if id.parse::<ConnectionId>().unwrap().shard() == shard {
                return (client, id);
            }
            others.push(client);
        }
        panic!("no connection came to shard {shard}");
    }

    /// Connections closed by the server with a code.
    pub(crate) fn disconnects(&self, code: u16) -> u64 {
        let by_code = self.fanfare.stats().disconnects;
        by_code
            .iter()
            .find(|(known, _)| *known == code)
            .map_or(0, |&(_, count)| count)
    }

    /// Waits until every connection was released; topics may have history.
    pub(crate) fn assert_released(&self) {
        eventually("no connection is left", || self.fanfare.connection_count() == 0);
    }

    /// Waits until every connection was released, and looks that nothing is left of them.
    pub(crate) fn assert_empty(&self) {
        eventually("no connection is left", || self.fanfare.connection_count() == 0);
        eventually("nothing of a connection is left", || {
            let stats = self.fanfare.stats();
            (stats.connections, stats.subscriptions, stats.topics) == (0, 0, 0)
        });
        eventually("the broker has no topic left", || {
            self.fanfare.topics(0, 10).topics.is_empty()
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.runtime
            .block_on(self.fanfare.shutdown(Duration::ZERO, Duration::ZERO));
    }
}

/// Every endpoint for clients of Centrifuge.
pub(crate) fn centrifuge(fanfare: &Fanfare) -> Router {
    let websocket = Router::new().route("/connection/websocket", fanfare.centrifuge());
    CentrifugeTransport::ALL
        .iter()
        .fold(websocket, |router, &transport| {
            router.route(transport.path(), fanfare.centrifuge_over(transport))
        })
}

/// Two shards, so that what must hold between them is seen.
pub(crate) fn options() -> Options {
    Options {
        shards: 2,
        is_development: true,
        rules: Arc::new(TopicRules::open()),
        ..Options::default()
    }
}
