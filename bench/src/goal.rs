//! The figures the project holds itself to, beside those that were measured.

use crate::report::{Table, figure};
use serde::Serialize;

/// A figure and the bound it must not pass.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Goal {
    /// What was measured, with its unit.
    goal: String,
    measured: f64,
    at_most: f64,
}

impl Goal {
    /// A goal that was measured; what could not be measured is no goal.
    pub(crate) fn new(goal: impl Into<String>, measured: f64, at_most: f64) -> Self {
        Self {
            goal: goal.into(),
            measured,
            at_most,
        }
    }

    /// Whether the bound is kept.
    pub(crate) fn is_met(&self) -> bool {
        self.measured <= self.at_most
    }

    /// All of them, as a table.
    pub(crate) fn table(goals: &[Self]) -> Table {
        let mut table = Table::new(&["goal", "measured", "at most", "met"]);
        for goal in goals {
            let met = if goal.is_met() { "yes" } else { "no" };
            let cells = [figure(goal.measured), figure(goal.at_most), met.to_owned()];
            table.push([goal.goal.clone()].into_iter().chain(cells).collect());
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_its_bound_and_never_by_nonsense() {
        assert!(Goal::new("ratio", 2.0, 2.0).is_met());
        assert!(!Goal::new("ratio", 2.01, 2.0).is_met());
        assert!(!Goal::new("ratio", f64::NAN, 2.0).is_met());
    }

    #[test]
    fn the_table_says_which_goals_are_missed() {
        let goals = [Goal::new("a", 1.0, 2.0), Goal::new("b", 3.0, 2.0)];
        let text = Goal::table(&goals).to_string();
        assert!(
            text.lines().nth(1).is_some_and(|line| line.ends_with("yes")),
            "{text}"
        );
        assert!(
            text.lines().nth(2).is_some_and(|line| line.ends_with("no")),
            "{text}"
        );
    }
}
