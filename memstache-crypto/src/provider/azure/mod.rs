//! Azure Key Vault, by Microsoft's own crates.

mod auth;
mod bounded;
mod builder;
mod failure;
mod keys;
mod secrets;
mod transport;
mod trust;
mod vault;

pub use self::{
    auth::AzureAuth,
    builder::{AzureKeyVault, AzureKeyVaultBuilder},
    keys::AzureKeys,
    secrets::AzureSecrets,
};
