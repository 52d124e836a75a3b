//! What each source makes of a request, and who wins.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::{HeaderValue, Method, Request, Version};
use memstache_core::TenantId;
use memstache_tenancy::{KnownTenants, OnConflict, Refusal, Resolved, Resolver};

use crate::kit::{Claims, by_header, claim, claims, get, head, resolve, tenant};

type Found = Result<Option<String>, Refusal>;

fn acme() -> Found {
    Ok(Some("acme".to_owned()))
}

const MISSING: Found = Err(Refusal::Missing);
const INVALID: Found = Err(Refusal::Invalid);

#[test]
fn headers() {
    let resolver = by_header();
    let ask = |value: &[u8]| resolve(&resolver, get("/").header("X-Shop", HeaderValue::from_bytes(value).unwrap()));
    assert_eq!(ask(b"acme"), acme());
    assert_eq!(ask(b"Acme"), Ok(Some("Acme".to_owned())), "case counts");
    let longest = "a".repeat(64);
    assert_eq!(ask(longest.as_bytes()), Ok(Some(longest)));
    for bad in [
        &b""[..],
        b" ",
        b"a b",
        b"acme ",
        b"acme,umbrella",
        b"ac:me",
        b"ac\xe9",
        "café".as_bytes(),
        &[b'a'; 65],
        &[b'a'; 60_000],
    ] {
        assert_eq!(ask(bad), INVALID, "{bad:?}");
    }
    assert_eq!(resolve(&resolver, get("/")), MISSING);
    for second in ["acme", "umbrella", ""] {
        assert_eq!(resolve(&resolver, get("/").header("x-shop", "acme").header("x-shop", second)), INVALID);
    }
}

#[test]
fn path_segments() {
    let ask = |index, uri| resolve(&Resolver::builder().path_segment(index).build().unwrap(), get(uri));
    for (index, uri, wanted) in [
        (0, "/acme", acme()),
        (0, "/acme/", acme()),
        (0, "/acme/tea?shop=umbrella", acme()),
        (1, "/shops/acme/tea", acme()),
        (1, "/shops/acme?x", acme()),
        (0, "http://umbrella.example.com/acme", acme()),
        (0, "/", MISSING),
        (0, "*", MISSING),
        (1, "/shops", MISSING),
        (1, "/shops/", MISSING),
        (63, "/shops/acme", MISSING),
        (0, "//acme", INVALID),
        (1, "/shops//tea", INVALID),
        (0, "/%61cme", INVALID),
        (0, "/acme%2Ftea", INVALID),
        (0, "/acme;v=1", INVALID),
        (0, "/./acme", INVALID),
        (0, "/../acme", INVALID),
        (0, "/ac:me", INVALID),
    ] {
        assert_eq!(ask(index, uri), wanted, "{index} of {uri}");
    }
    assert_eq!(ask(0, &format!("/{}", "a".repeat(65))), INVALID);
    let connect = Request::builder().method(Method::CONNECT).uri("acme:80");
    assert_eq!(resolve(&Resolver::builder().path_segment(0).build().unwrap(), connect), MISSING);
}

#[test]
fn subdomains() {
    let resolver = Resolver::builder().subdomain("Example.com.").build().unwrap();
    for (host, wanted) in [
        ("acme.example.com", acme()),
        ("ACME.Example.COM", acme()),
        ("acme.example.com:8443", acme()),
        ("acme.example.com.", acme()),
        ("acme.example.com.:8443", acme()),
        ("", MISSING),
        ("example.com", MISSING),
        ("example.com:80", MISSING),
        ("localhost", MISSING),
        ("acme.example.org", MISSING),
        ("acme-example.com", MISSING),
        ("acme.example.com.evil.net", MISSING),
        ("127.0.0.1:80", MISSING),
        ("[::1]:80", MISSING),
        (".example.com", INVALID),
        ("eu.acme.example.com", INVALID),
        ("acme..example.com", INVALID),
        ("acme.example.com..", INVALID),
        ("acme.example.com:x", INVALID),
        ("acme@example.com", INVALID),
        ("umbrella@acme.example.com", INVALID),
        ("%61cme.example.com", INVALID),
        ("acme.example.com, umbrella.example.com", INVALID),
        ("[::1", INVALID),
        ("::1", INVALID),
    ] {
        assert_eq!(resolve(&resolver, get("/").header("host", host)), wanted, "{host:?}");
    }
    let latin = HeaderValue::from_bytes(b"ac\xe9.example.com").unwrap();
    assert_eq!(resolve(&resolver, get("/").header("host", latin)), INVALID);
    let long = format!("{}.example.com", "a".repeat(64));
    assert_eq!(resolve(&resolver, get("/").header("host", long)), INVALID);
}

