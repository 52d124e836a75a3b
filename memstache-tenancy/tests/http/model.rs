//! Whatever a request holds: the resolver says what a model says that is slow and plain.

use http::{HeaderMap, HeaderValue, Request, Uri, request::Parts};
use memstache_core::TenantId;
use memstache_tenancy::{OnConflict, Refusal, Resolved, Resolver};
use proptest::{collection::vec, prelude::*, sample::subsequence, strategy::ValueTree, string::bytes_regex};

use crate::kit::Claims;

/// A source, as both sides are told of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Claim,
    Header,
    Gateway,
    Segment(usize),
    Host,
}

#[derive(Clone, Debug)]
struct Settings {
    places: Vec<Place>,
    first_wins: bool,
    hints_suffice: bool,
    fallback: bool,
    known: fn(&str) -> bool,
}

impl Settings {
    fn trusted(place: Place) -> bool {
        matches!(place, Place::Claim | Place::Gateway)
    }

    fn hints_suffice(&self) -> bool {
        let mixed = self.places.iter().any(|it| Self::trusted(*it)) && !self.places.iter().all(|it| Self::trusted(*it));
        self.hints_suffice && mixed
    }

    fn resolver(&self) -> Resolver {
        let mut builder = self.places.iter().fold(Resolver::builder(), |it, place| match place {
            Place::Claim => it.claim(|claims: &Claims| claims.0.as_deref()),
            Place::Header => it.header("x-shop"),
            Place::Gateway => it.header("x-gateway").trusted(),
            Place::Segment(index) => it.path_segment(*index),
            Place::Host => it.subdomain("example.com"),
        });
        if self.first_wins {
            builder = builder.on_conflict(OnConflict::FirstWins);
        }
        if self.hints_suffice() {
            builder = builder.hints_suffice();
        }
        if self.fallback {
            builder = builder.dangerously_share_when_missing();
        }
        let known = self.known;
        builder.known(move |tenant: &TenantId| known(tenant.as_str())).build().unwrap()
    }
}

/// What one source says: nothing, a name, or `Err` for what is bad.
type Said = Result<Option<String>, ()>;

fn name(text: &str) -> Said {
    TenantId::new(text).map(|it| Some(it.as_str().to_owned())).map_err(drop)
}

fn only_header(headers: &HeaderMap, key: &str) -> Result<Option<String>, ()> {
    let all: Vec<_> = headers.iter().filter(|(name, _)| *name == key).map(|(_, value)| value.as_bytes()).collect();
    match all[..] {
        [] => Ok(None),
        [one] if one.iter().all(|byte| (32..127).contains(byte) || *byte == b'\t') => {
            Ok(Some(String::from_utf8(one.to_vec()).unwrap()))
        }
        _ => Err(()),
    }
}

/// The labels of a host, without its port.
fn labels(authority: &str) -> Result<Vec<String>, ()> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    if port.len() > 5 || !port.chars().all(|it| it.is_ascii_digit()) {
        return Err(());
    }
    if let Some(address) = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().map(|_| vec![host.to_lowercase()]).map_err(drop);
    }
    let mut labels: Vec<String> = host.split('.').map(str::to_ascii_lowercase).collect();
    if labels.len() > 1 && labels.last().unwrap().is_empty() {
        labels.pop();
    }
    let good = |label: &String| {
        !label.is_empty() && label.len() < 64 && label.chars().all(|it| it.is_ascii_alphanumeric() || "-_".contains(it))
    };
    if labels.join(".").len() < 254 && labels.iter().all(good) { Ok(labels) } else { Err(()) }
}

fn host(parts: &Parts) -> Said {
    let header = only_header(&parts.headers, "host")?.filter(|it| !it.is_empty());
    let target = parts.uri.authority().map(ToString::to_string);
    let all: Vec<_> = target.iter().chain(&header).map(|it| labels(it)).collect::<Result<_, _>>()?;
    let Some(first) = all.first() else { return Ok(None) };
    if all.iter().any(|it| it != first) {
        return Err(());
    }
    match first.iter().map(String::as_str).rev().collect::<Vec<_>>()[..] {
        ["com", "example", label] => name(label),
        ["com", "example", _, _, ..] => Err(()),
        _ => Ok(None),
    }
}

fn segment(path: &str, index: usize) -> Said {
    if !path.starts_with('/') {
        return Ok(None);
    }
    let all: Vec<_> = path[1..].split('/').collect();
    match all.get(index) {
        None => Ok(None),
        Some(&"") if index + 1 == all.len() => Ok(None),
        Some(&"." | &"..") => Err(()),
        Some(segment) => name(segment),
    }
}

fn say(place: Place, parts: &Parts) -> Said {
    match place {
        Place::Claim => parts.extensions.get::<Claims>().and_then(|it| it.0.clone()).map_or(Ok(None), |it| name(&it)),
        Place::Header => only_header(&parts.headers, "x-shop")?.map_or(Ok(None), |it| name(&it)),
        Place::Gateway => only_header(&parts.headers, "x-gateway")?.map_or(Ok(None), |it| name(&it)),
        Place::Segment(index) => segment(parts.uri.path(), index),
        Place::Host => host(parts),
    }
}

