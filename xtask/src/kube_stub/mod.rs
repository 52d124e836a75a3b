//! As much of the API server of Kubernetes as finding pods takes, with faults on purpose: for tests, demos and people.
//!
//! It lists and watches pods and endpoint slices: label selectors by equality, pages, versions that rise, bookmarks, `410 Gone`.
//! What is there is said at `/stub/` (see [`control`]). Nothing is checked beyond what clients need; it listens on loopback alone.

mod cluster;
mod control;
mod discovery;
mod http;
mod listing;
mod watch;

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use self::{
    cluster::Cluster,
    http::{Reply, Request},
};

/// How long a client may be silent within a request.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers as an API server of Kubernetes would, until it is ended.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file of JSON: {"port": 21000}
    file: PathBuf,
}

#[derive(Deserialize)]
struct Config {
    port: u16,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let text = fs::read(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let config: Config = serde_json::from_slice(&text).with_context(|| args.file.display().to_string())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
    serve(&listener, &Arc::default());
    Ok(())
}

/// Takes connections for good, each with a thread of its own.
fn serve(listener: &TcpListener, cluster: &Arc<Cluster>) {
    for stream in listener.incoming().flatten() {
        let cluster = Arc::clone(cluster);
        // An error is that of a client that went away.
        thread::spawn(move || converse(&stream, &cluster));
    }
}

fn converse(stream: &TcpStream, cluster: &Arc<Cluster>) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = http::Reader::new(stream);
    while let Some(request) = reader.next()? {
        match answer(&request, cluster) {
            Answer::Reply(reply) => reply.send(stream)?,
            // Nothing follows a watch on its connection.
            Answer::Watch(watch) => return watch.run(stream, cluster),
        }
    }
    Ok(())
}

enum Answer {
    Reply(Reply),
    Watch(watch::Watch),
}

fn answer(request: &Request, cluster: &Arc<Cluster>) -> Answer {
    if let Some(path) = request.path.strip_prefix("/stub/") {
        return Answer::Reply(control::control(request, path, cluster));
    }
    if let Some(refusal) = cluster.refusal(request.token()) {
        return Answer::Reply(refusal);
    }
    match discovery::describe(&request.path) {
        Some(description) => Answer::Reply(Reply::json(200, &description)),
        None => listing::answer(request, cluster),
    }
}

#[cfg(test)]
mod tests;
