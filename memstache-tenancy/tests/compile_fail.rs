//! Mistakes that do not compile: a call without a tenant, a near cache over what tells no changes.
//!
//! Here and not in the core, whose tests depend on much that would be built once more.

#[test]
fn what_must_not_compile_does_not() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    #[cfg(feature = "http")]
    cases.compile_fail("tests/ui/http/*.rs");
    #[cfg(feature = "axum")]
    cases.compile_fail("tests/ui/axum/*.rs");
}