/// `None` is the shared space.
fn model(settings: &Settings, parts: &Parts) -> Result<Option<String>, Refusal> {
    let (trusted, hints): (Vec<Place>, Vec<Place>) = settings.places.iter().partition(|it| Settings::trusted(**it));
    let must_be_trusted = !trusted.is_empty() && !settings.hints_suffice();
    let all = trusted.iter().map(|it| (true, *it)).chain(hints.iter().map(|it| (false, *it)));
    let mut names: Vec<String> = Vec::new();
    for (trusted, place) in all {
        if settings.first_wins && !names.is_empty() {
            break;
        }
        if let Some(name) = say(place, parts).map_err(|()| Refusal::Invalid)? {
            if names.is_empty() && must_be_trusted && !trusted {
                return Err(Refusal::Missing);
            }
            if names.first().is_some_and(|first| *first != name) {
                return Err(Refusal::Conflict);
            }
            names.push(name);
        }
    }
    match names.first() {
        Some(name) if (settings.known)(name) => Ok(Some(name.clone())),
        Some(_) => Err(Refusal::Unknown),
        None if settings.fallback => Ok(None),
        None => Err(Refusal::Missing),
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let all = vec![Place::Claim, Place::Header, Place::Gateway, Place::Segment(0), Place::Segment(1), Place::Host];
    let places = subsequence(all, 1..=6).prop_shuffle();
    let known: [fn(&str) -> bool; 2] = [|_| true, |name| name != "umbrella"];
    (places, any::<(bool, bool, bool)>(), prop::sample::select(known.to_vec())).prop_map(
        |(places, (first_wins, hints_suffice, fallback), known)| Settings {
            places,
            first_wins,
            hints_suffice,
            fallback,
            known,
        },
    )
}

/// Bytes that match a pattern, which is parsed once: it would be for each case, as a strategy of its own.
fn like(pattern: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    bytes_regex(pattern).unwrap()
}

/// Mostly the same few names, so that sources agree and differ; else anything.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec!["acme", "umbrella", "Acme", "ACME"]).prop_map(|it| it.as_bytes().to_vec()),
        1 => like("[A-Za-z0-9._%:;,@ -]{0,8}"),
        1 => like("[a-z.]{60,70}"),
        1 => vec(any::<u8>(), 0..30),
    ]
}

fn hosts() -> impl Strategy<Value = Vec<u8>> {
    let domain =
        prop::sample::select(vec![".example.com", ".EXAMPLE.com", "example.com", ".example.org", ".a.example.com", ""]);
    let end = prop::sample::select(vec!["", ".", ":80", ".:80", ":", "..", ":x", ":123456", ":80:80", "]", "[::1]"]);
    prop_oneof![
        6 => (text(), domain, end).prop_map(|(label, domain, end)| [&label[..], domain.as_bytes(), end.as_bytes()].concat()),
        1 => like("\\[[0-9a-f:.%]{0,12}\\]?(:[0-9]{0,6})?"),
        1 => like("[A-Za-z0-9.:\\[\\]@_-]{0,24}"),
        1 => vec(any::<u8>(), 0..40),
    ]
}

fn paths() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![4 => text(), 1 => Just(Vec::new()), 1 => Just(b".".to_vec()), 1 => Just(b"..".to_vec())], 0..4)
        .prop_map(|segments| [&b"/"[..], &segments.join(&b'/')].concat())
}

/// Any request that the `http` crate lets be built.
fn requests() -> impl Strategy<Value = Parts> {
    let uri = prop_oneof![
        4 => paths(),
        2 => (hosts(), paths()).prop_map(|(host, path)| [&b"https://"[..], &host, &path].concat()),
        1 => hosts(),
        1 => Just(b"*".to_vec()),
    ];
    let name = prop::sample::select(vec!["x-shop", "x-gateway", "x-other"]);
    let headers = vec((name, text()), 0..4);
    let host = vec(hosts(), 0..3);
    let claim = prop::option::of(prop::option::of(text()));
    (uri, headers, host, claim).prop_map(|(uri, headers, hosts, claim)| {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.uri = Uri::try_from(uri).unwrap_or_default();
        let named = headers.into_iter().chain(hosts.into_iter().map(|host| ("host", host)));
        for (name, value) in named {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                parts.headers.append(name, value);
            }
        }
        if let Some(claim) = claim {
            parts.extensions.insert(Claims(claim.map(|it| String::from_utf8_lossy(&it).into_owned())));
        }
        parts
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_resolver_is_its_model(settings in settings(), parts in requests()) {
        let found = settings.resolver().resolve(&parts).map(|resolved| match resolved {
            Resolved::Tenant(tenant) => Some(tenant.as_str().to_owned()),
            _ => None,
        });
        prop_assert_eq!(found, model(&settings, &parts));
    }

    #[test]
    fn hosts_are_their_model(given in hosts(), target in prop::option::of(hosts())) {
        let (mut parts, ()) = Request::new(()).into_parts();
        if let Some(Ok(uri)) = target.map(|it| Uri::try_from([&b"https://"[..], &it, b"/"].concat())) {
            parts.uri = uri;
        }
        if let Ok(value) = HeaderValue::from_bytes(&given) {
            parts.headers.insert("host", value);
        }
        let resolver = Resolver::builder().subdomain("example.com").build().unwrap();
        let wanted = match host(&parts) {
            Err(()) => Err(Refusal::Invalid),
            Ok(None) => Err(Refusal::Missing),
            Ok(Some(name)) => Ok(name),
        };
        let found = resolver.resolve(&parts).map(|resolved| match resolved {
            Resolved::Tenant(tenant) => tenant.as_str().to_owned(),
            other => panic!("{other:?}"),
        });
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn every_ending_is_reached() {
    // Else the properties above would show little.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let all = (settings(), requests());
    for _ in 0..600 {
        let (settings, parts) = all.new_tree(&mut runner).unwrap().current();
        let ending = match model(&settings, &parts) {
            Ok(found) => found.map_or("shared", |_| "tenant").to_owned(),
            Err(refusal) => refusal.to_string(),
        };
        *seen.entry(ending).or_default() += 1;
    }
    assert!(seen.len() == 6 && seen.values().all(|count| *count >= 4), "{seen:?}");
}
