//! Who has which plan.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
};

use foldhash::quality::RandomState;
use hashbrown::{Equivalent, HashMap};
use memstache_core::{Error, Result, TenantId};

use super::{Plan, builder::all_of};

/// The plan of those who are given none.
const DEFAULT: &str = "default";
/// Names that an error lists at most.
const LISTED: usize = 20;

/// All plans, and who has which. To change anything, give [`Tenants::reload`](crate::Tenants::reload) another one.
///
/// A tenant that was given no plan has the default one, or is refused: see
/// [`allow_unknown`](PlansBuilder::allow_unknown).
///
/// ```
/// use memstache_core::TenantId;
/// use memstache_tenancy::{Plan, Plans};
///
/// let acme = TenantId::new("acme")?;
/// let plans = Plans::builder()
///     .plan(Plan::builder("free").operations_per_second(50).build()?)
///     .plan(Plan::builder("gold").operations_per_second(5000).build()?)
///     .default_plan("free")
///     .assign(&acme, "gold")
///     .build()?;
/// assert_eq!(plans.of(&acme).unwrap().name(), "gold");
/// assert_eq!(plans.of(&TenantId::new("else")?).unwrap().name(), "free");
///
/// let error = Plans::builder().assign(&acme, "glod").build().unwrap_err();
/// assert_eq!(error.to_string(), "the plan of a tenant must be one of default, but \"glod\" was given");
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Plans {
    /// In the order of their names.
    plans: Vec<Plan>,
    default: usize,
    shared: Option<usize>,
    allow_unknown: bool,
    assigned: HashMap<TenantId, u32, RandomState>,
}

impl Plans {
    /// Starts with the plan `default`, which limits nothing.
    pub fn builder() -> PlansBuilder {
        PlansBuilder::default()
    }

    /// Returns the plan of a tenant; `None` if it is not known.
    pub fn of(&self, tenant: &TenantId) -> Option<&Plan> {
        self.find(tenant.as_str()).map(|place| self.at(place))
    }

    /// Returns the plan of the shared space; `None` if nothing is limited there.
    pub fn shared(&self) -> Option<&Plan> {
        self.shared.map(|place| &self.plans[place])
    }

    /// Iterates over all plans in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Plan> {
        self.plans.iter()
    }

    /// Returns how many tenants were given a plan, or made known without one.
    pub fn assigned(&self) -> usize {
        self.assigned.len()
    }

    /// Returns the place of a tenant's plan; `None` if the tenant is not known.
    pub(crate) fn find(&self, tenant: &str) -> Option<u32> {
        let unknown = || self.allow_unknown.then(|| place(self.default));
        self.assigned.get(&Name(tenant)).copied().or_else(unknown)
    }

    pub(crate) fn at(&self, place: u32) -> &Plan {
        &self.plans[place as usize]
    }
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plans")
            .field("plans", &self.plans)
            .field("default", &self.plans[self.default].name())
            .field("allow_unknown", &self.allow_unknown)
            .field("assigned", &self.assigned.len())
            .finish_non_exhaustive()
    }
}

/// A tenant's name, to look it up without making one.
struct Name<'a>(&'a str);

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<TenantId> for Name<'_> {
    fn equivalent(&self, tenant: &TenantId) -> bool {
        tenant.as_str() == self.0
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).expect("there are fewer plans")
}

/// Builds [`Plans`].
#[derive(Clone, Debug)]
#[must_use = "nothing is checked before `build`"]
pub struct PlansBuilder {
    plans: Vec<Plan>,
    default: Option<String>,
    shared: Option<String>,
    allow_unknown: bool,
    /// Without a name: the default plan's.
    assigned: Vec<(TenantId, Option<String>)>,
}

impl Default for PlansBuilder {
    fn default() -> Self {
        Self { plans: Vec::new(), default: None, shared: None, allow_unknown: true, assigned: Vec::new() }
    }
}

