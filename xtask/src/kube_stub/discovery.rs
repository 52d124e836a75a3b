//! What the API server says that it has.

use serde_json::{Value, json};

/// The description at a path.
pub(super) fn describe(path: &str) -> Option<Value> {
    let verbs = json!(["get", "list", "watch"]);
    let list = |version: &str, resources: Value| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources});
    let group = json!({"groupVersion": "discovery.k8s.io/v1", "version": "v1"});
    Some(match path.trim_end_matches('/') {
        "/version" => {
            json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "", "gitTreeState": "clean",
                "buildDate": "2025-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64"})
        }
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        "/apis" => {
            json!({"kind": "APIGroupList", "apiVersion": "v1",
                "groups": [{"name": "discovery.k8s.io", "versions": [group], "preferredVersion": group}]})
        }
        "/api/v1" => list(
            "v1",
            json!([{"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": verbs, "shortNames": ["po"]}]),
        ),
        "/apis/discovery.k8s.io/v1" => list(
            "discovery.k8s.io/v1",
            json!([{"name": "endpointslices", "singularName": "endpointslice", "namespaced": true, "kind": "EndpointSlice", "verbs": verbs}]),
        ),
        _ => return None,
    })
}
