//! A cluster in one process, on a network in memory and in paused time, with faults drawn from a seed.
//!
//! `SIMULATION_SEED=7` runs one seed; without it as many fresh ones as `SIMULATION_SEEDS` says (50), each in a process of its own.
//!
//! A seed says what goes wrong and when. In which order maps are walked and tokio wakes who waits is drawn by the process: what
//! comes once in some runs of a seed is found by running it again, or again with the same randomness (a `getrandom` that is the same
//! each time, by `LD_PRELOAD`); the number at the end of a line tells one run from another.
//!
//! Writers and readers go on through all nodes while links and nodes fail. Judged are: every answer (no value older than the
//! last acknowledged write before the read began; what was acknowledged by a node that found others silent that are there, which is
//! a split, counts when it has healed), every call's time (none takes longer than its deadline), one load for each key while
//! nothing changes, and that after the faults all nodes agree within ten seconds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "which seeds were run, and how they ended, is told")]

mod faults;
mod load;
mod planted;
mod run;
mod seeds;
mod world;
