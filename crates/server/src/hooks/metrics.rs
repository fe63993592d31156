//! What the metrics page says of hooks.

use fanfare::{HostFamily, HostHistogram, HostValues, Labels};

use super::backend::Backend;
use super::counts::{DURATION_BUCKETS_MS, HookCounts, Outcome};
use super::kind::HookKind;

/// Kinds that are asked, and whom.
type Asked<'a> = Vec<(HookKind, &'a Backend)>;

/// Every metric of hooks: those of a kind are there from the start, so that a rise from nothing can be seen.
pub(super) fn families(counts: &HookCounts, asked: Asked<'_>) -> Vec<HostFamily> {
    let gauge = |name, help, read: fn(&Backend) -> usize| HostFamily {
        name,
        help,
        values: HostValues::Gauges(
            asked
                .iter()
                .map(|(kind, backend)| (label(*kind), read(backend) as u64))
                .collect(),
        ),
    };
    vec![
        outcomes(counts, &asked),
        retries(counts, &asked),
        durations(counts, &asked),
        gauge(
            "fanfare_hook_asking",
            "Requests to the URL of a hook that are under way",
            |backend| backend.line().asking(),
        ),
        gauge(
            "fanfare_hook_waiting",
            "Questions that wait in front of the URL of a hook",
            |backend| backend.line().waiting(),
        ),
        gauge(
            "fanfare_hook_breaker_open",
            "Whether the URL of a hook is not asked because it did not answer (1) or is (0)",
            |backend| usize::from(!backend.is_breaker_closed()),
        ),
    ]
}

fn label(kind: HookKind) -> Labels {
    vec![("hook", kind.name())]
}

fn outcomes(counts: &HookCounts, asked: &Asked<'_>) -> HostFamily {
    let row = |kind: HookKind, outcome: Outcome| {
        let labels = vec![("hook", kind.name()), ("outcome", outcome.name())];
        (labels, counts.outcomes(kind, outcome))
    };
    let rows = asked
        .iter()
        .flat_map(|(kind, _)| Outcome::ALL.map(|outcome| row(*kind, outcome)));
    HostFamily {
        name: "fanfare_hook_questions",
        help: "Questions to hooks, by what became of them",
        values: HostValues::Counters(rows.collect()),
    }
}

fn retries(counts: &HookCounts, asked: &Asked<'_>) -> HostFamily {
    let rows = asked
        .iter()
        .map(|(kind, _)| (label(*kind), counts.retries(*kind)));
    HostFamily {
        name: "fanfare_hook_retries",
        help: "Requests to hooks that were sent again",
        values: HostValues::Counters(rows.collect()),
    }
}

fn durations(counts: &HookCounts, asked: &Asked<'_>) -> HostFamily {
    let rows = asked.iter().map(|(kind, _)| {
        let (buckets, sum) = counts.durations(*kind);
        let bounds = DURATION_BUCKETS_MS.map(|ms| ms as f64 / 1e3).into_iter();
        let buckets = bounds.chain([f64::INFINITY]).zip(buckets).collect();
        (label(*kind), HostHistogram { sum, buckets })
    });
    HostFamily {
        name: "fanfare_hook_duration_seconds",
        help: "How long questions to hooks took, the time in the line included",
        values: HostValues::Histograms(rows.collect()),
    }
}
