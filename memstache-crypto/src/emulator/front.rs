//! What happens to a call before the vault sees it: faults, then the token.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memstache_core::Tick;
use parking_lot::Mutex;
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::{
    calls::Counters,
    failure::Failure,
    faults::Faults,
    route::{MAX_TARGET, route},
    vault::{Call, Vault},
};

/// The resource that tokens are for, unless the host's name says another.
const RESOURCE: &str = "https://vault.azure.net";
/// Where tokens come from: a tenant that does not exist.
const AUTHORITY: &str = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000";

/// A request as it came over the network.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) scheme: &'static str,
    pub(super) host: &'a str,
    /// The value of `Authorization`.
    pub(super) authorization: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// A vault, its doorkeeper and its faults.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) vault: Vault,
    /// The only token that is let in; `None` lets in any.
    pub(super) token: Option<String>,
    pub(super) faults: Mutex<Faults>,
    pub(super) counters: Counters,
    /// The second that is counted, and how many calls it had.
    pub(super) second: Mutex<(Tick, u32)>,
}

impl Front {
    /// Answers a request; blocks like [`Vault::answer`]. The latency is the caller's to wait.
    pub(super) fn answer(&self, asked: &Asked<'_>) -> Result<Option<Value>, Failure> {
        count(&self.counters.total);
        let faults = *self.faults.lock();
        self.fault(&faults).inspect_err(|_| count(&self.counters.faulted))?;
        self.authorize(asked).inspect_err(|_| count(&self.counters.challenged))?;
        if faults.forbidden {
            count(&self.counters.faulted);
            return Err(Failure::forbidden("The caller has no permission on this vault.", "ForbiddenByRbac"));
        }
        if asked.path.len() + asked.query.len() > MAX_TARGET {
            return Err(Failure::field(
                "the request's target",
                format_args!("at most {MAX_TARGET} bytes long"),
                "more",
            ));
        }
        let route = route(asked.method, asked.path)?;
        self.counters.count(route.operation);
        let base = format!("{}://{}", asked.scheme, checked(asked.host)?);
        let call = Call { base: &base, query: asked.query, body: asked.body, skew: faults.clock_skew };
        self.vault.answer(route, &call)
    }

    fn fault(&self, faults: &Faults) -> Result<(), Failure> {
        if let Some(after) = faults.throttle.and_then(|most| self.throttled(most)) {
            let message = "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached";
            return Err(Failure::new(429, "Throttled", message).with_retry_after(after));
        }
        if faults.fail_rate > 0.0 && self.draw()? < faults.fail_rate {
            return Err(Failure::internal("The emulator failed on purpose."));
        }
        Ok(())
    }

    /// Counts a call; when to come again if there were too many in this second.
    fn throttled(&self, most: u32) -> Option<u32> {
        let now = self.vault.clock.now();
        let mut second = self.second.lock();
        let (began, count) = &mut *second;
        if now.since(*began).as_millis() >= 1000 {
            (*began, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        (*count > most).then_some(1)
    }

    /// A number from 0 to, but not, 1.
    fn draw(&self) -> Result<f64, Failure> {
        let mut bytes = [0; 4];
        self.vault.random.fill(&mut bytes).map_err(|_| Failure::internal("There is no randomness."))?;
        Ok(f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
    }

    fn authorize(&self, asked: &Asked<'_>) -> Result<(), Failure> {
        let token = asked.authorization.and_then(bearer);
        let message = match (token, &self.token) {
            (None, _) => "AKV10000: Request is missing a Bearer or PoP token.",
            (Some(given), Some(wanted)) if !bool::from(given.as_bytes().ct_eq(wanted.as_bytes())) => {
                "AKV10032: Invalid token."
            }
            (Some(_), _) => return Ok(()),
        };
        let resource = resource(asked.host);
        let challenge = format!("Bearer authorization=\"{AUTHORITY}\", resource=\"{resource}\"");
        Err(Failure::new(401, "Unauthorized", message).with_challenge(challenge))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Clients check that the vault's host lies below the resource's: for `dev.vault.localhost` it is `vault.localhost`.
fn resource(host: &str) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match name.split_once('.') {
        Some((_, parent)) if parent.ends_with(".localhost") && checked(host).is_ok() => format!("https://{parent}"),
        _ => RESOURCE.to_owned(),
    }
}

/// The host goes into ids, so it must look like one.
fn checked(host: &str) -> Result<&str, Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if host.is_empty() || host.len() > 255 || !host.bytes().all(allowed) {
        return Err(Failure::field(
            "the Host header",
            "a host of at most 255 bytes, with or without a port",
            "another",
        ));
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_lies_above_the_host() {
        assert_eq!(resource("dev.vault.localhost:5000"), "https://vault.localhost");
        assert_eq!(resource("a.b.vault.localhost"), "https://b.vault.localhost");
        for other in ["localhost:5000", "vault.localhost", "127.0.0.1:5000", "x\".a.localhost", ""] {
            assert_eq!(resource(other), RESOURCE, "{other}");
        }
    }

    #[test]
    fn hosts_are_checked() {
        assert!(["localhost", "127.0.0.1:5000", "[::1]:5000"].iter().all(|host| checked(host).is_ok()));
        assert!(["", "a/b", "a b", "a\"b"].iter().all(|host| checked(host).is_err()));
    }

    #[test]
    fn only_bearer_tokens_count() {
        assert_eq!(["Bearer x", "bearer  y "].map(bearer), [Some("x"), Some("y")]);
        assert_eq!(["Bearer", "Bearer ", "Basic x", ""].map(bearer), [None; 4]);
    }
}
