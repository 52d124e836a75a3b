//! Layers that keep a stack from hanging, and from harming what is below it (feature `resilience`).
//!
//! | part | what it does | refuses with |
//! | --- | --- | --- |
//! | [`Breaker`] | stops calling what fails | `Unavailable`, with when to try again |

mod breaker;

pub use self::breaker::{
    Breaker, BreakerConfig, BreakerSnapshot, BreakerState, Permit, Probing, Refused, Transition, Verdict,
};
