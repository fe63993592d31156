//! The Prometheus page: written from the shards' snapshots when it is asked for. Names are listed in
//! `docs/operating/metrics.md`; labels come from closed sets only, never a topic or a user.

use std::fmt;

use fanfare_hub::{Hold, Samples, SlowRule};
use fanfare_protocol::codes::{Disconnect, ErrorCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::Fanfare;
use crate::door::Cause;
use crate::shard::{PanicPlace, Snapshot, TURN_BUCKETS_US};

/// The content type of the page of metrics.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Fanfare {
    /// The metrics of all shards in the text format of OpenMetrics 1.0, as of each shard's last turn. Costs a few
    /// kilobytes of text and no pause for anyone. Prometheus reads it as it is:
    ///
    /// ```
    /// use axum::Router;
    /// use axum::http::header::CONTENT_TYPE;
    /// use axum::routing::get;
    /// use fanfare::{Fanfare, METRICS_CONTENT_TYPE};
    ///
    /// fn metrics(fanfare: Fanfare) -> Router {
    ///     let page = move || async move { ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], fanfare.metrics()) };
    ///     Router::new().route("/metrics", get(page))
    /// }
    /// ```
    pub fn metrics(&self) -> String {
        self.metrics_with(&[], &[])
    }

    /// The same page with counters and families of the host's behind it.
    ///
    /// ```
    /// # fn example(fanfare: &fanfare::Fanfare) {
    /// use fanfare::HostCounter;
    ///
    /// let orders = HostCounter { name: "shop_orders", help: "Orders taken", value: 12 };
    /// let page = fanfare.metrics_with(&[orders], &[]);
    /// assert!(page.contains("shop_orders_total 12"));
    /// # }
    /// ```
    pub fn metrics_with(&self, counters: &[HostCounter], families: &[HostFamily]) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Shards {
            fanfare: self.clone(),
            host: counters.to_vec(),
            families: families.to_vec(),
        }));
        let mut page = String::new();
        // Writing into a string fails only where a value refuses to be written, and numbers never do.
        let _ = encode(&mut page, &registry);
        page
    }
}

impl Fanfare {
    /// What was counted beside the shards.
    fn counts(&self) -> [(&'static str, &'static str, u64); 6] {
        let kept = self.kept();
        [
            ("fanfare_notices_lost", NOTICES_LOST_HELP, self.notices_lost()),
            (
                "fanfare_consumer_missed",
                CONSUMER_MISSED_HELP,
                self.consumers().missed(),
            ),
            (
                "fanfare_history_squeezed",
                "Publications dropped before their time because all topics together kept as much as they may",
                kept.history_squeezed,
            ),
            (
                "fanfare_idempotency_keys_forgotten",
                "Idempotency keys and versions of topics forgotten before their window was over because there were too many",
                kept.idempotency_keys_forgotten,
            ),
            (
                "fanfare_publications_repeated",
                "Publications that were not published because one with their idempotency key had been",
                kept.repetitions,
            ),
            (
                "fanfare_publications_outdated",
                "Publications that were not published because a newer version of their state had been",
                kept.outdated,
            ),
        ]
    }

    /// What the disk of durable topics was asked and did.
    fn disk_counts(&self) -> [(&'static str, &'static str, u64); 5] {
        let disk = self.on_disk();
        [
            (
                "fanfare_log_publications",
                "Publications made durable in the data directory",
                disk.written,
            ),
            (
                "fanfare_log_groups",
                "Groups of publications written and made durable together",
                disk.groups,
            ),
            (
                "fanfare_log_refused",
                "Durable publications that the disk refused",
                disk.refused,
            ),
            (
                "fanfare_log_reads",
                "Reads of history that went to the data directory because memory had too little",
                disk.reads,
            ),
            (
                "fanfare_log_damages",
                "What was found in the data directory that is not as it was written",
                disk.damages,
            ),
        ]
    }

