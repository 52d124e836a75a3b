//! One connection.

use std::{convert::Infallible, io, pin::pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use memstache_core::Clock;
use tokio::sync::watch;
use tower_service::Service as _;

use super::{Listen, held::Held, patient::Patient, seats::Seat, told};
use crate::{admin::answer::Problem, engine::until, net::Accepted};

/// Most bytes of a request's head, and of an answer that waits to be sent.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// What one connection needs.
pub(super) struct Connection {
    pub(super) router: Router,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) listen: Arc<Listen>,
    pub(super) seat: Arc<Seat>,
}

impl Connection {
    /// Answers until the client goes, is silent for too long, or the server ends.
    pub(super) async fn serve(self, accepted: Accepted, mut end: watch::Receiver<bool>) {
        let limit = self.listen.timeout;
        let ready = until(&self.clock, self.clock.now().after(limit), accepted.ready).await;
        let Some(Ok(stream)) = ready else { return };
        let io = TokioIo::new(Patient::new(stream, Arc::clone(&self.clock), limit));
        let connection = Arc::new(self);
        let service = service_fn(move |request| {
            let connection = Arc::clone(&connection);
            async move { Ok::<_, Infallible>(connection.answer(request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(limit).max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
        let mut serving = pin!(builder.serve_connection(io, service));
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = told(&mut end) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended.map_err(io::Error::other) {
            // What goes wrong with one connection is the client's to see.
            tracing::debug!(%error, "a connection to the admin endpoints ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response {
        let busy = self.seat.busy();
        let response = self.run(request).await;
        response.map(|body| Body::new(Held::new(body, busy)))
    }

    async fn run(&self, request: Request<Incoming>) -> Response {
        let deadline = self.clock.now().after(self.listen.timeout);
        let answered = until(&self.clock, deadline, self.router.clone().call(request)).await;
        match answered {
            Some(Ok(response)) => response,
            None => Problem::new(StatusCode::GATEWAY_TIMEOUT, "the node did not answer in time").into_response(),
        }
    }
}
