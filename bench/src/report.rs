//! Figures out of samples, and how they are shown: percentiles, medians, tables, a JSON file.

use serde::Serialize;
use std::fmt::{self, Display};
use std::io;
use std::path::Path;

/// Counts of durations in buckets of at most 1/64 (1.6 %) width; minimum cost per sample, fixed memory.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max_ns: 0,
        }
    }
}

impl Histogram {
    /// Takes in one sample.
    pub(crate) fn record(&mut self, ns: u64) {
        self.counts[bucket_of(ns)] += 1;
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// The duration that `percent` of all samples do not exceed, in nanoseconds; 0 without samples.
    ///
    /// It is the upper edge of the bucket, but never more than the greatest sample.
    pub(crate) fn percentile_ns(&self, percent: f64) -> u64 {
        let rank = ((self.total as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_edge(bucket).min(self.max_ns);
            }
        }
        self.max_ns
    }

    /// The figures the tables show.
    pub(crate) fn latency(&self) -> Latency {
        let ms = |ns: u64| ns as f64 / 1e6;
        Latency {
            p50_ms: ms(self.percentile_ns(50.0)),
            p99_ms: ms(self.percentile_ns(99.0)),
            max_ms: ms(self.max_ns),
        }
    }
}

/// Two to the number of exact bits below the leading one: 64 buckets per power of two.
const SUB_BITS: u32 = 6;
const BUCKETS: usize = (65 - SUB_BITS as usize) << SUB_BITS;

fn bucket_of(ns: u64) -> usize {
    if ns < 1 << SUB_BITS {
        return ns as usize;
    }
    let shift = ns.ilog2() - SUB_BITS;
    (((shift as u64) << SUB_BITS) + (ns >> shift)) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    let (row, column) = (bucket >> SUB_BITS, (bucket & ((1 << SUB_BITS) - 1)) as u64);
    match row {
        0 => column,
        row => ((1 << SUB_BITS) + column + 1)
            .checked_shl(row as u32 - 1)
            .map_or(u64::MAX, |edge| edge.wrapping_sub(1)),
    }
}

/// From publishing to reading a delivery.
#[allow(
    clippy::struct_field_names,
    reason = "units come last in names, and here all units are the same"
)]
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Latency {
    /// As cells of a table: median, 99th percentile, maximum.
    pub(crate) fn cells(&self) -> [String; 3] {
        [self.p50_ms, self.p99_ms, self.max_ms].map(figure)
    }
}

/// The middle of several runs, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of all values that were measured; `None` without any.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max })
    }
}

impl Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ({} – {})",
            figure(self.median),
            figure(self.min),
            figure(self.max)
        )
    }
}

/// Three significant digits or so: enough for figures that vary by percents.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// As `figure`, with a dash for what could not be measured.
pub(crate) fn optional(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), figure)
}

/// Bytes of a MiB.
pub(crate) const MIB: f64 = 1_048_576.0;

/// Bytes as MiB with two decimals, below which the kernel's counters are not exact.
pub(crate) fn mib(bytes: f64) -> String {
    format!("{:.2}", bytes / MIB)
}

/// Lines of cells, shown with aligned columns: the first to the left, the others to the right.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub(crate) fn new(heads: &[&str]) -> Self {
        Self {
            lines: vec![heads.iter().map(|head| (*head).to_owned()).collect()],
        }
    }

    /// Appends a line; it has as many cells as there are heads.
    pub(crate) fn push(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.lines[0].len(), "cells of {cells:?}");
        self.lines.push(cells);
    }
}

impl Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let width_of = |column| {
            self.lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell: &String| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width_of).collect();
        for line in &self.lines {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(formatter, "{cell:<width$}")?,
                    _ => write!(formatter, "  {cell:>width$}")?,
                }
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

/// Writes `report` where `--json` asked for it.
pub(crate) fn write_json(file: Option<&Path>, report: &impl Serialize) -> io::Result<()> {
    let Some(file) = file else {
        return Ok(());
    };
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    std::fs::write(file, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_middles() {
        assert_eq!(
            Spread::of([3.0, 1.0, 2.0]),
            Some(Spread {
                median: 2.0,
                min: 1.0,
                max: 3.0
            })
        );
        assert_eq!(
            Spread::of([4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median),
            Some(2.5)
        );
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn buckets_are_contiguous_and_narrow() {
        let mut previous = None;
        for bucket in 0..bucket_of(1 << 40) {
            let upper = upper_edge(bucket);
            assert_eq!(bucket_of(upper), bucket);
            assert_eq!(bucket_of(upper + 1), bucket + 1);
            if let Some(lower) = previous {
                assert!(upper - lower <= 1 + upper / 64, "bucket {bucket} is too wide");
            }
            previous = Some(upper);
        }
        assert_eq!(upper_edge(bucket_of(u64::MAX)), u64::MAX);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_right_within_a_bucket() {
        let mut histogram = Histogram::default();
        for us in 1..=1000_u64 {
            histogram.record(us * 1000);
        }
        for (percent, exact) in [(50.0, 500_000.0), (99.0, 990_000.0), (0.0, 1000.0)] {
            let measured = histogram.percentile_ns(percent) as f64;
            assert!(
                (exact..=exact * 1.016).contains(&measured),
                "p{percent} is {measured}"
            );
        }
        assert_eq!(histogram.percentile_ns(100.0), 1_000_000);
    }

    #[test]
    fn no_samples_give_zero_and_one_sample_gives_itself() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile_ns(99.0), 0);
        histogram.record(12_345);
        assert_eq!(
            (histogram.percentile_ns(1.0), histogram.percentile_ns(99.0)),
            (12_345, 12_345)
        );
    }

    #[test]
    fn table_columns_line_up() {
        let mut table = Table::new(&["run", "µs"]);
        table.push(vec!["bare".to_owned(), "2.05".to_owned()]);
        assert_eq!(table.to_string(), "run     µs\nbare  2.05\n");
    }
}