    /// What there is in the data directory, and how it does.
    fn disk_gauges(&self) -> [(&'static str, &'static str, u64); 6] {
        let disk = self.on_disk();
        [
            (
                "fanfare_log_queued",
                "Publications now that wait to be written to the data directory",
                disk.queued as u64,
            ),
            (
                "fanfare_log_topics",
                "Topics now of which the data directory knows the position",
                disk.usage.topics as u64,
            ),
            (
                "fanfare_log_segments",
                "Segments now in the data directory",
                disk.usage.segments as u64,
            ),
            (
                "fanfare_log_bytes",
                "Bytes of the segments in the data directory now",
                disk.usage.bytes,
            ),
            (
                "fanfare_log_full",
                "Whether the last durable publications found no room (1) or did (0)",
                u64::from(disk.is_full),
            ),
            (
                "fanfare_log_failed",
                "Whether the disk failed, so that nothing durable is taken before a restart (1) or not (0)",
                u64::from(disk.is_failed),
            ),
        ]
    }

    /// What is known beside the shards.
    fn gauges(&self) -> [(&'static str, &'static str, u64); 8] {
        let kept = self.kept();
        [
            (
                "fanfare_history_publications",
                "Publications kept now for those who come back or ask for them",
                kept.history_publications,
            ),
            (
                "fanfare_history_bytes",
                "Bytes of the publications kept now",
                kept.history_bytes,
            ),
            (
                "fanfare_idempotency_keys",
                "Idempotency keys and versions of topics remembered now",
                kept.idempotency_keys,
            ),
            (
                "fanfare_consumers",
                "Consumers in the host's own process now",
                self.consumers().count() as u64,
            ),
            (
                "fanfare_bridges",
                "Connections now that go over a bridge, because their stream could not be taken out of HTTP",
                self.gate().bridges() as u64,
            ),
            (
                "fanfare_draining",
                "Whether a shutdown is under way (1) or not (0)",
                u64::from(self.is_draining()),
            ),
            (
                "fanfare_memory_short",
                "Whether memory is short, so that nothing more is taken on (1) or not (0)",
                u64::from(self.is_memory_short()),
            ),
            (
                "fanfare_handshakes",
                "Connections of the listener now that are neither WebSockets nor streams of events",
                self.gate().handshakes() as u64,
            ),
        ]
    }
}

/// A count of the host's own, to stand on the page of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCounter {
    /// Its name, without the `_total` that is added; not one that is on the page already.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// The count. It never goes down.
    pub value: u64,
}

/// Metrics of the host's own that have labels, to stand on the page.
#[derive(Clone, Debug, PartialEq)]
pub struct HostFamily {
    /// Their name, without the suffix of their kind; not one that is on the page already.
    pub name: &'static str,
    /// What they tell.
    pub help: &'static str,
    /// The values.
    pub values: HostValues,
}

/// Values of a [`HostFamily`], each with its labels: few, and from closed sets.
#[derive(Clone, Debug, PartialEq)]
pub enum HostValues {
    /// Counts that never go down. A [`HostCounter`] is one without labels.
    Counters(Vec<(Labels, u64)>),
    /// Figures of now. One alone may have no labels.
    Gauges(Vec<(Labels, u64)>),
    /// How samples are spread.
    Histograms(Vec<(Labels, HostHistogram)>),
}

/// Names of labels and their values.
pub type Labels = Vec<(&'static str, &'static str)>;

/// How samples are spread.
#[derive(Clone, Debug, PartialEq)]
pub struct HostHistogram {
    /// The sum of all samples.
    pub sum: f64,
    /// Upper bounds, growing, each with the samples above the bound before it; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
}

/// Reads the shards each time the page is written.
struct Shards {
    fanfare: Fanfare,
    host: Vec<HostCounter>,
    families: Vec<HostFamily>,
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shards")
    }
}

