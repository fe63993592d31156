//! Starting: the broker, the shards, the door, and who asks the application.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use fanfare_hub::Limits;
use fanfare_hub::broker::{Broker, Outlet};
use fanfare_protocol::SHARDS_MAX;
use tokio::runtime::Handle;

use super::{Desk, Fanfare, Inner, Reads, WayBack};
use crate::Options;
use crate::broker::{Disk, Journal, LocalBroker, StorageError, WayToBroker};
use crate::clock::{Clock, wall};
use crate::consumers::Consumers;
use crate::door::{Gate, secret};
#[cfg(feature = "tokens")]
use crate::hooks::Application;
use crate::notices::NoticeBoard;
use crate::pressure::Pressure;
use crate::shard::{Assistant, Failures, Mailbox, Shard, ShardOptions, ShardStats};
#[cfg(feature = "tokens")]
use crate::tokens::Ledger;

impl Fanfare {
    /// Starts the shards.
    ///
    /// ```
    /// use fanfare::{Fanfare, Options};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let fanfare = Fanfare::start(Options::default())?;
    /// # fanfare.shutdown(Default::default(), std::time::Duration::from_secs(1)).await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a poll or a thread cannot be made: descriptors or memory are exhausted. When the
    /// [data directory](Options::storage) cannot be used. And when there is an
    /// [application](Options::application) to ask and this is not called on a tokio runtime.
    pub fn start(options: Options) -> io::Result<Self> {
        let count = options.shards.clamp(1, SHARDS_MAX);
        let way_back = WayBack::default();
        let (assistant, notices) = assistants(&options, &way_back)?;
        let (broker, disk) = broker(&options, notices.clone()).map_err(io::Error::other)?;
        #[cfg(feature = "tokens")]
        let ledger = ledger(&options, disk.as_deref())?;
        let clock = Clock::start();
        let prepared: io::Result<Vec<_>> = (0..count).map(|_| Shard::prepare()).collect();
        let (polls, mailboxes): (Vec<_>, Vec<_>) = prepared?.into_iter().unzip();
        let mailboxes: Arc<[Arc<Mailbox>]> = mailboxes.into();
        let stats: Vec<Arc<ShardStats>> = (0..count).map(|_| Arc::default()).collect();
        let failures: Failures = Arc::default();
        let pressure = Pressure::default();
        let mut threads = Vec::new();
        for (index, poll) in polls.into_iter().enumerate() {
            let shard_options = ShardOptions {
                index,
                limits: Limits {
                    waiting_bytes_max: options.limits.waiting_bytes_max / count,
                    ..options.limits.clone()
                },
                rules: Arc::clone(&options.rules),
                assistant: assistant.clone(),
                notices: notices.clone(),
                pressure: pressure.clone(),
                seed: fastrand::u64(..),
                clock,
                notsent_bytes: options.notsent_bytes,
                send_buffer_bytes: options.send_buffer_bytes,
            };
            let shard = Shard::new(
                shard_options,
                poll,
                Arc::clone(&mailboxes),
                Arc::clone(&broker) as Arc<dyn Broker>,
                Arc::clone(&stats[index]),
            );
            let failures = Arc::clone(&failures);
            threads.push(
                std::thread::Builder::new()
                    .name(format!("shard-{index}"))
                    .spawn(|| shard.run(failures))?,
            );
        }
        let desk = Arc::new(Desk::default());
        let outlet = broker.attach(Arc::clone(&desk) as Arc<dyn Outlet>);
        let gate = Arc::new(Gate::new(options.door.clone(), options.trusted_proxies.clone()));
        let inner = Arc::new(Inner {
            rules: RwLock::new(Arc::clone(&options.rules)),
            options,
            mailboxes,
            stats,
            consumers: Consumers::new(&broker),
            reads: Reads::of(&*broker),
            broker,
            disk,
            #[cfg(feature = "tokens")]
            ledger,
            desk,
            gate,
            outlet,
            threads: Mutex::new(threads),
            is_draining: AtomicBool::new(false),
            pressure,
            notices,
            failures,
            node: format!("{:032x}", secret()?).into(),
        });
        way_back.lead_to(&inner);
        Ok(Self { inner })
    }
}

/// The broker, and the disk behind it.
fn broker(
    options: &Options,
    notices: Option<Arc<NoticeBoard>>,
) -> Result<(Arc<LocalBroker>, Option<Arc<Disk>>), StorageError> {
    let way = WayToBroker::default();
    let storage = options.storage.as_ref();
    let disk = storage.map(|storage| Disk::open(storage, &way)).transpose()?;
    let disk = disk.map(Arc::new);
    let journal = disk.clone().map(|disk| disk as Arc<dyn Journal>);
    let broker = LocalBroker::new(options.history, &options.limits, fastrand::u64(..))
        .with_notices(notices)
        .with_journal(journal);
    let broker = Arc::new(broker);
    broker.set_rules(Arc::clone(&options.rules));
    broker.restore_keys(wall())?;
    way.lead_to(&broker);
    Ok((broker, disk))
}

/// What remembers revoked tokens, which know again what was revoked before.
#[cfg(feature = "tokens")]
fn ledger(options: &Options, disk: Option<&Disk>) -> io::Result<Option<Ledger>> {
    let tokens = options.application.as_ref().and_then(Application::tokens);
    let (Some(tokens), Some(disk)) = (tokens, disk) else {
        return Ok(None);
    };
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let ledger = Ledger::open(tokens.clone(), disk.state().clone(), runtime);
    ledger.map(Some).map_err(io::Error::other)
}

/// Who asks the application, and who tells it, on the runtime that the hub is started on.
fn assistants(
    options: &Options,
    way_back: &WayBack,
) -> io::Result<(Option<Assistant>, Option<Arc<NoticeBoard>>)> {
    let Some(application) = options.application.clone() else {
        return Ok((None, None));
    };
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let notices = options
        .notices
        .then(|| NoticeBoard::start(application.clone(), way_back.clone(), &runtime));
    let assistant = Assistant::new(options, application, way_back.clone(), runtime);
    Ok((Some(assistant), notices))
}
