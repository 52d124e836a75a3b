//! Connections that are not ready yet.

use std::{collections::VecDeque, sync::Arc};

use memstache_core::{Error, Result};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::{
    net::Accepted,
    peer::{
        client::nonce,
        config::PeerConfig,
        handshake::{Agreed, Limits, Listening, MAX_HANDSHAKE, Refusal},
        io::Io,
        local::Local,
    },
    wire::Kind,
};

/// Connections that are not ready yet, the oldest first.
///
/// When there are too many, the oldest goes: who means it is ready within moments, who floods is not.
#[derive(Default)]
pub(super) struct Waiting(Mutex<VecDeque<(u64, AbortHandle)>>);

impl Waiting {
    /// Adds one. Returns whether another had to go.
    pub(super) fn add(&self, id: u64, task: AbortHandle, most: usize) -> bool {
        let mut waiting = self.0.lock();
        waiting.retain(|(_, task)| !task.is_finished());
        waiting.push_back((id, task));
        if waiting.len() <= most {
            return false;
        }
        let oldest = waiting.pop_front();
        drop(waiting);
        oldest.inspect(|(_, task)| task.abort()).is_some()
    }

    pub(super) fn remove(&self, id: u64) {
        self.0.lock().retain(|(known, _)| *known != id);
    }
}

/// Why a connection did not become ready.
pub(super) enum NotReady {
    Refused(Refusal),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for NotReady {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Goes through the handshake with someone who connected. `has_room` says whether one more may be open.
pub(super) async fn admit(
    accepted: Accepted,
    local: &Arc<Local>,
    config: &PeerConfig,
    refuse: impl Fn() -> Option<Refusal>,
) -> Result<(Io, Agreed), NotReady> {
    let mut io = Io::new(accepted.ready.await?, MAX_HANDSHAKE);
    let limits = Limits {
        in_flight: u32::try_from(config.max_in_flight).unwrap_or(u32::MAX),
        frame: u32::try_from(config.max_frame).unwrap_or(u32::MAX),
    };
    let listening = Listening { local, limits };
    let hello = io.receive().await?;
    let (guest, welcome) = match listening.greeted(&hello, nonce()?) {
        Ok(greeted) => greeted,
        Err(refusal) => return Err(refused(&mut io, refusal).await),
    };
    io.send(Kind::Welcome, &welcome).await?;
    let proof = io.receive().await?;
    let agreed = match guest.proved(&proof) {
        Ok(agreed) => agreed,
        Err(refusal) => return Err(refused(&mut io, refusal).await),
    };
    if let Some(refusal) = refuse() {
        return Err(refused(&mut io, refusal).await);
    }
    io.send(Kind::Welcome, &[]).await?;
    io.set_max_frame(config.max_frame);
    Ok((io, agreed))
}

async fn refused(io: &mut Io, refusal: Refusal) -> NotReady {
    // Told as far as that goes: who does not listen learns nothing.
    let told = io.send(Kind::Refused, &[refusal.code()]).await;
    if let Err(error) = told {
        tracing::debug!(error = %error, "a refusal was not heard");
    }
    NotReady::Refused(refusal)
}
