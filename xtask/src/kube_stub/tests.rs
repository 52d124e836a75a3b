//! The stub over its own port.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
};

use serde_json::{Value, json};

use super::*;

fn stub() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || serve(&listener, &Arc::default()));
    at
}

fn begin(at: SocketAddr, method: &str, path: &str, body: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at).unwrap();
    let len = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: stub\r\n{headers}content-length: {len}\r\n\r\n{body}").unwrap();
    stream
}

/// The status and the body.
fn ask_with(at: SocketAddr, (method, path, body, headers): (&str, &str, &str, &str)) -> (u16, Value) {
    let mut reader = BufReader::new(begin(at, method, path, body, headers));
    let (mut line, mut len, mut status) = (String::new(), 0, 0);
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        if let Some(rest) = line.strip_prefix("content-length: ") {
            len = rest.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn ask(at: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, Value) {
    ask_with(at, (method, path, &body.to_string(), ""))
}

fn get(at: SocketAddr, path: &str) -> (u16, Value) {
    ask(at, "GET", path, &Value::Null)
}

fn put(at: SocketAddr, name: &str, app: &str) {
    let pod = json!({"kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "n", "labels": {"app": app}}});
    assert_eq!(ask(at, "PUT", "/stub/objects", &pod).0, 200);
}

/// The lines of a watch.
fn watch(at: SocketAddr, query: &str) -> impl Iterator<Item = Value> {
    let stream = begin(at, "GET", &format!("/api/v1/namespaces/n/pods?watch=1&{query}"), "", "");
    BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str(&line).ok())
        .filter(Value::is_object)
}

#[test]
fn objects_are_listed_by_labels_and_in_pages() {
    let at = stub();
    for (name, app) in [("a", "x"), ("b", "y"), ("c", "x")] {
        put(at, name, app);
    }
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let (_, all) = get(at, "/api/v1/namespaces/n/pods");
    assert_eq!(
        (names(&all), all["kind"].as_str(), all["metadata"]["resourceVersion"].as_str()),
        (vec!["a".into(), "b".into(), "c".into()], Some("PodList"), Some("3"))
    );
    assert_eq!(names(&get(at, "/api/v1/pods?labelSelector=app%3Dx").1), ["a", "c"]);
    assert_eq!(names(&get(at, "/api/v1/namespaces/other/pods").1), [""; 0]);
    let (_, first) = get(at, "/api/v1/namespaces/n/pods?limit=2");
    let token = first["metadata"]["continue"].as_str().unwrap();
    assert_eq!(names(&get(at, &format!("/api/v1/namespaces/n/pods?limit=2&continue={token}")).1), ["c"]);
    assert_eq!(get(at, "/api/v1/pods?labelSelector=app%20in%20(x)").0, 400);
    assert_eq!(get(at, "/api/v1/namespaces/n/pods/a").1["metadata"]["name"], "a");
    for path in ["/api/v1/namespaces/n/pods/z", "/api/v1/nodes", "/x", "/stub/x"] {
        assert_eq!(get(at, path).0, 404, "{path}");
    }
    for path in ["/version", "/api", "/apis", "/api/v1", "/apis/discovery.k8s.io/v1"] {
        assert_eq!(get(at, path).0, 200, "{path}");
    }
}

#[test]
fn changes_are_watched_from_a_version_on() {
    let at = stub();
    put(at, "a", "x");
    let mut events = watch(at, "resourceVersion=1&allowWatchBookmarks=true&labelSelector=app%3Dx");
    put(at, "b", "y");
    put(at, "a", "x");
    assert_eq!(ask(at, "DELETE", "/stub/pods/n/a", &Value::Null).0, 200);
    let kinds: Vec<_> = (0..3).map(|_| events.next().unwrap()["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["MODIFIED", "DELETED", "BOOKMARK"]);
    let from_the_start: Vec<_> = watch(at, "timeoutSeconds=1").collect();
    assert_eq!((from_the_start.len(), from_the_start[0]["type"].as_str()), (1, Some("ADDED")), "it ends in time");
    assert_eq!(get(at, "/stub/counts").1, json!({"lists": 0, "watches": 2}));
}

#[test]
fn faults_are_made_on_purpose() {
    let at = stub();
    put(at, "a", "x");
    let post = |what: &str, body: Value| assert_eq!(ask(at, "POST", &format!("/stub/{what}"), &body).0, 200);
    post("refuse", json!({"status": 429, "times": 1}));
    assert_eq!((get(at, "/version").0, get(at, "/version").0), (429, 200));
    post("token", json!({"token": "t"}));
    assert_eq!(get(at, "/version").0, 401);
    assert_eq!(ask_with(at, ("GET", "/version", "", "authorization: Bearer t\r\n")).0, 200);
    post("token", json!({}));
    let mut events = watch(at, "resourceVersion=1");
    // Until it is certain that the watch has begun.
    put(at, "b", "x");
    assert_eq!(events.next().unwrap()["type"], "ADDED");
    post("expire", Value::Null);
    assert_eq!(events.next().unwrap()["object"]["code"], 410);
    let mut events = watch(at, "resourceVersion=1");
    assert_eq!(events.next().unwrap()["type"], "ADDED");
    post("cut", Value::Null);
    assert_eq!(events.next(), None, "what is cut off is no event");
    post("compact", Value::Null);
    assert_eq!(get(at, "/api/v1/pods?watch=1&resourceVersion=1").0, 410);
}
