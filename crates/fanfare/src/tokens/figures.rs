//! What is counted about tokens, on the page of metrics.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::{TokenRefusal, Tokens};
use crate::metrics::{encode_labelled, gauge};

/// Writes it; nothing but zeros where no tokens are verified, so that a rise from nothing can be seen.
pub(crate) fn encode(encoder: &mut DescriptorEncoder<'_>, tokens: Option<&Tokens>) -> fmt::Result {
    let (fetched, failed) = tokens.map_or((0, 0), Tokens::fetches);
    let counters = [
        (
            "fanfare_tokens_accepted",
            "Tokens that were accepted",
            tokens.map_or(0, Tokens::accepted),
        ),
        (
            "fanfare_token_keys_fetched",
            "Times that the keys of an issuer were fetched",
            fetched,
        ),
        (
            "fanfare_token_keys_failed",
            "Times that the keys of an issuer could not be fetched",
            failed,
        ),
    ];
    for (name, help, count) in counters {
        encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
    }
    let refused = |cause| tokens.map_or(0, |tokens| tokens.refused(cause));
    encode_labelled(
        encoder,
        ("fanfare_tokens_refused", "Tokens that were refused, by cause"),
        ["cause"],
        TokenRefusal::ALL
            .iter()
            .map(|&cause| ([cause.name().to_owned()], refused(cause))),
    )?;
    gauge(
        encoder,
        "fanfare_tokens_revoked",
        "Tokens and users in the table of what is revoked",
        None,
        tokens.map_or(0, |tokens| tokens.revoked() as u64),
    )
}
