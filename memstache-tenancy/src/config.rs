//! Quotas in stacks that are made of configurations (feature `config`).

use memstache_core::{
    ErasedService, Result, TenantId,
    config::{Place, PlacedLayer, Registry, Section},
};
use tower_layer::Layer;

use crate::{
    plan::{MAX_WEIGHT, OverQuota, Plan, PlanBuilder, Plans},
    quota::{Quota, QuotaLayer},
    tenants::Tenants,
};

const U32: usize = u32::MAX as usize;

/// Registers quotas: the kind of `[quota]` is `plans`, its plans become those of the registry, which also keeps account of
/// `backend.kind = "memory"`.
///
/// The registry's plans are replaced when the configuration is used, as by [`Tenants::reload`], and not if anything in it is
/// wrong. [`CONFIG_EXAMPLE`] has the settings.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::{TenantId, config::{CacheConfig, Registry}};
/// use memstache_tenancy::{Plans, Tenants};
///
/// let tenants = Tenants::new(Plans::builder().build()?);
/// let text = r#"
///     [quota]
///     kind = "plans"
///     default_plan = "free"
///     plans.free = { operations_per_second = 50, bytes = "1 MiB" }
///     plans.gold = { operations_per_second = 5000 }
///     tenants = { acme = "gold" }
/// "#;
/// let registry = memstache_tenancy::register(Registry::new(), &tenants);
/// let cache = CacheConfig::new().toml(text).build(&registry)?.tenanted("products")?;
///
/// let acme = TenantId::new("acme")?;
/// cache.for_tenant(&acme).set("tea", &349).await?;
/// assert_eq!(tenants.usage(&acme).plan.unwrap().name(), "gold");
/// # Ok(())
/// # }
/// ```
pub fn register<F>(registry: Registry<F>, tenants: &Tenants) -> Registry<F> {
    let of = tenants.clone();
    let layer = move |section: &mut Section<'_>| {
        let estimate = section.flag("estimate", false);
        if estimate && section.backend_kind() == "memory" {
            let why = "must be false with backend.kind = \"memory\": that keeps exact account, and all would be counted twice";
            section.refuse("estimate", why);
        }
        let plans = plans(section)?;
        let layer = if estimate { of.quota().estimating() } else { of.quota() };
        Ok(PlacedLayer::new(Reloading { plans, layer }).gate_loads(of.clone()).watch(of.clone()))
    };
    registry.accountant(tenants.clone()).layer(Place::Quota, "plans", layer)
}

/// The settings of `[quota]` with their defaults, for a file of your own.
pub const CONFIG_EXAMPLE: &str = include_str!("config.toml");

/// Replaces the plans once everything has been found to be right.
struct Reloading {
    plans: Plans,
    layer: QuotaLayer,
}

impl Layer<ErasedService> for Reloading {
    type Service = Quota<ErasedService>;

    fn layer(&self, inner: ErasedService) -> Self::Service {
        self.layer.tenants().reload(self.plans.clone());
        self.layer.layer(inner)
    }
}

fn plans(section: &mut Section<'_>) -> Result<Plans> {
    let mut plans = Plans::builder().allow_unknown(section.flag("allow_unknown", true));
    if let Some(name) = section.optional_text("shared_plan") {
        plans = plans.shared_plan(name);
    }
    let default = section.text("default_plan", "default");
    if default != "default" {
        plans = plans.default_plan(default);
    }
    let mut wrong = Vec::new();
    for made in section.each("plans", |name, section| plan(name, section).build()) {
        match made {
            Ok(plan) => plans = plans.plan(plan),
            Err(error) => wrong.push(error),
        }
    }
    for (tenant, plan) in section.named_texts("tenants") {
        match TenantId::new(tenant) {
            Ok(tenant) => plans = plans.assign(&tenant, plan),
            Err(error) => wrong.push(error),
        }
    }
    // Plans that were not made would be told once more as ones that are not there.
    crate::plan::all_of(&wrong)?;
    plans.build()
}

fn plan(name: &str, section: &mut Section<'_>) -> PlanBuilder {
    let mut plan = Plan::builder(name);
    let whole = |count: usize| u32::try_from(count).expect("it is within its limits");
    if let Some(count) = section.optional_count("operations_per_second", 1..=1_000_000) {
        plan = plan.operations_per_second(whole(count));
    }
    if let Some(count) = section.optional_count("burst", 1..=1_000_000) {
        plan = plan.burst(whole(count));
    }
    if let Some(count) = section.optional_count("loads", 1..=1 << 20) {
        plan = plan.loads(whole(count));
    }
    if let Some(bytes) = section.optional_bytes("bytes", 1024..=1 << 50) {
        plan = plan.bytes(bytes as u64);
    }
    if let Some(entries) = section.optional_count("entries", 1..=U32) {
        plan = plan.entries(entries as u64);
    }
    let (speed, room) = ([OverQuota::Refuse, OverQuota::ServeStale], [OverQuota::EvictOwn, OverQuota::Refuse]);
    plan.weight(whole(section.count("weight", 1, 1..=MAX_WEIGHT as usize)))
        .over_operations(over(section, "over_operations", &speed))
        .over_bytes(over(section, "over_bytes", &room))
        .over_entries(over(section, "over_entries", &room))
}

/// Reads one of several; the first is the default.
fn over(section: &mut Section<'_>, key: &'static str, allowed: &[OverQuota]) -> OverQuota {
    let names: Vec<_> = allowed.iter().map(|it| it.as_str()).collect();
    let chosen = section.choice(key, names[0], &names);
    allowed.iter().copied().find(|it| it.as_str() == chosen).unwrap_or(allowed[0])
}
