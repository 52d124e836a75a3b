//! Tenants while their store is gone: near copies and loads are all that there is.

use std::io;

use memstache_core::{
    Error, ErrorKind,
    testing::{Fault, Outcome},
};

use crate::{
    kit::{Kind, Kit, settle, tenant},
    owned::HOUR,
};

#[tokio::test(start_paused = true)]
async fn what_is_kept_unverified_is_ones_own() {
    for kind in [Kind::Near, Kind::SealedNear, Kind::BlindSealedNear] {
        let kit = Kit::new(kind);
        let [acme, umbrella] = ["acme", "umbrella"].map(|name| kit.tenants.for_tenant(&tenant(name)));
        acme.set("copied", &1).ttl(HOUR).await.unwrap();
        settle().await;
        assert_eq!(acme.get::<u32>("copied").await.unwrap(), Some(1));
        settle().await;
        kit.faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "the store is gone")));

        let load = |value| move |_| async move { Ok::<_, io::Error>(value) };
        assert_eq!(acme.get_or_load("loaded", load(2)).ttl(HOUR).await.unwrap(), 2);
        settle().await;
        assert!(kit.tenants.stats().loads_degraded > 0, "{kind:?}: the store is gone");
        for name in ["copied", "loaded"] {
            let own = umbrella.get_or_load(name, load(7)).ttl(HOUR).await.unwrap();
            assert_eq!(own, 7, "{kind:?}: {name} of another tenant stands in for nothing");
        }
        // The copy of another's stays, whatever fails meanwhile.
        let error = umbrella.remove("copied").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(umbrella.clear().await.is_err());
        settle().await;
        assert_eq!(acme.get_or_load("copied", load(9)).await.unwrap(), 1, "{kind:?}");
        assert_eq!(acme.get_or_load("loaded", load(9)).await.unwrap(), 2, "{kind:?}");

        kit.faults.heal();
        assert!(matches!(umbrella.get::<u32>("copied").await.unwrap(), None | Some(7)), "{kind:?}");
        assert_eq!(acme.read().authority().get::<u32>("copied").await.unwrap(), Some(1), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_harms_no_other_tenant() {
    for kind in Kind::ALL.iter().copied() {
        let kit = Kit::new(kind);
        let [acme, umbrella] = ["acme", "umbrella"].map(|name| kit.tenants.for_tenant(&tenant(name)));
        let gate = kit.recorder.hold(|request| request.tenants().any(|name| name == Some("umbrella")));
        let stuck = tokio::spawn({
            let umbrella = umbrella.clone();
            async move { umbrella.get::<u32>("tea").await }
        });
        gate.arrived(1).await;
        assert_eq!(acme.get_or_load("tea", |_| async { Ok::<_, io::Error>(1) }).await.unwrap(), 1);
        stuck.abort();
        assert!(stuck.await.unwrap_err().is_cancelled());
        gate.open();
        assert_eq!(acme.get::<u32>("tea").await.unwrap(), Some(1));
        assert_eq!(umbrella.get::<u32>("tea").await.unwrap(), None);
        assert_eq!(kit.recorder.outcomes(Outcome::Busy), 0, "{kind:?}");
    }
}
