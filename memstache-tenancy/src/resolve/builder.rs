//! What a resolver is told, checked as a whole.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderName, HeaderValue, StatusCode, request::Parts};
use memstache_core::{Error, ErrorKind, Result, TenantId};

use super::{
    Exempt, Inner, OnConflict, Otherwise, Refusal, RefusalStatus, Resolver,
    host::Domain,
    source::{Place, Question, Source},
};
use crate::{
    known::{AllTenants, KnownTenants},
    problem::Problem,
};

/// Most sources of a resolver.
pub const MAX_SOURCES: usize = 16;

/// Last segment of a path that can be a source, counted from zero.
pub const MAX_PATH_SEGMENT: usize = 63;

/// Longest challenge, in bytes.
const MAX_CHALLENGE: usize = 1_024;

/// Builds a [`Resolver`]; what is wrong is told by [`build`](Self::build), all of it at once.
pub struct ResolverBuilder {
    sources: Vec<Source>,
    on_conflict: OnConflict,
    hints_suffice: bool,
    known: Arc<dyn KnownTenants>,
    exempt: Option<Arc<Exempt>>,
    otherwise: Vec<Otherwise>,
    statuses: [Option<RefusalStatus>; 4],
    challenge: Option<String>,
    wrong: Vec<Error>,
}

impl ResolverBuilder {
    pub(super) fn new() -> Self {
        Self {
            sources: Vec::new(),
            on_conflict: OnConflict::default(),
            hints_suffice: false,
            known: Arc::new(AllTenants),
            exempt: None,
            otherwise: Vec::new(),
            statuses: [None; 4],
            challenge: None,
            wrong: Vec::new(),
        }
    }

    /// Adds a claim: what the application's auth layer has verified and left in the request's extensions as a `T`.
    ///
    /// That layer must be outside of this one. A trusted source. Nothing here reads tokens.
    ///
    /// ```
    /// use http::Request;
    /// use memstache_tenancy::{Resolved, Resolver};
    ///
    /// #[derive(Clone)]
    /// struct Claims { tenant: Option<String> }
    ///
    /// let resolver = Resolver::builder().claim(|claims: &Claims| claims.tenant.as_deref()).build()?;
    /// let request = Request::get("/").extension(Claims { tenant: Some("acme".to_owned()) }).body(())?;
    /// let resolved = resolver.resolve(&request.into_parts().0);
    /// assert!(matches!(resolved, Ok(Resolved::Tenant(tenant)) if tenant.as_str() == "acme"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn claim<T>(self, claim: impl Fn(&T) -> Option<&str> + Send + Sync + 'static) -> Self
    where
        T: Send + Sync + 'static,
    {
        self.with(move |parts| parts.extensions.get::<T>().and_then(&claim).map(Cow::Borrowed)).trusted()
    }

