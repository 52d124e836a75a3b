//! Nodes with admin endpoints, and clients that ask them.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use data_encoding::BASE64;
use http_body_util::BodyExt as _;
use memstache_cluster::{
    ClusterConfig, Engine, KeySpace, Member, MemberState, Members, NodeId,
    admin::{Admin, AdminBuilder},
    membership::Membership,
    net::SimNetwork,
};
use memstache_core::{Result, Tick};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::sources::secs;

pub(crate) const READ: &str = "read-token-0123456789";
pub(crate) const WRITE: &str = "write-token-0123456789";
pub(crate) const BASE: &str = "/_memstache/admin";

/// A started node that stands alone.
pub(crate) async fn alone(keyspaces: impl IntoIterator<Item = KeySpace>) -> Engine {
    let engine = keyspaces.into_iter().fold(Engine::builder(), |builder, keyspace| builder.keyspace(keyspace));
    let engine = engine.build().unwrap();
    engine.start().await.unwrap();
    engine
}

pub(crate) fn users() -> KeySpace {
    KeySpace::builder("users").build().unwrap()
}

/// Endpoints with both tokens.
pub(crate) fn guarded(engine: &Engine) -> Router {
    built(Admin::builder(engine).read_token(READ).write_token(WRITE))
}

/// Endpoints that anybody may read.
pub(crate) fn open(engine: &Engine) -> Router {
    built(Admin::builder(engine))
}

pub(crate) fn built(builder: AdminBuilder) -> Router {
    builder.build().unwrap().router()
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(crate) fn basic(token: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("me:{token}").as_bytes()))
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json", "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

/// Sends one request below the base path, with a token if one is given.
pub(crate) async fn send(router: &Router, method: Method, below: &str, token: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("{BASE}{below}"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, token);
    }
    sent(router, request.body(Body::empty()).unwrap()).await
}

pub(crate) async fn sent(router: &Router, request: Request<Body>) -> Answer {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

pub(crate) async fn get(router: &Router, below: &str) -> Answer {
    send(router, Method::GET, below, None).await
}

pub(crate) async fn get_as(router: &Router, below: &str, token: &str) -> Answer {
    send(router, Method::GET, below, Some(&bearer(token))).await
}

pub(crate) async fn post_as(router: &Router, below: &str, token: &str) -> Answer {
    send(router, Method::POST, below, Some(&bearer(token))).await
}

/// A list of members that all nodes of a test see, and change.
#[derive(Clone, Debug)]
pub(crate) struct Hall(Arc<watch::Sender<Members>>);

#[derive(Debug)]
struct Guest {
    hall: Hall,
    id: NodeId,
}

impl Hall {
    pub(crate) fn new(members: impl IntoIterator<Item = Member>) -> Self {
        Self(Arc::new(watch::Sender::new(Members::new(members))))
    }

    fn guest(&self, id: NodeId) -> Guest {
        Guest { hall: self.clone(), id }
    }

    /// Changes the list: what `change` makes of each member.
    pub(crate) fn change(&self, change: impl Fn(&Member) -> Option<Member>) {
        self.0.send_modify(|members| *members = members.iter().filter_map(&change).collect());
    }
}

#[async_trait::async_trait]
impl Membership for Guest {
    fn id(&self) -> NodeId {
        self.id
    }

    fn members(&self) -> Members {
        self.hall.0.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Members> {
        self.hall.0.subscribe()
    }

    fn contact(&self) -> Option<Tick> {
        None
    }

    async fn join(&self) -> Result<()> {
        Ok(())
    }

    fn set_state(&self, state: MemberState) {
        let set = |member: &Member| {
            let member = member.clone();
            Some(if member.id == self.id { member.with_state(state) } else { member })
        };
        self.hall.change(set);
    }

    async fn leave(&self) -> Result<()> {
        self.hall.change(|member| (member.id != self.id).then(|| member.clone()));
        Ok(())
    }
}

/// Nodes on a network in memory that see one list of members.
pub(crate) struct Nodes {
    pub(crate) engines: Vec<Engine>,
    pub(crate) hall: Hall,
    pub(crate) network: SimNetwork,
}

pub(crate) fn member(n: usize) -> Member {
    let last = u8::try_from(n + 1).unwrap();
    let address = ([10, 0, 0, last], 3320).into();
    let zone = format!("zone-{n}").parse().unwrap();
    Member::new(format!("cache-{n}").parse().unwrap(), address)
        .with_gossip(([10, 0, 0, last], 3322).into())
        .with_zone(zone)
}

impl Nodes {
    /// Starts nodes, each with keyspaces of its own making.
    pub(crate) async fn start(count: usize, keyspaces: impl Fn(usize) -> Vec<KeySpace>) -> Self {
        let network = SimNetwork::new(7);
        let hall = Hall::new((0..count).map(member));
        let engines = Mutex::new(Vec::new());
        for n in 0..count {
            let me = member(n);
            let cluster = ClusterConfig::new("test", me.clone(), hall.guest(me.id))
                .transport(network.host(me.address.ip()))
                .bind(me.address)
                .insecure();
            let builder = Engine::builder().cluster(cluster).shutdown_timeout(secs(2));
            let builder = keyspaces(n).into_iter().fold(builder, |builder, keyspace| builder.keyspace(keyspace));
            let engine = builder.build().unwrap();
            engine.start().await.unwrap();
            engines.lock().unwrap().push(engine);
        }
        let engines = engines.into_inner().unwrap();
        while !engines.iter().all(Engine::is_ready) {
            tokio::time::sleep(secs(1)).await;
        }
        tokio::time::sleep(secs(15)).await;
        Self { engines, hall, network }
    }
}
