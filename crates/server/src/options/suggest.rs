//! "Did you mean": the known name nearest to an unknown one.

/// The candidate that resembles `unknown` enough to be what was meant.
pub(crate) fn nearest<'a>(unknown: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(unknown, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// Jaro–Winkler likeness from which on a suggestion helps more than it misleads.
const LIKENESS_MIN: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        assert_eq!(nearest("lisen", ["shards", "listen"]), Some("listen"));
        assert_eq!(nearest("colour", ["shards", "listen"]), None);
    }
}
