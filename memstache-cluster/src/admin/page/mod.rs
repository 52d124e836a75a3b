//! The page for people: one document, with all that it needs in it.
//!
//! It is written with tables that say everything, so that it works without JavaScript; with it, it is live.

mod escape;
mod tables;

use std::{fmt, sync::Arc};

use axum::{
    extract::{Extension, State},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use data_encoding::BASE64;
use ring::digest::{SHA256, digest};

use super::{
    answer::Problem,
    base::BasePath,
    state::Shared,
    tell::{self, Status},
    tokens::Access,
};

const DOCUMENT: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page, but for what it shows.
pub(super) struct Page {
    /// Only its own script and style run, and they talk to nobody else.
    policy: HeaderValue,
}

impl Page {
    pub(super) fn new() -> Self {
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(STYLE)
        );
        Self { policy: HeaderValue::try_from(policy).expect("hashes are visible ASCII") }
    }
}

/// The hash by which a policy knows a script or a style (<https://www.w3.org/TR/CSP3/#grammardef-hash-source>).
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(digest(&SHA256, text.as_bytes()).as_ref()))
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// `GET /`
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Extension(access): Extension<Access>,
) -> Result<Response, Problem> {
    let status = tell::status(&shared.engine()?, access);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, shared.page.policy.clone()),
    ];
    Ok((headers, document(&shared.base, &status)).into_response())
}

/// Fills the document; what is filled in is not looked at again.
fn document(base: &BasePath, status: &Status) -> String {
    let mut out = String::with_capacity(DOCUMENT.len() + STYLE.len() + SCRIPT.len() + 4096);
    let mut rest = DOCUMENT;
    while let Some((before, (mark, after))) =
        rest.split_once("<!--=").and_then(|(a, b)| Some((a, b.split_once("-->")?)))
    {
        out.push_str(before);
        match mark {
            "style" => out.push_str(STYLE),
            "script" => out.push_str(SCRIPT),
            other => tables::fill(&mut out, other, base, status),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
