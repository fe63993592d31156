//! Who may pass the door now: connections that are no WebSocket yet, and those that become one.
//!
//! Whoever passes carries a guard, and is taken out of every count by its drop, wherever the connection ends.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
#[cfg(feature = "tls")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use fanfare_hub::Denial;
use fanfare_protocol::UserName;
use fanfare_protocol::codes::{Disconnect, ErrorCode};

use super::address::{self, AddressKey, Network};
use super::limits::DoorLimits;
use super::rate::{Rate, SharedRate};
use super::refusal::{Cause, Refusals, Refused};
use super::tally::{AddressRates, Tally};
use super::user_agents::UserAgents;
#[cfg(feature = "tls")]
use crate::tls::Watched;

/// What the door knows of everyone who passed it.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: DoorLimits,
    trusted_proxies: Vec<Network>,
    began: Instant,
    handshakes: AtomicUsize,
    handshakes_by_address: Tally<AddressKey>,
    connections_by_address: Tally<AddressKey>,
    connections_by_user: Tally<UserName>,
    /// Connections whose clients have yet to say who they are.
    awaited: AtomicUsize,
    /// Connections that go over a bridge.
    pub(super) bridges: AtomicUsize,
    /// Bytes of bodies that are being received, or wait for a shard to look at them.
    pub(super) body_bytes: AtomicUsize,
    refused_tokens_by_address: AddressRates,
    admissions: SharedRate,
    admissions_by_address: AddressRates,
    refusals: Refusals,
    pub(super) user_agents: UserAgents,
    has_descriptors: AtomicBool,
    /// Whether the log says that the host does not tell whom it has a connection from.
    is_untold_logged: AtomicBool,
    /// The time over which clients come back after a shutdown, in milliseconds.
    drain_window_ms: AtomicU64,
    /// The TLS of the listeners.
    #[cfg(feature = "tls")]
    pub(super) tls: Mutex<Vec<Watched>>,
}

/// A connection that is no WebSocket, as long as it is counted.
#[derive(Debug)]
pub(super) struct Handshake {
    gate: Arc<Gate>,
    address: Option<AddressKey>,
}

/// A WebSocket connection that is counted by address or user, or as one that has yet to say who it is, as long as it is.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    address: Option<AddressKey>,
    /// Whether it is one of the connections of its address that are counted.
    is_counted_by_address: bool,
    user: Option<UserName>,
    is_awaited: bool,
}

/// Who wants to become a WebSocket connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) address: IpAddr,
    pub(super) user: Option<&'a UserName>,
    /// Whether it has yet to say who it is.
    pub(super) is_awaited: bool,
}

impl Gate {
    pub(crate) fn new(limits: DoorLimits, trusted_proxies: Vec<Network>) -> Self {
        Self {
            admissions: SharedRate::new(limits.admissions_per_second.map(Rate::per_second)),
            limits,
            trusted_proxies,
            began: Instant::now(),
            handshakes: AtomicUsize::new(0),
            handshakes_by_address: Tally::default(),
            connections_by_address: Tally::default(),
            connections_by_user: Tally::default(),
            awaited: AtomicUsize::new(0),
            bridges: AtomicUsize::new(0),
            body_bytes: AtomicUsize::new(0),
            refused_tokens_by_address: AddressRates::default(),
            admissions_by_address: AddressRates::default(),
            refusals: Refusals::default(),
            user_agents: UserAgents::default(),
            has_descriptors: AtomicBool::new(true),
            is_untold_logged: AtomicBool::new(false),
            drain_window_ms: AtomicU64::new(0),
            #[cfg(feature = "tls")]
            tls: Mutex::default(),
        }
    }

    /// Whether what a peer says about others is believed.
    pub(super) fn is_trusted(&self, peer: SocketAddr) -> bool {
        address::is_listed(&self.trusted_proxies, peer.ip())
    }

    /// The client behind a peer; see [`address::client_behind`].
    pub(super) fn client_behind(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        address::client_behind(peer, headers, &self.trusted_proxies)
    }

