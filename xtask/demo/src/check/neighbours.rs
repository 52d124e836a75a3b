//! Whether a noisy shop was its neighbours' business.

use super::first;
use crate::load::{Neighbours, Phase};

/// By how much the hit ratio of the others may fall.
const MOST_FALL: f64 = 0.02;

/// Judges what was seen.
pub(super) fn judge(seen: &Neighbours, must: &mut impl FnMut(bool, String)) {
    let Neighbours { noisy, before, noise, unlimited } = seen;
    for (when, Phase { others, noisy: of_noisy }) in [("before", before), ("with", noise)] {
        for (who, group) in [("the others'", others), ("the noisy shop's", of_noisy)] {
            let (errors, requests) = (group.measured.errors, group.measured.requests);
            let failed = first(group.measured.first_error.as_ref());
            must(errors == 0, format!("{errors} of {who} {requests} requests {when} the noise failed{failed}"));
            must(requests > 0, format!("none of {who} requests {when} the noise was answered"));
        }
        must(others.refused == 0, format!("{} requests of the others were refused {when} the noise", others.refused));
    }
    must(before.noisy.refused == 0, format!("{} requests of {noisy} were refused at its share", before.noisy.refused));
    must(noise.noisy.refused > 0, format!("{noisy} was never refused, however much it asked for"));
    let unhinted = noise.noisy.unhinted;
    must(unhinted == 0, format!("{unhinted} refusals did not say when to come back"));
    let free = unlimited.noisy.refused + unlimited.others.refused;
    must(free == 0, format!("{free} requests were refused while no plan limited any shop"));
    must(unlimited.noisy.measured.requests > 0, format!("{noisy} was never answered without plans"));
    let (was, is) = (before.others.hit_ratio(), noise.others.hit_ratio());
    must(
        was - is < MOST_FALL,
        format!("the others' hit ratio fell from {:.1} % to {:.1} % by the noise", 100.0 * was, 100.0 * is),
    );
}
