//! Where tokens for the vault come from.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use azure_core::{
    Error, Result,
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::{ClientOptions, RetryOptions, Transport},
    time::OffsetDateTime,
};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, DeveloperToolsCredential,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use futures_util::future::{Either, select};
use memstache_core::{Clock, Tick};

/// How long one source may take while the right one is not known yet and there are others: away from Azure, the address of managed identities
/// answers nothing at all.
const PROBE: Duration = Duration::from_secs(3);

/// How the caller shows the vault who it is.
///
/// The SDK has no chain for services; [`auto`](Self::auto) is one.
#[derive(Clone)]
pub struct AzureAuth(Kind);

#[derive(Clone)]
enum Kind {
    Auto,
    Workload,
    Managed(Option<String>),
    ClientSecret,
    DeveloperTools,
    Given(Arc<dyn TokenCredential>),
}

impl AzureAuth {
    /// Tries in this order, and stays with the first that gives a token: workload identity, client secret (both if their
    /// environment variables are set), managed identity, developer tools. The default.
    pub fn auto() -> Self {
        Self(Kind::Auto)
    }

    /// Uses Kubernetes' workload identity: `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE`.
    pub fn workload_identity() -> Self {
        Self(Kind::Workload)
    }

    /// Uses the machine's managed identity: the system's, or the one with this client id.
    pub fn managed_identity(client_id: Option<&str>) -> Self {
        Self(Kind::Managed(client_id.map(str::to_owned)))
    }

    /// Uses `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET` from the environment.
    pub fn client_secret() -> Self {
        Self(Kind::ClientSecret)
    }

    /// Uses who is logged in with the Azure CLI or the Azure Developer CLI.
    pub fn developer_tools() -> Self {
        Self(Kind::DeveloperTools)
    }

    /// Uses a credential of your own, of `azure_core` 1.
    pub fn credential(credential: Arc<dyn TokenCredential>) -> Self {
        Self(Kind::Given(credential))
    }

    /// Makes the credential, which calls its source by this transport or the SDK's own; nothing is asked yet.
    pub(super) fn build(
        self,
        clock: &Arc<dyn Clock>,
        transport: Option<Transport>,
        environment: &Environment,
    ) -> Result<Arc<dyn TokenCredential>> {
        // By default, the SDK gives up on a source that is down only after 81 seconds.
        let options = ClientOptions { retry: RetryOptions::none(), transport, ..ClientOptions::default() };
        match self.0 {
            Kind::Auto => chain(clock, options, environment),
            Kind::Workload => workload(options),
            Kind::Managed(id) => managed(id, options),
            Kind::ClientSecret => client_secret(options, environment)
                .unwrap_or_else(|| Err(Error::with_message(ErrorKind::Credential, "AZURE_CLIENT_SECRET is not set"))),
            Kind::DeveloperTools => developer_tools(),
            Kind::Given(credential) => Ok(credential),
        }
    }
}

impl fmt::Debug for AzureAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Auto => "AzureAuth::auto",
            Kind::Workload => "AzureAuth::workload_identity",
            Kind::Managed(_) => "AzureAuth::managed_identity",
            Kind::ClientSecret => "AzureAuth::client_secret",
            Kind::DeveloperTools => "AzureAuth::developer_tools",
            Kind::Given(_) => "AzureAuth::credential",
        })
    }
}

/// Looks up an environment variable.
pub(super) type Environment = dyn Fn(&str) -> Option<String>;

fn workload(client_options: ClientOptions) -> Result<Arc<dyn TokenCredential>> {
    let credential_options = ClientAssertionCredentialOptions { client_options };
    let options =
        WorkloadIdentityCredentialOptions { credential_options, ..WorkloadIdentityCredentialOptions::default() };
    Ok(WorkloadIdentityCredential::new(Some(options))?)
}

fn managed(client_id: Option<String>, client_options: ClientOptions) -> Result<Arc<dyn TokenCredential>> {
    let user_assigned_id = client_id.map(UserAssignedId::ClientId);
    let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
    Ok(ManagedIdentityCredential::new(Some(options))?)
}

/// `None` if the secret is not set.
fn client_secret(client_options: ClientOptions, environment: &Environment) -> Option<Result<Arc<dyn TokenCredential>>> {
    let secret = Secret::new(environment("AZURE_CLIENT_SECRET")?);
    let variable = |name: &str| {
        environment(name).ok_or_else(|| Error::with_message(ErrorKind::Credential, format!("{name} is not set")))
    };
    let credential = || -> Result<Arc<dyn TokenCredential>> {
        let (tenant, client) = (variable("AZURE_TENANT_ID")?, variable("AZURE_CLIENT_ID")?);
        let options = ClientSecretCredentialOptions { client_options };
        Ok(ClientSecretCredential::new(&tenant, client, secret, Some(options))?)
    };
    Some(credential())
}

fn developer_tools() -> Result<Arc<dyn TokenCredential>> {
    Ok(DeveloperToolsCredential::new(None)?)
}

fn chain(
    clock: &Arc<dyn Clock>,
    options: ClientOptions,
    environment: &Environment,
) -> Result<Arc<dyn TokenCredential>> {
    let mut sources = Vec::new();
    if environment("AZURE_FEDERATED_TOKEN_FILE").is_some() {
        sources.push(workload(options.clone())?);
    }
    sources.extend(client_secret(options.clone(), environment).transpose()?);
    sources.extend([managed(environment("AZURE_CLIENT_ID"), options)?, developer_tools()?]);
    Ok(Arc::new(Chain { sources, chosen: OnceLock::new(), clock: Arc::clone(clock) }))
}