impl Collector for Shards {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shards: Vec<Snapshot> = self.fanfare.snapshots().collect();
        let sum = |read: fn(&Snapshot) -> u64| shards.iter().map(read).sum::<u64>();
        for (name, help, read) in COUNTERS {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, u64, u64>(&sum(*read), None)?;
        }
        let counts = self.fanfare.counts().into_iter();
        for (name, help, count) in counts.chain(self.fanfare.disk_counts()) {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        }
        for HostCounter { name, help, value } in &self.host {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, u64, u64>(value, None)?;
        }
        for family in &self.families {
            family.encode(&mut encoder)?;
        }
        for (name, help, unit, read) in GAUGES {
            gauge(&mut encoder, name, help, unit.as_ref(), sum(*read))?;
        }
        let gauges = self.fanfare.gauges().into_iter();
        for (name, help, value) in gauges.chain(self.fanfare.disk_gauges()) {
            gauge(&mut encoder, name, help, None, value)?;
        }
        if let Some(bytes) = resident_bytes() {
            let help = "Memory of the whole process that is resident";
            gauge(
                &mut encoder,
                "process_resident_memory",
                help,
                Some(&Unit::Bytes),
                bytes,
            )?;
        }
        #[cfg(feature = "tokens")]
        crate::tokens::encode(&mut encoder, self.fanfare.tokens())?;
        #[cfg(feature = "tls")]
        encode_expiry(&mut encoder, &self.fanfare)?;
        encode_causes(&mut encoder, &self.fanfare, &shards)?;
        encode_overflows(&mut encoder, &shards)?;
        encode_behind(&mut encoder, &shards)?;
        encode_turns(&mut encoder, &shards)
    }
}

impl HostFamily {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Self { name, help, values } = self;
        let mut metric = encoder.encode_descriptor(name, help, None, values.kind())?;
        match values {
            HostValues::Counters(rows) => rows.iter().try_for_each(|(labels, count)| {
                metric
                    .encode_family(&labels.as_slice())?
                    .encode_counter::<NoLabelSet, u64, u64>(count, None)
            }),
            // An empty pair of braces is no pair of labels.
            HostValues::Gauges(rows) => rows.iter().try_for_each(|(labels, value)| match &labels[..] {
                [] => metric.encode_gauge(value),
                labels => metric.encode_family(&labels)?.encode_gauge(value),
            }),
            HostValues::Histograms(rows) => rows.iter().try_for_each(|(labels, spread)| {
                let total = spread.buckets.iter().map(|(_, count)| count).sum();
                metric
                    .encode_family(&labels.as_slice())?
                    .encode_histogram::<NoLabelSet>(spread.sum, total, &spread.buckets, None)
            }),
        }
    }
}

impl HostValues {
    fn kind(&self) -> MetricType {
        match self {
            Self::Counters(_) => MetricType::Counter,
            Self::Gauges(_) => MetricType::Gauge,
            Self::Histograms(_) => MetricType::Histogram,
        }
    }
}

pub(crate) fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: u64,
) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, unit, MetricType::Gauge)?
        .encode_gauge(&value)
}

/// When the first certificate expires, where a listener speaks TLS.
#[cfg(feature = "tls")]
fn encode_expiry(encoder: &mut DescriptorEncoder<'_>, fanfare: &Fanfare) -> fmt::Result {
    let Some(expires_at) = fanfare.gate().certificates_expire_at() else {
        return Ok(());
    };
    let seconds = expires_at
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    gauge(
        encoder,
        "fanfare_certificate_expiry",
        "When the first of the certificates expires, as Unix time",
        Some(&Unit::Seconds),
        seconds,
    )
}

/// The resident memory of this process, where the system tells it (Linux, `proc(5)`).
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
        .trim()
        .strip_suffix(" kB")?;
    kib.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// A counter: its name without the `_total` that is added, its help, and where it is read.
type CounterRow = (&'static str, &'static str, fn(&Snapshot) -> u64);

