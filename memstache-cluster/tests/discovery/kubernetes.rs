//! Discovery by the API of Kubernetes, over a stub of its server that a real kubectl takes for one.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use futures_util::StreamExt as _;
use memstache_cluster::{
    discovery::{KubernetesDiscovery, KubernetesDiscoveryBuilder},
    membership::Discovery,
};
use memstache_core::ErrorKind;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    kit::{Folder, PATIENCE, Server, eventually, free_port, http, names, program},
    story::{Place, play},
};

struct Stub {
    server: Server,
    folder: Folder,
    pods: Vec<Value>,
}

impl Stub {
    fn new() -> Self {
        let (folder, port) = (Folder::new(), free_port(Ipv4Addr::LOCALHOST));
        let file = folder.write("stub.json", json!({"port": port}).to_string()).display().to_string();
        let at = ([127, 0, 0, 1], port).into();
        let server = Server::start(program("MEMSTACHE_KUBE_STUB"), &["kube-stub", &file], at, &folder);
        let stub = Self { server, folder, pods: Vec::new() };
        stub.write_token("first");
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "stub", "cluster": {"server": format!("http://{at}")}}],
            "users": [{"name": "me", "user": {"tokenFile": stub.folder.path().join("token")}}],
            "contexts": [{"name": "test", "context": {"cluster": "stub", "user": "me", "namespace": "shop"}}]});
        stub.folder.write("kubeconfig", config.to_string());
        stub
    }

    fn write_token(&self, token: &str) {
        self.folder.write("token", token);
    }

    fn tell(&self, method: &str, path: &str, body: &Value) {
        let (status, text) = http(self.server.at, method, &format!("/stub/{path}"), &body.to_string());
        assert_eq!(status, 200, "{text}");
    }

    fn post(&self, what: &str, body: &Value) {
        self.tell("POST", what, body);
    }

    fn put(&mut self, pod: Value) {
        self.tell("PUT", "objects", &pod);
        self.pods.retain(|known| known["metadata"]["name"] != pod["metadata"]["name"]);
        self.pods.push(pod);
    }

    fn delete(&mut self, name: &str) {
        self.tell("DELETE", &format!("pods/shop/{name}"), &Value::Null);
        self.pods.retain(|known| known["metadata"]["name"] != name);
    }

    fn with(&self, builder: KubernetesDiscoveryBuilder) -> KubernetesDiscovery {
        builder.kubeconfig(self.folder.path().join("kubeconfig"), None).build().unwrap()
    }

    fn pods(&self) -> KubernetesDiscovery {
        self.with(KubernetesDiscovery::pods("app=cache"))
    }
}

fn pod(name: &str, at: SocketAddr, labels: &Value) -> Value {
    json!({"kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "cache", "image": "cache", "ports": [{"name": "gossip", "containerPort": at.port(), "protocol": "UDP"}]}]},
        "status": {"phase": "Running", "podIP": at.ip().to_string(), "conditions": [{"type": "Ready", "status": "False"}]}})
}

fn at(host: u8) -> SocketAddr {
    ([10, 0, 0, host], 3322).into()
}

fn cache(name: &str, host: u8) -> Value {
    pod(name, at(host), &json!({"app": "cache"}))
}

#[tokio::test]
#[ignore = "needs the stub of Kubernetes: cargo xtask test"]
async fn pods_are_listed_by_labels_ready_or_not() {
    let mut stub = Stub::new();
    assert_eq!(stub.pods().discover().await.unwrap(), []);
    stub.put(cache("a", 1));
    stub.put(cache("b", 2));
    stub.put(pod("web", at(9), &json!({"app": "web"})));
    assert_eq!(stub.pods().discover().await.unwrap(), [at(1), at(2)]);
    let other = stub.with(KubernetesDiscovery::pods("app=cache").namespace("other"));
    assert_eq!(other.discover().await.unwrap(), []);
    let port = stub.with(KubernetesDiscovery::pods("app=web").port(7));
    assert_eq!(port.discover().await.unwrap(), ["10.0.0.9:7".parse().unwrap()]);
    for n in 0..600 {
        stub.put(pod(
            &format!("many-{n}"),
            ([10, 1, (n / 200) as u8, (n % 200) as u8], 1).into(),
            &json!({"app": "many"}),
        ));
    }
    let many = stub.with(KubernetesDiscovery::pods("app=many"));
    assert_eq!(many.discover().await.unwrap().len(), 600, "in two pages");
}