impl PlansBuilder {
    /// Adds a plan.
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plans.push(plan);
        self
    }

    /// Chooses the plan of tenants that are given none. Default: `default`, which limits nothing unless you add one of that
    /// name.
    pub fn default_plan(mut self, name: impl Into<String>) -> Self {
        self.default = Some(name.into());
        self
    }

    /// Chooses the plan of the shared space, whose keys belong to no tenant. Default: none, nothing is limited.
    pub fn shared_plan(mut self, name: impl Into<String>) -> Self {
        self.shared = Some(name.into());
        self
    }

    /// Says whether tenants that are not named here have the default plan; else they are refused. Default: true.
    pub const fn allow_unknown(mut self, allow: bool) -> Self {
        self.allow_unknown = allow;
        self
    }

    /// Gives a tenant a plan.
    pub fn assign(mut self, tenant: &TenantId, plan: impl Into<String>) -> Self {
        self.assigned.push((tenant.clone(), Some(plan.into())));
        self
    }

    /// Makes a tenant known, under the default plan.
    pub fn known(mut self, tenant: &TenantId) -> Self {
        self.assigned.push((tenant.clone(), None));
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// [`Invalid`](memstache_core::ErrorKind::Invalid), with everything that is wrong: two plans of a name, plans that do
    /// not exist, tenants that were given two.
    pub fn build(self) -> Result<Plans> {
        let Self { mut plans, default, shared, allow_unknown, assigned } = self;
        let mut wrong = Vec::new();
        if default.is_none() && !plans.iter().any(|plan| plan.name() == DEFAULT) {
            plans.push(Plan::builder(DEFAULT).build()?);
        }
        plans.sort_by(|one, other| one.name().cmp(other.name()));
        for pair in plans.windows(2).filter(|pair| pair[0].name() == pair[1].name()) {
            wrong.push(Error::invalid("the name of a plan", "its own", format_args!("{:?} twice", pair[0].name())));
        }
        let names: BTreeMap<&str, usize> = plans.iter().enumerate().map(|(at, plan)| (plan.name(), at)).collect();
        let mut find = |field: &str, name: &str| {
            let known: Vec<_> = names.keys().copied().take(LISTED).collect();
            let unknown =
                || Error::invalid(field, format_args!("one of {}", known.join(", ")), format_args!("{name:?}"));
            names.get(name).copied().unwrap_or_else(|| {
                wrong.push(unknown());
                0
            })
        };
        let default = find("the default plan", default.as_deref().unwrap_or(DEFAULT));
        let shared = shared.map(|name| find("the plan of the shared space", &name));
        let mut of = HashMap::with_capacity_and_hasher(assigned.len(), RandomState::default());
        let mut twice = 0;
        for (tenant, name) in assigned {
            let at = name.map_or(default, |name| find("the plan of a tenant", &name));
            twice += usize::from(of.insert(tenant, place(at)).is_some_and(|before| before != place(at)));
        }
        if twice > 0 {
            let given = format_args!("two plans for {twice}");
            wrong.push(Error::invalid("the plans of tenants", "one for each", given));
        }
        wrong.dedup_by_key(|error| error.to_string());
        wrong.truncate(LISTED);
        all_of(&wrong)?;
        Ok(Plans { plans, default, shared, allow_unknown, assigned: of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn plan(name: &str) -> Plan {
        Plan::builder(name).build().unwrap()
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_and_what_there_is_is_listed() {
        let builder = Plans::builder().plan(plan("b")).plan(plan("a")).plan(plan("b"));
        let builder = builder.default_plan("x").shared_plan("y").assign(&tenant("t"), "z").assign(&tenant("t"), "a");
        let error = builder.assign(&tenant("u"), "a").assign(&tenant("u"), "b").build().unwrap_err().to_string();
        let told: Vec<_> = error.split("; ").collect();
        assert_eq!(
            told,
            [
                "the name of a plan must be its own, but \"b\" twice was given",
                "the default plan must be one of a, b, but \"x\" was given",
                "the plan of the shared space must be one of a, b, but \"y\" was given",
                "the plan of a tenant must be one of a, b, but \"z\" was given",
                "the plans of tenants must be one for each, but two plans for 1 was given",
            ]
        );
    }

    #[test]
    fn unknown_tenants_have_the_default_plan_or_none() {
        let builder = Plans::builder().plan(plan("a")).plan(plan("b")).default_plan("b").known(&tenant("known"));
        let plans = builder.clone().assign(&tenant("t"), "a").build().unwrap();
        let name = |plans: &Plans, of: &str| plans.of(&tenant(of)).map(|plan| plan.name().to_owned());
        assert_eq!(name(&plans, "t").as_deref(), Some("a"));
        assert_eq!(name(&plans, "known").as_deref(), Some("b"));
        assert_eq!(name(&plans, "else").as_deref(), Some("b"));
        assert_eq!((plans.iter().count(), plans.assigned()), (2, 2));
        assert!(plans.shared().is_none());
        let strict = builder.allow_unknown(false).shared_plan("a").build().unwrap();
        assert_eq!(name(&strict, "known").as_deref(), Some("b"));
        assert_eq!((name(&strict, "else"), strict.shared().map(Plan::name)), (None, Some("a")));
    }

    #[test]
    fn debug_names_no_tenant() {
        let plans = Plans::builder().known(&tenant("secret-tenant")).build().unwrap();
        assert!(!format!("{plans:?}").contains("secret-tenant"));
    }
}