const COUNTERS: &[CounterRow] = &[
    ("fanfare_connections_opened", "Connections taken in", |s| {
        s.hub.opened
    }),
    ("fanfare_connections_released", "Connections that are over", |s| {
        s.hub.released
    }),
    (
        "fanfare_closed_by_client",
        "Connections that their client closed with a close frame",
        |s| s.hub.closed_by_client,
    ),
    (
        "fanfare_lost",
        "Connections that ended without a close frame",
        |s| s.hub.lost,
    ),
    ("fanfare_commands", "Commands and raw messages of clients", |s| {
        s.hub.commands
    }),
    (
        "fanfare_publish_commands",
        "Publications that clients asked for",
        |s| s.hub.publish_commands,
    ),
    (
        "fanfare_publications",
        "Publications fanned out, once per shard with subscribers",
        |s| s.hub.publications,
    ),
    (
        "fanfare_subscriptions_expired",
        "Subscriptions that ended because the leave for them did",
        |s| s.hub.subscriptions_expired,
    ),
    (
        "fanfare_recovered",
        "Publications given to subscribers of what they had missed",
        |s| s.hub.recovered,
    ),
    (
        "fanfare_forgotten",
        "Publications that topics forgot while subscribers read what they had missed",
        |s| s.hub.forgotten,
    ),
    (
        "fanfare_publications_duplicate",
        "Publications that came twice and were dropped",
        |s| s.hub.duplicates,
    ),
    ("fanfare_gaps", "Gaps found in the offsets of a topic", |s| {
        s.hub.gaps
    }),
    (
        "fanfare_encoded",
        "Publications encoded, once per format and shard",
        |s| s.hub.encoded,
    ),
    (
        "fanfare_compressed",
        "Publications compressed, once per dialect and shard",
        |s| s.hub.compressed,
    ),
    (
        "fanfare_compressed_before_bytes",
        "Bytes of compressed publications before that",
        |s| s.hub.uncompressed_bytes,
    ),
    (
        "fanfare_compressed_after_bytes",
        "Bytes of compressed publications after that",
        |s| s.hub.compressed_bytes,
    ),
    ("fanfare_deliveries", "Publications put into outboxes", |s| {
        s.hub.deliveries
    }),
    (
        "fanfare_delivered_bytes",
        "Bytes of publications put into outboxes",
        |s| s.hub.delivered_bytes,
    ),
    (
        "fanfare_replaced",
        "Publications replaced by newer ones before a subscription with a rate was due",
        |s| s.hub.replaced,
    ),
    ("fanfare_writes", "Writes to sockets", |s| s.writes),
    (
        "fanfare_shard_restarts",
        "Shards that began anew without their connections, because their hub panicked",
        |s| s.restarts,
    ),
    ("fanfare_written_bytes", "Bytes written to sockets", |s| {
        s.written_bytes
    }),
    (
        "fanfare_tls_errors",
        "Connections that ended because what came broke TLS",
        |s| s.tls_errors,
    ),
];

const NOTICES_LOST_HELP: &str = "Notices lost because the application did not keep up";

const CONSUMER_MISSED_HELP: &str =
    "Publications dropped because a consumer in the host's own process was slow";

/// A gauge: its name, its help, its unit, and where it is read.
type GaugeRow = (&'static str, &'static str, Option<Unit>, fn(&Snapshot) -> u64);

