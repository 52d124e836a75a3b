//! What is wrong with a resolver is told at once, and all of it.

use http::StatusCode;
use memstache_core::ErrorKind;
use memstache_tenancy::{MAX_PATH_SEGMENT, MAX_SOURCES, Refusal, RefusalStatus, Resolver, ResolverBuilder};

use crate::kit::{claim, tenant};

fn wrong(builder: ResolverBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    error.to_string()
}

#[test]
fn each_mistake_names_its_field_and_limit() {
    let new = Resolver::builder;
    for (builder, message) in [
        (new(), "sources must be 1 to 16, but 0 was given"),
        (
            new().header("x shop"),
            "header must be the name of a header (RFC 9110, section 5.1), but one of 6 bytes that is none was given",
        ),
        (
            new().header(""),
            "header must be the name of a header (RFC 9110, section 5.1), but one of 0 bytes that is none was given",
        ),
        (new().path_segment(64), "path_segment must be at most 63, but 64 was given"),
        (
            new().subdomain("*.a.b"),
            "subdomain must be a domain name such as example.com, without scheme, port and wildcard, of at most 189 bytes, but one whose label no. 1 is none was given",
        ),
        (new().header("a").header("A"), "source must be there once, but the same one again was given"),
        (new().path_segment(1).path_segment(1), "source must be there once, but the same one again was given"),
        (new().subdomain("a.b").subdomain("A.b."), "source must be there once, but the same one again was given"),
        (new().trusted().header("a"), "trusted must come after a source, but none was given"),
        (
            new().header("a").hints_suffice(),
            "hints_suffice must be for a resolver with trusted sources and hints, but one without either was given",
        ),
        (
            claim(new()).hints_suffice(),
            "hints_suffice must be for a resolver with trusted sources and hints, but one without either was given",
        ),
        (
            new().header("a").dangerously_share_when_missing().dangerously_default_to(tenant("b")),
            "fallback must be one at most, but 2 was given",
        ),
        (
            new().header("a").challenge("Bearer"),
            "challenge must be for a refusal with status 401, but none with it was given",
        ),
        (
            claim(new()).challenge(" "),
            "challenge must be 1 to 1024 bytes of visible ASCII, but one of 1 bytes was given",
        ),
        (
            claim(new()).challenge("a\r\nb"),
            "challenge must be 1 to 1024 bytes of visible ASCII, but one of 4 bytes was given",
        ),
        (
            claim(new()).challenge("a".repeat(1_025)),
            "challenge must be 1 to 1024 bytes of visible ASCII, but one of 1025 bytes was given",
        ),
    ] {
        assert_eq!(wrong(builder), message);
    }
}

#[test]
fn all_mistakes_are_told_together() {
    let message = wrong(Resolver::builder().header("").path_segment(99).hints_suffice().challenge(""));
    assert_eq!(message.split("; ").count(), 4, "{message}");
}

#[test]
fn limits_can_be_reached() {
    let many = |count: usize| (0..count).fold(Resolver::builder(), |it, n| it.header(&format!("x-{n}")));
    assert!(many(MAX_SOURCES).build().is_ok());
    assert_eq!(wrong(many(MAX_SOURCES + 1)), "sources must be 1 to 16, but 17 was given");
    assert!(Resolver::builder().path_segment(MAX_PATH_SEGMENT).build().is_ok());
    assert!(claim(Resolver::builder()).challenge("a".repeat(1_024)).build().is_ok());
}

#[test]
fn statuses_have_defaults_and_can_be_chosen() {
    let statuses = |resolver: Resolver| {
        [Refusal::Missing, Refusal::Invalid, Refusal::Conflict, Refusal::Unknown]
            .map(|refusal| resolver.status(refusal).as_u16())
    };
    assert_eq!(statuses(Resolver::builder().header("a").build().unwrap()), [400, 400, 403, 403]);
    assert_eq!(statuses(claim(Resolver::builder()).build().unwrap()), [401, 400, 403, 403]);
    let chosen = claim(Resolver::builder())
        .status(Refusal::Missing, RefusalStatus::FORBIDDEN)
        .status(Refusal::Invalid, RefusalStatus::MISDIRECTED_REQUEST)
        .status(Refusal::Conflict, RefusalStatus::BAD_REQUEST)
        .status(Refusal::Unknown, RefusalStatus::new(StatusCode::GONE).unwrap());
    assert_eq!(statuses(chosen.build().unwrap()), [403, 421, 400, 410]);
}

#[test]
fn debug_shows_where_is_looked_and_no_names() {
    let resolver = claim(Resolver::builder()).header("x-shop").dangerously_default_to(tenant("acme"));
    assert!(!format!("{resolver:?}").contains("acme"));
    let shown = format!("{:?}", resolver.build().unwrap());
    assert!(shown.contains("x-shop") && !shown.contains("acme"), "{shown}");
}
