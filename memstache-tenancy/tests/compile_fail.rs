//! Mistakes that do not compile: a call without a tenant, a near cache over what tells no changes.
//!
//! Here and not in the core, whose tests depend on much that would be built once more.

#[test]
fn what_must_not_compile_does_not() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