const GAUGES: &[GaugeRow] = &[
    ("fanfare_connections", "Connections now", None, |s| {
        s.gauges.connections as u64
    }),
    (
        "fanfare_connections_behind",
        "Connections whose socket takes no more for now",
        None,
        |s| s.gauges.behind as u64,
    ),
    ("fanfare_subscriptions", "Subscriptions now", None, |s| {
        s.hub.subscriptions
    }),
    (
        "fanfare_subscriptions_catching_up",
        "Subscriptions that have yet to read what they missed",
        None,
        |s| s.gauges.catching_up as u64,
    ),
    (
        "fanfare_topics",
        "Topics with a subscriber now, once per shard",
        None,
        |s| s.hub.topics,
    ),
    (
        "fanfare_waiting",
        "Bytes of frames that wait to be written, shared ones once",
        Some(Unit::Bytes),
        |s| s.gauges.frame_bytes as u64,
    ),
    (
        "fanfare_outbox_places",
        "Frames that wait in outboxes, once per connection",
        None,
        |s| s.gauges.queued as u64,
    ),
    (
        "fanfare_mailbox_publications",
        "Publications that wait for their shard",
        None,
        |s| s.mailbox as u64,
    ),
    (
        "fanfare_held",
        "Connections that are not read from now because they or their users send too much",
        None,
        |s| s.gauges.held as u64,
    ),
    (
        "fanfare_receiving",
        "Bytes held for messages that are not finished and for bytes that are not decoded yet",
        Some(Unit::Bytes),
        |s| s.receiving_bytes as u64,
    ),
    (
        "fanfare_tls_waiting",
        "Bytes of TLS records that their sockets did not take yet",
        Some(Unit::Bytes),
        |s| s.sealed_bytes as u64,
    ),
];

/// Counters of the same name, one for each value of its labels.
pub(crate) fn encode_labelled<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    labels: [&str; N],
    rows: impl IntoIterator<Item = ([String; N], u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (values, count) in rows {
        let labels: Vec<(&str, &str)> = labels
            .into_iter()
            .zip(values.iter().map(String::as_str))
            .collect();
        metric
            .encode_family(&labels.as_slice())?
            .encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
    }
    Ok(())
}

/// What is counted by cause: every value is there from the start, so that a rise from nothing can be seen.
fn encode_causes(encoder: &mut DescriptorEncoder<'_>, fanfare: &Fanfare, shards: &[Snapshot]) -> fmt::Result {
    let sum = |read: &dyn Fn(&Snapshot) -> u64| shards.iter().map(read).sum::<u64>();
    encode_labelled(
        encoder,
        (
            "fanfare_refusals",
            "Connections and requests turned away at the door, by cause",
        ),
        ["cause"],
        Cause::ALL.iter().map(|&cause| {
            let count = fanfare.gate().refusals_of(cause);
            ([cause.name().to_owned()], count)
        }),
    )?;
    encode_labelled(
        encoder,
        (
            "fanfare_disconnects",
            "Connections closed by the server, by close code; 4000 stands for all codes of applications",
        ),
        ["code", "reason"],
        Disconnect::causes().enumerate().map(|(cause, (code, reason))| {
            let count = sum(&|shard| shard.hub.disconnects[cause]);
            ([code.to_string(), reason.to_owned()], count)
        }),
    )?;
    encode_labelled(
        encoder,
        ("fanfare_rejections", "Commands refused, by error code"),
        ["code"],
        ErrorCode::ALL.iter().enumerate().map(|(at, code)| {
            let count = sum(&|shard| shard.hub.rejected[at]);
            ([code.name().to_owned()], count)
        }),
    )?;
    encode_labelled(
        encoder,
        (
            "fanfare_holds",
            "Times that a connection was not read from for a while, by what it had used up or waited for",
        ),
        ["limit"],
        Hold::ALL.iter().enumerate().map(|(at, hold)| {
            let count = sum(&|shard| shard.hub.held[at]);
            ([hold.name().to_owned()], count)
        }),
    )?;
    encode_labelled(
        encoder,
        (
            "fanfare_panics",
            "Panics that shards caught, by place; after one in the hub the shard begins anew, else a connection is closed",
        ),
        ["place"],
        PanicPlace::ALL.into_iter().map(|place| {
            let count = sum(&|shard| shard.panics[place as usize]);
            ([place.name().to_owned()], count)
        }),
    )
}

