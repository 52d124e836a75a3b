//! Several processes over one server: this very test program, started again.

use std::{
    env,
    process::{Output, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use memstache_core::{Cache, Json, Stack, StoreService};
use memstache_redis::RedisStore;
use tokio::{process::Command, task::JoinSet};

use super::kit;

const PROCESSES: usize = 4;
const TASKS: usize = 250;
const PATIENCE: Duration = Duration::from_secs(20);
/// Set for those that were started again: prefix, and when to begin, in ms of the wall clock.
const CHILD: &str = "MEMSTACHE_TEST_CHILD";

fn cache(store: RedisStore) -> Cache<Json> {
    let stack = Stack::over(StoreService::new(store)).build();
    Cache::builder(stack).keyspace("items").format(Json).store_timeout(PATIENCE).build().expect("a cache")
}

#[expect(clippy::disallowed_methods, reason = "processes agree on a time to begin by the wall clock")]
fn wall_millis() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("not so late")
}

/// Starts the crowd, each process running `test` of this program.
async fn crowd(test: &str, prefix: &str, meanwhile: impl Future<Output = ()>) -> Vec<Output> {
    let begin = wall_millis() + 3_000;
    let mut children = JoinSet::new();
    for _ in 0..PROCESSES {
        let mut child = Command::new(env::current_exe().expect("this program"));
        child.args(["--exact", &format!("with_redis::processes::{test}"), "--nocapture"]);
        child.env(CHILD, format!("{prefix} {begin}")).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        children.spawn(async move { child.output().await.expect("it runs") });
    }
    tokio::time::sleep(Duration::from_millis(begin - wall_millis().min(begin))).await;
    meanwhile.await;
    children.join_all().await
}

#[expect(clippy::print_stdout, reason = "that is how a process tells what it saw")]
fn tell(seen: &str) {
    println!("{seen}");
}

/// Asks for one missing key from many tasks; the load takes `takes`, and is counted.
async fn ask(child: &str, takes: Duration) {
    let (prefix, begin) = child.split_once(' ').expect("prefix and time");
    // Eight processes on a busy machine: who is not answered in time may load by itself, and that is not asked here.
    let builder = kit::builder(&kit::single()).prefix(prefix).read_timeout(PATIENCE).call_timeout(PATIENCE);
    let store = kit::store(builder).await;
    let cache = cache(store.clone());
    let begin: u64 = begin.parse().expect("a time");
    let counter = format!("{prefix}loads");
    tokio::time::sleep(Duration::from_millis(begin.saturating_sub(wall_millis()))).await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (cache, counter) = (cache.clone(), counter.clone());
        tasks.spawn(async move {
            let load = move |_| async move {
                let count = kit::raw(&["INCR", &counter]).await;
                tokio::time::sleep(takes).await;
                std::io::Result::Ok(format!("load {count}"))
            };
            let value: String = cache.get_or_load("k", load).await.expect("a value");
            value
        });
    }
    let values = tasks.join_all().await;
    assert!(values.iter().all(|value| value.starts_with("load :")), "{:?}", store.stats());
    assert_eq!(values.len(), TASKS);
    read_after_removal(&cache, prefix).await;
    // For who looks into a failure: did a server seem to be gone?
    tell(&format!("{:?} {:?}", cache.stats(), store.stats()));
}

/// Says that the key was removed while the first load ran.
fn removed(prefix: &str) -> String {
    format!("{prefix}removed")
}

/// Reads on if the key was removed: by now the removal has returned, and who asks is later than it.
async fn read_after_removal(cache: &Cache<Json>, prefix: &str) {
    if kit::raw(&["GET", &removed(prefix)]).await != "$1\r\n1" {
        return;
    }
    for _ in 0..50 {
        let seen: Option<String> = cache.get("k").await.expect("read");
        assert_ne!(seen.as_deref(), Some("load :1"), "a later reader of this process sees what was removed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tell("read after the removal");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_load_once() {
    if let Ok(child) = env::var(CHILD) {
        return ask(&child, Duration::from_millis(500)).await;
    }
    let prefix = kit::prefix();
    let mut told = String::new();
    for output in crowd("four_processes_load_once", &prefix, async {}).await {
        told += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
        assert!(output.status.success(), "{told}");
    }
    let loads = kit::raw(&["GETDEL", &format!("{prefix}loads")]).await;
    assert_eq!(loads.lines().last(), Some("1"), "one load\n{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_while_they_load_is_not_seen_again() {
    if let Ok(child) = env::var(CHILD) {
        return ask(&child, Duration::from_secs(2)).await;
    }
    let prefix = kit::prefix();
    let store = kit::store(kit::builder(&kit::single()).prefix(&prefix)).await;
    let removal = async {
        let counter = format!("{prefix}loads");
        kit::until("a load has begun", async || kit::raw(&["GET", &counter]).await == "$1\r\n1").await;
        kit::remove(&store, "k").await.expect("removed");
        kit::raw(&["SET", &removed(&prefix), "1"]).await;
        for _ in 0..40 {
            let seen = kit::get(&store, "k").await.expect("read");
            assert_ne!(seen.as_deref(), Some(&b"\"load :1\""[..]), "a late fill is seen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let outputs = crowd("what_is_removed_while_they_load_is_not_seen_again", &prefix, removal).await;
    for output in outputs {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.contains("read after the removal"), "{said}");
    }
    // Those who waited for the load were answered; a load that began after the removal may have been stored.
    let loads = kit::raw(&["GETDEL", &format!("{prefix}loads")]).await;
    assert!(loads.lines().last().unwrap().parse::<u32>().unwrap() >= 1);
}
