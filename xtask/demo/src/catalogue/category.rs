//! What kind of thing a product is.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The categories and what is sold in them.
const CATEGORIES: [(&str, [&str; 6]); 12] = [
    ("books", ["cookbook", "atlas", "novel", "notebook", "field guide", "almanac"]),
    ("camping", ["tent", "lantern", "sleeping bag", "camp stove", "hammock", "water filter"]),
    ("coffee", ["espresso blend", "pour-over set", "hand grinder", "moka pot", "filter papers", "tamper"]),
    ("cycling", ["helmet", "pannier", "floor pump", "rear light", "saddle", "repair kit"]),
    ("garden", ["watering can", "pruner", "seed mix", "planter", "rake", "bird feeder"]),
    ("kitchen", ["saucepan", "chef's knife", "cutting board", "whisk", "mixing bowl", "peeler"]),
    ("lighting", ["desk lamp", "floor lamp", "pendant", "night light", "wall lamp", "string lights"]),
    ("music", ["ukulele", "metronome", "music stand", "tuning fork", "harmonica", "capo"]),
    ("office", ["desk tidy", "stapler", "fountain pen", "file box", "pinboard", "wall calendar"]),
    ("tea", ["green tea", "teapot", "oolong", "tea strainer", "rooibos", "matcha whisk"]),
    ("textiles", ["blanket", "cushion", "bath towel", "table runner", "wool rug", "apron"]),
    ("toys", ["puzzle", "kite", "wooden train", "yo-yo", "building blocks", "marble run"]),
];

/// A category that exists, known by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Category(usize);

impl Category {
    /// Returns the category of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        CATEGORIES.iter().position(|(known, _)| *known == name).map(Self)
    }

    pub(crate) fn names() -> [&'static str; CATEGORIES.len()] {
        CATEGORIES.map(|(name, _)| name)
    }

    /// Picks one at random.
    pub(crate) fn any(rng: &mut fastrand::Rng) -> Self {
        Self(rng.usize(..CATEGORIES.len()))
    }

    pub(crate) fn name(self) -> &'static str {
        CATEGORIES[self.0].0
    }

    /// Returns the tag of all that is cached about this category.
    pub(crate) fn tag(self) -> String {
        format!("category:{}", self.name())
    }

    /// Picks a thing of this category.
    pub(super) fn thing(self, rng: &mut fastrand::Rng) -> &'static str {
        let things = &CATEGORIES[self.0].1;
        things[rng.usize(..things.len())]
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Category {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Category {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| D::Error::custom("there is no such category"))
    }
}
