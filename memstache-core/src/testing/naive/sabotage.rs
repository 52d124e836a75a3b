//! The rules that a naive store can be told to break.

/// One rule that a sabotaged [`NaiveStore`](super::NaiveStore) breaks, to check that a suite finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sabotage {
    /// A removal leaves the key's lease standing.
    ForgetsLeaseOnRemove,
    /// A write leaves the key's lease standing.
    ForgetsLeaseOnSet,
    /// A refused write ends the key's lease.
    EndsLeaseOnRefusal,
    /// Readers do not compare tags.
    IgnoresTags,
    /// Readers do not compare clears.
    IgnoresFloors,
    /// A clear leaves leases standing.
    IgnoresFloorsOfLeases,
    /// A fill is stored under the sequence of now instead of that of its lease.
    ForgetsCapturedSequence,
    /// A tag counts in every space.
    LeaksTags,
    /// A cleared tenant takes all others with it.
    ClearsEveryTenant,
    /// Every asker for a missing key is granted a lease.
    GrantsToEverybody,
    /// Who asks again under the id of its own lease is told that the key is busy.
    ForgetsWhoAsked,
    /// Every reader of a stale entry is granted a lease.
    LeasesStaleToEverybody,
    /// Lets leases age out under a living loader.
    IgnoresRenew,
    /// Leases never age out.
    NeverAgesLeases,
    /// A fill needs no standing lease.
    AcceptsLateFills,
    /// A fill that is repeated is refused.
    RefusesRepeatedFills,
    /// A busy key is always worth joining.
    JoinsAcrossInvalidation,
    /// Waiters are not told of a lease's end.
    LosesWakeUps,
    /// One waiter is told of a lease's end, the others are not.
    WakesOneWaiter,
    /// A batch that asks twice for a key waits for its own load.
    WaitsForItself,
    /// A batch that waits for one key keeps the leases of others meanwhile.
    HoldsLeasesWhileWaiting,
    /// An unreadable version is answered again.
    IgnoresUnless,
    /// Conditions always hold.
    IgnoresConditions,
    /// A removed key begins to count its versions anew.
    RestartsVersions,
    /// A batch is answered in the wrong order.
    AnswersBackwards,
    /// Expired entries are answered.
    ReturnsExpired,
    /// Stale entries are not answered.
    ForgetsGrace,
    /// The reader's limit on staleness is not kept.
    IgnoresMaxStaleness,
    /// Every read extends a sliding entry.
    SlidesOnEveryRead,
    /// Looking whether there is an entry extends it.
    SlidesOnProbe,
    /// A sliding entry outlives its ttl.
    SlidesPastTtl,
    /// A negative record is answered as a value.
    TakesNegativeForValue,
    /// Tells a sealed negative record apart, and loses its bytes.
    LosesSealedNegative,
    /// Keys of one name in different tenants are one.
    MixesTenants,
    /// What must be sealed is stored as it is.
    StoresUnsealed,
    /// Subscribers are told nothing.
    PublishesNothing,
}