    /// The host does not tell whom it has a connection from. Said once: it is a matter of how the host is built.
    pub(super) fn address_untold(&self) {
        if !self.is_untold_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the host does not tell the addresses of clients, so bounds by address do not hold; serve with \
                 into_make_service_with_connect_info, or insert a ClientAddress"
            );
        }
    }

    /// Counts a connection that was accepted. It is counted by address once that is known.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Handshake, Refused> {
        let count = self.handshakes.fetch_add(1, Ordering::Relaxed) + 1;
        // From here on its drop takes it out again.
        let handshake = Handshake {
            gate: Arc::clone(self),
            address: None,
        };
        match self.limits.handshakes_max {
            Some(max) if count > max.get() as usize => Err(Refused::unavailable(
                Cause::Handshakes,
                format!(
                    "{max} connections that are no WebSocket are open, which is the limit, come back later"
                ),
                COME_BACK_S,
            )),
            _ => Ok(handshake),
        }
    }

    /// Lets one become a WebSocket connection, the last of `connections`. What all share is asked for last, so that one
    /// address cannot use it up. Gives the guard where it is counted by address or user; boxed, because every
    /// connection has room for one.
    pub(super) fn admit(
        self: &Arc<Self>,
        candidate: Candidate<'_>,
        connections: usize,
    ) -> Result<Option<Box<Place>>, Refused> {
        if let Some(max) = self.limits.connections_max
            && connections > max.get() as usize
        {
            let reason = format!("{max} connections are open, which is the limit, connect again later");
            return Err(Refused::unavailable(Cause::Connections, reason, COME_BACK_S));
        }
        let place = self.take_place(candidate)?;
        self.take_turn(candidate.address)?;
        let is_counted = place.address.is_some() || place.user.is_some() || place.is_awaited;
        Ok(is_counted.then(|| Box::new(place)))
    }

    fn take_place(self: &Arc<Self>, candidate: Candidate<'_>) -> Result<Place, Refused> {
        let mut place = Place {
            gate: Arc::clone(self),
            address: None,
            is_counted_by_address: false,
            user: None,
            is_awaited: false,
        };
        let key = self.key_of(candidate.address);
        // Its tokens count whether its connections do or not.
        place.address = key.filter(|_| self.limits.refused_tokens_per_address.is_some());
        if let (Some(max), Some(key)) = (self.limits.connections_per_address_max, key) {
            if !self.connections_by_address.take(key, max) {
                let cause = Cause::ConnectionsPerAddress;
                return Err(too_many(cause, max, "connections are open from your address"));
            }
            (place.address, place.is_counted_by_address) = (Some(key), true);
        }
        if !place.take_user(candidate.user) {
            let max = self.limits.connections_per_user_max;
            let cause = Cause::ConnectionsPerUser;
            let what = "connections of this user are open";
            return Err(too_many(cause, max.unwrap_or(NonZeroU32::MIN), what));
        }
        if candidate.is_awaited {
            place.is_awaited = true;
            let count = self.awaited.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(max) = self
                .limits
                .unauthenticated_max
                .filter(|max| count > max.get() as usize)
            {
                let reason = format!("{max} connections have yet to say who they are, which is the limit");
                return Err(Refused::unavailable(Cause::Unauthenticated, reason, COME_BACK_S));
            }
        }
        Ok(place)
    }

    /// Refuses an address that showed too many tokens that were not accepted.
    pub(super) fn refuse_guessing(&self, address: IpAddr) -> Result<(), Refused> {
        let is_guessing = self.key_of(address).is_some_and(|key| self.is_guessing(key));
        if is_guessing {
            return Err(Refused::too_many(Cause::RefusedTokens, GUESSING, COME_BACK_S));
        }
        Ok(())
    }

    /// Counts a token that was not accepted.
    pub(super) fn token_refused(&self, address: IpAddr) {
        if let Some(key) = self.key_of(address) {
            self.count_refused_token(key);
        }
    }

    fn count_refused_token(&self, key: AddressKey) {
        if let Some(max) = self.limits.refused_tokens_per_address {
            let now = self.began.elapsed().as_nanos() as u64;
            // Beyond the bound it is not asked any more.
            let _ = self
                .refused_tokens_by_address
                .take(key, Rate::per_second(max), now);
        }
    }

    fn is_guessing(&self, key: AddressKey) -> bool {
        let now = self.began.elapsed().as_nanos() as u64;
        self.limits.refused_tokens_per_address.is_some_and(|max| {
            self.refused_tokens_by_address
                .is_empty(key, Rate::per_second(max), now)
        })
    }

    fn take_turn(&self, client: IpAddr) -> Result<(), Refused> {
        let now = self.began.elapsed().as_nanos() as u64;
        if let (Some(max), Some(key)) = (self.limits.admissions_per_address, self.key_of(client))
            && !self.admissions_by_address.take(key, Rate::per_second(max), now)
        {
            let cause = Cause::AdmissionsPerAddress;
            return Err(too_many(
                cause,
                max,
                "connections a second are admitted from your address",
            ));
        }
        self.admissions.take(now).map_err(|spread_s| {
            let reason = "more connections come than are admitted in a second, connect again later";
            Refused::unavailable(Cause::Admissions, reason, spread_s)
        })
    }

    /// What an address is counted as. Whoever is behind a trusted proxy that does not say so is not counted.
    fn key_of(&self, client: IpAddr) -> Option<AddressKey> {
        AddressKey::of(client).filter(|_| !address::is_listed(&self.trusted_proxies, client))
    }

    /// The answer to everyone once a shutdown has begun.
    pub(super) fn refuse_drained(&self) -> Refused {
        let window = Duration::from_millis(self.drain_window_ms.load(Ordering::Relaxed));
        let reason = "the server is shutting down, connect again soon";
        Refused::unavailable(Cause::Draining, reason, window.as_secs().max(1))
    }

    /// The answer to everyone while memory is short.
    pub(super) fn refuse_short() -> Refused {
        let reason = "the server's memory is short, connect again later";
        Refused::unavailable(Cause::Memory, reason, COME_BACK_S)
    }

    /// A shutdown begins, after which clients come back over `window`.
    pub(crate) fn drain(&self, window: Duration) {
        self.drain_window_ms
            .store(window.as_millis() as u64, Ordering::Relaxed);
    }

    /// Counts someone who was turned away, and perhaps logs it.
    pub(crate) fn turned_away(&self, cause: Cause, remote: SocketAddr) {
        self.refusals.count(cause, remote, self.began);
    }

    /// How many were turned away for a cause.
    pub(crate) fn refusals_of(&self, cause: Cause) -> u64 {
        self.refusals.of(cause)
    }

    /// Connections of the listener that are no WebSocket now.
    pub(crate) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::Relaxed)
    }

    /// Connections that go over a bridge now.
    pub(crate) fn bridges(&self) -> usize {
        self.bridges.load(Ordering::Relaxed)
    }

    /// Whether the last look found a descriptor for a further connection.
    pub(crate) fn has_descriptors(&self) -> bool {
        self.has_descriptors.load(Ordering::Relaxed)
    }

    /// Remembers whether there is one; gives whether there was.
    pub(super) fn set_has_descriptors(&self, has_descriptors: bool) -> bool {
        self.has_descriptors.swap(has_descriptors, Ordering::Relaxed)
    }
}

