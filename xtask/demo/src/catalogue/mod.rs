//! What the shops sell.

mod category;
mod draft;
mod made_up;

use serde::{Deserialize, Serialize};

pub(crate) use self::{category::Category, draft::Draft, made_up::made_up};

/// A product, as the database keeps it, the cache stores it and the service answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: u32,
    #[serde(flatten)]
    pub(crate) draft: Draft,
    /// Milliseconds since 1970.
    pub(crate) updated_at: i64,
}

/// One line of a category's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) price_cents: u32,
    pub(crate) stock: u32,
}

/// In which order a category is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Changed last first.
    #[default]
    Newest,
    /// Cheapest first.
    Price,
    /// By name.
    Name,
}

impl Sort {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Newest, Self::Price, Self::Name].into_iter().find(|sort| sort.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Price => "price",
            Self::Name => "name",
        }
    }
}
