//! Lists, pages of lists, and single objects.

use serde_json::{Value, json};

use super::{
    Answer,
    cluster::{Cluster, Contents, Kind, selects},
    http::{Reply, Request},
    watch::Watch,
};

/// Answers what is asked below a namespace, or of all of them.
pub(super) fn answer(request: &Request, cluster: &Cluster) -> Answer {
    let unknown = || Answer::Reply(Reply::failure(404, "NotFound", "the server could not find the requested resource"));
    let words: Vec<_> = request.path.trim_matches('/').split('/').collect();
    let (kind, rest) = match words.as_slice() {
        ["api", "v1", rest @ ..] => (Kind::Pods, rest),
        ["apis", "discovery.k8s.io", "v1", rest @ ..] => (Kind::Slices, rest),
        _ => return unknown(),
    };
    let plural = if kind == Kind::Pods { "pods" } else { "endpointslices" };
    let (namespace, name) = match rest {
        [what] if *what == plural => (None, None),
        ["namespaces", namespace, what] if *what == plural => (Some((*namespace).to_owned()), None),
        ["namespaces", namespace, what, name] if *what == plural => (Some((*namespace).to_owned()), Some(*name)),
        _ => return unknown(),
    };
    if request.method != "GET" {
        return Answer::Reply(Reply::failure(405, "MethodNotAllowed", "the stub lists and watches"));
    }
    if request.is_set("watch") {
        return Watch::begin(request, kind, namespace, cluster);
    }
    let mut contents = cluster.lock();
    Answer::Reply(match (namespace, name) {
        (Some(namespace), Some(name)) => one(&contents, kind, namespace, name),
        (namespace, _) => {
            contents.lists += 1;
            list(request, &contents, kind, namespace.as_deref())
        }
    })
}

fn one(contents: &Contents, kind: Kind, namespace: String, name: &str) -> Reply {
    match contents.objects.get(&(kind, namespace, name.to_owned())) {
        Some(object) => Reply::json(200, object),
        None => Reply::failure(404, "NotFound", &format!("{:?} not found", name)),
    }
}

fn list(request: &Request, contents: &Contents, kind: Kind, namespace: Option<&str>) -> Reply {
    let selector = request.query("labelSelector");
    let of_kind = contents.objects.iter().filter(|((of, in_namespace, _), _)| {
        *of == kind && namespace.is_none_or(|namespace| namespace == in_namespace)
    });
    let mut items = Vec::new();
    for (_, object) in of_kind {
        match selects(selector, object) {
            Some(true) => items.push(object.clone()),
            Some(false) => {}
            None => return Reply::failure(400, "BadRequest", "the stub knows label selectors by equality alone"),
        }
    }
    let from = request.query("continue").and_then(|token| token.parse().ok()).unwrap_or(0);
    let limit = request.query("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    Reply::json(200, &page(contents, kind, items, from, limit.unwrap_or(usize::MAX)))
}

fn page(contents: &Contents, kind: Kind, items: Vec<Value>, from: usize, limit: usize) -> Value {
    let total = items.len();
    let items: Vec<_> = items.into_iter().skip(from).take(limit).collect();
    let end = from + items.len();
    let mut metadata = json!({"resourceVersion": contents.version.to_string()});
    if end < total {
        metadata["continue"] = json!(end.to_string());
        metadata["remainingItemCount"] = json!(total - end);
    }
    json!({"kind": format!("{}List", kind.name()), "apiVersion": kind.version(), "metadata": metadata, "items": items})
}
