//! Who is in a topic, as a program that is told of changes knows it.

use std::collections::BTreeMap;

use crate::presence::{Attendance, PresenceUpdate, Present};

/// Who is in a topic, kept by applying every [`PresenceUpdate`] of it in its order. It grows with the number of those who
/// are there.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    members: BTreeMap<String, Present>,
    attendance: Attendance,
    is_complete: bool,
}

impl Roster {
    /// A roster before the first update: nobody is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what has changed.
    pub fn apply(&mut self, update: PresenceUpdate) {
        self.attendance = update.attendance();
        match update {
            PresenceUpdate::Everyone {
                members, is_complete, ..
            } => {
                self.replace(members);
                self.is_complete = is_complete;
            }
            PresenceUpdate::Changed { came, went, .. } => {
                // Who is somebody else now has gone and come.
                for gone in &went {
                    self.members.remove(&gone.connection);
                }
                self.extend(came);
            }
        }
    }

    /// Takes in who is there, all of them, as they were asked for with [`Commands::presence`](crate::Commands::presence):
    /// after [`Delivery::PresenceMissed`](crate::Delivery::PresenceMissed), or when the server did not tell all.
    pub fn replace(&mut self, everyone: Vec<Present>) {
        self.members.clear();
        self.extend(everyone);
        self.is_complete = true;
    }

    /// Takes in that changes were missed.
    pub fn miss(&mut self) {
        self.is_complete = false;
    }

    fn extend(&mut self, members: Vec<Present>) {
        let named = members
            .into_iter()
            .map(|member| (member.connection.clone(), member));
        self.members.extend(named);
    }

    /// Those who are known to be there, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Present> {
        self.members.values()
    }

    /// How many there were at the last update, known or not.
    pub fn attendance(&self) -> Attendance {
        self.attendance
    }

    /// Whether all are known. If not, [`replace`](Self::replace) takes all.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(fields: &str) -> PresenceUpdate {
        serde_json::from_str(&format!(r#"{{"connections":2,"users":1,{fields}}}"#)).unwrap()
    }

    fn one(connection: &str, user: &str) -> String {
        format!(r#"{{"connection":"{connection}","user":"{user}","since":1}}"#)
    }

    fn users(roster: &Roster) -> Vec<&str> {
        roster
            .members()
            .map(|member| member.user.as_deref().unwrap())
            .collect()
    }

    #[test]
    fn it_knows_who_came_and_went_however_often_they_are_named() {
        let mut roster = Roster::new();
        assert!(!roster.is_complete());
        let (ada, bob, eve) = (one("1", "ada"), one("2", "bob"), one("3", "eve"));
        roster.apply(update(&format!(r#""members":[{ada},{bob}],"complete":true"#)));
        assert_eq!((users(&roster), roster.is_complete()), (vec!["ada", "bob"], true));
        roster.apply(update(&format!(r#""came":[{bob}],"went":[{eve}]"#)));
        assert_eq!(users(&roster), ["ada", "bob"], "the lists are sets");
        let other = one("2", "bea");
        roster.apply(update(&format!(r#""came":[{other},{eve}],"went":[{bob},{ada}]"#)));
        assert_eq!(
            users(&roster),
            ["bea", "eve"],
            "who is somebody else now is there"
        );
        assert_eq!(roster.attendance().connections, 2);
    }

    #[test]
    fn it_says_when_it_does_not_know_all() {
        let mut roster = Roster::new();
        let (ada, bob) = (one("1", "ada"), one("2", "bob"));
        roster.apply(update(&format!(r#""members":[{ada}],"complete":false"#)));
        assert!(!roster.is_complete());
        let all = format!("[{ada},{bob}]");
        roster.replace(serde_json::from_str(&all).unwrap());
        assert_eq!((users(&roster), roster.is_complete()), (vec!["ada", "bob"], true));
        roster.miss();
        assert!(!roster.is_complete());
        roster.apply(update(&format!(r#""members":[{bob}],"complete":true"#)));
        assert_eq!((users(&roster), roster.is_complete()), (vec!["bob"], true));
    }
}
