//! Whose request it is: pure, over the head of a request.

mod builder;
mod host;
mod name;
mod refusal;
mod source;

use std::{fmt, sync::Arc};

use http::{HeaderValue, Response, StatusCode, request::Parts};
use memstache_core::TenantId;

pub use self::{
    builder::{MAX_PATH_SEGMENT, MAX_SOURCES, ResolverBuilder},
    refusal::{Refusal, RefusalStatus},
};
use self::{name::Answer, source::Source};
use crate::{known::KnownTenants, layer::TenantBody, problem::Problem};

/// Finds out whose a request is, from its head alone.
///
/// ```
/// use http::Request;
/// use memstache_tenancy::{Refusal, Resolved, Resolver};
///
/// let resolver = Resolver::builder().header("x-shop").subdomain("example.com").build()?;
/// let resolve = |request: Request<()>| resolver.resolve(&request.into_parts().0);
///
/// let request = Request::get("/tea").header("host", "Acme.example.com:8080").body(())?;
/// assert!(matches!(resolve(request), Ok(Resolved::Tenant(tenant)) if tenant.as_str() == "acme"));
///
/// let request = Request::get("/tea").header("host", "acme.example.com").header("x-shop", "umbrella").body(())?;
/// assert_eq!(resolve(request).unwrap_err(), Refusal::Conflict);
///
/// assert_eq!(resolve(Request::get("/tea").body(())?).unwrap_err(), Refusal::Missing);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sources
/// Each is silent, names a tenant, or is bad: it holds what is no name. What is bad refuses the request as
/// [`Invalid`](Refusal::Invalid), whatever the other sources say; it is never taken for silence. Good names are 1 to 64 bytes
/// of `[A-Za-z0-9._-]`, and their case counts.
///
/// | source | silent | bad |
/// | --- | --- | --- |
/// | [`claim`](ResolverBuilder::claim) | no such extension, or it has no name | a bad name, the empty one included |
/// | [`header`](ResolverBuilder::header) | no such header | there twice, even with one value; empty, a list, not ASCII, too long |
/// | [`path_segment`](ResolverBuilder::path_segment) | the path is shorter; the last segment is empty; `*`, CONNECT | empty before the end; `.` and `..`; percent-encoded, whatever it says |
/// | [`subdomain`](ResolverBuilder::subdomain) | no host, an empty `Host`, the domain itself, another domain, an IP address | `Host` twice, or another one than the target's; no host at all by its form; more than one label below the domain, or one over 63 bytes |
/// | [`with`](ResolverBuilder::with) | `None` | a bad name |
///
/// # Trust
/// A claim is trusted: the application's own auth layer has verified it. All others are hints, which clients write as they
/// like, unless [`trusted`](ResolverBuilder::trusted) says otherwise. Where there is a trusted source, hints can only agree
/// with it: a request of which no trusted source says anything is [`Missing`](Refusal::Missing), whatever its hints say,
/// unless [`hints_suffice`](ResolverBuilder::hints_suffice).
///
/// # Order and conflicts
/// Trusted sources are asked first, then hints, each in the order in which they were added. Under
/// [`OnConflict::Refuse`], the default, all are asked and must agree; under [`OnConflict::FirstWins`] the first that is not
/// silent decides, and those after it are not looked at. The first thing found wrong is the reason of the refusal. Methods
/// do not matter: `HEAD` and `OPTIONS` are resolved as `GET` is. Browsers send CORS preflights without credentials: put the
/// layer that answers them outside.
///
/// # Cost
/// One allocation, the [`TenantId`]; none for a refusal. Closures may add their own.
///
/// Clones share their settings.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    /// Trusted ones first.
    sources: Vec<Source>,
    on_conflict: OnConflict,
    /// Whether hints alone name nobody.
    needs_trusted: bool,
    known: Arc<dyn KnownTenants>,
    exempt: Option<Arc<Exempt>>,
    otherwise: Otherwise,
    /// In the order of [`Refusal::ALL`].
    problems: [Problem; 4],
    vary: Option<HeaderValue>,
}

type Exempt = dyn Fn(&Parts) -> bool + Send + Sync;

/// What becomes of a request of which no source says anything.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Otherwise {
    Refused,
    Shared,
    Of(TenantId),
}

/// What happens when two sources name different tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnConflict {
    /// The request is refused as [`Conflict`](Refusal::Conflict). The default.
    #[default]
    Refuse,
    /// The first source that is not silent decides; trusted ones come first.
    FirstWins,
}

/// Whose request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolved {
    /// This tenant's.
    Tenant(TenantId),
    /// Nobody's, and it is to read the keys that belong to nobody; only after
    /// [`dangerously_share_when_missing`](ResolverBuilder::dangerously_share_when_missing).
    Shared,
    /// Nobody's, by [`exempt`](ResolverBuilder::exempt).
    Exempt,
}

impl Resolver {
    /// Starts without sources; it takes one at least.
    pub fn builder() -> ResolverBuilder {
        ResolverBuilder::new()
    }

    /// Says whose request it is, or why it is refused.
    ///
    /// # Panics
    /// If a closure of the builder does.
    pub fn resolve(&self, parts: &Parts) -> Result<Resolved, Refusal> {
        if self.0.exempt.as_ref().is_some_and(|exempt| exempt(parts)) {
            return Ok(Resolved::Exempt);
        }
        let mut found = None;
        for source in &self.0.sources {
            let name = match source.place.ask(parts) {
                Answer::Silent => continue,
                Answer::Bad => return Err(Refusal::Invalid),
                Answer::Named(name) => name,
            };
            match &found {
                None if self.0.needs_trusted && !source.trusted => return Err(Refusal::Missing),
                None => found = Some(name),
                Some(first) if first.as_str() == name.as_str() => {}
                Some(_) => return Err(Refusal::Conflict),
            }
            if self.0.on_conflict == OnConflict::FirstWins {
                break;
            }
        }
        match (found, &self.0.otherwise) {
            (Some(name), _) => self.admit(TenantId::new(name.as_str()).expect("its name was judged to be good")),
            (None, Otherwise::Refused) => Err(Refusal::Missing),
            (None, Otherwise::Shared) => Ok(Resolved::Shared),
            (None, Otherwise::Of(tenant)) => self.admit(tenant.clone()),
        }
    }

    fn admit(&self, tenant: TenantId) -> Result<Resolved, Refusal> {
        if self.0.known.is_known(&tenant) { Ok(Resolved::Tenant(tenant)) } else { Err(Refusal::Unknown) }
    }

    /// Returns the status with which a request is refused.
    pub fn status(&self, refusal: Refusal) -> StatusCode {
        self.problem(refusal).status()
    }

    /// Returns the answer to a request that is refused.
    ///
    /// A problem document (RFC 9457) that says no more than its status, never to be stored; to gRPC requests a status of
    /// gRPC, as its "HTTP to gRPC status code mapping" has it, but 3 (invalid argument) for 400.
    pub fn response<B>(&self, refusal: Refusal, parts: &Parts) -> Response<TenantBody<B>> {
        self.problem(refusal).response_to(parts)
    }

    fn problem(&self, refusal: Refusal) -> &Problem {
        &self.0.problems[refusal as usize]
    }

    /// The headers by which responses differ, for `Vary`: in a shared HTTP cache they are part of the key.
    pub(crate) fn vary(&self) -> Option<&HeaderValue> {
        self.0.vary.as_ref()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("sources", &self.0.sources)
            .field("on_conflict", &self.0.on_conflict)
            .finish_non_exhaustive()
    }
}