/// What became of full outboxes.
fn encode_overflows(encoder: &mut DescriptorEncoder<'_>, shards: &[Snapshot]) -> fmt::Result {
    let sum = |read: &dyn Fn(&Snapshot) -> u64| shards.iter().map(read).sum::<u64>();
    encode_labelled(
        encoder,
        (
            "fanfare_outbox_overflows",
            "Outboxes that were full, by the rule that was applied",
        ),
        ["rule"],
        [(
            [SlowRule::Disconnect.name().to_owned()],
            sum(&|shard| shard.hub.overflow_disconnects),
        )],
    )?;
    encode_labelled(
        encoder,
        (
            "fanfare_left_out",
            "Publications left out for a connection that read too slowly, by the rule of their topic",
        ),
        ["rule"],
        SlowRule::ALL
            .iter()
            .filter(|&&rule| rule != SlowRule::Disconnect)
            .map(|&rule| {
                let count = sum(&|shard| shard.hub.left_out[rule as usize]);
                ([rule.name().to_owned()], count)
            }),
    )
}

/// How far those connections are behind that are; each counts once a second.
fn encode_behind(encoder: &mut DescriptorEncoder<'_>, shards: &[Snapshot]) -> fmt::Result {
    type Row = (
        &'static str,
        &'static str,
        Option<Unit>,
        f64,
        fn(&Snapshot) -> &Samples,
    );
    let rows: [Row; 3] = [
        (
            "fanfare_behind_frames",
            "Publications that wait for a blocked socket, sampled once a second per connection",
            None,
            1.0,
            |shard| &shard.hub.behind_frames,
        ),
        (
            "fanfare_behind",
            "Bytes that wait for a blocked socket, sampled once a second per connection",
            Some(Unit::Bytes),
            1.0,
            |shard| &shard.hub.behind_bytes,
        ),
        (
            "fanfare_behind_age",
            "How long the oldest publication has waited for a blocked socket, sampled once a second per connection",
            Some(Unit::Seconds),
            1_000.0,
            |shard| &shard.hub.behind_age_ms,
        ),
    ];
    for (name, help, unit, scale, read) in rows {
        let metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Histogram)?;
        let bound = |at: usize| {
            Samples::BOUNDS
                .get(at)
                .map_or(f64::INFINITY, |&bound| bound as f64 / scale)
        };
        let count = |at: usize| shards.iter().map(|shard| read(shard).buckets[at]).sum::<u64>();
        let buckets: Vec<_> = (0..=Samples::BOUNDS.len())
            .map(|at| (bound(at), count(at)))
            .collect();
        let sum = shards.iter().map(|shard| read(shard).sum).sum::<u64>() as f64 / scale;
        let total = buckets.iter().map(|(_, count)| count).sum();
        Histogram { sum, total, buckets }.encode(metric)?;
    }
    Ok(())
}

fn encode_turns(encoder: &mut DescriptorEncoder<'_>, shards: &[Snapshot]) -> fmt::Result {
    let help = "Duration of a shard's turns, sleep left out";
    let metric = encoder.encode_descriptor(
        "fanfare_turn_duration",
        help,
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    let seconds = |us: u64| us as f64 / 1e6;
    let bound = |bucket: usize| {
        TURN_BUCKETS_US
            .get(bucket)
            .map_or(f64::INFINITY, |&us| seconds(us))
    };
    let count_of = |bucket: usize| shards.iter().map(|shard| shard.turn_buckets[bucket]).sum::<u64>();
    let buckets: Vec<(f64, u64)> = (0..=TURN_BUCKETS_US.len())
        .map(|bucket| (bound(bucket), count_of(bucket)))
        .collect();
    let sum = seconds(shards.iter().map(|shard| shard.turn_us).sum());
    let total = shards.iter().map(|shard| shard.turns).sum();
    Histogram { sum, total, buckets }.encode(metric)
}

/// A histogram, ready to be written.
struct Histogram {
    sum: f64,
    total: u64,
    buckets: Vec<(f64, u64)>,
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_histogram::<NoLabelSet>(self.sum, self.total, &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
