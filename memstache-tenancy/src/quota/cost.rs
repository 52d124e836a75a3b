//! What a request costs whom.

use memstache_core::{Error, ErrorKind, Request, Result, TouchKind, When};

/// Goes through the tenants of a request, each with the number of operations that it pays for; neighbours of one tenant
/// come together.
///
/// Errors: `Unsupported` for an operation that is not known here.
pub(super) fn each<'a, E: From<Error>>(
    request: &'a Request,
    mut pay: impl FnMut(Option<&'a str>, u32) -> Result<(), E>,
) -> Result<(), E> {
    let mut open: Option<(Option<&str>, u32)> = None;
    for (at, tenant) in request.tenants().enumerate() {
        let cost = cost(request, at)?;
        open = match open {
            Some((same, count)) if same == tenant => Some((same, count.saturating_add(cost))),
            Some((other, count)) => {
                pay(other, count)?;
                Some((tenant, cost))
            }
            None => Some((tenant, cost)),
        };
    }
    open.map_or(Ok(()), |(tenant, count)| pay(tenant, count))
}

/// What an item costs, by its place in [`Request::tenants`].
fn cost(request: &Request, at: usize) -> Result<u32> {
    Ok(match request {
        Request::Get(_) | Request::Remove(_) | Request::Invalidate(_) | Request::Explain(_) => 1,
        // The fill, the renewals and the release of a load belong to the read that began it.
        Request::Set(op) => u32::from(!matches!(op.items.as_slice()[at].when, When::IfLease(_))),
        Request::Touch(op) => {
            u32::from(!matches!(op.items.as_slice()[at].kind, TouchKind::Renew(_) | TouchKind::Release(_)))
        }
        _ => return Err(Error::new(ErrorKind::Unsupported, "the quota does not know this operation")),
    })
}

#[cfg(test)]
mod tests {
    use memstache_core::{
        Address, Explain, Get, Invalidate, KeyspaceName, LeaseId, Lifetime, NewEntry, OneOrMany, Remove, Scope, Set,
        SetItem, Space, Target, TenantId, Touch, TouchItem,
    };

    use super::*;

    fn address(tenant: &str, name: &str) -> Address {
        let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
        Address::plain(&Space::new(tenant.as_ref(), &KeyspaceName::new("k").unwrap()), name).unwrap()
    }

    fn paid(request: impl Into<Request>) -> Vec<(Option<String>, u32)> {
        let mut paid = Vec::new();
        let request = request.into();
        let pay = |tenant: Option<&str>, count| {
            paid.push((tenant.map(str::to_owned), count));
            Ok::<(), Error>(())
        };
        each(&request, pay).unwrap();
        paid
    }

    fn of(tenant: &str, count: u32) -> (Option<String>, u32) {
        ((!tenant.is_empty()).then(|| tenant.to_owned()), count)
    }

    #[test]
    fn every_key_of_every_operation_is_paid_for_by_its_tenant() {
        let entry = || NewEntry::new("value", Lifetime::default());
        assert_eq!(paid(Get::one(address("a", "x"))), [of("a", 1)]);
        assert_eq!(paid(Set::one(address("a", "x"), entry())), [of("a", 1)]);
        assert_eq!(paid(Remove::one(address("", "x"))), [of("", 1)]);
        assert_eq!(paid(Explain::one(address("a", "x"))), [of("a", 1)]);
        assert_eq!(paid(Touch::one(address("a", "x"), TouchKind::Probe)), [of("a", 1)]);
        let target = Target::Tenant(TenantId::new("a").unwrap());
        assert_eq!(paid(Invalidate::one(target)), [of("a", 1)]);
        let names = [("a", "x"), ("a", "y"), ("", "x"), ("b", "x"), ("a", "z")];
        let items = names.into_iter().map(|(tenant, name)| address(tenant, name)).collect();
        assert_eq!(paid(Remove { items, scope: Scope::default() }), [of("a", 2), of("", 1), of("b", 1), of("a", 1)]);
        assert_eq!(paid(Remove { items: OneOrMany::Many(Vec::new()), scope: Scope::default() }), []);
    }

    #[test]
    fn what_belongs_to_a_load_is_free() {
        let item = |name: &str, when| SetItem {
            address: address("a", name),
            entry: NewEntry::new("value", Lifetime::default()),
            when,
        };
        let items = [item("x", When::IfLease(LeaseId(1))), item("y", When::Always)].into_iter().collect();
        assert_eq!(paid(Set { items, scope: Scope::default() }), [of("a", 1)]);
        let kinds = [TouchKind::Renew(LeaseId(1)), TouchKind::Release(LeaseId(1)), TouchKind::Slide];
        let items = kinds.into_iter().map(|kind| TouchItem { address: address("a", "x"), kind }).collect();
        assert_eq!(paid(Touch { items, scope: Scope::default() }), [of("a", 1)]);
    }
}