    /// Adds a header. A hint, unless [`trusted`](Self::trusted).
    ///
    /// Responses get its name in their `Vary`, so that no HTTP cache in between mixes tenants up.
    #[must_use]
    pub fn header(self, name: &str) -> Self {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => self.source(Place::Header(name)),
            Err(_) => {
                let given = format!("one of {} bytes that is none", name.len());
                self.wrong(Error::invalid("header", "the name of a header (RFC 9110, section 5.1)", given))
            }
        }
    }

    /// Adds a segment of the path, counted from zero: in `/acme/tea`, `acme` is number 0. A hint.
    ///
    /// What counts is the path that the layer sees: inside of a nested Axum router, that one's.
    #[must_use]
    pub fn path_segment(self, index: usize) -> Self {
        if index <= MAX_PATH_SEGMENT {
            return self.source(Place::PathSegment(index));
        }
        self.wrong(Error::invalid("path_segment", format_args!("at most {MAX_PATH_SEGMENT}"), index))
    }

    /// Adds the label before a domain: below `example.com`, `acme.example.com` is for `acme`. A hint.
    ///
    /// The host is the target's own (`:authority` in HTTP/2), else the `Host` header's; case, port and a dot at its end do
    /// not count. `X-Forwarded-Host` and `Forwarded` are not read: let the proxy set `Host`. `www` is a name like others: it
    /// is for [`known`](Self::known) or [`exempt`](Self::exempt) to say what it is.
    #[must_use]
    pub fn subdomain(self, of: &str) -> Self {
        match Domain::parse(of) {
            Ok(domain) => self.source(Place::Subdomain(Arc::new(domain))),
            Err(error) => self.wrong(error),
        }
    }

    /// Adds a question of your own: `None` is silence, and what is no good name is bad. A hint, unless
    /// [`trusted`](Self::trusted).
    ///
    /// ```
    /// use memstache_tenancy::Resolver;
    ///
    /// let resolver = Resolver::builder().with(|parts| parts.uri.query()?.strip_prefix("shop=").map(Into::into)).build()?;
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    #[must_use]
    pub fn with(
        mut self,
        question: impl for<'a> Fn(&'a Parts) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    ) -> Self {
        let question: Arc<Question> = Arc::new(question);
        // No two questions are the same.
        self.sources.push(Source { place: Place::Asked(question), trusted: false });
        self
    }

    /// Says of the source that was added last that clients cannot write there what they like.
    ///
    /// Such as a header that a gateway in front sets and takes off what comes in, with no way around that gateway.
    /// Or a question that lets clients choose among what their claims allow:
    ///
    /// ```
    /// use http::Request;
    /// use memstache_tenancy::{Refusal, Resolver};
    ///
    /// #[derive(Clone)]
    /// struct Claims { shops: Vec<String> }
    ///
    /// let chosen = Resolver::builder().with(|parts| {
    ///     let wanted = parts.headers.get("x-shop")?;
    ///     let claims: &Claims = parts.extensions.get()?;
    ///     claims.shops.iter().find(|shop| shop.as_bytes() == wanted.as_bytes()).map(|shop| shop.into())
    /// });
    /// let resolver = chosen.trusted().build()?;
    ///
    /// let claims = Claims { shops: vec!["acme".to_owned(), "umbrella".to_owned()] };
    /// let ask = |shop| Request::get("/").header("x-shop", shop).extension(claims.clone()).body(());
    /// assert!(resolver.resolve(&ask("umbrella")?.into_parts().0).is_ok());
    /// assert_eq!(resolver.resolve(&ask("initech")?.into_parts().0), Err(Refusal::Missing));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trusted(mut self) -> Self {
        match self.sources.last_mut() {
            Some(source) => {
                source.trusted = true;
                self
            }
            None => self.wrong(Error::new(ErrorKind::Invalid, "trusted must come after a source, but none was given")),
        }
    }

    /// Lets hints name the tenant where no trusted source says anything: who is not logged in chooses freely. Default: not.
    #[must_use]
    pub fn hints_suffice(mut self) -> Self {
        self.hints_suffice = true;
        self
    }

    /// Chooses what happens when two sources name different tenants. Default: the request is refused.
    #[must_use]
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// Chooses who knows the tenants; others are [`Unknown`](Refusal::Unknown). Default: [`AllTenants`].
    #[must_use]
    pub fn known(mut self, known: impl KnownTenants) -> Self {
        self.known = Arc::new(known);
        self
    }

    /// Lets requests pass without a tenant, and without a cache: health checks and the like. Default: none.
    ///
    /// No source is asked of them.
    #[must_use]
    pub fn exempt(mut self, exempt: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.exempt = Some(Arc::new(exempt));
        self
    }

    /// Gives requests of which no source says anything the keys that belong to nobody. Default: they are refused.
    ///
    /// Dangerous: what is forgotten to be named is then shared by all who forget it.
    #[must_use]
    pub fn dangerously_share_when_missing(mut self) -> Self {
        self.otherwise.push(Otherwise::Shared);
        self
    }

    /// Takes requests of which no source says anything for this tenant's. Default: they are refused.
    ///
    /// Dangerous: whoever says nothing is that tenant.
    #[must_use]
    pub fn dangerously_default_to(mut self, tenant: TenantId) -> Self {
        self.otherwise.push(Otherwise::Of(tenant));
        self
    }

    /// Chooses the status of a refusal. Default: see [`Refusal`].
    #[must_use]
    pub fn status(mut self, refusal: Refusal, status: RefusalStatus) -> Self {
        self.statuses[refusal as usize] = Some(status);
        self
    }

    /// Chooses the challenge (`WWW-Authenticate`) of refusals with status 401. Default: `Bearer`.
    #[must_use]
    pub fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }

    /// Builds the resolver.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), with everything that is wrong: no source or more than [`MAX_SOURCES`], one source
    /// twice, a header name, domain, segment or challenge that is none, two fallbacks, or a setting that does nothing.
    pub fn build(self) -> Result<Resolver> {
        let statuses = self.statuses();
        let challenge = self.checked_challenge(&statuses);
        let mut wrong: Vec<_> = self.wrong.iter().cloned().chain(self.misfits()).collect();
        let challenge = challenge.map_err(|error| wrong.push(error)).ok();
        if !wrong.is_empty() {
            let lines: Vec<_> = wrong.iter().map(ToString::to_string).collect();
            return Err(Error::new(ErrorKind::Invalid, lines.join("; ")));
        }
        let (vary, needs_trusted) = (self.vary(), self.has_trusted() && !self.hints_suffice);
        let Self { mut sources, on_conflict, known, exempt, mut otherwise, .. } = self;
        // Stable: each kind stays in its order.
        sources.sort_by_key(|source| !source.trusted);
        let otherwise = otherwise.pop().unwrap_or(Otherwise::Refused);
        let problems = statuses.map(|status| Problem::new(status).with_challenge(challenge.as_ref()));
        Ok(Resolver(Arc::new(Inner { sources, on_conflict, needs_trusted, known, exempt, otherwise, problems, vary })))
    }

    /// What is wrong with the whole.
    fn misfits(&self) -> impl Iterator<Item = Error> {
        let (count, trusted) = (self.sources.len(), self.has_trusted());
        let hints = self.sources.iter().any(|source| !source.trusted);
        let no_source = count == 0 && self.wrong.is_empty();
        let found = [
            (no_source || count > MAX_SOURCES)
                .then(|| Error::invalid("sources", format_args!("1 to {MAX_SOURCES}"), count)),
            (self.hints_suffice && !(trusted && hints)).then(|| {
                let limit = "for a resolver with trusted sources and hints";
                Error::invalid("hints_suffice", limit, "one without either")
            }),
            (self.otherwise.len() > 1).then(|| Error::invalid("fallback", "one at most", self.otherwise.len())),
        ];
        found.into_iter().flatten()
    }

    fn has_trusted(&self) -> bool {
        self.sources.iter().any(|source| source.trusted)
    }

    /// In the order of [`Refusal::ALL`].
    fn statuses(&self) -> [StatusCode; 4] {
        let usual = |refusal| match refusal {
            Refusal::Missing if self.has_trusted() => RefusalStatus::UNAUTHORIZED,
            Refusal::Missing | Refusal::Invalid => RefusalStatus::BAD_REQUEST,
            Refusal::Conflict | Refusal::Unknown => RefusalStatus::FORBIDDEN,
        };
        Refusal::ALL.map(|refusal| self.statuses[refusal as usize].unwrap_or_else(|| usual(refusal)).status())
    }

    fn checked_challenge(&self, statuses: &[StatusCode]) -> Result<HeaderValue> {
        let Some(text) = &self.challenge else { return Ok(HeaderValue::from_static("Bearer")) };
        if !statuses.contains(&StatusCode::UNAUTHORIZED) {
            return Err(Error::invalid("challenge", "for a refusal with status 401", "none with it"));
        }
        let is_plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if text.trim().is_empty() || text.len() > MAX_CHALLENGE || !is_plain {
            let limit = format_args!("1 to {MAX_CHALLENGE} bytes of visible ASCII");
            return Err(Error::invalid("challenge", limit, format_args!("one of {} bytes", text.len())));
        }
        Ok(HeaderValue::from_str(text).expect("visible ASCII is a header's value"))
    }

    fn vary(&self) -> Option<HeaderValue> {
        let names = self.sources.iter().filter_map(|source| match &source.place {
            Place::Header(name) => Some(name.as_str()),
            _ => None,
        });
        let names = names.collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| HeaderValue::from_str(&names).expect("names of headers are visible ASCII"))
    }

    fn source(mut self, place: Place) -> Self {
        if self.sources.iter().any(|source| source.place.is(&place)) {
            return self.wrong(Error::invalid("source", "there once", "the same one again"));
        }
        self.sources.push(Source { place, trusted: false });
        self
    }

    fn wrong(mut self, error: Error) -> Self {
        self.wrong.push(error);
        self
    }
}

impl fmt::Debug for ResolverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolverBuilder").field("sources", &self.sources).finish_non_exhaustive()
    }
}
