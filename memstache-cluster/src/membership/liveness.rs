//! Who answers and who does not, for lists that nobody keeps up to date.

use std::{collections::HashMap, time::Duration};

use memstache_core::Tick;

use crate::member::NodeId;

/// Judges members by whether they answer: who does not for the suspicion time is down, who answers once is there again.
#[derive(Debug)]
pub(crate) struct Liveness {
    suspicion: Duration,
    silent_since: HashMap<NodeId, Tick>,
}

impl Liveness {
    pub(crate) fn new(suspicion: Duration) -> Self {
        Self { suspicion, silent_since: HashMap::new() }
    }

    /// Takes note of whether a member answered; returns whether it is there, if that can be told.
    ///
    /// Whoever is told is so each time: a list that was set anew meanwhile knows nothing of what was said before.
    pub(crate) fn note(&mut self, id: NodeId, answered: bool, now: Tick) -> Option<bool> {
        if answered {
            self.silent_since.remove(&id);
            return Some(true);
        }
        let since = *self.silent_since.entry(id).or_insert(now);
        (now.since(since) >= self.suspicion).then_some(false)
    }

    /// Forgets all but these.
    pub(crate) fn retain(&mut self, keep: impl Fn(NodeId) -> bool) {
        self.silent_since.retain(|id, _| keep(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_for_the_suspicion_time_is_down_until_it_answers() {
        let mut liveness = Liveness::new(Duration::from_secs(3));
        let (a, b, at) = (NodeId(1), NodeId(2), Tick::from_millis);
        assert_eq!(liveness.note(a, true, at(0)), Some(true));
        assert_eq!(liveness.note(a, false, at(1000)), None);
        assert_eq!(liveness.note(b, false, at(2000)), None);
        assert_eq!(liveness.note(a, false, at(3999)), None);
        assert_eq!(liveness.note(b, true, at(4000)), Some(true));
        assert_eq!(liveness.note(a, false, at(4000)), Some(false));
        assert_eq!(liveness.note(a, false, at(5000)), Some(false), "told each time");
        assert_eq!(liveness.note(b, false, at(5000)), None, "counted anew");
        assert_eq!(liveness.note(a, true, at(6000)), Some(true));
        liveness.note(a, false, at(7000));
        liveness.retain(|id| id != a);
        assert_eq!(liveness.note(a, false, at(20_000)), None, "it was forgotten");
        assert_eq!(liveness.silent_since.len(), 2);
    }
}