#[test]
fn targets_with_a_host_and_the_host_header() {
    let resolver = Resolver::builder().subdomain("example.com").build().unwrap();
    let h2 = |host: Option<&str>| {
        let request = get("https://acme.example.com/tea").version(Version::HTTP_2);
        resolve(&resolver, host.into_iter().fold(request, |request, host| request.header("host", host)))
    };
    assert_eq!(h2(None), acme());
    assert_eq!(h2(Some("ACME.example.com:443")), acme());
    assert_eq!(h2(Some("")), acme());
    assert_eq!(h2(Some("umbrella.example.com")), INVALID, "one proxy reads one, one the other");
    assert_eq!(h2(Some("acme.example.com:x")), INVALID);
    let twice = get("/").header("host", "acme.example.com").header("host", "acme.example.com");
    assert_eq!(resolve(&resolver, twice), INVALID);
    assert_eq!(resolve(&resolver, get("https://me@acme.example.com/")), INVALID);
    assert_eq!(resolve(&resolver, get("/")), MISSING);
}

#[test]
fn claims_are_read_by_type() {
    let resolver = claim(Resolver::builder()).build().unwrap();
    assert_eq!(resolve(&resolver, get("/").extension(claims("acme"))), acme());
    assert_eq!(resolve(&resolver, get("/").extension(Claims(None))), MISSING);
    assert_eq!(resolve(&resolver, get("/").extension("acme".to_owned())), MISSING, "another type");
    assert_eq!(resolve(&resolver, get("/").extension(claims(""))), INVALID);
    assert_eq!(resolve(&resolver, get("/").extension(claims("a/b"))), INVALID);
    let plain = Resolver::builder().claim(|tenant: &TenantId| Some(tenant.as_str())).build().unwrap();
    assert_eq!(resolve(&plain, get("/").extension(tenant("acme"))), acme());
}

#[test]
fn questions_of_ones_own() {
    let query = |parts: &http::request::Parts| parts.uri.query().map(|query| query.to_lowercase());
    let resolver = Resolver::builder().with(move |parts| query(parts).map(Into::into)).build().unwrap();
    assert_eq!(resolve(&resolver, get("/?ACME")), acme());
    assert_eq!(resolve(&resolver, get("/?")), INVALID);
    assert_eq!(resolve(&resolver, get("/")), MISSING);
}

#[test]
fn sources_must_agree() {
    let resolver = Resolver::builder().header("x-shop").path_segment(0).build().unwrap();
    assert_eq!(resolve(&resolver, get("/acme").header("x-shop", "acme")), acme());
    assert_eq!(resolve(&resolver, get("/acme")), acme());
    assert_eq!(resolve(&resolver, get("/").header("x-shop", "acme")), acme());
    assert_eq!(resolve(&resolver, get("/umbrella").header("x-shop", "acme")), Err(Refusal::Conflict));
    assert_eq!(resolve(&resolver, get("/a%20b").header("x-shop", "acme")), INVALID);
    assert_eq!(resolve(&resolver, get("/acme").header("x-shop", "")), INVALID, "empty is not silence");
}

#[test]
fn the_first_wins_if_it_may() {
    let first =
        |builder: memstache_tenancy::ResolverBuilder| builder.on_conflict(OnConflict::FirstWins).build().unwrap();
    let resolver = first(Resolver::builder().header("x-shop").path_segment(0));
    assert_eq!(resolve(&resolver, get("/umbrella").header("x-shop", "acme")), acme());
    assert_eq!(resolve(&resolver, get("/a%20b").header("x-shop", "acme")), acme(), "those after it are not looked at");
    assert_eq!(resolve(&resolver, get("/acme").header("x-shop", "a b")), INVALID, "bad is not silence");
    assert_eq!(resolve(&resolver, get("/acme")), acme());

    let resolver = first(claim(Resolver::builder().header("x-shop")));
    let request = get("/").header("x-shop", "umbrella").extension(claims("acme"));
    assert_eq!(resolve(&resolver, request), acme(), "what is trusted is first, wherever it was added");
}

