//! What waits to be sent, and when it goes: no I/O, no clock.

/// Commands under way beside which others wait: one that the server works at, and one that it goes on with.
pub(super) const WINDOW: usize = 2;
/// Items of one command at most: a script holds up everything else of its server.
pub(super) const MOST: usize = 64;
/// Bytes of one command at most, but for one item that is larger.
pub(super) const MOST_BYTES: usize = 256 * 1024;

/// Gathers what comes while commands are under way.
///
/// What comes while fewer than two are under way goes at once. What comes later goes when one of them has ended, or when
/// it fills a command, or when whoever waits for longest has waited for long enough: nothing waits behind a server that
/// hangs.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: Vec<T>,
    bytes: usize,
    under_way: usize,
    turns: u64,
}

/// Which of all gatherings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn(u64);

/// What becomes of an item that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Come<T> {
    /// These are to be sent now.
    Send(Vec<T>),
    /// It waits, as the first of a turn: it is to see that the turn ends in time.
    First(Turn),
    /// It waits behind another.
    Wait,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: Vec::new(), bytes: 0, under_way: 0, turns: 0 }
    }
}

impl<T> Queue<T> {
    /// Takes an item in. What it no longer fits beside goes first, and it waits.
    pub(super) fn come(&mut self, bytes: usize, item: T) -> (Option<Vec<T>>, Come<T>) {
        let before = (self.bytes + bytes > MOST_BYTES && !self.waiting.is_empty()).then(|| self.take());
        self.waiting.push(item);
        self.bytes += bytes;
        let full = self.waiting.len() >= MOST || self.bytes >= MOST_BYTES;
        let come = if full || self.under_way < WINDOW {
            Come::Send(self.take())
        } else if self.waiting.len() == 1 {
            Come::First(Turn(self.turns))
        } else {
            Come::Wait
        };
        (before, come)
    }

    /// Takes note that a command has ended; returns what is to be sent now.
    pub(super) fn end(&mut self) -> Option<Vec<T>> {
        self.under_way -= 1;
        (self.under_way < WINDOW && !self.waiting.is_empty()).then(|| self.take())
    }

    /// Ends a turn whose first has waited for long enough, or has left; returns what is to be sent now.
    pub(super) fn hurry(&mut self, turn: Turn) -> Option<Vec<T>> {
        (turn == Turn(self.turns) && !self.waiting.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> Vec<T> {
        self.turns += 1;
        self.under_way += 1;
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue beside which two commands are under way.
    fn busy() -> Queue<usize> {
        let mut queue = Queue::default();
        for item in 0..WINDOW {
            assert_eq!(queue.come(1, item), (None, Come::Send(vec![item])));
        }
        queue
    }

    fn first(queue: &mut Queue<usize>, item: usize) -> Turn {
        match queue.come(1, item) {
            (None, Come::First(turn)) => turn,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_comes_meanwhile_goes_together() {
        let mut queue = busy();
        first(&mut queue, 2);
        assert_eq!(queue.come(1, 3), (None, Come::Wait));
        assert_eq!(queue.end(), Some(vec![2, 3]), "one of two has ended");
        assert_eq!(queue.end(), None, "nothing waits");
        assert_eq!(queue.come(1, 4), (None, Come::Send(vec![4])));
        first(&mut queue, 5);
        assert_eq!((queue.end(), queue.end(), queue.end()), (Some(vec![5]), None, None));
        assert_eq!(queue.under_way, 0);
    }

    #[test]
    fn a_full_command_waits_for_nobody() {
        let mut queue = busy();
        first(&mut queue, 0);
        for item in 1..MOST - 1 {
            assert_eq!(queue.come(1, item), (None, Come::Wait));
        }
        assert_eq!(queue.come(1, MOST - 1), (None, Come::Send((0..MOST).collect())));
        assert_eq!(queue.come(MOST_BYTES, 7), (None, Come::Send(vec![7])), "by its bytes");
        // Two are too many: they end before anything else goes.
        first(&mut queue, 8);
        assert_eq!((queue.end(), queue.end(), queue.end()), (None, None, Some(vec![8])));
    }

    #[test]
    fn a_command_takes_no_more_bytes_than_it_may() {
        let mut queue = busy();
        first(&mut queue, 0);
        let (before, come) = queue.come(MOST_BYTES - 1, 1);
        assert_eq!((before, matches!(come, Come::Send(_))), (None, true), "just full");
        first(&mut queue, 2);
        let (before, come) = queue.come(MOST_BYTES - 1, 3);
        assert_eq!((before, come), (None, Come::Send(vec![2, 3])));
        first(&mut queue, 4);
        let (before, come) = queue.come(2, 5);
        assert_eq!((before, come), (None, Come::Wait));
        let (before, come) = queue.come(MOST_BYTES - 2, 6);
        assert_eq!(before, Some(vec![4, 5]), "it fits beside neither");
        assert!(matches!(come, Come::First(_)), "{come:?}");
    }

    #[test]
    fn a_turn_is_hurried_once_and_only_while_it_lasts() {
        let mut queue = busy();
        let turn = first(&mut queue, 2);
        assert_eq!(queue.hurry(turn), Some(vec![2]));
        assert_eq!(queue.hurry(turn), None);
        let over = first(&mut queue, 3);
        assert_eq!((queue.end(), queue.end()), (None, Some(vec![3])));
        let next = first(&mut queue, 4);
        assert_eq!(queue.hurry(over), None, "another turn's is not its own to end");
        assert_eq!(queue.hurry(next), Some(vec![4]));
    }
}