#[tokio::test]
#[ignore = "needs the stub of Kubernetes: cargo xtask test"]
async fn endpoint_slices_of_a_service_are_listed_and_watched() {
    let stub = Stub::new();
    let slice = |host: u8| {
        json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
            "metadata": {"name": "cache-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cache"}},
            "ports": [{"name": "gossip", "port": 3322}],
            "endpoints": [{"addresses": [at(host).ip().to_string()], "conditions": {"ready": false}}]})
    };
    stub.tell("PUT", "objects", &slice(1));
    let discovery = stub.with(KubernetesDiscovery::service("cache"));
    assert_eq!(discovery.discover().await.unwrap(), [at(1)]);
    let mut seen = discovery.watch().unwrap();
    names(&mut seen, &[at(1)]).await;
    stub.tell("PUT", "objects", &slice(2));
    names(&mut seen, &[at(2)]).await;
}

#[tokio::test]
#[ignore = "needs the stub of Kubernetes: cargo xtask test"]
async fn a_watch_goes_on_whatever_happens_to_it() {
    let mut stub = Stub::new();
    stub.put(cache("a", 1));
    let discovery = stub.pods();
    let mut seen = discovery.watch().unwrap();
    names(&mut seen, &[at(1)]).await;
    stub.put(cache("b", 2));
    names(&mut seen, &[at(1), at(2)]).await;
    stub.delete("a");
    names(&mut seen, &[at(2)]).await;
    // Each time, the next word is of the change that follows: nobody was forgotten meanwhile.
    let mut hosts = vec![at(2)];
    for (host, fault) in [(3, "cut"), (4, "expire"), (5, "compact")] {
        stub.post(fault, &Value::Null);
        if fault == "compact" {
            // The next watch asks for what is forgotten.
            stub.post("cut", &Value::Null);
        }
        stub.put(cache(&format!("after-{fault}"), host));
        hosts.push(at(host));
        let next = timeout(PATIENCE, seen.next()).await.unwrap().unwrap();
        assert_eq!(next, hosts, "after {fault}");
    }
    stub.post("refuse", &json!({"status": 500, "times": 2}));
    stub.post("cut", &Value::Null);
    stub.put(cache("after-500", 6));
    hosts.push(at(6));
    names(&mut seen, &hosts).await;
    // One that falls silent is found out in time; whoever asks meanwhile is told.
    stub.post("stall", &Value::Null);
    stub.put(cache("after-stall", 7));
    hosts.push(at(7));
    assert_eq!(discovery.discover().await.unwrap().len(), hosts.len());
}

#[tokio::test]
#[ignore = "needs the stub of Kubernetes: cargo xtask test"]
async fn refusals_are_errors_and_a_token_that_changed_is_read_anew() {
    let mut stub = Stub::new();
    stub.put(cache("a", 1));
    stub.post("token", &json!({"token": "first"}));
    let discovery = stub.pods();
    assert_eq!(discovery.discover().await.unwrap(), [at(1)]);
    for (status, retryable) in [(429, true), (503, true), (403, false)] {
        stub.post("refuse", &json!({"status": status, "times": 1}));
        let error = discovery.discover().await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, retryable), "{status}");
        assert_eq!(discovery.discover().await.unwrap(), [at(1)], "after {status}");
    }
    let mut seen = discovery.watch().unwrap();
    names(&mut seen, &[at(1)]).await;
    stub.post("token", &json!({"token": "second"}));
    assert_eq!(discovery.discover().await.unwrap_err().kind(), ErrorKind::Unavailable, "the file is as it was");
    stub.write_token("second");
    assert_eq!(discovery.discover().await.unwrap(), [at(1)]);
    // A watch that is refused ends, and is asked for anew with what is known now.
    stub.post("token", &json!({"token": "third"}));
    stub.post("cut", &Value::Null);
    timeout(PATIENCE, async { while seen.next().await.is_some() {} }).await.unwrap();
    stub.write_token("third");
    names(&mut discovery.watch().unwrap(), &[at(1)]).await;
    assert!(!format!("{discovery:?}").contains("third"));
}