#[test]
fn hints_agree_with_what_is_trusted_and_do_not_replace_it() {
    let resolver = claim(Resolver::builder().header("x-shop")).build().unwrap();
    assert_eq!(resolve(&resolver, get("/").extension(claims("acme")).header("x-shop", "acme")), acme());
    assert_eq!(resolve(&resolver, get("/").extension(claims("acme"))), acme());
    let other = get("/").extension(claims("acme")).header("x-shop", "umbrella");
    assert_eq!(resolve(&resolver, other), Err(Refusal::Conflict));
    assert_eq!(resolve(&resolver, get("/").header("x-shop", "acme")), MISSING);
    assert_eq!(resolve(&resolver, get("/").header("x-shop", "a b")), INVALID);

    let resolver = claim(Resolver::builder().header("x-shop")).hints_suffice().build().unwrap();
    assert_eq!(resolve(&resolver, get("/").header("x-shop", "acme")), acme());

    let gateway = Resolver::builder().header("x-shop").trusted().subdomain("example.com").build().unwrap();
    assert_eq!(resolve(&gateway, get("/").header("x-shop", "acme")), acme());
    assert_eq!(resolve(&gateway, get("/").header("host", "acme.example.com")), MISSING);
}

#[test]
fn only_known_tenants() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let known = Arc::new(move |tenant: &TenantId| {
        count.fetch_add(1, Relaxed);
        tenant.as_str() == "acme"
    });
    assert!(known.is_known(&tenant("acme")));
    let resolver = Resolver::builder().header("x-shop").path_segment(0).known(known).build().unwrap();
    assert_eq!(resolve(&resolver, get("/acme").header("x-shop", "acme")), acme());
    assert_eq!(asked.load(Relaxed), 2, "asked once a request");
    assert_eq!(resolve(&resolver, get("/umbrella")), Err(Refusal::Unknown));
}

#[test]
fn fallbacks_are_for_requests_that_say_nothing() {
    let shared = Resolver::builder().header("x-shop").dangerously_share_when_missing().build().unwrap();
    assert_eq!(shared.resolve(&head(get("/"))), Ok(Resolved::Shared));
    assert_eq!(resolve(&shared, get("/").header("x-shop", "")), INVALID);
    assert_eq!(resolve(&shared, get("/").header("x-shop", "acme")), acme());

    let one = || claim(Resolver::builder().header("x-shop")).dangerously_default_to(tenant("acme"));
    let resolver = one().build().unwrap();
    assert_eq!(resolve(&resolver, get("/")), acme());
    assert_eq!(resolve(&resolver, get("/").header("x-shop", "umbrella")), MISSING, "a hint that does not suffice");
    assert_eq!(resolve(&resolver, get("/").header("x-shop", "a b")), INVALID);
    let closed = one().known(|_: &TenantId| false).build().unwrap();
    assert_eq!(resolve(&closed, get("/")), Err(Refusal::Unknown));
}

#[test]
fn exempt_requests_are_asked_nothing() {
    let resolver = Resolver::builder()
        .with(|_| panic!("a source was asked"))
        .exempt(|parts| parts.uri.path() == "/healthz")
        .build()
        .unwrap();
    assert_eq!(resolver.resolve(&head(get("/healthz"))), Ok(Resolved::Exempt));
}

#[test]
fn methods_do_not_matter() {
    let resolver = by_header();
    for method in [Method::HEAD, Method::OPTIONS, Method::TRACE, Method::from_bytes(b"SHOP").unwrap()] {
        assert_eq!(resolve(&resolver, get("/").method(&method)), MISSING);
        assert_eq!(resolve(&resolver, get("/").method(&method).header("x-shop", "acme")), acme());
    }
}
