//! Under which records keys, nodes and orders are kept.

use memstache_core::{KeyspaceName, RecordKey, RecordPrefix, Result, TenantId};
use ring::digest::{SHA256, digest};

use super::owner::{OwnerRef, Purpose, label};

/// An order to let go of a tenant's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OrderRef<'a> {
    /// Whose keys.
    pub(super) tag: &'a str,
    /// Which one: of several that are given at once, each has its answers.
    pub(super) id: &'a str,
}

/// The environment whose keys are meant, and which vault's: records of different ones never meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Environment {
    name: KeyspaceName,
    /// The tag of the tenant whose own vault it is; `None`: the house's.
    vault: Option<Box<str>>,
}

impl Environment {
    pub(super) fn new(text: &str) -> Result<Self> {
        label("environment", text).map(|name| Self { name, vault: None })
    }

    /// The part of it that a tenant's own vault protects.
    pub(super) fn of_vault(&self, tenant: &TenantId) -> Self {
        Self { name: self.name.clone(), vault: Some(self.tenant_tag(Some(tenant.as_str())).into()) }
    }

    fn as_str(&self) -> &str {
        self.name.as_str()
    }

    /// Where everything begins that one vault protects.
    fn root(&self) -> String {
        let house = format!("mst1/{}", self.as_str());
        self.vault.as_ref().map_or_else(|| house.clone(), |tag| format!("{house}/vaults/{tag}"))
    }

    /// Everything of the environment.
    pub(super) fn prefix(&self) -> RecordPrefix {
        record_key(&self.root()).into()
    }

    /// All lines of all tenants.
    pub(super) fn tenants_prefix(&self) -> RecordPrefix {
        record_key(&format!("{}/tenants", self.root())).into()
    }

    /// All lines of one tenant.
    pub(super) fn tenant_prefix(&self, tenant: Option<&str>) -> RecordPrefix {
        record_key(&self.tenant_path(&self.tenant_tag(tenant))).into()
    }

    /// The same, of a tenant that is known by its tag.
    pub(super) fn tagged_prefix(&self, tag: &str) -> Option<RecordPrefix> {
        RecordKey::new(self.tenant_path(tag)).ok().map(RecordPrefix::from)
    }

    /// Whether it is the part that the vault of a tenant protects.
    pub(super) fn is_of_vault(&self, tag: &str) -> bool {
        self.vault.as_deref() == Some(tag)
    }

    /// All nodes that said that they hold keys.
    pub(super) fn nodes_prefix(&self) -> RecordPrefix {
        record_key(&format!("{}/nodes", self.root())).into()
    }

    pub(super) fn node_key(&self, node: &str) -> RecordKey {
        record_key(&format!("{}/nodes/{node}", self.root()))
    }

    /// All orders to let go of a tenant's keys, and what nodes answered.
    pub(super) fn orders_prefix(&self) -> RecordPrefix {
        record_key(&format!("{}/shreds", self.root())).into()
    }

    /// One order, with the answers to it.
    pub(super) fn order_prefix(&self, order: OrderRef<'_>) -> RecordPrefix {
        record_key(&self.order_path(order)).into()
    }

    pub(super) fn order_key(&self, order: OrderRef<'_>) -> RecordKey {
        record_key(&format!("{}/order", self.order_path(order)))
    }

    /// All answers to an order.
    pub(super) fn answers_prefix(&self, order: OrderRef<'_>) -> RecordPrefix {
        record_key(&format!("{}/done", self.order_path(order))).into()
    }

    pub(super) fn answer_key(&self, order: OrderRef<'_>, node: &str) -> RecordKey {
        record_key(&format!("{}/done/{node}", self.order_path(order)))
    }

    /// Which order a record is; `None` for other records.
    pub(super) fn order_of<'a>(&self, key: &'a RecordKey) -> Option<OrderRef<'a>> {
        let below = key.as_str().strip_prefix(&self.root())?.strip_prefix("/shreds/")?;
        let (tag, id) = below.strip_suffix("/order")?.split_once('/')?;
        (is_tag(tag) && !id.contains('/')).then_some(OrderRef { tag, id })
    }

    fn order_path(&self, OrderRef { tag, id }: OrderRef<'_>) -> String {
        format!("{}/shreds/{tag}/{id}", self.root())
    }

    pub(super) fn branch_key(&self) -> RecordKey {
        record_key(&format!("{}/branch", self.root()))
    }

    pub(super) fn line_key(&self, purpose: Purpose, owner: OwnerRef<'_>) -> RecordKey {
        let tenant = self.tenant_path(&self.tenant_tag(owner.tenant));
        match purpose {
            Purpose::Branch => self.branch_key(),
            Purpose::Data => record_key(&format!("{tenant}/data/{}", owner.class)),
            Purpose::Name => record_key(&format!("{tenant}/name")),
        }
    }

    /// The identity of a line, of which its record is an image: a record at another place is refused.
    pub(super) fn tag(&self, key: &RecordKey) -> [u8; 16] {
        tag(&[b"mst1/line", self.as_str().as_bytes(), key.as_str().as_bytes()])
    }

    /// Tenants are hashed: a listing of the records does not name them. Who guesses a name can check the guess.
    pub(super) fn tenant_tag(&self, tenant: Option<&str>) -> String {
        let kind: &[u8] = if tenant.is_some() { b"tenant" } else { b"shared" };
        let name = tenant.unwrap_or_default();
        hex(&tag(&[b"mst1/tenant", self.as_str().as_bytes(), kind, name.as_bytes()]))
    }

    fn tenant_path(&self, tag: &str) -> String {
        format!("{}/tenants/{tag}", self.root())
    }
}

