//! Who calls: tokens, and what they say.

use std::{collections::HashMap, sync::Arc};

use http::{Request, header::AUTHORIZATION};

/// What a verified token says.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) shop: String,
}

/// The tokens that there are; in a service of yours, whatever verifies them.
#[derive(Clone, Debug)]
pub(crate) struct Tokens(Arc<HashMap<String, Claims>>);

impl Tokens {
    pub(crate) fn new<const N: usize>(tokens: [(&str, &str); N]) -> Self {
        let claims = |(token, shop): (&str, &str)| (format!("Bearer {token}"), Claims { shop: shop.to_owned() });
        Self(Arc::new(tokens.into_iter().map(claims).collect()))
    }

    /// Leaves in a request what its token says; without a good one, nothing.
    pub(crate) fn verify<B>(&self, mut request: Request<B>) -> Request<B> {
        let token = request.headers().get(AUTHORIZATION).and_then(|token| token.to_str().ok());
        if let Some(claims) = token.and_then(|token| self.0.get(token)).cloned() {
            request.extensions_mut().insert(claims);
        }
        request
    }
}
