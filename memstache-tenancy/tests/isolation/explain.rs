//! What an explanation tells one tenant of the keys of another: as much as of keys that there never were.

use std::time::Duration;

use memstache_core::{Cache, Explanation, Json, Outcome, Reason};

use crate::{
    kit::{Kind, Kit, settle, tenant},
    owned::HOUR,
};

/// Keys of a tenant that went, each in its own way.
async fn depart(kit: &Kit, acme: &Cache<Json>) {
    for name in ["removed", "tagged", "held"] {
        acme.set(name, &1).ttl(HOUR).tags([name]).await.unwrap();
    }
    acme.set("expired", &1).ttl(Duration::from_secs(1)).await.unwrap();
    settle().await;
    acme.remove("removed").await.unwrap();
    acme.invalidate_tag("tagged").await.unwrap();
    kit.pass(Duration::from_secs(2)).await;
}

const DEPARTED: [(&str, Reason); 3] =
    [("removed", Reason::Removed), ("tagged", Reason::Tag), ("expired", Reason::Expired)];

fn says_nothing(told: &Explanation) {
    assert_eq!((told.outcome, &told.tier, told.error), (Some(Outcome::Miss), &None, None));
    for tier in &told.tiers {
        // Which of the two depends on the places that a store has for fingerprints of what went: by chance, not by name.
        assert!(matches!(tier.reason, Some(Reason::NeverStored | Reason::NotHeld)), "{told:?}");
        assert!(tier.entry.is_none() && tier.outcome.is_none() && !tier.loading, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_went_is_told_to_its_owner_only() {
    for kind in Kind::ALL.iter().copied() {
        let kit = Kit::new(kind);
        let acme = kit.tenants.for_tenant(&tenant("acme"));
        depart(&kit, &acme).await;
        if kind == Kind::Memory {
            for (name, reason) in DEPARTED {
                assert_eq!(acme.explain(name).await.unwrap().reason, Some(reason), "the owner is told");
            }
        }
        let all = DEPARTED.map(|(name, _)| name).into_iter().chain(["held", "nobodys"]);
        for who in [kit.tenants.for_tenant(&tenant("umbrella")), kit.tenants.shared()] {
            for name in all.clone() {
                says_nothing(&who.explain(name).await.unwrap());
            }
        }
        kit.tenants.clear_tenant(&tenant("acme")).await.unwrap();
        settle().await;
        says_nothing(&kit.tenants.for_tenant(&tenant("umbrella")).explain("held").await.unwrap());
        assert_ne!(acme.explain("held").await.unwrap().outcome, Some(Outcome::Hit), "{kind:?}");
    }
}

/// Explanations go to people and machines; neither form holds a name or a value.
#[tokio::test(start_paused = true)]
async fn an_explanation_names_nobody() {
    for kind in Kind::ALL.iter().copied() {
        let kit = Kit::new(kind);
        let acme = kit.tenants.for_tenant(&tenant("acme"));
        acme.set("earl-grey", "a-secret-value").await.unwrap();
        let told = acme.explain("earl-grey").await.unwrap();
        let text = format!("{told} {told:?} {}", serde_json::to_string(&told).unwrap());
        assert_eq!(told.outcome, Some(Outcome::Hit));
        assert!(["acme", "earl-grey", "a-secret"].iter().all(|word| !text.contains(word)), "{text}");
    }
}
