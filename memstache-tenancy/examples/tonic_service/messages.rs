//! The messages, as a generator would write them.
//!
//! ```proto
//! syntax = "proto3";
//! package shops;
//! service Products { rpc Find(FindRequest) returns (Product); }
//! message FindRequest { string id = 1; }
//! message Product { string name = 1; uint32 cents = 2; }
//! ```

use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FindRequest {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}

/// Sent by its tags and cached by its fields' names.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub(crate) struct Product {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint32, tag = "2")]
    pub(crate) cents: u32,
}