#[tokio::test]
#[ignore = "needs the stub of Kubernetes: cargo xtask test"]
async fn what_is_not_set_up_or_away_is_an_error() {
    let mut stub = Stub::new();
    let none = KubernetesDiscovery::pods("a=b").kubeconfig(stub.folder.path().join("none"), None).build().unwrap();
    assert_eq!(none.discover().await.unwrap_err().kind(), ErrorKind::Invalid);
    let file = stub.folder.path().join("kubeconfig");
    let context = KubernetesDiscovery::pods("a=b").kubeconfig(file, Some("other".to_owned())).build().unwrap();
    assert_eq!(context.discover().await.unwrap_err().kind(), ErrorKind::Invalid);
    let ended = timeout(PATIENCE, none.watch().unwrap().next()).await.unwrap();
    assert_eq!(ended, None, "asked for anew later");

    let discovery = stub.pods();
    discovery.discover().await.unwrap();
    stub.server.kill();
    let error = discovery.discover().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    stub.server.resume();
    eventually("it is asked again", async || discovery.discover().await.is_ok()).await;
}

#[tokio::test]
#[ignore = "needs the stub of Kubernetes: cargo xtask test"]
async fn a_real_kubectl_takes_the_stub_for_an_api_server() {
    let mut stub = Stub::new();
    stub.put(cache("cache-0", 1));
    let kubectl = |words: &[&str]| {
        let mut command = Command::new(program("MEMSTACHE_KUBECTL"));
        command
            .arg("--kubeconfig")
            .arg(stub.folder.path().join("kubeconfig"))
            .args(words)
            .env("HOME", stub.folder.path());
        command
    };
    let output = kubectl(&["get", "pods", "-l", "app=cache", "-o", "name"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "pod/cache-0\n", "{output:?}");
    let output = kubectl(&["get", "endpointslices"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let mut watching = kubectl(&["get", "pods", "-w", "-o", "name"]).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(watching.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let next = || lines.recv_timeout(PATIENCE).ok();
    let first = next();
    stub.put(cache("cache-1", 2));
    let second = next();
    watching.kill().unwrap();
    watching.wait().unwrap();
    assert_eq!((first.as_deref(), second.as_deref()), (Some("pod/cache-0"), Some("pod/cache-1")));
}

impl Place for Stub {
    type Discovery = KubernetesDiscovery;

    fn discovery(&self) -> KubernetesDiscovery {
        self.pods()
    }

    fn appear(&mut self, nodes: &[(&str, SocketAddr)]) {
        for (name, at) in nodes {
            self.put(pod(name, *at, &json!({"app": "cache"})));
        }
    }

    fn vanish(&mut self, node: &str, _: SocketAddr) {
        self.delete(node);
    }

    fn end(&mut self) {
        self.server.kill();
    }

    fn resume(&mut self) {
        self.server.resume();
        // What it knew it knows no more.
        for pod in self.pods.clone() {
            self.put(pod);
        }
    }
}

#[tokio::test]
#[ignore = "needs the stub of Kubernetes: cargo xtask test"]
async fn nodes_find_each_other_by_kubernetes() {
    play(Stub::new(), 14).await;
}