impl Handshake {
    /// Counts it by its client's address too.
    pub(super) fn claim(&mut self, client: IpAddr) -> Result<(), Refused> {
        let gate = &self.gate;
        if let (Some(max), Some(key)) = (gate.limits.handshakes_per_address_max, gate.key_of(client)) {
            if !gate.handshakes_by_address.take(key, max) {
                let cause = Cause::HandshakesPerAddress;
                let what = "connections from your address that are no WebSocket are open";
                return Err(too_many(cause, max, what));
            }
            self.address = Some(key);
        }
        Ok(())
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.gate.handshakes.fetch_sub(1, Ordering::Relaxed);
        if let Some(key) = &self.address {
            self.gate.handshakes_by_address.give_back(key);
        }
    }
}

impl Place {
    /// Takes note that the client has said who it is.
    ///
    /// # Errors
    /// The user has as many connections as it may.
    pub(crate) fn identify(&mut self, user: Option<&UserName>) -> Result<(), Denial> {
        if self.user.is_none() && !self.take_user(user) {
            return Err(Denial::Refused {
                code: ErrorCode::RateLimited,
                message: "this user has as many connections open as it may, come back later".to_owned(),
                retry_after_ms: Some(1_000 * COME_BACK_S),
                application_code: None,
            });
        }
        if std::mem::take(&mut self.is_awaited) {
            self.gate.awaited.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes note of who says hello, be it somebody else than the door knew.
    ///
    /// # Errors
    /// The user has as many connections as it may, which is the end for one that says hello.
    pub(crate) fn enter_as(&mut self, user: Option<&UserName>) -> Result<(), Denial> {
        if let Some(former) = self.user.take_if(|former| user != Some(former)) {
            self.gate.connections_by_user.give_back(&former);
        }
        let entered = self.identify(user);
        entered.map_err(|_| Denial::Closed(Disconnect::TooManyConnections))
    }

    /// Counts a token of this connection that was not accepted.
    pub(crate) fn token_refused(&self) {
        if let Some(key) = self.address {
            self.gate.count_refused_token(key);
        }
    }

    /// The answer to another token from an address that showed too many.
    pub(crate) fn deny_guessing(&self) -> Option<Denial> {
        let is_guessing = self.address.is_some_and(|key| self.gate.is_guessing(key));
        is_guessing.then(|| Denial::Refused {
            code: ErrorCode::RateLimited,
            message: GUESSING.to_owned(),
            retry_after_ms: Some(1_000 * COME_BACK_S),
            application_code: None,
        })
    }

    /// Counts it by its user, if it has one; false when that user has as many connections as it may.
    fn take_user(&mut self, user: Option<&UserName>) -> bool {
        let (Some(max), Some(user)) = (self.gate.limits.connections_per_user_max, user) else {
            return true;
        };
        let is_taken = self.gate.connections_by_user.take(user.clone(), max);
        self.user = is_taken.then(|| user.clone());
        is_taken
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_awaited {
            self.gate.awaited.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(key) = self.address.filter(|_| self.is_counted_by_address) {
            self.gate.connections_by_address.give_back(&key);
        }
        if let Some(user) = &self.user {
            self.gate.connections_by_user.give_back(user);
        }
    }
}

fn too_many(cause: Cause, max: NonZeroU32, what: &str) -> Refused {
    let reason = format!("{max} {what}, which is the limit, come back later");
    Refused::too_many(cause, reason, COME_BACK_S)
}

const GUESSING: &str = "too many tokens from your address were not accepted, come back later";

/// The time in seconds over which those are spread who wait for others to leave.
const COME_BACK_S: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(limits: DoorLimits) -> Arc<Gate> {
        Arc::new(Gate::new(limits, vec!["10.0.0.0/8".parse().unwrap()]))
    }

    fn unbound() -> DoorLimits {
        DoorLimits {
            connections_max: None,
            connections_per_address_max: None,
            connections_per_user_max: None,
            handshakes_max: None,
            handshakes_per_address_max: None,
            admissions_per_second: None,
            admissions_per_address: None,
            unauthenticated_max: None,
            refused_tokens_per_address: None,
        }
    }

    fn candidate<'a>(address: &str, user: Option<&'a UserName>) -> Candidate<'a> {
        Candidate {
            address: ip(address),
            user,
            is_awaited: false,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn cause<T: std::fmt::Debug>(outcome: Result<T, Refused>) -> Cause {
        outcome.unwrap_err().cause
    }

    #[test]
    fn an_address_counts_once_in_either_family_and_ipv6_by_its_network() {
        let gate = gate(DoorLimits {
            connections_per_address_max: NonZeroU32::new(1),
            ..unbound()
        });
        let admit = |address: &str| gate.admit(candidate(address, None), 1);
        for (one, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:0:0:2", "2001:db8:0:1::1"),
        ] {
            let first = admit(one).unwrap();
            assert_eq!(cause(admit(same)), Cause::ConnectionsPerAddress);
            drop(admit(other).unwrap());
            drop(first);
            drop(admit(same).unwrap());
        }
        let _uncounted: Vec<_> = ["127.0.0.1", "::1", "0.0.0.0", "10.1.2.3"]
            .iter()
            .flat_map(|address| [admit(address).unwrap(), admit(address).unwrap()])
            .collect();
    }

    #[test]
    fn whoever_is_refused_leaves_no_count_behind() {
        let one = NonZeroU32::new(1);
        let gate = gate(DoorLimits {
            connections_max: NonZeroU32::new(3),
            connections_per_address_max: NonZeroU32::new(2),
            connections_per_user_max: one,
            ..unbound()
        });
        let anna = UserName::parse("anna").unwrap();
        let first = gate.admit(candidate("192.0.2.1", Some(&anna)), 1).unwrap();
        for _ in 0..5 {
            let refused = gate.admit(candidate("192.0.2.1", Some(&anna)), 1);
            assert_eq!(cause(refused), Cause::ConnectionsPerUser);
            let refused = gate.admit(candidate("192.0.2.3", None), 4);
            assert_eq!(cause(refused), Cause::Connections);
        }
        let second = gate.admit(candidate("192.0.2.1", None), 1).unwrap();
        let refused = gate.admit(candidate("192.0.2.1", None), 1);
        assert_eq!(cause(refused), Cause::ConnectionsPerAddress);
        drop((first, second));
        assert!(gate.connections_by_address.is_empty() && gate.connections_by_user.is_empty());
    }

    #[test]
    fn one_address_does_not_use_up_the_admissions_of_all() {
        let gate = gate(DoorLimits {
            admissions_per_second: NonZeroU32::new(3),
            admissions_per_address: NonZeroU32::new(1),
            ..unbound()
        });
        gate.admit(candidate("192.0.2.1", None), 1).unwrap();
        for _ in 0..5 {
            let refused = gate.admit(candidate("192.0.2.1", None), 1);
            assert_eq!(cause(refused), Cause::AdmissionsPerAddress);
        }
        gate.admit(candidate("192.0.2.2", None), 1).unwrap();
        gate.admit(candidate("192.0.2.3", None), 1).unwrap();
        let refused = gate.admit(candidate("192.0.2.4", None), 1);
        assert_eq!(cause(refused), Cause::Admissions);
    }

    #[test]
    fn handshakes_are_bounded_in_total_and_by_address() {
        let gate = gate(DoorLimits {
            handshakes_max: NonZeroU32::new(3),
            handshakes_per_address_max: NonZeroU32::new(1),
            ..unbound()
        });
        let mut first = gate.enter().unwrap();
        first.claim(ip("192.0.2.1")).unwrap();
        let mut second = gate.enter().unwrap();
        assert_eq!(cause(second.claim(ip("192.0.2.1"))), Cause::HandshakesPerAddress);
        second.claim(ip("192.0.2.2")).unwrap();
        let third = gate.enter().unwrap();
        assert_eq!(cause(gate.enter()), Cause::Handshakes);
        drop((first, second, third));
        assert_eq!(gate.handshakes(), 0);
        assert!(gate.handshakes_by_address.is_empty());
    }

    #[test]
    fn who_has_yet_to_say_who_it_is_is_bounded_and_counts_by_its_user_afterwards() {
        let one = NonZeroU32::new(1);
        let gate = gate(DoorLimits {
            unauthenticated_max: one,
            connections_per_user_max: one,
            ..unbound()
        });
        let awaited = || {
            gate.admit(
                Candidate {
                    is_awaited: true,
                    ..candidate("192.0.2.1", None)
                },
                1,
            )
        };
        let mut first = awaited().unwrap().unwrap();
        assert_eq!(cause(awaited()), Cause::Unauthenticated);
        assert_eq!(
            cause(awaited()),
            Cause::Unauthenticated,
            "who was refused is not counted"
        );
        let anna = UserName::parse("anna").unwrap();
        first.identify(Some(&anna)).unwrap();
        let mut second = awaited().unwrap().unwrap();
        assert!(
            second.identify(Some(&anna)).is_err(),
            "that user has its connection"
        );
        first.identify(Some(&anna)).unwrap();
        drop((first, second));
        assert!(gate.connections_by_user.is_empty());
        assert_eq!(gate.awaited.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_address_that_guesses_is_not_listened_to() {
        let gate = gate(DoorLimits {
            connections_per_address_max: NonZeroU32::new(9),
            refused_tokens_per_address: NonZeroU32::new(3),
            ..unbound()
        });
        let place = gate.admit(candidate("192.0.2.1", None), 1).unwrap().unwrap();
        for _ in 0..3 {
            gate.refuse_guessing(ip("192.0.2.1")).unwrap();
            assert_eq!(place.deny_guessing(), None);
            gate.token_refused(ip("192.0.2.1"));
        }
        assert_eq!(cause(gate.refuse_guessing(ip("192.0.2.1"))), Cause::RefusedTokens);
        assert!(place.deny_guessing().is_some(), "over an open connection neither");
        gate.refuse_guessing(ip("192.0.2.2")).unwrap();
        for _ in 0..9 {
            gate.token_refused(ip("127.0.0.1"));
        }
        gate.refuse_guessing(ip("127.0.0.1")).unwrap();
    }
}
