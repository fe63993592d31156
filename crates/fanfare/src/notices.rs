//! What the application is told, unasked: who came and went, and which topics have somebody.
//!
//! Shards and the broker post what happens, in its order, into one bounded queue; a task on the application's runtime
//! takes it out and tells the application, one after the other. Nobody waits for the application: what finds the queue
//! full is lost, and seen to be by the numbers of those that follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_hub::access::Identity;
use fanfare_protocol::{ConnectionId, Timestamp, TopicName, UserName};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::clock::wall;
use crate::handle::WayBack;
use crate::hooks::Application;

/// Something that the application is told. See [`Hooks::notice`](crate::Hooks::notice).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its number, from 1 on and growing. One that is missing was lost because the application did not keep up.
    pub sequence: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What.
    pub happening: Happening,
}

/// What happened. Of one connection, one topic and one user, what happened first is told first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A connection was opened, and it is known who it is.
    Connected {
        /// Which.
        connection: ConnectionId,
        /// Who; `None` for an anonymous one.
        identity: Option<Arc<Identity>>,
    },
    /// The same connection is over.
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// Who it was when it was opened.
        identity: Option<Arc<Identity>>,
        /// The close code of whoever closed it, 1005 if a client gave none, 1006 if nobody closed it, and 1011 if its
        /// shard failed.
        code: u16,
    },
    /// A topic has a subscriber, the first one in any shard. The server's own topics are not told of.
    Occupied {
        /// Which.
        topic: TopicName,
    },
    /// A topic has no subscriber left in any shard.
    Vacated {
        /// Which.
        topic: TopicName,
    },
    /// A user has a connection, the first one in any shard.
    Online {
        /// Who.
        user: UserName,
    },
    /// A user has no connection left in any shard.
    Offline {
        /// Who.
        user: UserName,
    },
}

impl Happening {
    /// That a topic has somebody now, or nobody: for a user's own topic that is the user.
    pub(crate) fn of_topic(topic: &TopicName, is_occupied: bool) -> Option<Self> {
        if let Some(name) = topic.as_str().strip_prefix(USER_TOPICS) {
            let user = UserName::parse(name).ok()?;
            return Some(if is_occupied {
                Self::Online { user }
            } else {
                Self::Offline { user }
            });
        }
        let topic = Some(topic).filter(|topic| !topic.is_reserved())?.clone();
        Some(if is_occupied {
            Self::Occupied { topic }
        } else {
            Self::Vacated { topic }
        })
    }
}

/// Where shards and the broker post what happened. It never waits.
#[derive(Debug)]
pub(crate) struct NoticeBoard {
    queue: mpsc::Sender<Posted>,
    lost: AtomicU64,
}

enum Posted {
    Notice {
        time: Timestamp,
        happening: Happening,
        /// How many were lost before it.
        lost: u64,
    },
    /// Everything before this was told.
    Flush(oneshot::Sender<()>),
}

impl NoticeBoard {
    /// Begins to tell the application what is posted, until the board is dropped.
    pub(crate) fn start(application: Application, way_back: WayBack, runtime: &Handle) -> Arc<Self> {
        let (queue, posted) = mpsc::channel(NOTICES_MAX);
        runtime.spawn(tell(posted, application, way_back));
        Arc::new(Self {
            queue,
            lost: AtomicU64::new(0),
        })
    }

    /// Posts what happened just now.
    pub(crate) fn post(&self, happening: Happening) {
        let notice = Posted::Notice {
            time: wall(),
            happening,
            lost: self.lost(),
        };
        if self.queue.try_send(notice).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until the application was told of everything that is posted.
    pub(crate) async fn flush(&self) {
        let (told, is_told) = oneshot::channel();
        if self.queue.send(Posted::Flush(told)).await.is_ok() {
            // Whoever tells may end with its runtime; then nothing more is told.
            let _ = is_told.await;
        }
    }
}

/// Tells the application one after the other, as long as there is a hub. A hook that panics has been told.
async fn tell(mut posted: mpsc::Receiver<Posted>, application: Application, way_back: WayBack) {
    let (mut sequence, mut lost_before) = (0, 0);
    while let Some(posted) = posted.recv().await {
        match posted {
            Posted::Notice {
                time,
                happening,
                lost,
            } => {
                sequence += 1 + lost.saturating_sub(lost_before);
                lost_before = lost_before.max(lost);
                let notice = Notice {
                    sequence,
                    time,
                    happening,
                };
                let (application, Some(fanfare)) = (application.clone(), way_back.hub()) else {
                    return;
                };
                // In a task of its own, so that a panic ends nothing else.
                let told = tokio::spawn(async move { application.notice(&fanfare, notice).await });
                let _ = told.await;
            }
            // Whoever waited may have stopped.
            Posted::Flush(told) => drop(told.send(())),
        }
    }
}

/// Notices that wait for the application, at some 100 bytes each beside names. Beyond: they are lost, and counted.
const NOTICES_MAX: usize = 16_384;

/// What the names of users' own topics begin with.
const USER_TOPICS: &str = "$user:";

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::{Fanfare, Hooks, Options};

    /// Takes notices as it is allowed to, and panics at the third.
    struct Listener {
        allowed: Arc<Semaphore>,
        heard: Arc<Mutex<Vec<u64>>>,
    }

    impl Hooks for Listener {
        async fn notice(&self, _: &Fanfare, notice: Notice) {
            self.allowed.acquire().await.unwrap().forget();
            self.heard.lock().unwrap().push(notice.sequence);
            assert_ne!(notice.sequence, 3, "the application has a fault");
        }
    }

    #[tokio::test]
    async fn what_is_lost_is_counted_and_leaves_a_gap_where_it_would_have_been() {
        let (allowed, heard) = (Arc::new(Semaphore::new(0)), Arc::default());
        let listener = Listener {
            allowed: Arc::clone(&allowed),
            heard: Arc::clone(&heard),
        };
        let fanfare = Fanfare::start(Options {
            shards: 1,
            ..Options::default()
        })
        .unwrap();
        let board = NoticeBoard::start(
            Application::new(listener),
            WayBack::to(&fanfare),
            &Handle::current(),
        );
        let topic = TopicName::parse("a").unwrap();
        let post = || board.post(Happening::of_topic(&topic, true).unwrap());
        (0..NOTICES_MAX + 7).for_each(|_| post());
        assert_eq!(board.lost(), 7, "nothing was taken out meanwhile");
        allowed.add_permits(NOTICES_MAX + 1);
        board.flush().await;
        post();
        board.flush().await;
        let last = NOTICES_MAX as u64;
        let expected: Vec<u64> = (1..=last).chain([last + 8]).collect();
        assert_eq!(*heard.lock().unwrap(), expected);
    }

    #[test]
    fn a_users_own_topic_is_the_user_and_the_servers_others_are_nobodys_business() {
        let ada = UserName::parse("ada").unwrap();
        let topic = TopicName::of_user(&ada);
        let online = Some(Happening::Online { user: ada.clone() });
        let offline = Some(Happening::Offline { user: ada });
        assert_eq!(Happening::of_topic(&topic, true), online);
        assert_eq!(Happening::of_topic(&topic, false), offline);
        assert_eq!(Happening::of_topic(&TopicName::all(), true), None);
    }
}