fn record_key(text: &str) -> RecordKey {
    RecordKey::new(text).expect("made of checked labels, and shorter than 200 bytes")
}

/// SHA-256 over the parts with their lengths, cut to 16 bytes.
fn tag(parts: &[&[u8]]) -> [u8; 16] {
    let mut text = Vec::new();
    for part in parts {
        let len = u32::try_from(part.len()).expect("labels are short");
        text.extend_from_slice(&len.to_be_bytes());
        text.extend_from_slice(part);
    }
    let mut out = [0; 16];
    out.copy_from_slice(&digest(&SHA256, &text).as_ref()[..16]);
    out
}

/// Whether a text is a tag as records are named by.
fn is_tag(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::owner::{KeyClass, KeyOwner};

    fn acme() -> KeyOwner {
        KeyOwner::tenant(TenantId::new("acme").unwrap())
    }

    #[test]
    fn limits_are_named_and_the_text_is_not() {
        let error = Environment::new("se cret").unwrap_err().to_string();
        assert!(error.ends_with("but another character was given") && !error.contains("cret"));
    }

    #[test]
    fn every_line_has_a_record_of_its_own() {
        let (prod, test) = (Environment::new("prod").unwrap(), Environment::new("test").unwrap());
        let (shared, acme) = (KeyOwner::shared(), acme());
        // A tenant may have any name, also one that looks like the shared space.
        let odd = KeyOwner::tenant(TenantId::new("shared").unwrap());
        let mut keys = vec![prod.branch_key(), test.branch_key()];
        for environment in [&prod, &test] {
            for owner in [&shared, &acme, &odd, &acme.clone().with_class(KeyClass::new("name").unwrap())] {
                let key = environment.line_key(Purpose::Data, owner.borrowed());
                assert!(environment.tenant_prefix(owner.tenant_name()).covers(&key));
                assert!(environment.tenants_prefix().covers(&key) && environment.prefix().covers(&key));
                keys.push(key);
            }
            keys.push(environment.line_key(Purpose::Name, acme.borrowed()));
            // The same tenant below its own vault.
            let own = environment.of_vault(&TenantId::new("acme").unwrap());
            assert!(environment.prefix().covers(&own.branch_key()));
            assert!(!environment.tenants_prefix().covers(&own.line_key(Purpose::Data, acme.borrowed())));
            keys.extend([own.branch_key(), own.line_key(Purpose::Data, acme.borrowed())]);
            keys.push(own.line_key(Purpose::Name, acme.borrowed()));
        }
        assert!(keys.iter().all(|key| !key.as_str().contains("acme")));
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
        assert_ne!(prod.tag(&keys[0]), prod.tag(&keys[1]));
    }

    #[test]
    fn orders_are_told_from_other_records() {
        let prod = Environment::new("prod").unwrap();
        let tag = prod.tenant_tag(Some("acme"));
        let order = OrderRef { tag: &tag, id: "0123456789abcdef" };
        assert_eq!(prod.order_of(&prod.order_key(order)), Some(order));
        assert!(prod.order_prefix(order).covers(&prod.answer_key(order, "node.1")));
        assert!(prod.answers_prefix(order).covers(&prod.answer_key(order, "node.1")));
        for other in [prod.answer_key(order, "order"), prod.branch_key(), prod.node_key("order")] {
            assert_eq!(prod.order_of(&other), None);
        }
        for other in ["mst1/prod/shreds/x/1/order", &format!("mst1/prod/shreds/{tag}/order")] {
            assert_eq!(prod.order_of(&record_key(other)), None, "{other}");
        }
        assert_eq!(Environment::new("prod2").unwrap().order_of(&prod.order_key(order)), None);
        let longest = Environment::new(&"e".repeat(32)).unwrap();
        let class = KeyOwner::shared().with_class(KeyClass::new("c".repeat(32)).unwrap());
        longest.of_vault(&TenantId::new("acme").unwrap()).line_key(Purpose::Data, class.borrowed());
        longest.answer_key(order, &"n".repeat(49));
    }

    #[test]
    fn places_never_change() {
        let prod = Environment::new("prod").unwrap();
        let key = prod.line_key(Purpose::Data, acme().borrowed());
        assert_eq!(key.as_str(), "mst1/prod/tenants/05b479b5c047923a76357efe63876eb3/data/default");
        assert_eq!(hex(&prod.tag(&prod.branch_key())), "e4f56f4512d7aabda327ddf07604a317");
    }
}
