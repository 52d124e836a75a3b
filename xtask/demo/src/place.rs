//! Where a product is: its shop and its number there.

use std::fmt;

use memstache_core::TenantId;

/// The domain of all shops: browsers and curl know that it is this machine.
pub(crate) const DOMAIN: &str = "localhost";

/// A shop, by its number from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shop(pub(crate) u16);

impl Shop {
    /// Parses a name as [`Display`](fmt::Display) writes it, and no other spelling: one shop, one tenant.
    pub(crate) fn parse(name: &str, shops: u16) -> Option<Self> {
        let shop = Self(name.strip_prefix("shop-")?.parse().ok()?);
        ((1..=shops).contains(&shop.0) && shop.to_string() == name).then_some(shop)
    }

    /// Returns the shop's name as a tenant of the cache.
    pub(crate) fn tenant(self) -> TenantId {
        TenantId::new(self.to_string()).expect("the name of a shop is a good one")
    }

    /// Returns the host that its customers ask.
    pub(crate) fn host(self) -> String {
        format!("{self}.{DOMAIN}")
    }
}

impl fmt::Display for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shop-{:02}", self.0)
    }
}

/// A product's place; whether there is a product, the database knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) shop: Shop,
    pub(crate) id: u32,
}

impl Place {
    /// Returns the path of the product, at its shop's host, under which the cache is asked first.
    pub(crate) fn path(self) -> String {
        format!("/products/{}", self.id)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "product {} of {}", self.id, self.shop)
    }
}

/// Parses a product's number: decimal digits without a sign or leading zeros.
pub(crate) fn parse_id(text: &str) -> Option<u32> {
    let id: u32 = text.parse().ok()?;
    (id > 0 && id.to_string() == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        assert_eq!(Shop::parse("shop-07", 20), Some(Shop(7)));
        assert_eq!(Shop::parse("shop-100", 100), Some(Shop(100)));
        for wrong in ["shop-7", "shop-007", "shop-21", "shop-00", "shop-+7", "shop-", "Shop-07", "", "shop-99999999"] {
            assert_eq!(Shop::parse(wrong, 20), None, "{wrong}");
        }
        assert_eq!((Shop(7).tenant().as_str(), Shop(7).host().as_str()), ("shop-07", "shop-07.localhost"));
        assert_eq!(parse_id("42"), Some(42));
        for wrong in ["0", "042", "+42", "-1", "4294967296", "x", ""] {
            assert_eq!(parse_id(wrong), None, "{wrong}");
        }
    }
}