/// Asks one source after the other, and stays with the first that answers.
#[derive(Debug)]
struct Chain {
    sources: Vec<Arc<dyn TokenCredential>>,
    chosen: OnceLock<usize>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(&self, scopes: &[&str], options: Option<TokenRequestOptions<'_>>) -> Result<AccessToken> {
        if let Some(at) = self.chosen.get() {
            return self.sources[*at].get_token(scopes, options).await;
        }
        let mut last = Error::with_message(ErrorKind::Credential, "no source of tokens is set up");
        for (at, source) in self.sources.iter().enumerate() {
            let answer = source.get_token(scopes, options.clone());
            // After the last one there is nothing to try: it may take what the call has left.
            let until = if at + 1 == self.sources.len() { Tick::NEVER } else { self.clock.now().after(PROBE) };
            let until = self.clock.sleep_until(until);
            match select(answer, until).await {
                Either::Left((Ok(token), _)) => {
                    // Another call may have been faster; both sources give tokens.
                    self.chosen.set(at).ok();
                    return Ok(token);
                }
                Either::Left((Err(error), _)) => last = error,
                Either::Right(_) => {
                    last = Error::with_message(ErrorKind::Credential, "a source of tokens did not answer")
                }
            }
        }
        Err(Error::with_error(ErrorKind::Credential, last, "none of the sources gave a token"))
    }
}

/// The token that the emulator takes: any.
pub(super) struct EmulatorToken(pub(super) Arc<dyn Clock>);

impl fmt::Debug for EmulatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmulatorToken")
    }
}

#[async_trait]
impl TokenCredential for EmulatorToken {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> Result<AccessToken> {
        let expires = self.0.wall() + Duration::from_secs(3600);
        Ok(AccessToken::new("emulator", OffsetDateTime::from(expires)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use memstache_core::{SystemClock, testing::ManualClock};

    use super::*;

    /// Answers, fails, or never answers.
    #[derive(Debug)]
    struct Source(Option<bool>, AtomicUsize);

    impl Source {
        fn new(answer: Option<bool>) -> Arc<Self> {
            Arc::new(Self(answer, AtomicUsize::new(0)))
        }
    }

    #[async_trait]
    impl TokenCredential for Source {
        async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> Result<AccessToken> {
            self.1.fetch_add(1, SeqCst);
            match self.0 {
                Some(true) => Ok(AccessToken::new("token", OffsetDateTime::from(std::time::UNIX_EPOCH))),
                Some(false) => Err(Error::with_message(ErrorKind::Credential, "no")),
                None => std::future::pending().await,
            }
        }
    }

    fn chain_of(sources: &[&Arc<Source>], clock: Arc<dyn Clock>) -> Chain {
        let sources = sources.iter().map(|source| Arc::clone(source) as _).collect();
        Chain { sources, chosen: OnceLock::new(), clock }
    }

    #[tokio::test]
    async fn the_first_that_answers_is_kept() {
        let (no, yes, unasked) = (Source::new(Some(false)), Source::new(Some(true)), Source::new(Some(true)));
        let chain = chain_of(&[&no, &yes, &unasked], Arc::new(SystemClock::new()));
        for _ in 0..2 {
            assert_eq!(chain.get_token(&[], None).await.unwrap().token.secret(), "token");
        }
        assert_eq!([&no, &yes, &unasked].map(|source| source.1.load(SeqCst)), [1, 2, 0]);
    }

    #[tokio::test]
    async fn a_source_that_does_not_answer_is_passed_over() {
        let clock = ManualClock::new();
        let (silent, yes) = (Source::new(None), Source::new(Some(true)));
        let chain = chain_of(&[&silent, &yes], Arc::new(clock.clone()));
        let asked = tokio::spawn(async move { chain.get_token(&[], None).await.map(drop) });
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(PROBE);
        asked.await.unwrap().unwrap();
        assert_eq!(yes.1.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn none_that_answers_is_an_error() {
        let chain = chain_of(&[&Source::new(Some(false))], Arc::new(SystemClock::new()));
        assert_eq!(chain.get_token(&[], None).await.unwrap_err().to_string(), "none of the sources gave a token");
    }

    #[test]
    fn the_environment_decides_what_is_tried() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let made = |auth: AzureAuth, set: &'static [(&'static str, &'static str)]| {
            let find = move |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            auth.build(&clock, None, &find)
        };
        let all = &[("AZURE_CLIENT_SECRET", "hidden"), ("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "client")];
        assert!(made(AzureAuth::client_secret(), all).is_ok());
        assert!(format!("{:?}", made(AzureAuth::auto(), all).unwrap()).contains("ClientSecret"));
        assert!(!format!("{:?}", made(AzureAuth::auto(), &[]).unwrap()).contains("ClientSecret"));
        assert_eq!(made(AzureAuth::client_secret(), &[]).unwrap_err().to_string(), "AZURE_CLIENT_SECRET is not set");
        let partly = made(AzureAuth::auto(), &all[..2]).unwrap_err();
        assert_eq!(partly.to_string(), "AZURE_CLIENT_ID is not set");
        assert_eq!(format!("{:?}", AzureAuth::managed_identity(Some("hidden"))), "AzureAuth::managed_identity");
    }
}
