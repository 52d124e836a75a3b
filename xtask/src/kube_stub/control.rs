//! What is asked of the stub itself, below `/stub/`.
//!
//! | request | what it does |
//! | --- | --- |
//! | `PUT /stub/objects` with a pod or a slice | puts it in the place of the one of its name |
//! | `DELETE /stub/pods/NAMESPACE/NAME`, `/stub/endpointslices/…` | removes it |
//! | `POST /stub/compact` | forgets what has changed: `410 Gone` for who asks for it |
//! | `POST /stub/cut`, `stall`, `expire` | ends all watches in the middle of a line; makes them silent; tells them `410` |
//! | `POST /stub/refuse` with `{"status": 429, "times": 2}` | refuses so many requests |
//! | `POST /stub/token` with `{"token": "…"}` | wants this token from now on; `null`: any |
//! | `GET /stub/counts` | how often was listed and watched |

use serde_json::{Value, json};

use super::{
    cluster::{Cluster, Contents, Kind, Upset},
    http::{Reply, Request},
};

pub(super) fn control(request: &Request, path: &str, cluster: &Cluster) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let changed = match (request.method.as_str(), path.split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["counts"]) => {
            let contents = cluster.lock();
            return Reply::json(200, &json!({"lists": contents.lists, "watches": contents.watches}));
        }
        ("PUT", ["objects"]) => match Kind::of(&body) {
            Some(kind) => done(cluster, |contents| contents.apply(kind, body)),
            None => None,
        },
        ("DELETE", [kind, namespace, name]) => delete(cluster, kind, namespace, name),
        ("POST", ["compact"]) => done(cluster, Contents::compact),
        ("POST", ["cut"]) => done(cluster, |contents| contents.upset(Upset::Cut)),
        ("POST", ["stall"]) => done(cluster, |contents| contents.upset(Upset::Stall)),
        ("POST", ["expire"]) => done(cluster, |contents| contents.upset(Upset::Expire)),
        ("POST", ["refuse"]) => refuse(cluster, &body),
        ("POST", ["token"]) => {
            let token = body["token"].as_str().map(str::to_owned);
            done(cluster, |contents| contents.set_token(token))
        }
        _ => None,
    };
    match changed {
        Some(()) => Reply::json(200, &json!({})),
        None => Reply::failure(404, "NotFound", "nothing that the stub knows"),
    }
}

fn done(cluster: &Cluster, change: impl FnOnce(&mut Contents)) -> Option<()> {
    cluster.change(change);
    Some(())
}

fn delete(cluster: &Cluster, kind: &str, namespace: &str, name: &str) -> Option<()> {
    let kind = match kind {
        "pods" => Kind::Pods,
        "endpointslices" => Kind::Slices,
        _ => return None,
    };
    cluster.change(|contents| contents.delete(kind, namespace, name)).then_some(())
}

fn refuse(cluster: &Cluster, body: &Value) -> Option<()> {
    let status = u16::try_from(body["status"].as_u64()?).ok()?;
    let times = usize::try_from(body["times"].as_u64()?).ok()?.min(1000);
    cluster.change(|contents| contents.refuse(status, times));
    Some(())
}
